"""Reading and validation of an image file: values, affine in mm and header, or a helpful error.

NIfTI (one file or a pair), Analyze, MGH and MINC. A file is read and checked completely, so that
damage is found on opening and not later in the image. The signature determines the file type; the
suffix only has to be known.
"""

# mypy: allow-untyped-calls
# (nibabel types its images but not its headers.)

from __future__ import annotations

import logging
from dataclasses import dataclass
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from nibabel.spm2analyze import Spm2AnalyzeHeader
from numpy.typing import NDArray

from ftddm_core.errors import FormatError, GeometryError
from ftddm_core.imaging.io.limits import Extent, check_size
from ftddm_core.imaging.io.other_formats import Decoded, of_other_format
from ftddm_core.imaging.io.unpacking import content_of, head_of, size_of
from ftddm_core.imaging.space import chosen, place
from ftddm_core.imaging.volume import FloatArray

HEADER_SUFFIXES = (".hdr.gz", ".hdr")
DATA_SUFFIXES = (".img.gz", ".img")
SUFFIXES = (
    *(".nii.gz", ".nii", *HEADER_SUFFIXES, *DATA_SUFFIXES),
    *(".mgh.gz", ".mgz", ".mgh", ".mnc.gz", ".mnc"),
)
ANALYZE = (b"\x5c\1\0\0", b"\0\0\1\x5c")
"""Length of an Analyze header, its only signature, in either order of bytes."""

# For nibabel's reports of repaired headers; silent unless an application listens.
_log = logging.getLogger(__name__)
_log.addHandler(logging.NullHandler())


def is_image(path: Path) -> bool:
    """Return whether the name is that of an image; of a pair, only the header counts.

    The file is not opened, but for a name ending in .img its folder is searched for the header.
    """
    return path.name.lower().endswith(SUFFIXES) and image_at(path) == path


def stem_of(path: Path) -> str:
    """Return the file's name without the suffix of an image."""
    return path.name[: len(path.name) - len(_suffix(path))]


def image_at(path: Path) -> Path:
    """Return the header of a pair if the path is that of its data, else the path itself."""
    if not path.name.lower().endswith(DATA_SUFFIXES):
        return path
    return _beside(path, HEADER_SUFFIXES) or path


@dataclass(frozen=True, eq=False)
class RawImage:
    """A checked file.

    Parameters
    ----------
    data
        Values (X, Y, Z, n) in the order of the file.
    affine
        4x4 affine in mm.
    header
        Of a NIfTI file its own; of other formats the same facts as NIfTI.
    slices
        Axis along which the slices are stacked.
    """

    data: NDArray[np.float32]
    affine: FloatArray
    header: nib.Nifti1Header
    slices: int


def load(path: Path, space: str | None = None) -> RawImage:
    """Read and check one file; of a pair, either may be given.

    Parameters
    ----------
    path
        The file.
    space
        "sform" or "qform": which affine to use if the header has both; None for the sform.

    Raises
    ------
    FormatError
        If the file is missing, damaged, or not a stack of real-valued images.
    GeometryError
        If its affine is invalid.
    SettingsError
        If `space` is unknown.
    """
    path = image_at(path)
    head = _head(path)
    try:
        # A damaged header, or values beyond float32, overflow: checked below, without a warning.
        with np.errstate(all="ignore"):
            found = _decoded(path, head)
            shape = _shape(path, found)
            data = _values(found, shape)
            header = chosen(found.header, space)
            affine, slices, _ = place(header)
    except (HeaderDataError, ValueError, KeyError, OverflowError, OSError) as error:
        raise _damaged(path, error) from error
    except GeometryError as error:
        raise GeometryError(f"{path}: {error} Export it again with its orientation.") from error
    return RawImage(data, affine, header, slices)


def extent_of(path: Path) -> Extent:
    """Return what the header of a file announces, without unpacking its values.

    Raises
    ------
    FormatError
        If the file is missing, is not a stack of real-valued images, or is truncated without being
        packed; if it announces more than `limits.LARGEST`, or expands by more than images do.
    """
    path = image_at(path)
    head = _head(path)
    try:
        with np.errstate(all="ignore"):
            found = _decoded(path, head)
            shape = _shape(path, found)
            check_size(found.path, shape, found.dtype.itemsize, size_of(found.path))
    except (HeaderDataError, ValueError, KeyError, OverflowError, OSError) as error:
        raise _damaged(path, error) from error
    return Extent(found.path, shape, found.dtype.itemsize)


