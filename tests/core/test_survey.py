"""What files are taken for before any is read: trees, sessions, rivals, choices, and raw data."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io import (
    ChoiceNeeded,
    Choices,
    open_study,
    survey_study,
    write_volume,
)
from ftddm_core.imaging.io.choices import parse_role
from ftddm_core.imaging.io.roles import Role
from ftddm_core.imaging.io.surveyed import State
from ftddm_core.imaging.volume import Volume

AFFINE = np.diag([8.0, 8, 10, 1])


def put(folder, *places):
    """Write maps below a folder; the n-th has the value n."""
    for value, place in enumerate(places, start=1):
        path = folder / f"{place}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_volume(path, Volume(np.full((4, 4, 2), float(value)), AFFINE))
    return folder


def values(study):
    return {name: volume.data.max() for name, volume in study.maps.items()}


def session(subject, visit, *names):
    start = f"sub-{subject}_ses-{visit}"
    return [f"sub-{subject}/ses-{visit}/mrsi/{start}_{name}" for name in names]


SIGNAL = "met-NAANAAG_desc-signal_mrsi"


def test_one_of_several_sessions_is_chosen(tmp_path):
    put(tmp_path, *session("03", "V1", SIGNAL), *session("03", "V2", SIGNAL))
    with pytest.raises(ChoiceNeeded, match="choose session V1 or V2") as asked:
        open_study(tmp_path)
    assert asked.value.question.options == ("V1", "V2")
    for visit, value in (("V1", 1), ("ses-V2", 2)):
        assert values(open_study(tmp_path, choices=Choices(session=visit))) == {"tNAA": value}
    with pytest.raises(FormatError, match=r"no session V3 here; there are V1, V2"):
        open_study(tmp_path, choices=Choices(session="V3"))


def test_one_of_several_subjects_is_chosen_first(tmp_path):
    put(tmp_path, *session("01", "V1", SIGNAL), *session("02", "V1", SIGNAL))
    with pytest.raises(ChoiceNeeded, match="choose subject 01 or 02"):
        open_study(tmp_path)
    assert values(open_study(tmp_path, choices=Choices(subject="sub-02"))) == {"tNAA": 2}


def test_files_of_another_session_are_left_out_of_the_chosen_one(tmp_path):
    put(
        tmp_path,
        *session("03", "V1", SIGNAL, "met-NAANAAG_desc-crlb_mrsi"),
        *session("03", "V2", SIGNAL, "met-NAANAAG_desc-crlb_mrsi"),
    )
    study = open_study(tmp_path, choices=Choices(session="V2"))
    assert study.crlb["tNAA"].data.max() == 4
    assert all("ses-V2" in path for path in study.source.values())


def test_a_folder_with_maps_is_read_without_its_subfolders(tmp_path):
    put(tmp_path, "tNAA", "noise_free/tNAA", "lowres/tCr")
    assert values(open_study(tmp_path)) == {"tNAA": 1}


def test_another_scale_is_chosen(tmp_path):
    put(tmp_path, "fit/concs/internal/NAA", "fit/concs/molality/NAA", "fit/concs/raw/NAA")
    study = open_study(tmp_path)
    assert values(study) == {"NAA": 2}
    assert study.label == tmp_path.name
    assert "scale: molality (taken) or internal, raw." in study.notes
    assert values(open_study(tmp_path, choices=Choices(scale="internal"))) == {"NAA": 1}


def test_maps_of_the_scans_own_space_go_before_resampled_ones(tmp_path):
    put(tmp_path, f"sub-1_space-T1w_{SIGNAL}", f"sub-1_space-orig_{SIGNAL}")
    assert values(open_study(tmp_path)) == {"tNAA": 2}


def test_a_role_is_given_to_a_file_that_is_not_recognised(tmp_path):
    put(tmp_path, "tNAA", "x17", "anatomy")
    found = survey_study(tmp_path)
    left = {entry.path.name for entry in found.entries if entry.state is State.LEFT_OUT}
    assert left == {"x17.nii.gz", "anatomy.nii.gz"}
    assert any(note.startswith("x17 left out") for note in found.notes)
    choices = Choices(roles={"x17.nii.gz": "map:Lac", "anatomy.nii.gz": "t1"})
    study = open_study(tmp_path, choices=choices)
    assert values(study) == {"tNAA": 1, "Lac": 2}
    assert study.source["t1"].endswith("anatomy.nii.gz")


def test_a_map_is_renamed_and_a_file_left_out(tmp_path):
    put(tmp_path, "Glu+Gln", "GluGln")
    with pytest.raises(ChoiceNeeded, match="two maps would have one name"):
        open_study(tmp_path)
    renamed = open_study(tmp_path, choices=Choices(roles={"GluGln.nii.gz": "map:Glx2"}))
    assert values(renamed) == {"Glx": 1, "Glx2": 2}
    assert values(open_study(tmp_path, choices=Choices(exclude=("GluGln.nii.gz",)))) == {"Glx": 1}


def test_a_ratio_opens_only_as_a_map_by_choice_and_is_told(tmp_path):
    put(tmp_path, "tNAA_over_tCr")
    with pytest.raises(ChoiceNeeded, match="is a ratio: maps wanted, not ratios"):
        open_study(tmp_path)
    file = "tNAA_over_tCr.nii.gz"
    study = open_study(tmp_path, choices=Choices(roles={file: "map:tNAA_over_tCr"}))
    assert any("is a ratio" in note for note in study.notes)


def test_a_choice_about_a_file_that_is_not_there_is_refused(tmp_path):
    put(tmp_path, "tNAA")
    with pytest.raises(FormatError, match=r"There is no file x\.nii in this study; files are tNAA"):
        open_study(tmp_path, choices=Choices(exclude=("x.nii",)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("t1", (Role.T1, "")), ("Map:tNAA", (Role.MAP, "tNAA")), ("spikes", (Role.SPIKES, ""))],
)
def test_roles_are_written_in_short(text, expected):
    assert parse_role(text) == expected


@pytest.mark.parametrize(
    ("text", "words"), [("map", "needs a metabolite"), ("brain", "There is no role 'brain'")]
)
def test_a_role_that_is_not_possible_is_refused(text, words):
    with pytest.raises(FormatError, match=words):
        parse_role(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mask_threshold", 1.5),
        ("max_crlb", -1),
        ("min_snr", float("nan")),
        ("crlb_unit", "percent"),
        ("space", "best"),
    ],
)
def test_impossible_choices_are_refused(field, value):
    with pytest.raises(FormatError, match="give"):
        Choices(**{field: value})


def test_choices_survive_a_json_file():
    choices = Choices(roles={"a.nii": "map:NAA"}, exclude=("b.nii",), mask_labels=(1, 3), label="x")
    assert Choices.from_dict(json.loads(json.dumps(choices.to_dict()))) == choices
    assert Choices().to_dict() == {}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("IM0001", b"\0" * 128 + b"DICM", "DICOM.*dcm2niix"),
        ("scan.ima", b"x", "Siemens DICOM.*spec2nii"),
        ("csi.rda", b"x", "Siemens spectra.*spec2nii"),
        ("meas.dat", b"x" * 20_000, "Siemens raw data.*spec2nii"),
        ("csi.SPAR", b"x", "Philips spectra.*spec2nii"),
        ("anat.PAR", b"x", "Philips images.*dcm2niix"),
    ],
)
def test_raw_data_are_recognised_and_the_converter_named(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=words):
        open_study(tmp_path)


def test_loops_and_other_things_than_files(tmp_path):
    put(tmp_path, "tNAA")
    os.symlink("loop", tmp_path / "loop")
    os.symlink(tmp_path, tmp_path / "again")
    os.mkfifo(tmp_path / "tCr.nii.gz")
    assert values(open_study(tmp_path)) == {"tNAA": 1}
    with pytest.raises(FormatError, match="neither a file nor a folder"):
        open_study(tmp_path / "tCr.nii.gz")
    with pytest.raises(FormatError, match="cannot be opened"):
        open_study(tmp_path / "loop")
    with pytest.raises(FormatError, match="cannot be opened"):
        open_study(tmp_path / ("x" * 300))


def test_a_folder_of_too_many_files_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("ftddm_core.imaging.io.found.MOST_FILES", 3)
    put(tmp_path, "tNAA", "tCr", "tCho", "Ins")
    with pytest.raises(FormatError, match="more than 3 files"):
        open_study(tmp_path)


def test_a_link_counts_under_its_own_name(tmp_path):
    """As git-annex keeps files: the target's name tells nothing."""
    target = put(tmp_path / "store", "abc") / "abc.nii.gz"
    (tmp_path / "sub-07").mkdir()
    os.symlink(target, tmp_path / "sub-07" / "tNAA.nii.gz")
    assert values(open_study(tmp_path / "sub-07")) == {"tNAA": 1}


