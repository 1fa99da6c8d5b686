"""Images of other formats than single NIfTI files: the same values at the same places."""

from __future__ import annotations

import contextlib
import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import head, oblique_affine
from scipy.io import netcdf_file

from ftddm_core.errors import FormatError, FtddmError
from ftddm_core.imaging.io import open_study
from ftddm_core.imaging.io.image_file import is_image, stem_of
from ftddm_core.imaging.io.nifti import encode_volume, read_maps, read_volume
from ftddm_core.imaging.space import notes_of

SHAPE = (6, 5, 4)
AFFINE = oblique_affine(SHAPE, (8.0, 8.0, 10.0), flip=(-1, 1, 1))
DATA = head(SHAPE, AFFINE).data.astype(np.float32)
UNKNOWN = ("no orientation in the header: left and right unknown",)


def pair(folder: Path, suffix: str = ".hdr", data=DATA) -> Path:
    image = nib.Nifti1Pair(data, AFFINE)
    nib.save(image, folder / f"tNAA{suffix}")
    return folder / f"tNAA{suffix}"


def mgh(folder: Path, suffix: str = ".mgz") -> Path:
    nib.save(nib.MGHImage(DATA, AFFINE), folder / f"tNAA{suffix}")
    return folder / f"tNAA{suffix}"


def minc(folder: Path, suffix: str = ".mnc") -> Path:
    """Write a MINC1 file: its axes are z, y, x, each with direction, start and step."""
    path = folder / "tNAA.mnc"
    size = np.linalg.norm(AFFINE[:3, :3], axis=0)
    turn = AFFINE[:3, :3] / size
    start = np.linalg.solve(turn, AFFINE[:3, 3])
    with netcdf_file(path, "w") as file:
        for axis, name in enumerate(("xspace", "yspace", "zspace")):
            file.createDimension(name, SHAPE[axis])
            variable = file.createVariable(name, "i", ())
            variable.step, variable.start = float(size[axis]), float(start[axis])
            variable.direction_cosines = turn[:, axis]
            variable.spacing = b"regular__"
        image = file.createVariable("image", "f", ("zspace", "yspace", "xspace"))
        image[:] = DATA.transpose(2, 1, 0)
        for name, value in (("image-max", DATA.max()), ("image-min", DATA.min())):
            file.createVariable(name, "d", ())[...] = value
    if suffix.endswith(".gz"):
        path.with_name(f"tNAA{suffix}").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    return path.with_name(f"tNAA{suffix}")


@pytest.mark.parametrize(
    ("write", "suffix", "code"),
    [
        (pair, ".hdr", 2),
        (pair, ".img", 2),
        (pair, ".img.gz", 2),
        (mgh, ".mgz", 1),
        (mgh, ".mgh", 1),
        (minc, ".mnc", 2),
        (minc, ".mnc.gz", 2),
    ],
)
def test_values_and_place_are_read(tmp_path, write, suffix, code):
    path = write(tmp_path, suffix)
    volume = read_volume(path)
    np.testing.assert_allclose(volume.data, DATA, rtol=1e-6)
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-4)
    assert stem_of(path) == "tNAA"
    assert notes_of(volume.header) == ()
    (tmp_path / "out.nii").write_bytes(encode_volume(volume, compress=False))
    written = nib.load(tmp_path / "out.nii")
    assert int(written.header["sform_code"]) == code
    np.testing.assert_allclose(written.affine, AFFINE, atol=1e-4)


def test_a_pair_is_one_image_whichever_file_is_named(tmp_path):
    header = pair(tmp_path)
    assert is_image(header)
    assert not is_image(header.with_suffix(".img"))
    study = open_study(tmp_path)
    assert list(study.maps) == ["tNAA"]
    np.testing.assert_array_equal(study.grid.data, DATA)
    np.testing.assert_array_equal(read_volume(header.with_suffix(".img")).data, DATA)


@pytest.mark.parametrize("write", [pair, mgh, minc])
def test_a_folder_of_any_format_opens(tmp_path, write):
    write(tmp_path)
    np.testing.assert_allclose(open_study(tmp_path).maps["tNAA"].data, DATA, rtol=1e-6)


def test_frames_of_an_mgh_file_are_maps(tmp_path):
    stacked = np.stack([DATA, 2 * DATA], axis=-1)
    nib.save(nib.MGHImage(stacked, AFFINE), tmp_path / "fit.mgz")
    (tmp_path / "fit.json").write_text('{"Metabolites": ["tNAA", "tCr"]}')
    maps = read_maps(tmp_path / "fit.mgz", "fit")
    np.testing.assert_array_equal(maps["tCr"].data, 2 * DATA)


