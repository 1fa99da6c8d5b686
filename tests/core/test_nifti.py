from __future__ import annotations

import gzip
import json
import time

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import grids, head, oblique_affine, save_nifti

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io.nifti import encode_volume, read_maps, read_volume, write_volume
from ftddm_core.imaging.volume import Volume

SHAPE = (6, 5, 4)
AFFINE = oblique_affine(SHAPE, flip=(-1, 1, 1))


@pytest.fixture
def volume():
    return head(SHAPE, AFFINE)


def save(path, data, image=nib.Nifti1Image):
    return save_nifti(path, data, AFFINE, image)


# --- what is written is what is read -------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(grids(), st.sampled_from([".nii", ".nii.gz"]))
def test_write_then_read_keeps_values_and_place(tmp_path_factory, grid, suffix):
    shape, affine = grid
    volume = head(shape, affine)
    path = tmp_path_factory.mktemp("round") / f"map{suffix}"
    write_volume(path, volume)
    back = read_volume(path).in_order((0, 1, 2))
    np.testing.assert_array_equal(back.data, volume.data.astype(np.float32))
    np.testing.assert_allclose(back.affine, affine, atol=1e-4)


def test_nibabel_reads_the_same_image(tmp_path, volume):
    write_volume(tmp_path / "map.nii.gz", volume)
    image = nib.load(tmp_path / "map.nii.gz")
    np.testing.assert_array_equal(image.get_fdata(), volume.data.astype(np.float32))
    assert image.get_data_dtype() == np.float32
    assert image.header.get_xyzt_units()[0] == "mm"
    for affine, code in (image.get_sform(coded=True), image.get_qform(coded=True)):
        assert code == 2  # known, but not as the scanner's
        np.testing.assert_allclose(affine, AFFINE, atol=1e-3)


def test_the_same_volume_makes_the_same_bytes(tmp_path, volume):
    write_volume(tmp_path / "one.nii.gz", volume)
    time.sleep(1.1)  # gzip stamps whole seconds
    write_volume(tmp_path / "two.nii.gz", volume)
    first = (tmp_path / "one.nii.gz").read_bytes()
    assert first == (tmp_path / "two.nii.gz").read_bytes()
    assert first[3:8] == b"\0" * 5  # no file name, no time
    assert gzip.decompress(first) == encode_volume(volume, compress=False)


def test_reading_and_writing_again_changes_nothing(tmp_path, volume):
    write_volume(tmp_path / "one.nii.gz", volume)
    write_volume(tmp_path / "two.nii.gz", read_volume(tmp_path / "one.nii.gz"))
    assert (tmp_path / "one.nii.gz").read_bytes() == (tmp_path / "two.nii.gz").read_bytes()


def test_a_sheared_affine_lives_in_the_sform_alone(tmp_path, volume):
    sheared = AFFINE.copy()
    sheared[:3, 0] += 0.1 * AFFINE[:3, 1]
    write_volume(tmp_path / "map.nii.gz", Volume(volume.data, sheared))
    header = nib.load(tmp_path / "map.nii.gz").header
    assert (header["qform_code"], header["sform_code"]) == (0, 2)
    np.testing.assert_allclose(read_volume(tmp_path / "map.nii.gz").affine, sheared, atol=1e-4)


@pytest.mark.parametrize(("sform", "qform", "kept"), [(4, 1, 4), (0, 2, 2), (0, 0, 0)])
def test_description_time_unit_and_meaning_of_the_world_are_carried_on(
    tmp_path, volume, sform, qform, kept
):
    image = nib.Nifti1Image(volume.data.astype(np.float32), AFFINE)
    image.header["descrip"] = b"fitted"
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(AFFINE, sform)
    image.set_qform(AFFINE, qform)
    nib.save(image, tmp_path / "in.nii")
    write_volume(tmp_path / "out.nii.gz", read_volume(tmp_path / "in.nii"))
    header = nib.load(tmp_path / "out.nii.gz").header
    assert header["descrip"] == b"fitted"
    assert header.get_xyzt_units() == ("mm", "sec")
    assert header["sform_code"] == kept


def test_what_belonged_to_the_old_values_is_not_carried_on(tmp_path, volume):
    image = nib.Nifti1Image(np.arange(120, dtype=np.int16).reshape(SHAPE), AFFINE)
    image.header.set_slope_inter(0.5, 3)
    image.header["cal_max"], image.header["cal_min"] = 50, 1
    (tmp_path / "in.nii").write_bytes(image.to_bytes())
    read = read_volume(tmp_path / "in.nii")
    finer = Volume(np.ones((3, 4, 2)), np.diag([2.0, 2, 3, 1]), header=read.header)
    write_volume(tmp_path / "out.nii", finer)
    out = nib.load(tmp_path / "out.nii")
    assert (float(out.header["cal_max"]), float(out.header["cal_min"])) == (0, 0)
    assert (float(out.dataobj.slope), float(out.dataobj.inter)) == (1, 0)
    assert out.get_data_dtype() == np.float32
    np.testing.assert_array_equal(out.get_fdata(), finer.data)
    np.testing.assert_allclose(out.affine, finer.affine)
    write_volume(tmp_path / "again.nii", read)
    np.testing.assert_array_equal(read_volume(tmp_path / "again.nii").data, read.data)