def test_a_damaged_file_that_is_not_needed_is_left_out_with_a_note(tmp_path):
    put(tmp_path, "tNAA", "tNAA_crlb", "T1w")
    for name in ("tNAA_crlb", "T1w"):
        path = tmp_path / f"{name}.nii.gz"
        path.write_bytes(path.read_bytes()[:40])
    study = open_study(tmp_path)
    assert not study.crlb
    assert study.t1 is None
    for name in ("tNAA_crlb", "T1w"):
        assert any(
            note.startswith(f"{name} is damaged") and "left out" in note for note in study.notes
        )
    with pytest.raises(FormatError, match="truncated or damaged"):
        open_study(tmp_path, t1=tmp_path / "T1w.nii.gz")


def test_a_map_of_failed_fits_alone_is_refused(tmp_path):
    write_volume(tmp_path / "tNAA.nii.gz", Volume(np.full((4, 4, 2), -1.0), AFFINE))
    with pytest.raises(FormatError, match=r"tNAA\.nii\.gz holds nothing but -1, a sign of failed"):
        open_study(tmp_path)


def test_a_long_value_in_a_sidecar_is_cut_in_the_message(tmp_path):
    put(tmp_path, "tNAA")
    (tmp_path / "tNAA.json").write_text(json.dumps({"OutsideMask": "seen" + 5000 * "9"}))
    with pytest.raises(FormatError, match="OutsideMask 'seen9") as refused:
        open_study(tmp_path)
    assert len(str(refused.value)) < 300


