from __future__ import annotations

import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from properties import head, oblique_affine

from ftddm_core.errors import FormatError, GeometryError
from ftddm_core.imaging.geometry import regrid_mean, regrid_nearest
from ftddm_core.imaging.io import open_study, read_volume, write_volume
from ftddm_core.imaging.io.layouts import role_of
from ftddm_core.imaging.io.roles import Role
from ftddm_core.imaging.volume import Volume

SHAPE = (6, 5, 4)
AFFINE = oblique_affine(SHAPE)
MRI_SHAPE = (9, 8, 7)
MRI_AFFINE = oblique_affine(MRI_SHAPE, (1.5, 1.5, 1.5), (0.0, 10.0, 0.0))
BIDS = "sub-01_ses-02_space-orig"


@pytest.fixture
def make(tmp_path):
    """Return a function that writes named files, the n-th with n times the head, to one folder."""

    def write(*names):
        for number, name in enumerate(names, start=1):
            guide = role_of(Path(f"{name}.nii.gz"))[0] in (Role.T1, Role.FLAIR)
            shape, affine = (MRI_SHAPE, MRI_AFFINE) if guide else (SHAPE, AFFINE)
            volume = head(shape, affine)
            values = np.minimum(volume.data, 1) if "mask" in name else volume.data * number
            path = tmp_path / f"{name}.nii.gz"
            write_volume(path, volume.with_data(values))
        return tmp_path

    return write


def test_a_folder_becomes_a_study(make):
    names = ("tNAA", "tCr", "tnaa_crlb", "T1w", "FLAIR", "quality_mask", "labels", "T1w_contrast")
    folder = make(*names)
    study = open_study([folder])
    assert list(study.maps) == ["tCr", "tNAA"]
    for name, number in (("tNAA", 1), ("tCr", 2)):
        expected = (head(SHAPE, AFFINE).data * number).astype(np.float32)
        np.testing.assert_array_equal(study.maps[name].data, expected)
    assert {name: volume.unit for name, volume in study.crlb.items()} == {"tNAA": "%"}
    assert study.t1.shape == study.flair.shape == MRI_SHAPE
    assert isinstance(study.mask, Volume)
    assert study.mask_of("tCr") is study.mask_of("tNAA") is study.mask
    roles = {
        "tNAA": "tNAA",
        "tCr": "tCr",
        "tNAA_crlb": "tnaa_crlb",
        "t1": "T1w",
        "flair": "FLAIR",
        "mask": "quality_mask",
    }
    assert study.source == {role: str(folder / f"{n}.nii.gz") for role, n in roles.items()}


def test_the_bids_naming_of_mrsiprep(make):
    met = f"{BIDS}_met-"
    folder = make(
        f"{met}CrPCr_desc-signal_mrsi",
        f"{met}CrPCr_desc-crlb_mrsi",
        f"{met}CrPCr_desc-ftddm_mrsi",
        f"{met}CrPCr_mask",
        f"{met}Ins_desc-signal_mrsi",
        f"{met}Gly_desc-crlb_mrsi",
        f"{BIDS}_desc-snr_mrsi",
        "sub-01_ses-02_desc-brain_T1w",
    )
    study = open_study([folder])
    assert set(study.maps) == {"tCr", "Ins"}
    assert set(study.crlb) == {"tCr"}
    assert study.t1 is not None
    assert study.mask_of("tCr") is not None
    assert study.mask_of("Ins") is None
    np.testing.assert_array_equal(
        study.maps["tCr"].data, head(SHAPE, AFFINE).data.astype(np.float32)
    )


def test_a_mask_of_one_metabolite_goes_before_that_of_the_study(make):
    folder = make("tNAA", "tCr", "tnaa_mask", "quality_mask")
    own = np.zeros(SHAPE)
    own[1:3] = 1
    write_volume(folder / "tnaa_mask.nii.gz", Volume(own, AFFINE))
    study = open_study([folder])
    np.testing.assert_array_equal(study.mask_of("tNAA").data, own)
    assert study.mask_of("tCr").data.all()
    assert set(study.source) == {"tNAA", "tCr", "tNAA_mask", "mask"}


