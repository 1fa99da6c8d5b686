"""The value under the pointer, in words, for napari's status bar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ftddm_viewer.session.hover import (
    NO_RATIO,
    NOT_COMPUTED,
    OUTSIDE,
    details,
    deviation_at,
    value_words,
)
from ftddm_viewer.session.scene import NOT_COMPUTED as EMPTY
from ftddm_viewer.session.scene import RATIOS
from napari_ftddm._record import known_of
from napari_ftddm._words import computed_here, top_layer

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer


class Readout:
    """Rewrites the status of one viewer over this plugin's layers, for as long as it lives."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        # A viewer holds methods weakly, and these functions as long as itself.
        viewer.events.status.connect(lambda event: self._rewrite(event.value))
        viewer.layers.events.connect(
            lambda event: self._rewrite(viewer.status) if event.type == "data" else None
        )

    def _rewrite(self, status: Any) -> None:
        words = self.words()
        if words and status not in ("Ready", words):
            self.viewer.status = words

    def words(self) -> str:
        """Return value and unit of the layer on top, "" where the pointer is over none."""
        layer = top_layer(self.viewer, at=self.viewer.cursor.position)
        if layer is None or not self.viewer.mouse_over_canvas:
            return ""
        value = layer.get_value(self.viewer.cursor.position, world=True)
        if value is None:
            return ""
        return f"{layer.name}: {value_said(self.viewer, layer, value, self.viewer.cursor.position)}"


def value_said(viewer: Viewer, layer: Layer, value: float, position: Sequence[float]) -> str:
    """Return a layer's value at a position of the viewer's world, and what else is known there."""
    known = known_of(layer)
    role, name, view = known["role"], known.get("metabolite", ""), known.get("view")
    if math.isnan(value):
        axis = known["case"].frame.axis
        missing = role in EMPTY and not computed_here(viewer, layer, axis, position)
        return NOT_COMPUTED if missing else NO_RATIO if role in RATIOS else OUTSIDE
    if not name:
        return value_words(float(value), unit=known["unit"])
    point = [float(x) for x in position[-3:][::-1]]
    pair = known.get("ratio")
    deviation = math.nan if view is None else deviation_at(view, role, name, pair, point)
    words = value_words(float(value), deviation, known["unit"])
    return ", ".join([words, *details(known["case"], view, role, name, pair, point)])


def said_at(viewer: Viewer, layer: Layer, position: Sequence[float]) -> str:
    """Return what a layer holds at a position, in whatever view; "" beyond its voxels."""
    inside = np.floor(np.asarray(layer.world_to_data(position[-layer.ndim :])) + 0.5).astype(int)
    if (inside < 0).any() or (inside >= layer.data.shape).any():
        return ""
    return value_said(viewer, layer, layer.data[tuple(inside)], position)
