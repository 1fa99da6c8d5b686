"""Between this project's (x, y, z) and napari's (z, y, x): the only place where axes change.

A volume's voxel (i, j, k) lies at the world position (x, y, z) in mm, right, anterior and superior
positive. A napari layer shows the last axes in the plane, so it gets the data as (k, j, i) and the
world as (z, y, x), that is (S, A, R). With the permutation P of both spaces,

    data'[k, j, i] = data[i, j, k],    affine' = P affine P,    P = (x, y, z, 1) -> (z, y, x, 1),

data and affine change together and no voxel moves. The affine is the true one, oblique or not;
napari shows slices of an oblique layer as if it were not turned, so a widget that shows layers of
several grids in 2D has to resample them for display first. That is its business, not the bridge's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.imaging.volume import FloatArray, Volume

AXES = ("S", "A", "R")
"""Names of a layer's world axes: each grows towards its letter."""

UNITS = ("mm", "mm", "mm")
ORDER = (2, 1, 0)
_P = np.eye(4)[[2, 1, 0, 3]]


def to_layer(volume: Volume) -> tuple[FloatArray, FloatArray]:
    """Return a volume's values (Z, Y, X) and its affine to (z, y, x) in mm, for a napari layer."""
    return volume.data.transpose(ORDER), _P @ volume.affine @ _P


def from_layer(data: NDArray[Any], affine: NDArray[Any], unit: str = "") -> Volume:
    """Return the volume that a layer's values (Z, Y, X) and affine to (z, y, x) stand for.

    Raises
    ------
    GeometryError
        If the values are not 3D or the affine is not an invertible 4x4 matrix.
    """
    return Volume(data.T, _P @ np.asarray(affine, dtype=float) @ _P, unit)


def placement(affine: FloatArray) -> dict[str, Any]:
    """Return the arguments that place a layer in the world: its affine, units and axis names."""
    return {"affine": affine, "units": UNITS, "axis_labels": AXES}
