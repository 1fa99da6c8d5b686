"""Between this project's (x, y, z) and napari's (z, y, x): the only place where axes change.

A volume's voxel (i, j, k) lies at the position (x, y, z) in mm, right, anterior and superior
positive. A napari layer shows the last axes in the plane, so it gets the data as (k, j, i) and the
world as (z, y, x), that is (S, A, R). With the permutation P of both spaces,

    data'[k, j, i] = data[i, j, k],    affine' = P affine P,    P = (x, y, z, 1) -> (z, y, x, 1),

data and affine change together and no voxel moves. napari shows slices of an oblique layer as if it
were not turned, so everything that becomes a layer lies in display space, where no affine is
oblique (`ftddm_viewer.session.frame`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.imaging.volume import FloatArray, Volume

LayerTuple = tuple[Any, dict[str, Any], str]
"""(data, keyword arguments, kind of layer), as napari's readers return them."""

AXES = ("S", "A", "R")
"""Names of a layer's world axes: each grows towards its letter."""

UNITS = ("mm", "mm", "mm")
ORDER = (2, 1, 0)
_P = np.eye(4)[[2, 1, 0, 3]]


def to_layer(volume: Volume) -> tuple[FloatArray, FloatArray]:
    """Return a volume's values (Z, Y, X) and its affine to (z, y, x) in mm, for a napari layer.

    The values are a copy: who edits them in the layer must not change the volume.
    """
    return volume.data.transpose(ORDER).copy(), _P @ volume.affine @ _P


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


def image_layer(
    volume: Volume,
    name: str,
    colormap: str,
    limits: tuple[float, float],
    *,
    visible: bool,
    about: Mapping[str, Any],
) -> LayerTuple:
    """Return the layer that shows a volume of display space; `about` is kept in its metadata."""
    data, affine = to_layer(volume)
    arguments = {
        "name": name,
        "colormap": colormap,
        "contrast_limits": limits,
        "interpolation2d": "nearest",
        "visible": visible,
        "metadata": {"ftddm": dict(about)},
        **placement(affine),
    }
    return data, arguments, "image"


def saved_volume(data: NDArray[Any], arguments: Mapping[str, Any]) -> Volume:
    """Return the volume that a layer shows, as napari hands layers to a writer.

    Raises
    ------
    GeometryError
        If it is not 3D or cannot be placed.
    """
    shape = np.asarray(data)
    affine = np.eye(shape.ndim + 1)
    affine[:-1, :-1] = _linear_part(arguments, shape.ndim)
    affine[:-1, -1] = arguments.get("translate", 0)
    return from_layer(shape, np.asarray(arguments.get("affine", np.eye(shape.ndim + 1))) @ affine)


def _linear_part(arguments: Mapping[str, Any], ndim: int) -> NDArray[Any]:
    """Return what napari applies before a layer's affine: rotation, shear and scale."""
    rotate = np.asarray(arguments.get("rotate", np.eye(ndim)), dtype=float)
    scale = np.diag(np.broadcast_to(arguments.get("scale", 1.0), ndim))
    shear = np.eye(ndim)
    shear[np.triu_indices(ndim, 1)] = arguments.get("shear", 0.0)
    return np.asarray(rotate @ shear @ scale)


def layer_axis(axis: int, ndim: int) -> int:
    """Return the viewer's axis, of `ndim`, that a display axis (0, 1, 2: x, y, z) is shown as."""
    return ndim - 3 + ORDER[axis]


def dims_order(axis: int, ndim: int) -> tuple[int, ...]:
    """Return the order of the viewer's axes that stacks slices along a display axis."""
    chosen = layer_axis(axis, ndim)
    return (
        *(i for i in range(ndim - 3)),
        chosen,
        *(i for i in range(ndim - 3, ndim) if i != chosen),
    )