def test_arguments_go_before_names(make, tmp_path):
    folder = make("tNAA", "T1w", "FLAIR", "quality_mask", "tNAA_mask")
    other = tmp_path / "elsewhere"
    other.mkdir()
    paths = {role: other / f"my_{role}.nii.gz" for role in ("t1", "flair", "mask")}
    for path in paths.values():
        write_volume(path, Volume(np.ones(SHAPE), AFFINE))
    study = open_study([folder], **paths)
    assert {role: study.source[role] for role in paths} == {r: str(p) for r, p in paths.items()}
    assert study.mask_of("tNAA") is study.mask
    assert "tNAA_mask" not in study.source


def test_a_file_given_as_guide_is_not_a_map_too(make):
    folder = make("tNAA", "anatomy")
    study = open_study([folder], t1=str(folder / "anatomy.nii.gz"))
    assert list(study.maps) == ["tNAA"]
    assert study.t1 is not None


def test_two_candidates_for_t1_need_an_argument(make):
    folder = make("tNAA", "T1w", "sub-01_T1w")
    with pytest.raises(
        FormatError, match=r"T1w.*sub-01_T1w.*both claim to be the T1.*name it as t1"
    ):
        open_study([folder])
    assert open_study([folder], t1=folder / "T1w.nii.gz").t1 is not None


def test_listed_files_are_maps_unless_recognised(make):
    folder = make("my_Glu", "sub_T1w", "Gln")
    study = open_study([folder / "my_Glu.nii.gz", folder / "sub_T1w.nii.gz"])
    assert list(study.maps) == ["Glu"]
    assert study.t1 is not None


def test_a_derived_map_opens_only_where_it_is_listed_without_its_map(make):
    folder = make("Glu", "Glu_ftddm")
    signal, derived = folder / "Glu.nii.gz", folder / "Glu_ftddm.nii.gz"
    assert open_study([derived]).source["Glu"] == str(derived)
    assert open_study([derived]).notes[0].startswith("Glu is a result of this program")
    assert open_study([derived, signal]).source["Glu"] == str(signal)
    signal.unlink()
    with pytest.raises(FormatError, match=r"no metabolite map; found Glu_ftddm\.nii\.gz"):
        open_study([folder])


def test_one_path_may_stand_alone_and_twice_is_once(make):
    folder = make("tNAA")
    path = folder / "tNAA.nii.gz"
    for paths in (str(folder), folder, [str(path)], [path, path], [folder, path]):
        assert list(open_study(paths).maps) == ["tNAA"]


def test_a_4d_file_with_a_sidecar(tmp_path):
    data = np.ones((*SHAPE, 2), np.float32) * np.array([1, 2])
    nib.save(nib.Nifti1Image(data.astype(np.float32), AFFINE), tmp_path / "fit.nii.gz")
    (tmp_path / "fit.json").write_text(json.dumps({"Metabolites": ["tNAA", "tCr"]}))
    study = open_study([tmp_path / "fit.nii.gz", tmp_path / "fit.json"])
    assert {name: v.data.max() for name, v in study.maps.items()} == {"tNAA": 1, "tCr": 2}
    assert study.source == dict.fromkeys(study.maps, str(tmp_path / "fit.nii.gz"))


@pytest.mark.parametrize("stem", ["crlb_tNAA", "tNAA_CRLB_map", "tNAA-crlb", "tnaa_crlb_percent"])
def test_a_crlb_is_read_as_one_however_it_is_named(make, stem):
    study = open_study([make("tNAA", stem)])
    assert list(study.maps) == list(study.crlb) == ["tNAA"]
    assert study.crlb["tNAA"].unit == "%"


def test_a_crlb_without_a_known_name_is_ignored(make):
    study = open_study([make("tNAA", "crlb", "all_crlb_of_it")])
    assert list(study.maps) == ["tNAA"]
    assert not study.crlb