def test_damaged_values_warn_of_nothing(tmp_path):
    """Overflow and signalling NaN in a map and in its CRLB; warnings are errors in tests."""
    put(tmp_path, "tNAA", "tNAA_crlb")
    wild = np.full((4, 4, 2), 0.05, np.float32)
    wild[0] = 3e38
    wild.view(np.uint32)[1, 0, 0] = 0x7FA00000  # a signalling NaN
    for name in ("tNAA", "tNAA_crlb"):
        write_volume(tmp_path / f"{name}.nii.gz", Volume(wild, AFFINE))
    with np.errstate(all="raise"):
        study = open_study(tmp_path)
    assert any("looks like a fraction" in note for note in study.notes)


def test_spectra_stay_explained(tmp_path):
    import nibabel as nib

    header = nib.Nifti1Header()
    header["intent_name"] = b"mrs_v0_2"
    header.set_data_dtype(np.complex64)
    data = np.ones((4, 4, 2, 64), np.complex64)
    nib.save(nib.Nifti1Image(data, AFFINE, header), tmp_path / "csi.nii.gz")
    with pytest.raises(FormatError, match=r"holds spectra \(NIfTI-MRS"):
        open_study(tmp_path / "csi.nii.gz")


def test_what_is_in_a_standard_space_is_not_laid_over_the_scan(tmp_path):
    start = "sub-1_space-MNI152"
    put(tmp_path, f"sub-1_space-orig_{SIGNAL}", f"{start}_desc-brainmask_mask", f"{start}_T1w")
    put(tmp_path, f"{start}_met-Ins_desc-signal_mrsi")
    study = open_study(tmp_path)
    assert set(study.source) == {"tNAA"}
    assert sum("in another space than the maps" in note for note in study.notes) == 3
    chosen = Choices(roles={f"{start}_T1w.nii.gz": "t1"})
    assert open_study(tmp_path, choices=chosen).t1 is not None