# --- kinds of file that must read ----------------------------------------------------------------


@pytest.mark.parametrize("image", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64, ">f4"])
def test_number_types_read_as_float32(tmp_path, image, dtype):
    data = np.arange(120).reshape(SHAPE).astype(dtype)
    result = read_volume(save(tmp_path / "map.nii.gz", data, image=image))
    assert result.data.dtype == np.float32
    np.testing.assert_array_equal(result.data, data)


def test_a_big_endian_file_reads(tmp_path, volume):
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.float32)
    nib.save(nib.Nifti1Image(volume.data, AFFINE, header), tmp_path / "map.nii")
    assert (tmp_path / "map.nii").read_bytes()[:4] == b"\0\0\x01\x5c"
    np.testing.assert_array_equal(
        read_volume(tmp_path / "map.nii").data, volume.data.astype(np.float32)
    )


def test_the_scaling_of_the_header_is_applied(tmp_path):
    image = nib.Nifti1Image(np.arange(120, dtype=np.int16).reshape(SHAPE), AFFINE)
    image.header.set_slope_inter(0.5, 3)
    (tmp_path / "map.nii").write_bytes(image.to_bytes())
    expected = nib.load(tmp_path / "map.nii").get_fdata()
    np.testing.assert_allclose(read_volume(tmp_path / "map.nii").data, expected)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((6, 5), (6, 5, 1)), ((6, 5, 4, 1), SHAPE), ((6, 5, 4, 1, 1), SHAPE), ((6, 5, 1), (6, 5, 1))],
)
def test_single_slices_and_singleton_dimensions(tmp_path, shape, expected):
    data = np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)
    result = read_volume(save(tmp_path / "map.nii.gz", data))
    np.testing.assert_array_equal(result.data, data.reshape(expected))


@pytest.mark.parametrize(
    ("unit", "mm"), [("mm", 1), ("unknown", 1), ("meter", 1e3), ("micron", 1e-3)]
)
def test_the_world_is_in_mm_whatever_the_header_states(tmp_path, unit, mm):
    affine = AFFINE.copy()
    affine[:3] /= mm
    image = nib.Nifti1Image(np.ones(SHAPE, np.float32), affine)
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "map.nii")
    result = read_volume(tmp_path / "map.nii")
    np.testing.assert_allclose(result.affine, AFFINE, rtol=1e-5, atol=1e-4)
    write_volume(tmp_path / "again.nii", result)
    np.testing.assert_allclose(read_volume(tmp_path / "again.nii").affine, AFFINE, atol=1e-3)


def test_an_empty_crlb_reads_where_it_is_allowed(tmp_path):
    path = save(tmp_path / "crlb.nii.gz", np.zeros(SHAPE, np.float32))
    assert not read_volume(path, allow_empty=True).data.any()


def test_values_beyond_float32_are_not_finite(tmp_path):
    data = np.ones(SHAPE)
    data[0, 0, 0] = 1e300
    assert np.isinf(read_volume(save(tmp_path / "map.nii.gz", data)).data[0, 0, 0])


# --- several maps in one file --------------------------------------------------------------------


@pytest.mark.parametrize("key", ["Metabolites", "metabolites"])
def test_a_sidecar_names_the_maps_of_a_4d_file(tmp_path, key):
    data = np.random.default_rng(0).normal(size=(*SHAPE, 3)).astype(np.float32)
    path = save(tmp_path / "fit.nii.gz", data)
    (tmp_path / "fit.json").write_text(json.dumps({key: ["tNAA", "tCr", "Ins"]}))
    maps = read_maps(path, "unused")
    assert list(maps) == ["tNAA", "tCr", "Ins"]
    for index, volume in enumerate(maps.values()):
        np.testing.assert_array_equal(volume.data, data[..., index])
        np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-4)


@pytest.mark.parametrize(
    "sidecar",
    [
        None,
        "{",
        "[]",
        "{}",
        '{"Metabolites": "tNAA"}',
        '{"Metabolites": ["tNAA", 3]}',
        '{"Metabolites": ["tNAA"]}',
        '{"Metabolites": ["tNAA", "TNAA"]}',
        '{"Metabolites": ["tNAA", "tNAA", "tCr"]}',
    ],
)
def test_a_4d_file_without_one_name_a_map_asks_for_them(tmp_path, sidecar):
    path = save(tmp_path / "fit.nii.gz", np.ones((*SHAPE, 2), np.float32))
    if sidecar is not None:
        (tmp_path / "fit.json").write_text(sidecar)
    with pytest.raises(FormatError, match=r"one file per metabolite, or list the 2 names in fit"):
        read_maps(path, "fit")
    with pytest.raises(FormatError, match="holds 2 volumes where one was expected"):
        read_volume(path)


@pytest.mark.parametrize("name", ["map.txt", "no-such-folder/map.nii.gz"])
def test_what_cannot_be_written_is_refused(tmp_path, volume, name):
    with pytest.raises(FormatError, match=r"must end in \.nii\.gz|could not be written: No such"):
        write_volume(tmp_path / name, volume)
