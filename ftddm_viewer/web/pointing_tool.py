"""The value under the pointer, in the words of the window: asked for when the pointer rests."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

import gradio as gr

from ftddm_viewer.session.hover import (
    NO_RATIO,
    NOT_COMPUTED,
    OUTSIDE,
    details,
    deviation_at,
    value_at,
    value_words,
)
from ftddm_viewer.session.ratios import ratio_slice, unit_of
from ftddm_viewer.session.scene import NOT_COMPUTED as EMPTY
from ftddm_viewer.session.scene import RATIOS, Scene, resolve
from ftddm_viewer.session.state import State
from ftddm_viewer.web.panels import kind_of
from ftddm_viewer.web.pinned import ROLE, in_slice
from ftddm_viewer.web.plain import plain
from ftddm_viewer.web.scripts import script
from ftddm_viewer.web.tab import Tab
from ftddm_viewer.web.tools import Events


class PointingTool:
    """What asks and what answers, created in the current gradio blocks: see `Tool`."""

    def __init__(self) -> None:
        self.shown: dict[str, Any] = {}
        self._answer = gr.HTML(
            elem_id="pointed", padding=False, min_height=0, js_on_load=script("hands")
        )

    def wire(self, events: Events) -> None:
        """Answer at once."""
        events.answers(self._answer.input, _answered, self._answer, data="asked", follows=False)

    def properties(self, tab: Tab, state: State, scene: Scene) -> Mapping[str, dict[str, Any]]:
        """Return nothing: the answer is sent by itself."""
        return {}


def _answered(tab: Tab, asked: Any) -> str:
    """Return what is at "role x y", a point of a drawing in mm."""
    words = str(asked).split()
    if len(words) != 3:
        return ""
    try:
        x, y = float(words[1]), float(words[2])
    except ValueError:
        return ""
    return f"<span>{escape(plain(pointed(tab, words[0], x, y), 200))}</span>"


def pointed(tab: Tab, role: str, x: float, y: float) -> str:
    """Return what `at` says of the state of a tab, or of the pin that is compared with it."""
    state, pin = tab.session.state, tab.pinning.chosen
    if role != ROLE:
        return at(state, role, x, y)
    if pin is None:
        return ""
    return f"{pin.letter} (pinned): {at(in_slice(pin, state.slice_index), 'output', x, y)}"


def at(state: State, role: str, x: float, y: float) -> str:
    """Return value, unit and more at a point of a drawing; "" where there is no such image.

    Parameters
    ----------
    state
        What is shown.
    role
        Of the image that is drawn, as its drawing is called.
    x, y
        In the drawing's mm, whose axes run against those of the world.
    """
    view, scene = state.view, resolve(state)
    layer = next((each for each in scene.layers if kind_of(each.role) == role), None)
    if view is None or layer is None or not (math.isfinite(x) and math.isfinite(y)):
        return ""
    across, down = (axis for axis in range(3) if axis != scene.axis)
    point = [0.0, 0.0, 0.0]
    point[across], point[down], point[scene.axis] = -x, -y, scene.position
    name, case, pair = state.metabolite, view.prepared.case, state.ratio
    value, of_ratio, computed = value_at(layer.volume, point), layer.role in RATIOS, scene.computed
    unit = view.prepared.conditions[name].unit
    if of_ratio and pair is not None:
        unit = unit_of(case, pair)
        computed = ratio_slice(view, pair, state.slice_index) is not None
    if math.isnan(value):
        missing = layer.role in EMPTY and not computed
        return f"{layer.name}: {NOT_COMPUTED if missing else NO_RATIO if of_ratio else OUTSIDE}"
    deviation = deviation_at(view, layer.role, name, pair, point)
    said = [value_words(value, deviation, unit)]
    more = details(case, view, layer.role, name, pair, point)
    return f"{layer.name}: {', '.join([*said, *more])}"
