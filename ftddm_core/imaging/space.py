"""Placement of an image by its NIfTI header: affine, slice axis, and doubts to tell the user.

A header may hold two affines, qform and sform, each with a code that says what its world is; 0
stands for "not set". They may contradict each other, the voxel sizes, or the truth.
"""

# mypy: allow-untyped-calls
# (nibabel types its images but not its headers.)

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

from ftddm_core.errors import GeometryError, SettingsError
from ftddm_core.imaging.volume import FloatArray

FORMS = ("sform", "qform")
MM_PER_UNIT = {"meter": 1e3, "micron": 1e-3}

SAME = 0.25
"""Two affines are the same if no voxel of the matrix differs by more than this share of the
smallest voxel edge."""
TURNED = 0.5
"""Smallest rotation, in degrees, that is named."""
SAME_SIZE = 0.01
"""Relative tolerance between voxel sizes."""
FARTHEST_MM = 1e6
"""Largest entry of an affine that is taken for one."""
UNLOCALISED_MM = 1000.0
"""Voxel edge from which an axis counts as not localised: longer than any field of view."""

SIDES = "left and right"
"""In every note that doubts which side is which."""

EQUAL_EDGES = 1.05
"""Largest ratio of two in-plane voxel edges, for the third to be recognised as the slice's."""
THICKER = 1.2
"""Smallest ratio of a slice to the in-plane voxel edges, to be recognised by it."""


class Placement(NamedTuple):
    """Where a header places its image.

    Parameters
    ----------
    affine
        4x4 affine in mm from the file's voxel indices to the world.
    slices
        File axis along which the slices are stacked.
    notes
        Doubts about the placement, one sentence each.
    """

    affine: FloatArray
    slices: int
    notes: tuple[str, ...]


def place(header: nib.Nifti1Header) -> Placement:
    """Return where a header places its image: the sform, else the qform, else voxel sizes alone.

    Raises
    ------
    GeometryError
        If the affine is not finite, or in-plane voxels have a metre or more: the unit of length
        cannot be right.
    HeaderDataError, ValueError
        If the header is damaged.
    """
    shape = _shape(header)
    sform, qform = _sform(header), _qform(header)
    notes: list[str] = []
    if sform is not None:
        affine = sform
        if qform is not None:
            notes += _contradiction(sform, qform, shape)
    elif qform is not None:
        affine = qform
    else:
        affine = _in_mm(header, header.get_best_affine())
        notes.append(f"no orientation in the header: {SIDES} unknown")
    if not (np.abs(affine) < FARTHEST_MM).all():
        raise GeometryError(f"The header holds an invalid affine: {affine.tolist()}.")
    size = np.linalg.norm(affine[:3, :3], axis=0)
    slices = slice_axis(shape, size, header.get_dim_info()[2])
    if sform is not None:
        notes += _sizes(size, _edges(header), slices)
    notes += _unlocalised(size, slices)
    return Placement(affine, slices, tuple(notes))


def notes_of(header: Any) -> tuple[str, ...]:
    """Return the doubts about the placement of a volume, by its header; none without a header.

    `chosen` removes the contradiction between qform and sform from a header.
    """
    if not isinstance(header, nib.Nifti1Header):
        return ()
    with np.errstate(all="ignore"):
        return place(header).notes


def doubt_about_sides(notes: Iterable[str]) -> str:
    """Return the note of a study, if any, by which left and right are unknown or in doubt; else "".

    >>> doubt_about_sides(["tNAA: a gap of 2 mm", "no orientation: left and right unknown"])
    'no orientation: left and right unknown'
    """
    return next((note for note in notes if SIDES in note), "")


def forms_differ(header: Any) -> bool:
    """Return whether the header of a volume holds a qform and an sform that place it differently.

    Parameters
    ----------
    header
        `Volume.header`, which may be missing or of another kind.
    """
    if not isinstance(header, nib.Nifti1Header):
        return False
    with np.errstate(all="ignore"):
        sform, qform = _sform(header), _qform(header)
        if sform is None or qform is None:
            return False
        return bool(_contradiction(sform, qform, _shape(header)))


def chosen(header: nib.Nifti1Header, form: str | None) -> nib.Nifti1Header:
    """Return a header that holds only the chosen one of its two affines; itself if it has not both.

    Parameters
    ----------
    header
        It is not changed.
    form
        "sform", "qform", or None for no choice.

    Raises
    ------
    SettingsError
        If there is no such form.
    """
    if form not in (None, *FORMS):
        raise SettingsError(f"The orientation '{form}' is unknown: choose {' or '.join(FORMS)}.")
    both = int(header["sform_code"]) and int(header["qform_code"])
    if form is None or not both:
        return header
    kept: nib.Nifti1Header = header.copy()
    kept[f"{'qform' if form == 'sform' else 'sform'}_code"] = 0
    return kept


