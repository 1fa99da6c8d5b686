"""The tab "Reliability": grey covers the voxels that are less certain than a limit.

Whether and from where on is chosen here, and holds for the images of every tab.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from html import escape
from typing import Any

import gradio as gr

from ftddm_core.errors import SettingsError
from ftddm_viewer.session.derived import NO_SAMPLES, faded
from ftddm_viewer.session.display import CRLB_BOUNDS, CRLB_LIMIT
from ftddm_viewer.session.reliability import (
    BY_DEVIATION,
    BY_DEVIATION_HELP,
    FADE,
    FADE_HELP,
    LIMIT_HELP,
    share_words,
)
from ftddm_viewer.session.scene import Role, Scene
from ftddm_viewer.session.state import State
from ftddm_viewer.web.controls import typed
from ftddm_viewer.web.plain import plain
from ftddm_viewer.web.tab import Tab
from ftddm_viewer.web.tools import Events

TITLE = "Reliability"
SHOWN: tuple[Role, ...] = ("input", "output", "reference")


class FadingTool:
    """The tab, created in the current gradio tabs: see `Tool` and `Steered`."""

    def __init__(self) -> None:
        with gr.Tab(TITLE):
            with gr.Row(elem_classes="ways"):
                fade = _tick(FADE, "fade", 2)
                limit = gr.Slider(
                    *CRLB_BOUNDS, CRLB_LIMIT, step=1, label="CRLB above, %", buttons=[],
                    min_width=190, scale=3, interactive=False, elem_id="limit",
                )  # fmt: skip
                by_deviation = _tick(BY_DEVIATION.capitalize(), "by_deviation", 1)
            words = gr.HTML(elem_id="reliability", padding=False, min_height=0)
            drawn = gr.HTML(
                elem_id="drawn-reliability", elem_classes="derived", padding=False, min_height=0
            )
        self._moved = {"fade": fade, "limit": limit, "by_deviation": by_deviation}
        self.shown: dict[str, Any] = {
            **self._moved,
            "reliability": words,
            "drawn-reliability": drawn,
        }

    def wire(self, events: Events) -> None:
        """Connect tick boxes and slider."""
        events.moves(self._moved["limit"], "limit", _limit, typed("limit"))
        for name in ("fade", "by_deviation"):
            events.moves(self._moved[name], name, partial(_ticked, name))

    def properties(self, tab: Tab, state: State, scene: Scene) -> Mapping[str, dict[str, Any]]:
        """Return the share of unreliable voxels, and the drawings while the tab is open."""
        drawn = tab.painter.row(SHOWN, state, scene) if tab.opened == TITLE else ""
        said = [share_words(state)]
        if state.view is not None and state.view.settings.samples == 1:
            said.append(NO_SAMPLES)
        words = escape(plain(" ".join(filter(None, said))))
        return {
            "reliability": {"value": f'<p class="about">{words}</p>' if words else ""},
            "drawn-reliability": {"value": drawn},
        }

    def steered(self, tab: Tab, state: State) -> Mapping[str, dict[str, Any]]:
        """Return what is chosen, and what acts on this study."""
        view, display = state.view, state.display
        known = {"interactive": view is not None and bool(faded(state, view))}
        several = {"interactive": view is not None and view.settings.samples > 1}
        return {
            "fade": {"value": display.fade, **known},
            "limit": {"value": display.limit, **known},
            "by_deviation": {"value": display.by_deviation, **several},
        }


def _tick(words: str, name: str, scale: int) -> Any:
    return gr.Checkbox(
        label=words, container=False, min_width=120, scale=scale, interactive=False, elem_id=name
    )


def _ticked(name: str, tab: Tab, value: Any) -> None:
    tab.session.display(**{name: bool(value)})


def _limit(tab: Tab, value: Any) -> None:
    if not isinstance(value, int | float):
        raise SettingsError(f"There is no CRLB limit {plain(str(value), 40)!r}: give a number.")
    tab.session.display(limit=float(value))


def tips() -> dict[str, str]:
    """Return element -> what it does."""
    return {"fade": FADE_HELP, "limit": LIMIT_HELP, "by_deviation": BY_DEVIATION_HELP}
