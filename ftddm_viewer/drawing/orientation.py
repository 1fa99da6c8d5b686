"""Slices as radiologists see them, found from the affine alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import nibabel as nib
from numpy.typing import NDArray

from ftddm_core.errors import GeometryError
from ftddm_core.imaging.volume import Volume

LETTERS = (("R", "L"), ("A", "P"), ("S", "I"))
"""Per world axis, the letters of its positive and its negative end."""


class RadiologicalSlice(NamedTuple):
    """A slice as it is displayed.

    Parameters
    ----------
    image
        Values of shape (rows, columns), row 0 at the top.
    letters
        Directions (left, right, top, bottom) of the picture: R, L, A, P, S or I.
    aspect
        Height of a displayed voxel divided by its width.
    """

    image: NDArray[Any]
    letters: tuple[str, str, str, str]
    aspect: float


def radiological_slice(volume: Volume, k: int) -> RadiologicalSlice:
    """Turn slice k of the last axis as radiologists see it, whatever way its axes run.

    Axial and coronal slices have the patient's right on the left, sagittal ones the front; axial
    slices have the front at the top, the others the head. Oblique axes count as the nearest
    direction of the world.

    Parameters
    ----------
    volume
        Image whose affine says where its axes point.
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
    world, direction = nib.orientations.io_orientation(volume.affine)[:2].astype(int).T
    image, size = volume.data[..., k], volume.voxel_size[:2]
    # In every plane the lower world axis is displayed across, the higher one upright ...
    across, upright = (0, 1) if world[0] < world[1] else (1, 0)
    if across == 0:
        image = image.T
    # ... and both begin, at the left and at the top, at their positive end: R or A, A or S.
    if direction[upright] > 0:
        image = image[::-1]
    if direction[across] > 0:
        image = image[:, ::-1]
    letters = (*LETTERS[world[across]], *LETTERS[world[upright]])
    return RadiologicalSlice(image, letters, size[upright] / size[across])
