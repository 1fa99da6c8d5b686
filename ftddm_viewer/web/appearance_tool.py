"""Has the browser show the images as its link says, or as before a reload; and is told of changes.

The browser applies it once, when a page begins; from then on it leads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from html import escape
from typing import Any

import gradio as gr

from ftddm_viewer.session.scene import Scene
from ftddm_viewer.session.state import State
from ftddm_viewer.web.scripts import script
from ftddm_viewer.web.tab import Tab
from ftddm_viewer.web.tools import Events


class AppearanceTool:
    """What is asked and told, created in the current gradio blocks: see `Tool`."""

    def __init__(self) -> None:
        self._told = gr.HTML(
            elem_id="appearance", elem_classes="unseen", padding=False, min_height=0,
            js_on_load=script("appearance"),
        )  # fmt: skip
        self.shown: dict[str, Any] = {"appearance": self._told}

    def wire(self, events: Events) -> None:
        """Take up what the browser tells."""
        events.answers(self._told.input, _take, None, data="told")

    def properties(self, tab: Tab, state: State, scene: Scene) -> Mapping[str, dict[str, Any]]:
        """Return the appearance once a study is open, which has the tabs to be shown."""
        wanted = json.dumps(asdict(tab.appearance))
        shown = f'<span hidden data-wanted="{escape(wanted, quote=True)}"></span>'
        return {"appearance": {"value": "" if state.view is None else shown}}


def _take(tab: Tab, told: Any) -> None:
    tab.appearance = tab.appearance.told(told)
