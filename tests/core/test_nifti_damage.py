"""What must be refused: in the project's own words, on one line, and without noise on stderr."""

from __future__ import annotations

import contextlib
import gzip

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import head, oblique_affine, save_nifti

from ftddm_core.errors import FormatError, FtddmError, GeometryError
from ftddm_core.imaging.io.nifti import encode_volume, read_volume
from ftddm_core.imaging.volume import Volume

SHAPE = (6, 5, 4)
AFFINE = oblique_affine(SHAPE, flip=(-1, 1, 1))


def save(path, data, **header):
    return save_nifti(path, data, AFFINE, **header)


def spectra(path):
    data = np.ones((2, 2, 2, 64), np.complex64)
    return save(path, data, intent_name=b"mrs_v0_5")


def unnamed_spectra(path):
    return save(path, np.ones((2, 2, 2, 64), np.complex64))


def complex_map(path):
    return save(path, np.ones(SHAPE, np.complex64))


def colours(path):
    return save(path, np.ones(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")]))


def five_dimensions(path):
    return save(path, np.ones((*SHAPE, 1, 3), np.float32))


def one_dimension(path):
    return save(path, np.ones(7, np.float32))


def zeros(path):
    return save(path, np.zeros(SHAPE, np.float32))


def nothing_finite(path):
    return save(path, np.full(SHAPE, np.nan, np.float32))


def missing(path):
    return path


def folder(path):
    path.mkdir()
    return path


def other_suffix(path):
    return save(path, np.ones(SHAPE, np.float32)).rename(path.with_suffix(".txt"))


def text(path):
    path.write_text("<html>Not found</html>" * 50)
    return path


def no_bytes(path):
    path.write_bytes(b"")
    return path


def compressed_text(path):
    path.write_bytes(gzip.compress(b"not an image" * 100))
    return path


def truncated_gzip(path):
    save(path, np.random.default_rng(0).normal(size=(20, 20, 20)).astype(np.float32))
    path.write_bytes(path.read_bytes()[:-2000])
    return path


def without_gzip_trailer(path):
    save(path, np.ones(SHAPE, np.float32))
    path.write_bytes(path.read_bytes()[:-4])
    return path


def damaged_gzip(path):
    save(path, np.random.default_rng(0).normal(size=(20, 20, 20)).astype(np.float32))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    return path


def truncated_inside(path):
    save(path, np.ones(SHAPE, np.float32))
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-100]))
    return path


def absurd_matrix(path):
    save(path, np.ones(SHAPE, np.float32))
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[42:48] = np.array([32767] * 3, "<i2").tobytes()
    path.write_bytes(gzip.compress(bytes(content)))
    return path


def unknown_type(path):
    save(path, np.ones(SHAPE, np.float32))
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[70:72] = np.array([9999], "<i2").tobytes()
    path.write_bytes(gzip.compress(bytes(content)))
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (spectra, r"holds spectra.*fit them first, this program takes fitted metabolite maps"),
        (unnamed_spectra, r"holds spectra.*fit them first"),
        (complex_map, r"complex values \(complex64\)\. Save the magnitude"),
        (colours, r"colours.*grey-scale"),
        (five_dimensions, r"dimensions \(6, 5, 4, 1, 3\); expected \(X, Y, Z\)"),
        (one_dimension, r"dimensions \(7,.*expected \(X, Y, Z\)"),
        (zeros, r"is empty: every voxel is 0 or not a number"),
        (nothing_finite, r"is empty: every voxel is 0 or not a number"),
        (missing, r"does not exist\. Check the path"),
        (folder, r"could not be read: Is a directory"),
        (other_suffix, r"not an image by its name: expected \.nii, \.nii\.gz, \.hdr with"),
        (text, r"not a NIfTI image.*dcm2niix"),
        (no_bytes, r"is empty: it has 0 bytes"),
        (compressed_text, r"not a NIfTI image"),
        (truncated_gzip, r"truncated or damaged.*again"),
        (without_gzip_trailer, r"truncated or damaged.*again"),
        (damaged_gzip, r"truncated or damaged.*again"),
        (truncated_inside, r"truncated: its header announces 832 bytes, but it has 732"),
        (absurd_matrix, r"announces 32767 x 32767 x 32767.*more than 2 GB.*export it again"),
        (unknown_type, r"damaged NIfTI header.*9999"),
    ],
)
def test_bad_files_are_refused_in_words(tmp_path, capfd, make, message):
    path = make(tmp_path / "bad.nii.gz")
    with pytest.raises(FormatError, match=message) as error:
        read_volume(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("column", [np.zeros(3), np.full(3, np.nan)])
def test_a_singular_affine_is_refused_with_the_file(tmp_path, column):
    image = nib.Nifti1Image(np.ones(SHAPE, np.float32), AFFINE)
    image.header["sform_code"] = 1
    for row, value in zip(("srow_x", "srow_y", "srow_z"), column, strict=True):
        image.header[row][2] = value
    path = tmp_path / "flat.nii"
    path.write_bytes(bytes(image.header.binaryblock)[:344] + b"n+1\0" + b"\0" * 4 + b"\1" * 480)
    with pytest.raises(GeometryError, match=r"flat\.nii.*affine.*orientation"):
        read_volume(path)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.integers(0, 343), st.integers(0, 255), min_size=1, max_size=12))
def test_no_damaged_header_gets_past_the_project_s_own_errors(tmp_path_factory, damage):
    content = bytearray(encode_volume(head(SHAPE, AFFINE), compress=False))
    for offset, value in damage.items():
        content[offset] = value
    path = tmp_path_factory.mktemp("damaged") / "map.nii"
    path.write_bytes(content)
    with contextlib.suppress(FtddmError):  # anything else, a warning too, fails the test
        assert np.isfinite(read_volume(path).affine).all()


@pytest.mark.parametrize("packed", [True, False])
def test_a_file_that_unpacks_to_more_than_fits_is_refused(tmp_path, monkeypatch, packed):
    """A few kB can hold any number of zeros; no more than the limit is ever unpacked."""
    monkeypatch.setattr("ftddm_core.imaging.io.limits.LARGEST", 10_000_000)
    path = tmp_path / ("tNAA.nii.gz" if packed else "tNAA.nii")
    data = np.ones((300, 300, 30), np.float32)
    path.write_bytes(encode_volume(Volume(data, np.eye(4)), compress=packed))
    with pytest.raises(FormatError, match=r"more than 0\.01 GB"):
        read_volume(path)
    assert path.stat().st_size < 10_000_000 or not packed
