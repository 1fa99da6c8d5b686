"""What a visitor takes along: the command and the script of what is shown, and its report."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from ftddm_core.errors import FtddmError
from ftddm_viewer.drawing.report_content import page_of_state
from ftddm_viewer.drawing.report_page import report_bytes
from ftddm_viewer.session.actions import action
from ftddm_viewer.session.bundled import BUNDLED
from ftddm_viewer.session.repeating import as_command, as_python
from ftddm_viewer.session.scene import Scene, resolve
from ftddm_viewer.session.state import State
from ftddm_viewer.web.plain import plain
from ftddm_viewer.web.tab import Tab
from ftddm_viewer.web.tools import Events

CASE = "simulated-{}"
"""Stands for the folder of a bundled case, which has another place on every computer."""

COPY_JS = "(text) => { if (text) window.ftddmCopy(text.slice(text.indexOf('\\n') + 1)); }"
"""The first line is a number, so that the same text can be copied twice."""

SAVE_JS = """(file) => {
  if (!file) return;
  const link = document.createElement('a');
  link.href = file.url;
  link.download = file.orig_name;
  link.click();
}"""

WORDS = {"copy_command": "Command", "copy_python": "Python"}
ENDINGS = (".pdf", ".png")


class TakingTool:
    """The buttons, created in the current gradio blocks: see `Tool`."""

    def __init__(self) -> None:
        self.shown: dict[str, Any] = {}
        for name, words in WORDS.items():
            self.shown[name] = _button(words, name)
        for ending in ENDINGS:
            name = f"report{ending.replace('.', '-')}"
            self.shown[name] = _button(f"Report {ending[1:].upper()}", name)
        self._text = gr.Textbox(visible="hidden", elem_id="copied")
        self._file = gr.File(visible="hidden", elem_id="report-file")

    def wire(self, events: Events) -> None:
        """Connect the buttons."""
        for name, make in (("copy_command", as_command), ("copy_python", as_python)):
            events.answers(self.shown[name].click, partial(_text, make), self._text)
        self._text.change(None, self._text, None, js=COPY_JS, show_progress="hidden")
        self._file.change(None, self._file, None, js=SAVE_JS, show_progress="hidden")
        for ending in ENDINGS:
            button = self.shown[f"report{ending.replace('.', '-')}"]
            events.answers(button.click, partial(_report, ending), self._file)

    def properties(self, tab: Tab, state: State, scene: Scene) -> Mapping[str, dict[str, Any]]:
        """Return which buttons do something now."""
        free = {"interactive": state.case is not None}
        drawn = {"interactive": state.image is not None}
        return {name: drawn if name.startswith("report") else free for name in self.shown}


def _button(words: str, name: str) -> Any:
    return gr.Button(words, size="sm", elem_id=name, min_width=60, scale=0, interactive=False)


def _text(make: Any, tab: Tab, _: Any) -> Any:
    """Return the text to copy; what cannot be made is told on the page."""
    try:
        words = make(tab.session.state, tab.session.model)
    except FtddmError as error:
        tab.say(str(error))
        return gr.skip()
    tab.copies += 1
    return f"{tab.copies}\n{without_places(words, tab)}"


def without_places(words: str, tab: Tab) -> str:
    """Return a text with names of files in place of their folders on the server."""
    weights = Path(tab.session.model.weights)
    for place, name in (
        *((str(case.folder), CASE.format(case.name)) for case in BUNDLED),
        (str(weights.absolute()), weights.name),
    ):
        words = words.replace(place, name)
    return tab.named(words)


def _report(ending: str, tab: Tab, _: Any) -> Any:
    state = tab.session.state
    try:
        output = resolve(state).layer("output")
        colours = () if output is None else (output.limits, output.colormap)
        content = report_bytes([page_of_state(state, tab.session.model, *colours)], ending)
    except FtddmError as error:
        tab.say(str(error))
        return gr.skip()
    return str(tab.give(f"{stem(state)}{ending}", content))


def stem(state: State) -> str:
    """Return what names of files about a state begin with: study, metabolite and slice."""
    label = "" if state.case is None else state.case.label
    words = f"{label}-{state.metabolite}-slice-{state.slice_index + 1}"
    return file_stem(words)


def file_stem(words: str) -> str:
    """Return words as the name of a file without its ending."""
    kept = "".join(c if c.isalnum() or c in "-_." else "-" for c in plain(words, 80))
    return kept.strip(".-") or "report"


def tips() -> dict[str, str]:
    """Return element -> what its button does."""
    report = action("report").words.rstrip("…")
    return {name: action(name).tooltip for name in WORDS} | {
        f"report{ending.replace('.', '-')}": report for ending in ENDINGS
    }
