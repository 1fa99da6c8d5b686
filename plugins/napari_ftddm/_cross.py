"""A cross-hair on the canvas, at the point that all views share; a click moves it.

The point is the viewer's own: the position of its sliders, those of the plane's axes included. So
it stays when the view is turned.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Vectors

from napari_ftddm._bridge import AXES, placement
from napari_ftddm._words import top_layer

if TYPE_CHECKING:
    from napari import Viewer

NAME = "Cross-hair"
MARK = "ftddm_cross"
COLOUR = "#ffe04d"
THICKNESS, STILL = 1.5, 4.0
"""In pixels: of the lines; and how far the pointer may move during a click."""

SCALE = 1000.0
"""Millimetres for one unit of the layer: napari's sliders step in the smallest unit there is."""


class Cross:
    """The cross-hair of one viewer, from now on until it is closed."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        for left in [each for each in viewer.layers if MARK in each.metadata]:
            viewer.layers.remove(left)
        self._layer = lines_layer(NAME, MARK)
        self._busy = False
        self.refresh()
        active = viewer.layers.selection.active
        viewer.layers.append(self._layer)
        viewer.layers.selection.active = active
        self._listen(True)

    def close(self) -> None:
        """Take the cross-hair away."""
        self._listen(False)
        if self._layer in self._viewer.layers:
            self._viewer.layers.remove(self._layer)

    def _listen(self, on: bool) -> None:
        dims, camera = self._viewer.dims.events, self._viewer.scene.camera.events
        for each in (dims.point, dims.order, dims.ndisplay, camera.zoom):
            (each.connect if on else each.disconnect)(self.refresh)
        calls = self._viewer.mouse_drag_callbacks
        (calls.append if on else calls.remove)(self._clicked)

    def refresh(self, event: Any = None) -> None:
        """Draw the lines through the viewer's point, across all that is seen in the plane."""
        dims = self._viewer.dims
        first = dims.ndim - len(AXES)
        if self._busy or first < 0:
            return
        low, high = reach_of(self._viewer)
        lines = np.zeros((2, 2, len(AXES)))
        point = np.clip(dims.point[first:], low, high)
        shown = [axis - first for axis in dims.displayed[-2:] if axis >= first]
        for line, axis in zip(lines, shown, strict=False):
            line[0] = point
            line[0, axis] = low[axis]
            line[1, axis] = high[axis] - low[axis]
        self._busy = True
        try:
            draw_lines(self._layer, lines, self._viewer)
        finally:
            self._busy = False

    def _clicked(self, viewer: Viewer, event: Any) -> Iterator[None]:
        """Move the cross-hair to where the left button was pressed and released."""
        active = viewer.layers.selection.active
        free = active is None or str(getattr(active, "mode", "pan_zoom")) == "pan_zoom"
        if event.button != 1 or event.modifiers or not free or viewer.dims.ndisplay != 2:
            return
        start, place = np.array(event.position), event.position
        yield
        while event.type == "mouse_move":
            place = event.position
            yield
        moved = float(np.abs(np.subtract(place, start)).max())
        if moved * viewer.scene.camera.zoom < STILL:
            axes = list(viewer.dims.displayed)
            viewer.dims.set_point(axes, [float(start[axis]) for axis in axes])


def lines_layer(name: str, mark: str) -> Vectors:
    """Return a layer of lines, empty yet; `mark` is a key of its metadata."""
    affine = np.diag([SCALE] * len(AXES) + [1.0])
    return Vectors(
        np.zeros((1, 2, len(AXES))), name=name, edge_color=COLOUR, vector_style="line",
        metadata={mark: True}, opacity=0.9, **placement(affine),
    )  # fmt: skip


def draw_lines(layer: Vectors, lines: Any, viewer: Viewer) -> None:
    """Draw lines (n, 2, 3) of a start and a length, each of equal thickness on the screen."""
    layer.data = lines / SCALE
    layer.edge_width = THICKNESS / max(viewer.scene.camera.zoom, 1e-6) / SCALE


def reach_of(viewer: Viewer) -> tuple[Any, Any]:
    """Return the corners of all layers of this plugin, in mm."""
    top = top_layer(viewer)
    found = [each for each in viewer.layers if each.visible and each.ndim == len(AXES)
             and MARK not in each.metadata and "ftddm" in each.metadata]  # fmt: skip
    if top is None or not found:
        return np.zeros(3), np.zeros(3)
    world = np.array([each.extent.world for each in found])
    return world[:, 0].min(axis=0), world[:, 1].max(axis=0)