def test_analyze_has_no_orientation_and_none_is_written(tmp_path):
    image = nib.AnalyzeImage(DATA, np.diag([8.0, 8, 10, 1]))
    nib.save(image, tmp_path / "tNAA.hdr")
    volume = read_volume(tmp_path / "tNAA.hdr")
    np.testing.assert_array_equal(volume.data, DATA)
    assert volume.voxel_size == (8, 8, 10)
    assert notes_of(volume.header) == UNKNOWN
    (tmp_path / "out.nii").write_bytes(encode_volume(volume, compress=False))
    header = nib.load(tmp_path / "out.nii").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (0, 0)


def test_an_mgh_file_without_its_flag_has_no_orientation(tmp_path):
    path = mgh(tmp_path, ".mgh")
    content = bytearray(path.read_bytes())
    content[28:30] = b"\0\0"
    path.write_bytes(content)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.data, DATA)
    assert notes_of(volume.header) == UNKNOWN


# --- what cannot be read -------------------------------------------------------------------------


def without_values(folder):
    path = pair(folder)
    path.with_suffix(".img").unlink()
    return path


def without_header(folder):
    path = pair(folder)
    path.unlink()
    return path.with_suffix(".img")


def short_values(folder):
    path = pair(folder)
    data = path.with_suffix(".img")
    data.write_bytes(data.read_bytes()[:-100])
    return path


def complex_pair(folder):
    return pair(folder, data=DATA.astype(np.complex64))


def short_mgh(folder):
    path = mgh(folder, ".mgh")
    path.write_bytes(path.read_bytes()[:500])
    return path


def unknown_mgh_type(folder):
    path = mgh(folder, ".mgh")
    content = bytearray(path.read_bytes())
    content[20:24] = b"\0\0\0\x63"
    path.write_bytes(content)
    return path


def short_minc(folder):
    path = minc(folder)
    path.write_bytes(path.read_bytes()[:900])
    return path


def minc2(folder):
    path = folder / "tNAA.mnc"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(500))
    return path


def text(folder):
    path = folder / "tNAA.mgz"
    path.write_text("Not found" * 50)
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (without_values, r"tNAA\.hdr lacks its values: put tNAA\.img in the same folder"),
        (without_header, r"tNAA\.img lacks its header: put tNAA\.hdr in the same folder"),
        (short_values, r"tNAA\.img is truncated: its header announces 480 bytes, but it has 380"),
        (complex_pair, r"complex values"),
        (short_mgh, r"is truncated: its header announces 764 bytes, but it has 500"),
        (unknown_mgh_type, r"damaged MGH header"),
        (short_minc, r"damaged or not a MINC image"),
        (text, r"not a MGH image.*Convert it"),
    ],
)
def test_bad_files_are_refused_in_words(tmp_path, make, message):
    with pytest.raises(FormatError, match=message) as error:
        read_volume(make(tmp_path))
    assert "\n" not in str(error.value)


def test_minc2_without_its_library_is_to_be_converted(tmp_path, monkeypatch):
    monkeypatch.setattr("ftddm_core.imaging.io.other_formats.find_spec", lambda name: None)
    with pytest.raises(FormatError, match=r"MINC2.*without the package h5py: convert.*mnc2nii"):
        read_volume(minc2(tmp_path))


def test_values_that_unpack_to_more_than_fits_are_refused(tmp_path, monkeypatch):
    path = pair(tmp_path, ".img.gz", np.ones((100, 100, 30), np.float32))
    monkeypatch.setattr("ftddm_core.imaging.io.limits.LARGEST", 1_000_000)
    with pytest.raises(FormatError, match=r"more than 0\.001 GB"):
        read_volume(path)


@pytest.mark.parametrize(("write", "suffix"), [(mgh, ".mgh"), (minc, ".mnc"), (pair, ".hdr")])
@settings(max_examples=60, deadline=None)
@given(damage=st.dictionaries(st.integers(0, 347), st.integers(0, 255), min_size=1, max_size=6))
def test_no_damage_gets_past_the_project_s_own_errors(tmp_path_factory, write, suffix, damage):
    path = write(tmp_path_factory.mktemp("damaged"), suffix)
    content = bytearray(path.read_bytes())
    for offset, value in damage.items():
        content[offset % len(content)] = value
    path.write_bytes(content)
    with contextlib.suppress(FtddmError):  # anything else, a warning too, fails the test
        assert np.isfinite(read_volume(path).affine).all()