# --- the unit ------------------------------------------------------------------------------------

MET = "sub-7_met-tNAA_desc-signal_mrsi"


@pytest.mark.parametrize(
    ("own", "of_study", "unit"),
    [
        ('{"Unit": "mM"}', None, "mM"),
        ('{"Units": " mmol/kg "}', '{"Unit": "mM"}', "mmol/kg"),
        (None, '{"Unit": "mM"}', "mM"),
        ("{}", '{"Units": "mM"}', "mM"),
        ('{"Unit": "as the input"}', None, ""),
        ('{"Unit": "As the input"}', '{"Unit": "mM"}', "mM"),
        ('{"Unit": 3, "Units": null}', '{"Unit": ["mM"]}', ""),
        ("{damaged", '{"Unit": "mM"}', "mM"),
        ("[" * 100_000, "\0", ""),
        ('["Unit"]', '"mM"', ""),
        (None, None, ""),
    ],
)
def test_the_unit_is_that_of_the_sidecar_else_of_the_study(make, own, of_study, unit):
    folder = make(MET, f"{MET.replace('signal', 'crlb')}", "sub-7_mask", "sub-7_T1w")
    for name, content in ((MET, own), ("sub-7", of_study)):
        if content is not None:
            (folder / f"{name}.json").write_text(content)
    study = open_study(folder)
    assert study.grid.unit == unit
    assert study.crlb["tNAA"].unit == "%"
    assert study.mask.unit == study.t1.unit == ""


def test_a_sidecar_that_cannot_be_read_is_named(make):
    folder = make(MET, "sub-7_mask")
    usual = open_study(folder).notes
    for name, content in ((MET, "{damaged"), ("sub-7", "[3]")):
        (folder / f"{name}.json").write_text(content)
    more = [note for note in open_study(folder).notes if note not in usual]
    assert [note.partition(" could")[0] for note in more] == [f"{MET}.json", "sub-7.json"]
    assert "is not used. Mend or remove it." in more[0]
    assert str(folder) not in " ".join(more)
    (folder / "sub-7.json").unlink()
    (folder / "sub-7.json").mkdir()
    assert "sub-7.json could not be read (Is a directory)" in " ".join(open_study(folder).notes)


def test_a_plain_name_has_no_study_level_sidecar(make):
    folder = make("tNAA", "tCr")
    (folder / "tNAA.json").write_text('{"Unit": "mM"}')
    assert {n: v.unit for n, v in open_study(folder).maps.items()} == {"tNAA": "mM", "tCr": ""}


def test_the_unit_of_a_4d_file_holds_for_all_its_maps(tmp_path):
    nib.save(nib.Nifti1Image(np.ones((*SHAPE, 2), np.float32), AFFINE), tmp_path / "fit.nii")
    (tmp_path / "fit.json").write_text('{"Metabolites": ["tNAA", "tCr"], "Units": "mM"}')
    study = open_study(tmp_path / "fit.nii")
    assert {n: v.unit for n, v in study.maps.items()} == {"tNAA": "mM", "tCr": "mM"}


def test_the_bundled_case_is_in_millimolar():
    case = Path(__file__).parents[2] / "assets" / "case"
    for folder in (case, case / "noise_free"):
        assert {v.unit for v in open_study(folder).maps.values()} == {"mM"}


def test_hidden_copies_and_subfolders_are_left_alone(make):
    folder = make("tNAA")
    (folder / "._tNAA.nii.gz").write_bytes(b"left by a file system")
    (folder / "more").mkdir()
    write_volume(folder / "more" / "tCr.nii.gz", head(SHAPE, AFFINE))
    assert list(open_study([folder]).maps) == ["tNAA"]


@pytest.mark.parametrize("rival", ["TNAA.nii", f"{BIDS}_met-tNAA_desc-signal_mrsi.nii.gz"])
def test_two_maps_of_one_name_are_both_named(make, rival):
    paths = [make("tNAA") / "tNAA.nii.gz", make() / rival]
    write_volume(paths[1], head(SHAPE, AFFINE))
    with pytest.raises(
        FormatError, match=r"(?i)both claim to be the metabolite map of tNAA"
    ) as error:
        open_study(paths)
    assert all(str(path) in str(error.value) for path in paths)