def slice_axis(
    shape: Sequence[int], voxel_size: Sequence[float] | FloatArray, stated: int | None = None
) -> int:
    """Return the axis along which slices are stacked, the last if there is no clear sign.

    A sign is, in this order: the only axis with a single voxel; the header's statement; a voxel
    edge longer than the two others, which are equal, if no axis has fewer voxels. Statement and
    edge may not contradict each other.

    Parameters
    ----------
    shape, voxel_size
        Matrix, and edges of the voxels in mm.
    stated
        The header's statement, if there is one.
    """
    single = [axis for axis in range(3) if shape[axis] == 1]
    if len(single) == 1:
        return single[0]
    order = np.argsort(voxel_size)
    short, middle, long = (float(voxel_size[axis]) for axis in order)
    thick = int(order[2])
    seen = (
        thick
        if middle <= EQUAL_EDGES * short
        and long >= THICKER * middle
        and shape[thick] == min(shape[axis] for axis in range(3))
        else None
    )
    signs = {axis for axis in (stated, seen) if axis is not None}
    return signs.pop() if len(signs) == 1 else 2


def slices_last(axis: int) -> tuple[int, int, int]:
    """Return the order of a file's axes in which its slice axis is the last."""
    first, second = (other for other in range(3) if other != axis)
    return first, second, axis


def units_of(header: nib.Nifti1Header) -> tuple[str, str]:
    """Return the names of the header's units of length and time, "unknown" if it has none."""
    try:
        space, time = header.get_xyzt_units()
    except KeyError:
        return "unknown", "unknown"
    return str(space), str(time)


def _shape(header: nib.Nifti1Header) -> tuple[int, int, int]:
    x, y, z = (*(int(n) for n in header.get_data_shape()[:3]), 1, 1, 1)[:3]
    return x, y, z


def _in_mm(header: nib.Nifti1Header, affine: Any) -> FloatArray:
    result = np.array(affine, dtype=np.float64)
    result[:3] *= MM_PER_UNIT.get(units_of(header)[0], 1.0)
    return result


def _sform(header: nib.Nifti1Header) -> FloatArray | None:
    return _in_mm(header, header.get_sform()) if int(header["sform_code"]) > 0 else None


def _qform(header: nib.Nifti1Header) -> FloatArray | None:
    if int(header["qform_code"]) <= 0:
        return None
    try:
        return _in_mm(header, header.get_qform())
    except (HeaderDataError, ValueError):
        if int(header["sform_code"]) > 0:
            return None  # not needed
        raise


def _edges(header: nib.Nifti1Header) -> FloatArray:
    """Return the voxel edges in mm that the header states beside its affines."""
    size = np.abs(np.array(header["pixdim"][1:4], dtype=np.float64))
    return np.asarray(size * MM_PER_UNIT.get(units_of(header)[0], 1.0))


def _contradiction(sform: FloatArray, qform: FloatArray, shape: tuple[int, int, int]) -> list[str]:
    """Return how two affines of one matrix differ, nothing if they do not."""
    both = (sform[:3, :3], qform[:3, :3])
    if not all(np.isfinite(a).all() and abs(np.linalg.det(a)) > 1e-9 for a in both):
        return []
    shift = (sform - qform) @ np.array(
        [(*c, 1) for c in product(*((0, n - 1) for n in shape))], dtype=float
    ).T
    smallest = min(np.linalg.norm(a, axis=0).min() for a in both)
    if np.linalg.norm(shift[:3], axis=0).max() <= SAME * smallest:
        return []
    if np.linalg.det(both[0]) * np.linalg.det(both[1]) < 0:
        return [f"qform and sform disagree about {SIDES}: sform is used"]
    words = []
    if (centre := np.linalg.norm(shift[:3].mean(axis=1))) > SAME * smallest:
        words.append(f"by {centre:.3g} mm")
    if (angle := _angle(*both)) >= TURNED:
        words.append(f"in rotation ({angle:.3g} degrees)")
    return [f"qform and sform differ {' and '.join(words) or 'in voxel size'}: sform is used"]


def _angle(one: FloatArray, other: FloatArray) -> float:
    """Return the angle in degrees between the axes of two affines of equal handedness."""
    turns = []
    for matrix in (one, other):
        left, _, right = np.linalg.svd(matrix / np.linalg.norm(matrix, axis=0))
        turns.append(left @ right)
    cosine = (np.trace(turns[0] @ turns[1].T) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def _sizes(size: FloatArray, stated: FloatArray, slices: int) -> list[str]:
    """Return how the voxel sizes of the affine and of the header differ."""
    if (stated == 1).all():  # what nibabel makes of an empty entry
        return []
    known = np.isfinite(stated) & (stated > 0)
    other = known & (np.abs(stated - size) > SAME_SIZE * size)
    if not other.any():
        return []
    if other.sum() == 1 and other[slices] and stated[slices] < size[slices]:
        gap = size[slices] - stated[slices]
        return [
            f"a gap of {gap:.3g} mm between slices: they are {stated[slices]:.3g} mm thick and "
            f"{size[slices]:.3g} mm apart"
        ]
    written, used = (" x ".join(f"{edge:.3g}" for edge in edges) for edges in (stated, size))
    return [f"the voxel size in the header is {written} mm, but {used} mm by its affine, as used"]


def _unlocalised(size: FloatArray, slices: int) -> list[str]:
    """Return a note if the slice is not localised.

    Raises
    ------
    GeometryError
        If it is not the slice that is not.
    """
    long = size >= UNLOCALISED_MM
    if not long.any():
        return []
    if long.sum() > 1 or not long[slices]:
        edges = " x ".join(f"{edge:.3g}" for edge in size / 1e3)
        raise GeometryError(
            f"The voxels measure {edges} m: the header states a wrong unit or affine."
        )
    return [f"the slice is not localised ({size[slices] / 1e3:.3g} m): no MRI can be laid over it"]
