"""The settings of the pins in a link, as buttons: nothing is computed before one is pressed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import gradio as gr

from ftddm_core.settings import SamplerSettings, controls
from ftddm_viewer.session.messages import called, value_words
from ftddm_viewer.session.pins import LETTERS
from ftddm_viewer.session.presets import Preset, defaults
from ftddm_viewer.session.scene import Scene
from ftddm_viewer.session.state import Activity, State
from ftddm_viewer.web.settings_tool import take
from ftddm_viewer.web.tab import Tab
from ftddm_viewer.web.tools import Events

HELP = "Settings of output {}, which was pinned by whoever made this link: {}."


class OfferedTool:
    """The buttons, created in the current gradio blocks: see `Tool`."""

    def __init__(self) -> None:
        self.shown: dict[str, Any] = {}
        with gr.Row(elem_id="offered", visible=False) as row:
            for letter in LETTERS:
                name = _name(letter)
                self.shown[name] = gr.Button(letter, size="sm", elem_id=name, visible=False)
        self.shown["offered"] = row

    def wire(self, events: Events) -> None:
        """Connect the buttons."""
        for letter in LETTERS:
            events.commands(self.shown[_name(letter)].click, partial(_take, letter))

    def properties(self, tab: Tab, state: State, scene: Scene) -> Mapping[str, dict[str, Any]]:
        """Return the buttons of the settings that the tab's link offers."""
        free = state.case is not None and state.activity is not Activity.VOLUME
        found: dict[str, dict[str, Any]] = {"offered": {"visible": bool(tab.pinning.offered)}}
        for letter in LETTERS:
            settings = tab.pinning.offered.get(letter)
            found[_name(letter)] = {"visible": settings is not None, "interactive": free}
            if settings is not None:
                found[_name(letter)]["value"] = f"{letter}: {words_of(settings)}"
        return found


def _name(letter: str) -> str:
    return f"offered-{letter}"


def _take(letter: str, tab: Tab) -> None:
    if (settings := tab.pinning.offered.get(letter)) is not None:
        take(Preset(letter, settings.to_dict()), tab)


def words_of(settings: SamplerSettings) -> str:
    """Return which settings are not as the program starts, in words.

    >>> words_of(SamplerSettings.from_dict({**defaults(), "tau_flow": 0.2, "seed": 3}))
    'τ_f 0.2, seed 3'
    """
    usual = defaults()
    changed = [
        f"{called(control)} {value_words(control, value)}"
        for control in controls()
        if (value := getattr(settings, control.name)) != usual[control.name]
    ]
    return ", ".join(changed) or "defaults"


def tips(tab: Tab) -> dict[str, str]:
    """Return element -> what its button does."""
    return {
        _name(letter): HELP.format(letter, words_of(settings))
        for letter, settings in tab.pinning.offered.items()
    }
