"""Regions as napari layers: what was drawn in them, and a layer for the mirror image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels, Shapes
from numpy.typing import NDArray

from ftddm_core.imaging.volume import Volume
from ftddm_viewer.session.regions import BoolArray, ellipse, labelled, polygon, union
from napari_ftddm._bridge import placement, saved_volume, to_layer

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer

REGION, MIRROR = "Region", "Mirror image of the region"
AREAS = ("rectangle", "ellipse", "polygon")
"""Kinds of shapes that have an area; lines and paths have none."""

EDGE = 0.25
"""Width of a region's outline, in voxels."""


def region_layers(viewer: Viewer) -> list[Layer]:
    """Return the layers that may hold a region, the lowest first."""
    return [
        layer
        for layer in viewer.layers
        if isinstance(layer, Shapes | Labels) and not layer.metadata.get("ftddm_mirror")
    ]


def chosen_layer(viewer: Viewer, before: Layer | None) -> Layer | None:
    """Return the layer whose region is read: the selected one, else the one before, else "Region".

    A mask of a study is meant only if it is selected.
    """
    there = region_layers(viewer)
    active = viewer.layers.selection.active
    if any(layer is active for layer in there):
        return active
    if any(layer is before for layer in there):
        return before
    drawn = [layer for layer in there if not layer.metadata.get("ftddm")]
    return drawn[-1] if drawn else None


def add_region(viewer: Viewer, grid: Volume) -> Shapes:
    """Add an empty layer to draw in, and let the user draw an ellipse in it.

    Its coordinates are the voxels of the output, so that a shape is seen in the slice it lies in.
    """
    found = next((e for e in region_layers(viewer) if e.metadata.get("ftddm_region")), None)
    if found is None:
        found = Shapes(
            ndim=3,
            name=REGION,
            edge_width=EDGE,
            edge_color="#ff5ad0",
            face_color="#ff5ad022",
            opacity=1.0,
            metadata={"ftddm_region": True},
            **placement(to_layer(grid)[1]),
        )
        viewer.add_layer(found)
    viewer.layers.selection.active = found
    found.mode = "add_ellipse"
    return found


def corners_of(layer: Shapes) -> Iterator[NDArray[Any]]:
    """Yield the corners (n, 3) in display space, in mm, of every shape that has an area."""
    for kind, vertices in zip(layer.shape_type, layer.data, strict=True):
        if kind in AREAS:
            world = np.array([layer.data_to_world(vertex)[-3:] for vertex in vertices])
            corners = world[:, ::-1]
            yield ellipse(corners) if kind == "ellipse" else corners


def region_in(layer: Layer, grid: Volume) -> BoolArray:
    """Return the region of a layer on the output grid, in display space.

    Raises
    ------
    GeometryError
        If a shape does not lie in one slice.
    """
    if isinstance(layer, Shapes):
        return union([polygon(grid, corners) for corners in corners_of(layer)], grid)
    arguments = {name: getattr(layer, name) for name in ("rotate", "scale", "shear", "translate")}
    data = (np.asarray(layer.data) != 0).astype(np.uint8)
    return labelled(grid, saved_volume(data, {**arguments, "affine": np.asarray(layer.affine)}))


def show_mirror(viewer: Viewer, mirror: BoolArray | None, grid: Volume | None) -> None:
    """Show the mirror image of a region as an outline; None removes it."""
    found = next((e for e in viewer.layers if e.metadata.get("ftddm_mirror")), None)
    if mirror is None or grid is None or not mirror.any():
        if found is not None:
            viewer.layers.remove(found)
        return
    data, affine = to_layer(grid.with_data(mirror.astype(np.uint8)))
    if found is not None and found.data.shape == data.shape:
        if not np.array_equal(found.data, data):
            found.data = data
        return
    if found is not None:
        viewer.layers.remove(found)
    selected = viewer.layers.selection.active
    made = Labels(
        data,
        name=MIRROR,
        colormap={0: "transparent", 1: "#5ad0ff", None: "#5ad0ff"},
        opacity=0.9,
        metadata={"ftddm_mirror": True},
        **placement(affine),
    )
    made.contour = 1
    viewer.add_layer(made)
    if selected is not None:
        viewer.layers.selection.active = selected
