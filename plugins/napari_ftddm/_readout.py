"""The value under the pointer, in words, for napari's status bar."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ftddm_viewer.session.hover import details, deviation_at, value_words
from ftddm_viewer.session.scene import NOT_COMPUTED as EMPTY
from ftddm_viewer.session.scene import RATIOS
from napari_ftddm._record import known_of
from napari_ftddm._words import computed_here, top_layer

if TYPE_CHECKING:
    from napari import Viewer

OUTSIDE = "outside the mask"
NO_RATIO = "no ratio here: outside the mask, or the denominator is too small"
NOT_COMPUTED = "not computed"


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
        layer = top_layer(self.viewer)
        if layer is None or not self.viewer.mouse_over_canvas:
            return ""
        value = layer.get_value(self.viewer.cursor.position, world=True)
        if value is None:
            return ""
        known = known_of(layer)
        if math.isnan(value):
            role = known["role"]
            missing = role in EMPTY and not computed_here(self.viewer, layer)
            outside = NO_RATIO if role in RATIOS else OUTSIDE
            return f"{layer.name}: {NOT_COMPUTED if missing else outside}"
        return f"{layer.name}: {self._details(known, float(value))}"

    def _details(self, known: dict[str, Any], value: float) -> str:
        """Return the value with its deviation, its unit, and what else is known there."""
        point = [float(x) for x in self.viewer.cursor.position[-3:][::-1]]
        role, name, view = known["role"], known.get("metabolite", ""), known.get("view")
        if not name:
            return value_words(value, unit=known["unit"])
        pair = known.get("ratio")
        deviation = math.nan if view is None else deviation_at(view, role, name, pair, point)
        words = value_words(value, deviation, known["unit"])
        return ", ".join([words, *details(known["case"], view, role, name, pair, point)])
