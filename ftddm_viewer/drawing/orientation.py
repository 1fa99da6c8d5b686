"""Slices in radiological convention, derived from the affine alone."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import GeometryError
from ftddm_core.imaging.volume import Volume

LETTERS = (("R", "L"), ("A", "P"), ("S", "I"))
"""For each world axis, the letters of its positive and its negative end."""


class RadiologicalSlice(NamedTuple):
    """A slice in display orientation.

    Parameters
    ----------
    image
        Values of shape (rows, columns), row 0 at the top.
    letters
        Directions at the left, right, top and bottom of the image: R, L, A, P, S or I.
    aspect
        Height of a displayed voxel divided by its width.
    """

    image: NDArray[Any]
    letters: tuple[str, str, str, str]
    aspect: float


def radiological_slice(volume: Volume, k: int) -> RadiologicalSlice:
    """Return slice k of the last axis in radiological convention, for any orientation of the axes.

    The left of the image is the patient's right in axial and coronal slices and the front in
    sagittal ones; the top is the front in axial slices and the head in the others. An oblique axis
    counts as the nearest world axis.

    Parameters
    ----------
    volume
        Image with an affine.
    k
        Slice, from 0.

    Raises
    ------
    GeometryError
        If there is no such slice.
    """
    n_slices = volume.shape[2]
    if not 0 <= k < n_slices:
        raise GeometryError(f"There is no slice {k}: choose one from 0 to {n_slices - 1}.")
    world, direction = _orientation(np.asarray(volume.affine, np.float64).tobytes())
    image, size = volume.data[..., k], volume.voxel_size[:2]
    # In every plane, the lower world axis is horizontal and the higher one vertical ...
    across, upright = (0, 1) if world[0] < world[1] else (1, 0)
    if across == 0:
        image = image.T
    # ... and both start, at the left and at the top, with their positive end: R or A, A or S.
    if direction[upright] > 0:
        image = image[::-1]
    if direction[across] > 0:
        image = image[:, ::-1]
    letters = (*LETTERS[world[across]], *LETTERS[world[upright]])
    return RadiologicalSlice(image, letters, size[upright] / size[across])


@lru_cache(maxsize=256)
def _orientation(affine: bytes) -> NDArray[Any]:
    """Return the nearest world axis and the sign of the first two axes of an image, (2, 2)."""
    matrix = np.frombuffer(affine, np.float64).reshape(4, 4)
    found: NDArray[Any] = nib.orientations.io_orientation(matrix)[:2].astype(int).T
    found.setflags(write=False)  # it is shared
    return found
