"""MGH (FreeSurfer) and MINC files: their values, with their facts as a NIfTI header."""

# mypy: allow-untyped-calls
# (nibabel types its images but not its headers.)

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from nibabel.freesurfer.mghformat import MGHHeader
from numpy.typing import NDArray

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io.limits import check_size
from ftddm_core.imaging.io.unpacking import content_of, size_of
from ftddm_core.imaging.volume import FloatArray

MGH_VERSION = b"\0\0\0\1"
MGH_HEADER = 284
"""Length in bytes."""
MGH_PLACED = slice(28, 30)
"""Bytes of an MGH header that say whether its orientation is valid."""
MINC1 = (b"CDF\1", b"CDF\2")
MINC2 = b"\x89HDF"
SCANNER, ALIGNED = 1, 2
"""NIfTI codes of a world: that of the scanner, or that of another image."""


class Decoded(NamedTuple):
    """The header of a file, decoded, and how to read its values.

    Parameters
    ----------
    header
        Facts in the form of NIfTI.
    shape, dtype
        Of the values as they are stored.
    values
        Returns the values, of this shape, from the file's unpacked content.
    path
        The file that holds the values.
    offset
        Where they start, in bytes.
    reads
        Whether `values` needs the content; otherwise it reads the file itself.
    """

    header: nib.Nifti1Header
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    values: Callable[[bytes], Any]
    path: Path
    offset: int = 0
    reads: bool = True


def of_other_format(path: Path, head: bytes, kind: str) -> Decoded | None:
    """Return what a file of a kind ("MGH", "MINC") holds, by its first bytes; None if it is not of
    that kind.

    Raises
    ------
    FormatError
        If a MINC file is damaged, or of version 2 and its library is missing.
    HeaderDataError, ValueError, KeyError
        If an MGH file is damaged.
    """
    if kind == "MGH" and head.startswith(MGH_VERSION) and len(head) > MGH_HEADER:
        return _mgh(path, head)
    if kind == "MINC" and head.startswith((*MINC1, MINC2)):
        return _minc(path, head)
    return None


def _as_nifti(shape: tuple[int, ...], affine: FloatArray | None, code: int) -> nib.Nifti1Header:
    header = nib.Nifti1Header()
    header.set_data_shape(shape)
    header.set_xyzt_units("mm")
    if affine is not None:
        header.set_sform(affine, code)
        header["pixdim"][1:4] = np.linalg.norm(affine[:3, :3], axis=0)
    return header


def _mgh(path: Path, head: bytes) -> Decoded:
    header = MGHHeader(head)
    shape = tuple(int(n) for n in header["dims"])
    known = head[MGH_PLACED] != b"\0\0"
    affine = np.asarray(header.get_affine(), dtype=float) if known else None
    facts = _as_nifti(shape, affine, SCANNER)
    if affine is None:
        facts.set_zooms((*(float(edge) for edge in header["delta"]), 1.0))
    dtype = header.get_data_dtype()
    offset = int(header.get_data_offset())

    def values(content: bytes) -> NDArray[Any]:
        count = int(np.prod(shape))
        return np.frombuffer(content, dtype, count, offset).reshape(shape, order="F")

    return Decoded(facts, shape, dtype, values, path, offset)


def _minc(path: Path, head: bytes) -> Decoded:
    if head.startswith(MINC2) and find_spec("h5py") is None:
        raise FormatError(
            f"{path} is a MINC2 file, which cannot be read without the package h5py: convert it "
            "to .nii with mnc2nii."
        )
    with _readable(path):
        if head.startswith(MINC2):
            image: Any = nib.Minc2Image.from_filename(path)
        else:
            from nibabel.fileholders import FileHolder

            holder = FileHolder(fileobj=BytesIO(content_of(path)))
            image = nib.Minc1Image.from_file_map({"image": holder})
        shape, affine = image.shape, np.asarray(image.affine, dtype=float)
    if len(shape) != 3:
        raise FormatError(f"{path} has the dimensions {shape}; expected three.")
    # Inside the file, values may be compressed by any ratio, and become doubles.
    check_size(path, shape, np.dtype(np.float64).itemsize, size_of(path))

    def values(_: bytes) -> NDArray[Any]:
        with _readable(path):
            return np.asarray(image.dataobj).transpose(2, 1, 0)

    # MINC names the slowest axis first, NIfTI the fastest.
    matrix, affine = tuple(int(n) for n in shape[::-1]), affine[:, [2, 1, 0, 3]]
    facts = _as_nifti(matrix, affine, ALIGNED)
    return Decoded(facts, matrix, np.dtype(np.float64), values, path, reads=False)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what the readers of these containers raise, errors of any kind, into one in words."""
    try:
        yield
    except FormatError:
        raise
    except Exception as error:
        raise FormatError(
            f"{path} is damaged or not a MINC image ({error}). Copy it again, or convert it to "
            ".nii with mnc2nii."
        ) from error
