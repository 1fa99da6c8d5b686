"""Reading and validation of a NIfTI file: values, affine in mm and header, or a helpful error.

The file is read and checked completely, so that damage is found on opening and not later in the
image. The signature determines the file type; the suffix only has to be a NIfTI suffix.
"""

# mypy: allow-untyped-calls
# (nibabel types its images but not its headers.)

from __future__ import annotations

import gzip
import logging
import zlib
from dataclasses import dataclass
from io import BytesIO
from math import prod
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from ftddm_core.errors import FormatError, GeometryError
from ftddm_core.imaging.volume import FloatArray

SUFFIXES = (".nii.gz", ".nii")
FARTHEST_MM = 1e6
LARGEST = 2_000_000_000
"""Size limit of an unpacked file in bytes: a T1 with 0.5 mm voxels takes a quarter of that."""
MM_PER_UNIT = {"meter": 1e3, "micron": 1e-3}

# For nibabel's reports of repaired headers; silent unless an application listens.
_log = logging.getLogger(__name__)
_log.addHandler(logging.NullHandler())


def is_nifti(path: Path) -> bool:
    """Return whether the name has a NIfTI suffix."""
    return path.name.lower().endswith(SUFFIXES)


@dataclass(frozen=True, eq=False)
class RawNifti:
    """A checked file: values (X, Y, Z, n), affine in mm, header."""

    data: NDArray[np.float32]
    affine: FloatArray
    header: nib.Nifti1Header


def load(path: Path) -> RawNifti:
    """Read and check one file.

    Raises
    ------
    FormatError
        If the file is missing, damaged, or not a stack of real-valued images.
    GeometryError
        If its affine is invalid.
    """
    content = _content(path)
    try:
        # A damaged header, or values beyond float32, overflow: checked below, without a warning.
        with np.errstate(all="ignore"):
            header = _header(path, content)
            shape = _shape(path, header)
            needed = header.get_data_offset() + prod(shape) * header.get_data_dtype().itemsize
            if len(content) < needed:
                raise FormatError(
                    f"{path} is truncated: its header announces {needed} bytes, but it has "
                    f"{len(content)}. Copy or export it again."
                )
            values = header.data_from_fileobj(BytesIO(content))
            data = np.array(values, dtype=np.float32, order="C").reshape(shape)
            affine = np.array(header.get_best_affine(), dtype=np.float64)
    except (HeaderDataError, ValueError, OverflowError, OSError) as error:
        raise FormatError(
            f"{path} has a damaged NIfTI header ({error}). Export it again."
        ) from error
    affine[:3] *= MM_PER_UNIT.get(units_of(header)[0], 1.0)
    if not (np.abs(affine) < FARTHEST_MM).all():
        raise GeometryError(
            f"{path} has an invalid affine: {affine.tolist()}. Export it again with its "
            "orientation."
        )
    return RawNifti(data, affine, header)


def _content(path: Path) -> bytes:
    if not is_nifti(path):
        raise FormatError(f"{path} is not a NIfTI file by its name: expected .nii or .nii.gz.")
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise FormatError(f"{path} does not exist. Check the path.") from None
    except OSError as error:
        raise FormatError(f"{path} could not be read: {error.strerror}.") from error
    if content.startswith(b"\x1f\x8b"):
        try:
            with gzip.open(BytesIO(content)) as packed:  # may unpack to more than fits
                content = packed.read(LARGEST + 1)
        except (EOFError, OSError, zlib.error) as error:
            raise FormatError(
                f"{path} is truncated or damaged: it does not decompress ({error}). "
                "Copy or export it again."
            ) from error
    if len(content) > LARGEST:
        raise FormatError(
            f"{path} holds more than {LARGEST / 1e9:g} GB, far more than a map or an MRI. "
            "Crop or resample it."
        )
    return content


def _header(path: Path, content: bytes) -> nib.Nifti1Header:
    kinds = {b"n+1\0": (nib.Nifti1Header, 348), b"n+2\0": (nib.Nifti2Header, 540)}
    kind = kinds.get(content[344:348]) or kinds.get(content[4:8])
    if kind is None or len(content) < kind[1]:
        raise FormatError(
            f"{path} is not a NIfTI image: it has no single-file NIfTI header. Convert it to "
            ".nii.gz first, for DICOM with dcm2niix."
        )
    header = kind[0](content[: kind[1]], check=False)
    header.check_fix(logger=_log, error_level=40)
    return header


def _shape(path: Path, header: nib.Nifti1Header) -> tuple[int, int, int, int]:
    """Return (X, Y, Z, number of maps), refusing anything but a stack of real images."""
    shape = tuple(int(size) for size in header.get_data_shape())
    dtype = header.get_data_dtype()
    intent = header["intent_name"].item().decode("latin-1").lower()
    many = len(shape) > 3 and prod(shape[3:]) > 1
    if intent.startswith("mrs") or (dtype.kind == "c" and many):
        raise FormatError(
            f"{path} holds spectra (NIfTI-MRS, {dtype} {shape}): fit them first, this program "
            "takes fitted metabolite maps."
        )
    if dtype.kind == "c":
        raise FormatError(f"{path} holds complex values ({dtype}). Save the magnitude instead.")
    if dtype.kind not in "biuf":
        raise FormatError(f"{path} holds colours, not one value per voxel. Save a grey-scale map.")
    if len(shape) < 2 or min(shape) < 1 or prod(shape[4:]) > 1:
        raise FormatError(
            f"{path} has the dimensions {shape}; expected (X, Y, Z), or (X, Y, Z, metabolite)."
        )
    x, y, z, n = (*shape[:4], 1, 1)[:4]
    return x, y, z, n


def units_of(header: nib.Nifti1Header) -> tuple[str, str]:
    """Return the names of the header's units of length and time, "unknown" if it has none."""
    try:
        space, time = header.get_xyzt_units()
    except KeyError:
        return "unknown", "unknown"
    return str(space), str(time)
