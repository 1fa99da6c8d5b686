"""The tab "Ratio": which ratio of two maps is computed and shown, of input, output and reference.

It is computed and sent only while one is chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import gradio as gr

from ftddm_core.errors import SettingsError
from ftddm_viewer.session.ratios import DIVIDES, not_divided, offered_ratios, ratio_name
from ftddm_viewer.session.scene import Role, Scene
from ftddm_viewer.session.state import State
from ftddm_viewer.web.plain import LONGEST, plain
from ftddm_viewer.web.tab import Tab
from ftddm_viewer.web.tools import Events

NONE = ""
"""Value of the choice that shows no ratio."""

ROLES: tuple[Role, ...] = ("ratio input", "ratio output", "ratio reference")


class RatioTool:
    """The tab, created in the current gradio tabs: see `Tool` and `Steered`."""

    def __init__(self) -> None:
        with gr.Tab("Ratio", elem_id="view-ratio"):
            with gr.Row(elem_classes="ways"):
                self._pair = gr.Dropdown(
                    [("none", NONE)], value=NONE, label="Ratio", filterable=True, scale=0,
                    min_width=190, interactive=False, elem_id="ratio",
                )  # fmt: skip
                words = gr.HTML(elem_id="ratio-words", padding=False, min_height=0)
            drawn = gr.HTML(
                elem_id="drawn-ratio", elem_classes="derived", padding=False, min_height=0
            )
        self.shown: dict[str, Any] = {
            "ratio": self._pair,
            "ratio-words": words,
            "drawn-ratio": drawn,
        }

    def wire(self, events: Events) -> None:
        """Choose what the list says."""
        events.moves(self._pair, "ratio", _choose)

    def properties(self, tab: Tab, state: State, scene: Scene) -> Mapping[str, dict[str, Any]]:
        """Return the drawings, and which maps are ratios already."""
        said = [DIVIDES] if state.case is None else [DIVIDES, not_divided(state.case.study)]
        words = escape(plain(" ".join(filter(None, said))))
        drawn = tab.painter.row(ROLES, state, scene, needed="ratio output")
        return {
            "ratio-words": {"value": f'<p class="about">{words}</p>'},
            "drawn-ratio": {"value": drawn},
        }

    def steered(self, tab: Tab, state: State) -> Mapping[str, dict[str, Any]]:
        """Return which ratios there are, and which is chosen."""
        pairs = () if state.case is None else offered_ratios(state.case.study)
        names = [ratio_name(pair) for pair in pairs]
        return {
            "ratio": {
                "choices": [("none", NONE), *((plain(name, LONGEST), name) for name in names)],
                "value": NONE if state.ratio is None else ratio_name(state.ratio),
                "interactive": bool(pairs),
            }
        }


def _choose(tab: Tab, value: Any) -> None:
    if not value:
        tab.session.choose_ratio()
        return
    case = tab.session.state.case
    pairs = () if case is None else offered_ratios(case.study)
    pair = next((pair for pair in pairs if ratio_name(pair) == value), None)
    if pair is None:
        raise SettingsError(f"There is no ratio {plain(str(value), 40)!r}: choose one of the list.")
    tab.session.choose_ratio(*pair)


def tips() -> dict[str, str]:
    """Return element -> what it does."""
    return {"ratio": DIVIDES}