def _values(found: Decoded, shape: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """Return the values of a file, judged by its header before any of them is unpacked."""
    check_size(found.path, shape, found.dtype.itemsize, size_of(found.path))
    needed = found.offset + prod(shape) * found.dtype.itemsize
    content = b""
    if found.reads:
        content = content_of(found.path, needed)
        if len(content) < needed:
            raise FormatError(
                f"{found.path} is truncated: its header announces {needed} bytes, but it has "
                f"{len(content)}. Copy or export it again."
            )
    return np.array(found.values(content), dtype=np.float32, order="C").reshape(shape)


def _damaged(path: Path, error: Exception) -> FormatError:
    return FormatError(f"{path} has a damaged {_kind(path)} header ({error}). Export it again.")


def _suffix(path: Path) -> str:
    return next((s for s in SUFFIXES if path.name.lower().endswith(s)), "")


def _kind(path: Path) -> str:
    suffix = _suffix(path).removesuffix(".gz")
    return {".mgz": "MGH", ".mgh": "MGH", ".mnc": "MINC"}.get(suffix, "NIfTI")


def _beside(path: Path, suffixes: tuple[str, ...]) -> Path | None:
    """Return the file of the same name with one of the suffixes, in either case, if it exists."""
    names = [stem_of(path) + s for suffix in suffixes for s in (suffix, suffix.upper())]
    return next((p for p in map(path.with_name, names) if p.is_file()), None)


def _head(path: Path) -> bytes:
    if not path.name.lower().endswith(SUFFIXES):
        raise FormatError(
            f"{path} is not an image by its name: expected .nii, .nii.gz, .hdr with .img, .mgz or "
            ".mnc."
        )
    return head_of(path)


def _decoded(path: Path, content: bytes) -> Decoded:
    """Return the header of a file and how to read its values, by its first bytes."""
    kinds = {
        b"n+1\0": (nib.Nifti1Header, 348),
        b"n+2\0": (nib.Nifti2Header, 540),
        b"ni1\0": (nib.nifti1.Nifti1PairHeader, 348),
        b"ni2\0": (nib.nifti2.Nifti2PairHeader, 540),
    }
    kind = kinds.get(content[344:348]) or kinds.get(content[4:8])
    suffix = _suffix(path)
    if reason := _no_content(content):
        raise FormatError(f"{path} {reason}")
    if kind is not None and len(content) >= kind[1]:
        header = kind[0](content[: kind[1]], check=False)
        header.check_fix(logger=_log, error_level=40)
        single = header.is_single
        if single or suffix in HEADER_SUFFIXES:
            return _nifti(path if single else _data_of(path), header)
    elif suffix in HEADER_SUFFIXES and content[:4] in ANALYZE and len(content) >= 348:
        analyze = Spm2AnalyzeHeader(content[:348], check=False)
        analyze.check_fix(logger=_log, error_level=40)
        return _nifti(_data_of(path), analyze)
    elif found := of_other_format(path, content, _kind(path)):
        return found
    if suffix in DATA_SUFFIXES:
        raise FormatError(f"{path} lacks its header: put {stem_of(path)}.hdr in the same folder.")
    raise FormatError(
        f"{path} is not a {_kind(path)} image: it has no such header. Convert it to .nii.gz first, "
        "for DICOM with dcm2niix."
    )


def _no_content(content: bytes) -> str:
    """Return why a file holds nothing but a pointer to its content, "" if it holds more."""
    if not content:
        return "is empty: it has 0 bytes. Copy or export it again."
    if content.startswith(b"version https://git-lfs"):
        return "is a pointer to content that is not here: fetch it with git lfs pull."
    if len(content) < 1000 and b"annex/objects/" in content:
        return "is a pointer to content that is not here: fetch it with git annex get."
    return ""


def _nifti(path: Path, header: Any) -> Decoded:
    """Return what a header of the NIfTI family says; of a pair, `path` is that of the values."""
    own = header
    if not isinstance(header, nib.Nifti1Header):  # Analyze: no orientation
        own = nib.Nifti1Header()
        own.set_data_shape(header.get_data_shape())
        own.set_zooms(np.abs(header.get_zooms()))
        own.set_xyzt_units("mm")
    return Decoded(
        own,
        tuple(int(n) for n in header.get_data_shape()),
        header.get_data_dtype(),
        lambda content: header.data_from_fileobj(BytesIO(content)),
        path,
        int(header.get_data_offset()),
    )


def _data_of(path: Path) -> Path:
    data = _beside(path, DATA_SUFFIXES)
    if data is None:
        raise FormatError(
            f"{path} lacks its values: put {stem_of(path)}.img in the same folder, or convert both "
            "to one .nii.gz."
        )
    return data


def _shape(path: Path, found: Decoded) -> tuple[int, int, int, int]:
    """Return (X, Y, Z, number of maps), refusing anything but a stack of real images."""
    shape, dtype = found.shape, found.dtype
    intent = found.header["intent_name"].item().decode("latin-1").lower()
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
