"""Reading of one .npy file, judged by its header before anything is allocated for its values.

`numpy.load` trusts the header: one damaged byte may make it allocate terabytes, evaluate a literal
without end, or raise errors of a dozen types. Here every file is either read or refused.
"""

from __future__ import annotations

import os
import warnings
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io.limits import LARGEST, Extent

LONGEST_HEADER = 4096
"""Limit in bytes of everything before the values; an array of numbers needs 128."""
REFUSED = {
    "c": "complex values. Save the magnitude instead.",
    "O": "Python objects, not numbers. Save the array of numbers alone.",
    "V": "records of several fields. Save one array per field.",
    "M": "dates. Save one number per voxel.",
    "m": "lengths of time. Save one number per voxel.",
    "U": "text. Save one number per voxel.",
    "S": "text. Save one number per voxel.",
}
"""Kind of a dtype -> what it holds, and what to do about it."""


def load_array(path: Path) -> NDArray[Any]:
    """Return the array of one .npy file, of three dimensions and real numbers.

    Versions 1 to 3 of the format, both orders of axes and both byte orders are read. No more is
    allocated than the file holds, and nothing in the file is run.

    Raises
    ------
    FormatError
        If the file is missing, damaged, truncated, followed by other data, larger than the limit of
        an unpacked NIfTI file, or does not hold a 3D array of real numbers.
    """
    if not path.exists():
        raise FormatError(f"{path} does not exist. Check the path.")
    if not path.is_file():  # reading a named pipe would never end
        raise FormatError(f"{path} is not a file. Expected an array saved by numpy.save.")
    try:
        with path.open("rb") as file:
            shape, fortran, dtype, start = _header(path, file.read(LONGEST_HEADER))
            _check_size(path, shape, dtype, os.fstat(file.fileno()).st_size - start)
            file.seek(start)
            values = np.fromfile(file, dtype, prod(shape))
    except OSError as error:
        raise FormatError(f"{path} could not be read: {error.strerror or error}.") from error
    except MemoryError:
        raise FormatError(f"{path} does not fit into memory. Crop or resample it.") from None
    if values.size != prod(shape):
        raise FormatError(f"{path} became shorter while it was read. Open it again.")
    if dtype.kind == "b":  # a byte other than 0 and 1 is not a valid bool
        values = values.view(np.uint8) != 0
    return values.reshape(shape, order="F" if fortran else "C")


def array_extent(path: Path) -> Extent:
    """Return what the header of one .npy file announces; raises as `load_array` does."""
    try:
        with path.open("rb") as file:
            shape, _, dtype, start = _header(path, file.read(LONGEST_HEADER))
            _check_size(path, shape, dtype, os.fstat(file.fileno()).st_size - start)
    except OSError as error:
        raise FormatError(f"{path} could not be read: {error.strerror or error}.") from error
    x, y, z = shape
    return Extent(path, (x, y, z, 1), dtype.itemsize)


def _header(path: Path, head: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Return shape, whether the first axis varies fastest, dtype, and where the values start."""
    stream = BytesIO(head)  # ends where the file does, whatever length the header states
    try:
        with warnings.catch_warnings():  # a damaged literal may warn before it fails
            warnings.simplefilter("ignore")
            version = npy.read_magic(stream)
            if version not in ((1, 0), (2, 0), (3, 0)):
                raise ValueError(f"unknown version {version[0]}.{version[1]}")
            # Version 3 differs from 2 only in fields whose names are not ASCII.
            read = npy.read_array_header_1_0 if version[0] == 1 else npy.read_array_header_2_0
            shape, fortran, dtype = read(stream, LONGEST_HEADER)
    except Exception as error:  # the literal is evaluated: almost any error is possible
        what = " ".join(str(error).split())[:120]
        raise FormatError(
            f"{path} cannot be read as an array: its header is damaged ({what or 'unreadable'}). "
            "Save it again with numpy.save."
        ) from None
    if dtype.hasobject or dtype.kind in REFUSED:
        found = REFUSED["O" if dtype.hasobject else dtype.kind]
        raise FormatError(f"{path} holds {found}")
    if dtype.kind not in "biuf" or dtype.itemsize == 0:
        raise FormatError(f"{path} holds values of {dtype}. Save one number per voxel.")
    if len(shape) != 3 or any(type(size) is not int or size < 1 for size in shape):
        raise FormatError(
            f"{path} has the shape {str(shape)[:80]}; expected three dimensions, each of 1 or more."
        )
    return shape, bool(fortran), dtype, stream.tell()


def _check_size(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], found: int) -> None:
    """Refuse an array that is too large, or does not fill the `found` bytes after its header."""
    count = prod(shape)
    if count * max(dtype.itemsize, np.dtype(np.float32).itemsize) > LARGEST:
        raise FormatError(
            f"{path} announces the shape {str(shape)[:80]} of {dtype}, more than "
            f"{LARGEST / 1e9:g} GB, far more than a map or an MRI. Crop or resample it, or save it "
            "again if it is smaller."
        )
    needed = count * dtype.itemsize
    if found < needed:
        raise FormatError(
            f"{path} is truncated: its header announces {needed} bytes of values, but it has "
            f"{found}. Copy or save it again."
        )
    if found > needed:
        raise FormatError(
            f"{path} is damaged: its header announces {needed} bytes of values, but {found} "
            "follow. Save the array again, one per file."
        )