def test_maps_on_two_grids_are_refused(make):
    folder = make("tNAA")
    write_volume(folder / "tCr.nii.gz", head(MRI_SHAPE, MRI_AFFINE))
    with pytest.raises(GeometryError, match="must share one grid"):
        open_study([folder])


def test_a_crlb_of_zeros_is_no_error_and_a_map_of_zeros_is(make):
    folder = make("tNAA")
    empty = Volume(np.zeros(SHAPE), AFFINE)
    write_volume(folder / "tNAA_crlb.nii.gz", empty)
    assert not open_study([folder]).crlb["tNAA"].data.any()
    write_volume(folder / "tCr.nii.gz", empty)
    with pytest.raises(FormatError, match=r"tCr\.nii\.gz is empty"):
        open_study([folder])


def test_what_holds_no_map_is_described(make, tmp_path):
    with pytest.raises(FormatError, match=r"nowhere does not exist"):
        open_study([tmp_path / "nowhere"])
    with pytest.raises(FormatError, match=r"no metabolite map; found no image file"):
        open_study([tmp_path])
    folder = make("T1w", "quality_mask")
    found = re.escape("found T1w.nii.gz (T1), quality_mask.nii.gz (quality mask). Name maps <")
    with pytest.raises(FormatError, match=found):
        open_study([folder])


def test_nothing_to_open_and_a_file_that_is_no_image(tmp_path):
    (tmp_path / "map.png").write_bytes(b"")
    with pytest.raises(FormatError, match=r"no metabolite map; found map\.png \(not recognised\)"):
        open_study([tmp_path / "map.png"])
    with pytest.raises(FormatError, match="nothing to open"):
        open_study([])


# --- the real examples ---------------------------------------------------------------------------


def test_the_real_mrsi_case_reads(shared_data):
    folder = shared_data / "real-mrsi-oryx-K01"
    study = open_study([folder])
    assert set(study.maps) == set(study.crlb) == {"tNAA", "tCr", "tCho", "Ins", "Glx"}
    assert study.flair is None
    assert study.grid.shape == (14, 14, 3)
    assert study.grid.voxel_size == pytest.approx((10, 10, 12))
    assert study.source["mask"].endswith("quality_mask.nii.gz")
    for name, volume in study.maps.items():
        trusted = regrid_nearest(study.mask, study.grid.shape, study.grid.affine).data > 0
        assert volume.data[trusted].mean() > 0
        assert study.crlb[name].unit == "%"


def test_the_real_t1_lies_under_the_real_maps(shared_data):
    """Trusted voxels are in the head; a T1 taken by index, not by world, would not show it."""
    study = open_study([shared_data / "real-mrsi-oryx-K01"])
    t1 = regrid_mean(study.t1, study.grid.shape, study.grid.affine).data
    trusted = study.mask.data > 0
    brain = t1 > 0.2 * np.percentile(study.t1.data[study.t1.data > 0], 90)
    assert brain[trusted].mean() > 0.9
    assert brain[~trusted].mean() < brain[trusted].mean()


def test_the_real_mri_case_guides_maps_but_is_no_study(shared_data):
    folder = shared_data / "real-mri-glioma-FG6692"
    with pytest.raises(FormatError, match=r"FLAIR\.nii\.gz \(FLAIR\), T1w\.nii\.gz \(T1\)"):
        open_study([folder])
    maps = shared_data / "real-mrsi-oryx-K01"
    files = [*folder.glob("*.nii.gz"), maps / "tNAA.nii.gz"]
    study = open_study(files)
    assert list(study.maps) == ["tNAA"]
    assert study.t1.shape == study.flair.shape == (240, 240, 155)
    t1 = read_volume(folder / "T1w.nii.gz")
    np.testing.assert_array_equal(study.t1.data, t1.data)