def test_maps_in_a_standard_space_keep_their_mask(tmp_path):
    start = "sub-1_space-MNI152"
    put(tmp_path, f"{start}_{SIGNAL}", f"{start}_desc-brainmask_mask", "sub-1_T1w")
    assert set(open_study(tmp_path).source) == {"tNAA", "mask"}


def test_bounds_and_masks_of_another_run_are_not_used(tmp_path):
    put(tmp_path, f"sub-1_run-1_{SIGNAL}", "sub-1_run-2_met-NAANAAG_desc-crlb_mrsi")
    put(tmp_path, "sub-1_run-2_desc-brainmask_mask", "sub-1_run-2_T1w")
    study = open_study(tmp_path)
    assert set(study.source) == {"tNAA", "t1"}  # an MRI has runs of its own
    put(tmp_path, "sub-1_run-1_desc-brainmask_mask")
    assert "run-1" in open_study(tmp_path).source["mask"]


def test_maps_of_several_folders_do_not_become_one_study_by_themselves(tmp_path):
    put(tmp_path, "Meier/tCr", "Mueller/tNAA")
    with pytest.raises(ChoiceNeeded, match=r"tCr\.nii\.gz in .*Meier and tNAA.*Mueller: are they"):
        open_study(tmp_path)
    files = [tmp_path / "Meier/tCr.nii.gz", tmp_path / "Mueller/tNAA.nii.gz"]
    assert values(open_study(files)) == {"tCr": 1, "tNAA": 2}


def test_a_folder_for_each_metabolite_is_one_study(tmp_path):
    put(tmp_path, "tCr/tCr_amp_map", "tNAA/tNAA_amp_map")
    assert values(open_study(tmp_path)) == {"tCr": 1, "tNAA": 2}


def test_links_without_content_are_told(tmp_path):
    put(tmp_path, "tNAA")
    for name in ("mask", "tCr"):
        (tmp_path / f"{name}.nii.gz").symlink_to(f".git/annex/objects/{name}")
    notes = open_study(tmp_path).notes
    assert [n.split(":")[0] for n in notes if "git annex get" in n] == [
        "mask (mask) left out",
        "tCr (metabolite map) left out",
    ]
    (tmp_path / "tNAA.nii.gz").unlink()
    with pytest.raises(ChoiceNeeded, match=r"mask\.nii\.gz cannot be read: it is a link, and its"):
        open_study(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty: it has 0 bytes"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
        (b"/annex/objects/MD5E-s1--abc.nii.gz\n", "git annex get"),
    ],
)
def test_a_file_without_content_says_why(tmp_path, content, words):
    (tmp_path / "tNAA.nii.gz").write_bytes(content)
    with pytest.raises(FormatError, match=words):
        open_study(tmp_path)


def test_summaries_of_fsl_mrs_are_no_maps(tmp_path):
    put(tmp_path, "concs/raw/NAA+NAAG", "summary/NAA", "summary/Cr+PCr_mean")
    assert values(open_study(tmp_path)) == {"tNAA": 1}


def test_a_bound_of_no_stated_map_is_told(tmp_path):
    put(tmp_path, "tNAA", "crlb")
    assert "crlb (CRLB) left out: of which map is not stated." in open_study(tmp_path).notes


