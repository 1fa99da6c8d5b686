"""Where a header places its image: the affine, what is doubtful about it, and the slice axis."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from properties import head, oblique_affine, world_of
from scipy.spatial.transform import Rotation

from ftddm_core.errors import GeometryError, SettingsError
from ftddm_core.evaluation.baselines import run_baseline, zero_filling
from ftddm_core.imaging.degrade import degrade
from ftddm_core.imaging.fit_quality import crlb_on_grid
from ftddm_core.imaging.io import open_study
from ftddm_core.imaging.io.nifti import encode_volume, read_maps, read_volume, write_volume
from ftddm_core.imaging.space import notes_of, slice_axis
from ftddm_core.imaging.volume import Study, Volume

SHAPE = (12, 14, 4)
AFFINE = oblique_affine(SHAPE, (8.0, 8.0, 10.0), flip=(-1, 1, 1))
DATA = head(SHAPE, AFFINE).data.astype(np.float32)
PLAIN = np.diag([-8.0, 8, 10, 1])


def save(path, data=DATA, affine=AFFINE, sform=1, qform=1, other=None, **header):
    """Write an image whose qform is `other`, or the affine as well."""
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, sform)
    image.set_qform(affine if other is None else other, qform)
    for key, value in header.items():
        image.header[key] = value
    nib.save(image, path)
    return path


def moved(affine, mm):
    return np.block([[affine[:3, :3], affine[:3, 3:] + np.reshape(mm, (3, 1))], [0, 0, 0, 1]])


def turned(affine, degrees):
    """Return an affine turned about the centre of the matrix."""
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("z", degrees, degrees=True).as_matrix()
    centre = affine @ [*((n - 1) / 2 for n in SHAPE), 1]
    turn[:3, 3] = centre[:3] - turn[:3, :3] @ centre[:3]
    return turn @ affine


# --- two affines ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "note"),
    [
        (AFFINE, None),
        (moved(AFFINE, (0.5, 0.5, 0)), None),
        (moved(AFFINE, (50, 0, 0)), "qform and sform differ by 50 mm: sform is used"),
        (moved(AFFINE, (0, 3, 4)), "qform and sform differ by 5 mm: sform is used"),
        (turned(AFFINE, 12), "qform and sform differ in rotation (12 degrees): sform is used"),
        (
            moved(turned(AFFINE, 12), (0, 0, 20)),
            "qform and sform differ by 20 mm and in rotation (12 degrees): sform is used",
        ),
        (
            np.diag([-1.0, 1, 1, 1]) @ AFFINE,
            "qform and sform disagree about left and right: sform is used",
        ),
    ],
)
def test_a_contradiction_of_qform_and_sform_is_told(tmp_path, other, note):
    volume = read_volume(save(tmp_path / "map.nii", other=other))
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-4)
    assert notes_of(volume.header) == (() if note is None else (note,))


@pytest.mark.parametrize(("space", "used", "code"), [("sform", 0, 4), ("qform", 1, 1)])
def test_the_choice_decides_and_silences(tmp_path, space, used, code):
    affines = AFFINE, moved(AFFINE, (50, 0, 0))
    path = save(tmp_path / "map.nii", sform=4, other=affines[1])
    for volume in (read_volume(path, space=space), *read_maps(path, "m", space=space).values()):
        np.testing.assert_allclose(volume.affine, affines[used], atol=1e-3)
        assert notes_of(volume.header) == ()
        (tmp_path / "out.nii").write_bytes(encode_volume(volume, compress=False))
        out = nib.load(tmp_path / "out.nii")
        assert int(out.header["sform_code"]) == code
        np.testing.assert_allclose(out.affine, affines[used], atol=1e-3)


@pytest.mark.parametrize("space", ["sform", "qform"])
def test_a_choice_does_not_matter_where_only_one_is_set(tmp_path, space):
    path = save(tmp_path / "map.nii", sform=0)
    np.testing.assert_allclose(read_volume(path, space=space).affine, AFFINE, atol=1e-3)


def test_an_unknown_choice_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="'mni' is unknown: choose sform or qform"):
        read_volume(save(tmp_path / "map.nii"), space="mni")


def test_no_orientation_is_told_and_carried_on(tmp_path):
    path = save(tmp_path / "tNAA.nii", affine=PLAIN, sform=0, qform=0)
    volume = read_volume(path)
    assert notes_of(volume.header) == ("no orientation in the header: left and right unknown",)
    enlarged = run_baseline(zero_filling, Study({"tNAA": volume}), 2.0)["tNAA"]
    write_volume(tmp_path / "out.nii", enlarged)
    header = nib.load(tmp_path / "out.nii").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (0, 0)
    np.testing.assert_allclose(header.get_zooms(), (4, 4, 10))


# --- sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "note"),
    [
        ((8.05, 8, 10), None),
        ((8, 8, 8), "a gap of 2 mm between slices: they are 8 mm thick and 10 mm apart"),
        (
            (4, 4, 10),
            "the voxel size in the header is 4 x 4 x 10 mm, but 8 x 8 x 10 mm by its affine, "
            "as used",
        ),
        ((0, 0, 0), None),
    ],
)
def test_voxel_sizes_that_differ_are_told(tmp_path, stated, note):
    path = save(tmp_path / "map.nii", qform=0, pixdim=[1, *stated, 0, 0, 0, 0])
    assert notes_of(read_volume(path).header) == (() if note is None else (note,))


def test_a_slice_of_ten_metres_is_told(tmp_path):
    path = save(tmp_path / "map.nii", DATA[..., 1:2], np.diag([8.0, 8, 10000, 1]))
    (note,) = notes_of(read_volume(path).header)
    assert note.startswith("the slice is not localised (10 m)")


def test_voxels_of_metres_are_a_wrong_unit(tmp_path):
    image = nib.Nifti1Image(DATA, AFFINE)
    image.header.set_xyzt_units("meter")
    nib.save(image, tmp_path / "map.nii")
    with pytest.raises(GeometryError, match=r"map\.nii: The voxels measure 8 x 8 x 10 m: the head"):
        read_volume(tmp_path / "map.nii")


def test_maps_that_differ_by_rounding_share_a_grid():
    one = Volume(DATA, AFFINE)
    study = Study({"a": one, "b": Volume(DATA, moved(AFFINE, (0.009, -0.009, 0.009)))})
    assert list(study.maps) == ["a", "b"]
    with pytest.raises(GeometryError, match="must share one grid"):
        Study({"a": one, "b": Volume(DATA, moved(AFFINE, (0.02, 0, 0)))})
    bound = Volume(np.full(SHAPE, 5.0), moved(AFFINE, (0.009, 0, 0)))
    assert crlb_on_grid(Study({"a": one}, crlb={"a": bound}), "a") is bound.data


# --- the slice axis ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "size", "stated", "axis"),
    [
        ((12, 14, 4), (8, 8, 10), None, 2),
        ((4, 12, 14), (10, 8, 8), None, 0),
        ((12, 4, 14), (8, 10, 8), None, 1),
        ((12, 4, 14), (8, 10, 8.2), None, 1),
        ((12, 4, 14), (8, 10, 9), None, 2),  # no two equal edges
        ((4, 12, 14), (9, 8, 8), None, 2),  # hardly thicker
        ((16, 12, 14), (10, 5, 5), None, 2),  # more voxels than in-plane
        ((8, 8, 8), (5, 5, 5), None, 2),
        ((1, 12, 14), (5, 5, 5), None, 0),
        ((1, 12, 14), (5, 5, 5), 2, 0),
        ((12, 1, 1), (10, 8, 8), None, 2),
        ((8, 8, 8), (5, 5, 5), 0, 0),
        ((4, 12, 14), (10, 8, 8), 0, 0),
        ((4, 12, 14), (10, 8, 8), 1, 2),  # a contradiction
    ],
)
def test_the_slice_axis_is_the_clear_one_else_the_last(shape, size, stated, axis):
    assert slice_axis(shape, size, stated) == axis


def first(volume_affine):
    return volume_affine[:, [2, 0, 1, 3]]


@pytest.mark.parametrize("slices", [slice(0, 4), slice(1, 2)])
def test_a_study_with_slices_first_gives_the_same_maps_in_its_own_order(tmp_path, slices):
    """Pixel by pixel at the same place in the world."""
    affine = moved(AFFINE, AFFINE[:3, 2] * slices.start)
    data = {"tNAA": DATA[..., slices], "tCr": 2 * DATA[..., slices] ** 2}
    made = {}
    for order in ("last", "first"):
        folder = tmp_path / order
        folder.mkdir()
        for name, values in data.items():
            if order == "last":
                save(folder / f"{name}.nii", values, affine)
            else:
                save(folder / f"{name}.nii", np.moveaxis(values, 2, 0), first(affine))
        study = open_study(folder)
        assert study.grid.shape == data["tNAA"].shape
        np.testing.assert_array_equal(study.maps["tCr"].data, data["tCr"])
        np.testing.assert_allclose(study.grid.affine, affine, atol=1e-4)
        write_volume(folder / "out.nii", run_baseline(zero_filling, study, 2.0)["tNAA"])
        made[order] = nib.load(folder / "out.nii")
    assert made["first"].shape == (data["tNAA"].shape[2], 24, 28)
    np.testing.assert_array_equal(
        np.moveaxis(made["first"].get_fdata(), 0, 2), made["last"].get_fdata()
    )
    np.testing.assert_allclose(
        np.moveaxis(world_of(made["first"].shape, made["first"].affine), 0, 2),
        world_of(made["last"].shape, made["last"].affine),
        atol=1e-3,
    )


def test_the_order_of_the_file_survives_degrading(tmp_path):
    path = save(tmp_path / "tNAA.nii", np.moveaxis(DATA, 2, 0), first(AFFINE))
    volume = read_volume(path)
    assert volume.stored == (1, 2, 0)
    coarse = degrade(Study({"tNAA": volume}, mask=volume.with_data(DATA > 0.2)), 2)
    assert coarse.grid.shape == (6, 7, 4)
    write_volume(tmp_path / "out.nii", coarse.grid)
    assert nib.load(tmp_path / "out.nii").shape == (4, 6, 7)


def test_a_statement_of_one_map_holds_for_all(tmp_path):
    """Maps of one matrix and affine, of which only one states its slice axis."""
    shape, affine = (8, 9, 10), oblique_affine((8, 9, 10), (5.0, 5.0, 5.0))
    image = nib.Nifti1Image(head(shape, affine).data.astype(np.float32), affine)
    image.header.set_dim_info(slice=0)
    nib.save(image, tmp_path / "tCho.nii")
    save(tmp_path / "tCr.nii", 2 * image.get_fdata(dtype=np.float32), affine)
    study = open_study(tmp_path)
    assert {volume.stored for volume in study.maps.values()} == {(1, 2, 0)}
    np.testing.assert_array_equal(study.maps["tCr"].data, 2 * study.maps["tCho"].data)
    write_volume(tmp_path / "out.nii", study.maps["tCr"])
    written = nib.load(tmp_path / "out.nii")
    assert written.shape == shape
    np.testing.assert_array_equal(written.get_fdata(), 2 * image.get_fdata())
    assert read_volume(tmp_path / "out.nii").stored == (1, 2, 0)


def test_a_grid_whose_slices_look_like_another_axis_is_read_back_as_it_was(tmp_path):
    """The header states the slice axis where the voxels suggest another one."""
    shape = (4, 12, 14)
    affine = oblique_affine(shape, (10.0, 8.0, 8.0))
    volume = head(shape, affine)
    write_volume(tmp_path / "out.nii", volume)
    back = read_volume(tmp_path / "out.nii")
    assert back.stored == (0, 1, 2)
    np.testing.assert_array_equal(back.data, volume.data.astype(np.float32))
