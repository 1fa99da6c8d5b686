"""Undo, redo, reset and named settings, as buttons."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import gradio as gr

from ftddm_viewer.session.actions import action
from ftddm_viewer.session.presets import BUILT_IN, Preset, defaults
from ftddm_viewer.session.scene import Scene
from ftddm_viewer.session.state import Activity, State
from ftddm_viewer.web.tab import Tab
from ftddm_viewer.web.tools import Events

STEPS = ("undo", "redo")
RESET = "reset"


class SettingsTool:
    """The buttons, created in the current gradio blocks: see `Tool`."""

    def __init__(self) -> None:
        self.shown: dict[str, Any] = {}
        with gr.Row(elem_id="presets"):
            for preset in BUILT_IN:
                self._button(preset.name, f"preset-{preset.name.lower()}", scale=3)
            for name in STEPS:
                self._button(action(name).short, name, scale=1)
            self._button(RESET.capitalize(), RESET, scale=2)

    def _button(self, words: str, name: str, scale: int) -> None:
        self.shown[name] = gr.Button(
            words, size="sm", elem_id=name, min_width=30, scale=scale, interactive=False
        )

    def wire(self, events: Events) -> None:
        """Connect the buttons."""
        events.commands(self.shown["undo"].click, lambda tab: tab.do(tab.history.undo))
        events.commands(self.shown["redo"].click, lambda tab: tab.do(tab.history.redo))
        for preset in BUILT_IN:
            button = self.shown[f"preset-{preset.name.lower()}"]
            events.commands(button.click, partial(take, preset))
        everything = Preset(RESET, defaults())
        events.commands(self.shown[RESET].click, partial(take, everything))

    def properties(self, tab: Tab, state: State, scene: Scene) -> Mapping[str, dict[str, Any]]:
        """Return which buttons do something now."""
        free = state.case is not None and state.activity is not Activity.VOLUME
        found = {name: {"interactive": free} for name in self.shown}
        found["undo"] = {"interactive": free and tab.history.can_undo}
        found["redo"] = {"interactive": free and tab.history.can_redo}
        return found


def take(preset: Preset, tab: Tab) -> None:
    """Use a preset's settings; that is one step to undo."""
    tab.history.settle()
    tab.do(lambda: tab.session.update(**preset.settings))


def tips() -> dict[str, str]:
    """Return element -> what its button does."""
    found = {f"preset-{preset.name.lower()}": preset.words for preset in BUILT_IN}
    return found | {name: action(name).tooltip for name in (*STEPS, RESET)}