def test_masks_and_bounds_beside_the_arrays_of_the_research_code_are_no_maps(tmp_path):
    folder = tmp_path / "Met_filtered"
    folder.mkdir()
    for name, value in (("NAA", 3), ("NAA_sd", 5), ("mask", 1)):
        np.save(folder / f"{name}.npy", np.full((2, 4, 4), float(value)))
    study = open_study(tmp_path)
    assert values(study) == {"NAA": 3}
    assert study.crlb["NAA"].data.max() == 5
    assert study.mask.data.max() == 1


@pytest.mark.parametrize("names", [("patA_tNAA", "patB_tCr"), ("2023-05-01_NAA", "2024-06-01_Cr")])
def test_maps_whose_names_start_differently_are_asked_about(tmp_path, names):
    put(tmp_path, *names)
    with pytest.raises(ChoiceNeeded, match="start differently: are they of one examination"):
        open_study(tmp_path)
    assert len(open_study([tmp_path / f"{name}.nii.gz" for name in names]).maps) == 2


@pytest.mark.parametrize("names", [("01_tNAA", "02_tCr"), ("x_tNAA", "x_tCr"), ("tNAA", "map_tCr")])
def test_names_of_one_examination_may_be_counted(tmp_path, names):
    put(tmp_path, *names)
    assert set(open_study(tmp_path).maps) == {"tNAA", "tCr"}


@pytest.mark.parametrize("own", ["NAA+NAAG_amp_map", f"sub-1_{SIGNAL}"])
def test_plain_names_beside_the_maps_of_a_producer_are_no_maps_by_themselves(tmp_path, own):
    put(tmp_path, own, "Lac")
    study = open_study(tmp_path)
    assert values(study) == {"tNAA": 1}
    assert any(note.startswith("Lac left out: its name is not like") for note in study.notes)
    chosen = Choices(roles={"Lac.nii.gz": "map:Lac"})
    assert values(open_study(tmp_path, choices=chosen)) == {"tNAA": 1, "Lac": 2}


def test_a_mask_of_a_metabolite_without_a_map_is_not_that_of_the_study(tmp_path):
    put(tmp_path, f"sub-1_{SIGNAL}", "sub-1_met-Ins_desc-qmask_mrsi")
    study = open_study(tmp_path)
    assert study.mask is None
    assert "sub-1_met-Ins_desc-qmask_mrsi (quality mask) left out: there is no map of Ins." in (
        study.notes
    )
    chosen = Choices(roles={"sub-1_met-Ins_desc-qmask_mrsi.nii.gz": "mask"})
    assert open_study(tmp_path, choices=chosen).mask is not None


def test_two_bounds_of_one_map_are_told(tmp_path):
    put(tmp_path, "NAA", "NAA_crlb", "crlb_NAA")
    study = open_study(tmp_path)
    assert not study.crlb
    assert "NAA_crlb (CRLB) not used: several claim this role: choose one." in study.notes


def test_water_of_a_bids_tree_is_no_metabolite(tmp_path):
    put(tmp_path, f"sub-1_{SIGNAL}", "sub-1_met-water_desc-signal_mrsi")
    assert set(open_study(tmp_path).maps) == {"tNAA"}


def test_subfolders_that_were_not_looked_into_are_named(tmp_path):
    put(tmp_path, "T1w", "maps/tNAA")
    with pytest.raises(ChoiceNeeded, match="Apart from its subfolders, which were not looked into"):
        open_study(tmp_path)


def test_arrays_with_axes_in_another_order_are_doubted(tmp_path):
    shapes = {"Met_filtered/NAA": (12, 14, 4), "MRI_sliced/T1": (12, 36, 42)}
    for place, shape in shapes.items():
        (tmp_path / place).parent.mkdir()
        np.save(tmp_path / f"{place}.npy", np.arange(float(np.prod(shape))).reshape(shape))
    study = open_study(tmp_path)
    words = (
        "NAA.npy is read as (Z, X, Y), by which it has 12 slices of 14 x 4 voxels: were its axes"
    )
    assert any(note.startswith(words) for note in study.notes)
    assert study.t1 is None
    assert any("T1" in note and "their axes differ in order" in note for note in study.notes)
