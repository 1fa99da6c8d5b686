"""Pin an output, and compare it with the current one: beside it, swiped, or in turn with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from ftddm_viewer.session.actions import action
from ftddm_viewer.session.pins import LETTERS
from ftddm_viewer.session.scene import Scene
from ftddm_viewer.session.state import State
from ftddm_viewer.web.pinned import Comparison, compare
from ftddm_viewer.web.scripts import script
from ftddm_viewer.web.tab import Tab
from ftddm_viewer.web.tools import Events

WORDS = {"pin": action("pin").short, "unpin": "Unpin", "flicker": action("flicker").short}
"""Action -> what its button says."""

BESIDE = action("side_by_side").short
"""Name of the tab with the pinned output beside the current one."""


class PinsTool:
    """The buttons, created in the current gradio blocks, and the tab: see `Tool`."""

    def __init__(self) -> None:
        self.shown: dict[str, Any] = {}
        with gr.Row(elem_id="pins"):
            self.shown["against"] = gr.Radio(
                list(LETTERS),
                label="Pinned output to compare with",
                show_label=False,
                container=False,
                visible=False,
                interactive=True,
                elem_id="against",
            )
            for name, words in WORDS.items():
                self.shown[name] = gr.Button(
                    words, size="sm", elem_id=name, min_width=50, interactive=False
                )

    def add_tab(self) -> None:
        """Create the tab in the current gradio tabs, and what is drawn there."""
        with gr.Tab(BESIDE, visible=False, elem_id="beside-tab") as tab:
            self.shown["beside"] = gr.HTML(elem_id="beside", padding=False, min_height=0)
        self.shown["beside_tab"] = tab

    def listen(self) -> None:
        """Create the images of the pin, and what lets two drawings flicker."""
        self.shown["pinned"] = gr.HTML(
            elem_id="pinned", padding=False, min_height=0, js_on_load=script("flicker")
        )

    def wire(self, events: Events) -> None:
        """Connect the buttons; the browser alone lets drawings flicker."""
        events.commands(self.shown["pin"].click, lambda tab: tab.do(tab.pinning.pin))
        events.commands(self.shown["unpin"].click, lambda tab: tab.do(tab.pinning.unpin))
        events.answers(self.shown["against"].select, _choose, None, data="value")

    def properties(self, tab: Tab, state: State, scene: Scene) -> Mapping[str, dict[str, Any]]:
        """Return the drawings of the chosen pin, and which buttons do something now."""
        pins, pin = tab.pinning.pins, tab.pinning.chosen
        drawn = Comparison()
        if pin is not None and pin.state.case is state.case:
            drawn = compare(pin, state, scene, tab.painter)
        found: dict[str, dict[str, Any]] = {
            "pin": {"interactive": state.image is not None},  # and says if it is not finished
            "unpin": {"interactive": bool(pins)},
            "flicker": {"interactive": scene.layer("output") is not None},
            "against": {"visible": len(pins) > 1},
            "pinned": {"value": drawn.images},
            "beside": {"value": drawn.beside},
            "beside_tab": {"visible": bool(drawn.beside)},
        }
        if pin is not None:
            found["against"] |= {"choices": [each.letter for each in pins], "value": pin.letter}
        if drawn.swipe:
            found["swipe"] = {"value": drawn.swipe}
        return found


def _choose(tab: Tab, letter: Any) -> None:
    tab.pinning.choose(str(letter))


def tips() -> dict[str, str]:
    """Return element -> what its button does."""
    return {name: action(name).tooltip for name in WORDS}
