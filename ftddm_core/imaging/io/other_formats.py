"""MGH (FreeSurfer) and MINC files: their values, with their facts as a NIfTI header."""

# mypy: allow-untyped-calls
# (nibabel types its images but not its headers.)

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from nibabel.freesurfer.mghformat import MGHHeader
from numpy.typing import NDArray

from ftddm_core.errors import FormatError
from ftddm_core.imaging.volume import FloatArray

MGH_VERSION = b"\0\0\0\1"
MGH_HEADER = 284
"""Length in bytes."""
MGH_PLACED = slice(28, 30)
"""Bytes of an MGH header that say whether its orientation is valid."""
MINC1 = (b"CDF\1", b"CDF\2")
MINC2 = b"\x89HDF"
MOST_VALUES = 500_000_000
"""Limit of an image: one with 0.5 mm voxels has a quarter of that."""
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
        Reads the values, of this shape.
    path
        The file that holds the values.
    offset, has
        Where they start, and the length of that file, in bytes; to recognise truncation.
    """

    header: nib.Nifti1Header
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    values: Callable[[], Any]
    path: Path
    offset: int = 0
    has: float = np.inf


def of_other_format(path: Path, content: bytes, kind: str) -> Decoded | None:
    """Return what a file of a kind ("MGH", "MINC") holds, None if it is not of that kind.

    Raises
    ------
    FormatError
        If a MINC file is damaged, or of version 2 and its library is missing.
    HeaderDataError, ValueError, KeyError
        If an MGH file is damaged.
    """
    if kind == "MGH" and content.startswith(MGH_VERSION) and len(content) > MGH_HEADER:
        return _mgh(path, content)
    if kind == "MINC" and content.startswith((*MINC1, MINC2)):
        return _minc(path, content)
    return None


def _as_nifti(shape: tuple[int, ...], affine: FloatArray | None, code: int) -> nib.Nifti1Header:
    header = nib.Nifti1Header()
    header.set_data_shape(shape)
    header.set_xyzt_units("mm")
    if affine is not None:
        header.set_sform(affine, code)
        header["pixdim"][1:4] = np.linalg.norm(affine[:3, :3], axis=0)
    return header


def _mgh(path: Path, content: bytes) -> Decoded:
    header = MGHHeader(content)
    shape = tuple(int(n) for n in header["dims"])
    known = content[MGH_PLACED] != b"\0\0"
    affine = np.asarray(header.get_affine(), dtype=float) if known else None
    facts = _as_nifti(shape, affine, SCANNER)
    if affine is None:
        facts.set_zooms((*(float(edge) for edge in header["delta"]), 1.0))
    dtype = header.get_data_dtype()
    offset = int(header.get_data_offset())

    def values() -> NDArray[Any]:
        count = int(np.prod(shape))
        return np.frombuffer(content, dtype, count, offset).reshape(shape, order="F")

    return Decoded(facts, shape, dtype, values, path, offset, len(content))


def _minc(path: Path, content: bytes) -> Decoded:
    if content.startswith(MINC2) and find_spec("h5py") is None:
        raise FormatError(
            f"{path} is a MINC2 file, which cannot be read without the package h5py: convert it "
            "to .nii with mnc2nii."
        )
    try:
        if content.startswith(MINC2):
            image: Any = nib.Minc2Image.from_filename(path)
        else:
            from nibabel.fileholders import FileHolder

            holder = FileHolder(fileobj=BytesIO(content))
            image = nib.Minc1Image.from_file_map({"image": holder})
        if prod(image.shape) > MOST_VALUES:  # compressed inside the file
            raise ValueError(f"{prod(image.shape)} values, far more than a map or an MRI")
        data, affine = np.asarray(image.dataobj), np.asarray(image.affine, dtype=float)
    except Exception as error:  # the readers of these containers raise errors of any kind
        raise FormatError(
            f"{path} is damaged or not a MINC image ({error}). Copy it again, or convert it to "
            ".nii with mnc2nii."
        ) from error
    if data.ndim != 3:
        raise FormatError(f"{path} has the dimensions {data.shape}; expected three.")
    # MINC names the slowest axis first, NIfTI the fastest.
    data, affine = data.transpose(2, 1, 0), affine[:, [2, 1, 0, 3]]
    return Decoded(
        _as_nifti(data.shape, affine, ALIGNED), data.shape, data.dtype, lambda: data, path
    )
