"""Colours and range of the maps, and how their voxels are drawn; no value changes.

Smoothing and the side of the patient's right concern the browser alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

import gradio as gr

from ftddm_viewer.session.actions import action
from ftddm_viewer.session.display import COLORMAPS, HIGHEST, NARROWEST, Display
from ftddm_viewer.session.scene import Scene
from ftddm_viewer.session.state import State
from ftddm_viewer.web.scripts import script
from ftddm_viewer.web.tab import Tab
from ftddm_viewer.web.tools import Events


class ContrastTool:
    """The box behind "Colours", created in the current gradio blocks: see `Tool`."""

    def __init__(self) -> None:
        self._box = gr.HTML(
            form(Display()), elem_id="contrast", padding=False, min_height=0,
            js_on_load=script("contrast"),
        )  # fmt: skip
        self.shown: dict[str, Any] = {"contrast": self._box}

    def wire(self, events: Events) -> None:
        """Connect the box."""
        events.answers(self._box.input, _change, None, data="asked")

    def properties(self, tab: Tab, state: State, scene: Scene) -> Mapping[str, dict[str, Any]]:
        """Return the box as it should be; what the user does there it shows already."""
        return {"contrast": {"value": form(state.display)}}


def form(display: Display) -> str:
    """Return the box as HTML."""
    usual = Display()
    options = "".join(
        f"<option{' selected' * (name == display.colormap)}>{name}</option>" for name in COLORMAPS
    )
    ranges = "".join(
        f'<label for="contrast-{name}">{words}</label><input type="range" id="contrast-{name}" '
        f'name="{name}" min="0" max="{HIGHEST:g}" step="1" value="{getattr(display, name):g}" '
        f'data-usual="{getattr(usual, name):g}"><output data-of="{name}">'
        f"{getattr(display, name):g} %</output>"
        for name, words in (("low", "From"), ("high", "To"))
    )
    return (
        '<details><summary title="Colours of the maps, their range, and how voxels are drawn">'
        f'Colours</summary><form data-apart="{NARROWEST:g}">'
        '<label for="contrast-colormap">Colours</label><select id="contrast-colormap" '
        f'name="colormap" data-usual="{usual.colormap}">{options}</select>{ranges}'
        f'<button type="button" name="reset" title="{escape(action("contrast").words)}">'
        "Reset</button>"
        f"{_tick('smooth', 'Interpolated linearly', action('smooth').words)}"
        f"{_tick('mirrored', 'Neurological: right at the right', action('convention').words)}"
        "</form></details>"
    )


def _tick(name: str, words: str, title: str) -> str:
    return (
        f'<label class="whole" title="{escape(title)}"><input type="checkbox" name="{name}">'
        f"{words}</label>"
    )


def _change(tab: Tab, asked: Any) -> None:
    """Take up "time colours from to", unless newer ones came before."""
    words = str(asked).split()
    if len(words) != 4:
        return
    try:
        stamp, low, high = (float(words[i]) for i in (0, 2, 3))
    except ValueError:
        return
    if not math.isfinite(stamp):
        return
    changes = {"colormap": words[1], "low": low, "high": high}
    shown = form(Display(colormap=words[1], low=low, high=high))
    tab.move("contrast", "contrast", stamp, shown, lambda: tab.session.display(**changes))
