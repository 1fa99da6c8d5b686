"""The tab "Three planes": axial, coronal and sagittal through one point, with a cross-hair.

The planes are drawn and sent only while the tab is open. Along the maps' slices the point is the
slice that is shown: moving it there chooses another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any
from weakref import ref

import gradio as gr
import numpy as np

from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_viewer.session.actions import action
from ftddm_viewer.session.case import Case
from ftddm_viewer.session.planes import ENDS, PARTLY, VIEWS, Point, box_of, middle_of
from ftddm_viewer.session.scene import NOT_COMPUTED, LayerSpec, Role, Scene
from ftddm_viewer.session.state import State
from ftddm_viewer.web.painter import LETTERS, MRI
from ftddm_viewer.web.panels import Box, Words, drawing, store, wrapped
from ftddm_viewer.web.plain import plain
from ftddm_viewer.web.pointing_tool import at
from ftddm_viewer.web.scripts import script
from ftddm_viewer.web.tab import Tab
from ftddm_viewer.web.tools import Events

NAME = "Three planes"
SHOWN: tuple[Role, ...] = (*MRI, "output")
ROOM = 880.0
"""Approximate width of all three drawings in pixels."""

SHORT = f"OUTPUT, AI-generated. {RESEARCH_ONLY}."


class PlanesTool:
    """The tab, created in the current gradio tabs: see `Tool`."""

    def __init__(self) -> None:
        with gr.Tab(NAME, elem_id="view-three"):
            self._planes = gr.HTML(
                elem_id="planes", padding=False, min_height=0, js_on_load=script("planes")
            )
        self.shown: dict[str, Any] = {"planes": self._planes}

    def wire(self, events: Events) -> None:
        """Connect the planes."""
        events.answers(self._planes.input, _move, None, data="asked")

    def properties(self, tab: Tab, state: State, scene: Scene) -> Mapping[str, dict[str, Any]]:
        """Return the planes while their tab is open."""
        return {"planes": {"value": planes(tab, state, scene) if is_open(tab) else ""}}


def is_open(tab: Tab) -> bool:
    """Return whether a page shows the planes."""
    return tab.opened == NAME


def point_of(tab: Tab, case: Case, scene: Scene) -> Point:
    """Return where the cross-hair of a page is, in display space."""
    known, point = tab.kept.get("point", (None, None))
    if point is None or known() is not case:
        point = middle_of(case)
    found = list(point)
    found[scene.axis] = scene.position
    return found[0], found[1], found[2]


def planes(tab: Tab, state: State, scene: Scene) -> str:
    """Return three planes and what is at the point in which they meet, as HTML."""
    case, view, output = state.case, state.view, scene.layer("output")
    if case is None or view is None or output is None:
        return ""
    point, boxes = point_of(tab, case, scene), {axis: _box(case, axis) for axis in (2, 1, 0)}
    size = LETTERS * sum(box.width for box in boxes.values()) / ROOM
    layers = [layer for role in SHOWN if (layer := scene.layer(role)) is not None]
    computed = {k for name, k in view.images if name == state.metabolite}
    caption = scene.caption() if scene.computed else scene.captions["output"]
    if not computed:
        caption = NOT_COMPUTED["output"]
    elif len(computed) < view.prepared.n_slices:
        caption = f"{PARTLY} {caption}"
    parts = [_plane(tab, layers, axis, point, box, size) for axis, box in boxes.items()]
    across, down = _axes(scene.axis)
    value = at(state, "output", -point[across], -point[down])
    where = np.linalg.inv(case.frame.turn) @ [*point, 1.0]
    words = f"{value}. Point: {', '.join(f'{v + 0.0:.1f}' for v in where[:3])} mm (R, A, S)."
    return (
        f'<div class="planes">{"".join(parts)}</div><p role="status">{escape(plain(words))}</p>'
        f"<p>{escape(plain(caption))}</p>"
    )


def _plane(
    tab: Tab, layers: list[LayerSpec], axis: int, point: Point, box: Box, size: float
) -> str:
    elements, images = [], []
    for layer in layers:
        name = f"plane-{axis}-{layer.role}"
        if element := tab.painter.plane(name, layer, axis, point[axis], box):
            elements.append(element)
            images.append((name, f"mri {layer.role}" if layer.role in MRI else "map"))
    across, down = _axes(axis)
    x, y = -point[across], -point[down]
    affine = layers[-1].volume.affine
    steps = (abs(affine[across, across]), abs(affine[down, down]))
    place = f'data-x="{x:.2f}" data-y="{y:.2f}" data-dx="{steps[0]:.4g}" data-dy="{steps[1]:.4g}"'
    lines = "".join(
        f'<line class="cross" x1="{x1:.5g}" x2="{x2:.5g}" y1="{y1:.5g}" y2="{y2:.5g}"/>'
        for x1, x2, y1, y2 in (
            (x, x, box.y, box.y + box.height), (box.x, box.x + box.width, y, y),
        )
    )  # fmt: skip
    words = Words(VIEWS[axis], (*ENDS[across], *ENDS[down]), wrapped(SHORT, box, size))
    drawn = drawing(box, images, words, size, kind=VIEWS[axis], over=lines)
    return (
        f'<div data-axis="{axis}" {place} style="flex:{box.width:.4g} 1 0" tabindex="0" '
        f'role="group" aria-label="{VIEWS[axis]}; arrow keys move the cross-hair">'
        f"{store(elements)}{drawn}</div>"
    )


def _axes(normal: int) -> tuple[int, int]:
    """Return the display axes that are drawn from left to right and from top to bottom."""
    across, down = (axis for axis in range(3) if axis != normal)
    return across, down


def _box(case: Case, axis: int) -> Box:
    """Return what a plane shows, in the mm of a drawing, whose axes run against the world's."""
    low, high = box_of(case)
    across, down = _axes(axis)
    return Box(-high[across], -high[down], high[across] - low[across], high[down] - low[down])


def _move(tab: Tab, asked: Any) -> None:
    """Take up "time axis x y", a point of a plane in the mm of its drawing."""
    case, words = tab.session.state.case, str(asked).split()
    if case is None or len(words) != 4 or words[1] not in ("0", "1", "2"):
        return
    try:
        stamp, x, y = (float(words[i]) for i in (0, 2, 3))
    except ValueError:
        return
    if not all(map(math.isfinite, (stamp, x, y))):
        return
    axis = int(words[1])
    tab.move("planes-point", "planes-point", stamp, None, lambda: _go(tab, case, axis, x, y))


def _go(tab: Tab, case: Case, axis: int, x: float, y: float) -> None:
    state, stacked = tab.session.state, case.frame.axis
    scene = Scene(axis=stacked, position=float(case.positions[state.slice_index]))
    point = [*point_of(tab, case, scene)]
    across, down = _axes(axis)
    point[across], point[down] = -x, -y
    low, high = box_of(case)
    point = [float(value) for value in np.clip(point, low, high)]
    tab.kept["point"] = (ref(case), (point[0], point[1], point[2]))
    if stacked != axis:
        tab.session.choose(slice_index=case.slice_at(point[stacked]))


def tips() -> dict[str, str]:
    """Return element -> what it does."""
    return {"view-three-button": action("three").words.partition(";")[0]}
