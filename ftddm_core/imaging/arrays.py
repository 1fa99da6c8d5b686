"""Checks of arrays from outside, with errors that say what was found."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ftddm_core.errors import FormatError, GeometryError

FloatArray = NDArray[np.floating[Any]]


def real_array(values: ArrayLike, what: str) -> NDArray[Any]:
    """Return values as an array of real numbers; an array is returned as it is.

    Parameters
    ----------
    values
        An array, or nested lists of numbers.
    what
        What they are, the beginning of an error's message.

    Raises
    ------
    FormatError
        If they are complex, not numbers, or lists of different lengths.
    """
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise FormatError(f"{what} cannot be made an array: {error}.") from None
    if array.dtype.kind == "c":
        raise FormatError(
            f"{what} has complex values ({array.dtype}): give the magnitude, numpy.abs(...)."
        )
    if array.dtype.kind not in "biuf":
        found = type(values).__name__ if array.ndim == 0 else f"an array of {array.dtype}"
        raise FormatError(f"{what} is {found}: give an array of real numbers.")
    return array


def image_array(values: ArrayLike, what: str) -> NDArray[np.float32]:
    """Return a copy of a 3D image (X, Y, Z) in float32.

    Raises
    ------
    FormatError
        As for `real_array`.
    GeometryError
        If it does not have three dimensions, or no voxel.
    """
    array = real_array(values, what)
    if array.ndim != 3 or not array.size:
        advice = "for one slice give array[:, :, None]" if array.ndim == 2 else "give (X, Y, Z)"
        raise GeometryError(
            f"{what} needs three dimensions, found the shape {array.shape}: {advice}."
        )
    with np.errstate(over="ignore"):
        return np.array(array, np.float32, order="C")


def affine_of(voxel_size: ArrayLike | None, affine: ArrayLike | None) -> FloatArray:
    """Return the 4x4 affine that is given, or the one of a voxel size with the array's axes as
    world axes.

    Raises
    ------
    GeometryError
        If not exactly one of the two is given, the voxel size is not three positive lengths in mm,
        or the affine is not a 4x4 matrix.
    """
    if (voxel_size is None) == (affine is None):
        found = "neither" if affine is None else "both"
        raise GeometryError(
            f"Give voxel_size=(x, y, z) in mm or a 4x4 affine, one of the two; found {found}."
        )
    given = voxel_size if affine is None else affine
    shape = (3,) if affine is None else (4, 4)
    try:
        matrix = np.asarray(given, float)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.shape != shape or not np.isfinite(matrix).all():
        wanted = "three lengths in mm" if affine is None else "a finite 4x4 matrix"
        name = "voxel_size" if affine is None else "affine"
        raise GeometryError(f"{name} must be {wanted}, found {_in_one_line(given)}.")
    if affine is not None:
        return matrix
    if not (matrix > 0).all():
        raise GeometryError(
            f"voxel_size must be three lengths above 0 mm, found {_in_one_line(given)}."
        )
    return np.diag([*matrix, 1.0])


def _in_one_line(value: object) -> str:
    return " ".join(repr(value).split())[:120]


def affine_over(
    affine: FloatArray, shape: tuple[int, int, int], other: tuple[int, ...]
) -> FloatArray:
    """Return the affine of an array that fills the field of view of another: edges coincide.

    Parameters
    ----------
    affine, shape
        4x4 affine in mm and matrix of the image whose field of view is filled.
    other
        Matrix of the array.
    """
    ratio = np.asarray(shape) / np.asarray(other)
    result = np.array(affine, float)
    result[:3, :3] = affine[:3, :3] * ratio
    result[:3, 3] = affine[:3, 3] + affine[:3, :3] @ (ratio / 2 - 0.5)
    return result


def check_named(maps: Any, what: str) -> None:
    """Raise a FormatError unless something is a mapping whose keys are names."""
    if not hasattr(maps, "items"):
        raise FormatError(
            f"{what} must be a dict of metabolite name -> map, found {type(maps).__name__}."
        )
    for name in maps:
        if not isinstance(name, str):
            raise FormatError(f"{what} must have names of metabolites, found {_in_one_line(name)}.")


def check_known(names: Any, maps: Any, what: str) -> None:
    """Raise a FormatError if names are not those of maps."""
    if unknown := [str(name) for name in names if name not in maps]:
        raise FormatError(
            f"{what} is for {', '.join(unknown)}, but there is no such map; there are "
            f"{', '.join(maps)}."
        )


def check_text(value: object, what: str) -> None:
    """Raise a FormatError unless a value is a string."""
    if not isinstance(value, str):
        raise FormatError(f"{what} must be a string, found {type(value).__name__}.")
