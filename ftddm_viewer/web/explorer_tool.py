"""The tab "Trade-off": a sweep over the settings of the slice that is shown, sharpness against
fidelity, and the live image beside it.

The session sweeps while it has nothing else to do, and yields to the images of every tab.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr

from ftddm_core.errors import SettingsError
from ftddm_core.settings import controls
from ftddm_viewer.drawing.figures import save_figure
from ftddm_viewer.drawing.trade_off import trade_off_figure
from ftddm_viewer.session.actions import action
from ftddm_viewer.session.exploration import (
    FIDELITY,
    SWEPT,
    USUAL_VALUES,
    USUALLY_SWEPT,
    Exploration,
    table_of,
)
from ftddm_viewer.session.pace import in_words
from ftddm_viewer.session.scene import Scene
from ftddm_viewer.session.state import State
from ftddm_viewer.session.sweep_words import numbers_of, said_of
from ftddm_viewer.web.controls import label
from ftddm_viewer.web.plain import plain
from ftddm_viewer.web.scripts import script
from ftddm_viewer.web.tab import Tab
from ftddm_viewer.web.taking_tool import SAVE_JS, stem
from ftddm_viewer.web.tools import Events
from ftddm_viewer.web.trade_off import trade_off

Wanted = Sequence[tuple[str, bool, str]]
"""Setting, whether it is to be swept, and its values in words."""

USUALLY: Wanted = tuple(
    (name, name in USUALLY_SWEPT, ", ".join(f"{value:g}" for value in USUAL_VALUES[name]))
    for name in SWEPT
)

LONG = "This sweep takes {} here: press Start again to compute it, or sweep fewer values."
NONSENSE = "Tick the settings to sweep, and give their values."

_drawn: WeakKeyDictionary[Exploration, tuple[tuple[Any, ...], str]] = WeakKeyDictionary()


class ExplorerTool:
    """The tab, created in the current gradio tabs: see `Tool`."""

    def __init__(self) -> None:
        self.shown: dict[str, Any] = {}
        with (
            gr.Tab("Trade-off", elem_id="view-explore"),
            gr.Row(elem_id="explore", equal_height=False),
        ):
            with gr.Column(scale=0, min_width=240, elem_id="sweep"):
                self._form = self._html("sweep-form", js_on_load=script("sweeping"))
                with gr.Row():
                    for name, words in (("stop", "Cancel"), ("png", "PNG"), ("csv", "CSV")):
                        self.shown[f"sweep-{name}"] = gr.Button(
                            words, size="sm", min_width=50, interactive=False,
                            elem_id=f"sweep-{name}",
                        )  # fmt: skip
                self._html("sweep-said")
            with gr.Column(scale=1, min_width=300):
                self._figure = self._html("trade-off", js_on_load=script("explorer"))
            with gr.Column(scale=0, min_width=250):
                self._html("explored")
            self._file = gr.File(visible="hidden", elem_id="sweep-file")

    def _html(self, name: str, **options: Any) -> gr.HTML:
        made = gr.HTML(elem_id=name, padding=False, min_height=0, **options)
        self.shown[name] = made
        return made

    def wire(self, events: Events) -> None:
        """Connect form, points and buttons."""
        events.answers(self._form.input, _start, None, data="asked")
        events.answers(self._figure.input, _choose, None, data="asked")
        stop = self.shown["sweep-stop"].click
        events.commands(stop, lambda tab: tab.do(tab.session.stop_exploring))
        for name, make in (("png", _png), ("csv", _csv)):
            events.answers(self.shown[f"sweep-{name}"].click, make, self._file)
        self._file.change(None, self._file, None, js=SAVE_JS, show_progress="hidden")

    def properties(self, tab: Tab, state: State, scene: Scene) -> Mapping[str, dict[str, Any]]:
        """Return the newest points, and what can be done."""
        found = state.exploration
        saved = {"interactive": found is not None and bool(found.points)}
        return {
            "sweep-form": {"value": form(tab.kept.get("sweep", USUALLY))},
            "sweep-stop": {"interactive": found is not None and found.running},
            "sweep-png": saved,
            "sweep-csv": saved,
            "sweep-said": {"value": f'<p role="status">{escape(plain(said_of(state)))}</p>'},
            "trade-off": {"value": "" if found is None else _figure(tab, state, found)},
            "explored": {"value": tab.painter.alone("output", state, scene)},
        }


def form(wanted: Wanted) -> str:
    """Return what can be swept, as HTML: a box and its values for each setting, and Start."""
    known = {control.name: control for control in controls()}
    rows = []
    for name, ticked, values in wanted:
        control = known[name]
        words = escape(label(control))
        rows.append(
            f'<label title="{escape(control.help)}"><input type="checkbox" name="{name}"'
            f'{" checked" * ticked}>{words}</label><input type="text" id="values-{name}" '
            f'value="{escape(values)}" aria-label="Values of {words}" maxlength="400" '
            f'title="The values to try, separated by commas."{" disabled" * (not ticked)}>'
        )
    return f'<form>{"".join(rows)}<button type="submit">Start</button></form>'


def _figure(tab: Tab, state: State, found: Exploration) -> str:
    here = state.place == found.sweep.place
    measure = _measure(tab, found)
    asked = (measure, here, state.settings if here else None)
    known, drawn = _drawn.get(found, ((), ""))
    if known != asked:
        choices = "".join(
            f'<button type="button" data-measure="{name}" '
            f'aria-pressed="{str(name == measure).lower()}">{escape(FIDELITY[name])}</button>'
            for name in found.sweep.measures
        )
        drawn = trade_off(found, measure, state.settings, here=here)
        drawn = f'<p class="measures">{choices}</p>{drawn}'
        _drawn[found] = asked, drawn
    return drawn


def _measure(tab: Tab, found: Exploration) -> str:
    measure = tab.kept.get("measure")
    return measure if measure in found.sweep.measures else found.sweep.measures[0]


def wanted_of(asked: Any) -> Wanted:
    """Return what a form asks for.

    Raises
    ------
    SettingsError
        If it is not what `form` holds.
    """
    try:
        found = [(str(name), bool(on), str(words)) for name, on, words in json.loads(str(asked))]
    except (ValueError, TypeError, RecursionError):
        raise SettingsError(NONSENSE) from None
    if [name for name, _, _ in found] != [*SWEPT]:
        raise SettingsError(NONSENSE)
    return found


def _start(tab: Tab, asked: Any) -> None:
    """Start a sweep; one that takes long is asked for twice."""

    def command() -> None:
        wanted = wanted_of(asked)
        tab.kept["sweep"] = wanted
        values = {name: numbers_of(words) for name, on, words in wanted if on}
        seconds, again = tab.session.long_sweep(values), tab.kept.get("long sweep") == values
        tab.kept["long sweep"] = values if seconds and not again else None
        if seconds and not again:
            raise SettingsError(LONG.format(in_words(seconds)))
        tab.session.explore(values)

    tab.do(command)


def _choose(tab: Tab, asked: Any) -> None:
    """Set the sliders to a point, or the measure of fidelity."""
    what, _, which = str(asked).partition(" ")
    found = tab.session.state.exploration
    if what == "measure":
        tab.kept["measure"] = which
    elif found is not None and which.isdecimal() and int(which) < len(found.sweep.points):
        changes = found.sweep.changes(found.sweep.points[int(which)])
        tab.history.settle()
        tab.do(lambda: tab.session.update(**changes))


def _png(tab: Tab, _: Any) -> Any:
    found, content = tab.session.state.exploration, io.BytesIO()
    if found is None:
        return gr.skip()
    save_figure(trade_off_figure(found, _measure(tab, found)), content)
    return _given(tab, ".png", content.getvalue())


def _csv(tab: Tab, _: Any) -> Any:
    found = tab.session.state.exploration
    return gr.skip() if found is None else _given(tab, ".csv", table_of(found).encode())


def _given(tab: Tab, ending: str, content: bytes) -> str:
    return str(tab.give(f"{stem(tab.session.state)}-trade-off{ending}", content))


def tips() -> dict[str, str]:
    """Return element -> what it does."""
    return {
        "view-explore-button": action("explore").words.rstrip("…"),
        "sweep-stop": "Stop the sweep; its points stay.",
        "sweep-png": "Save the figure, with the images at the ends of every axis.",
        "sweep-csv": "Save every point with all settings and figures.",
    }
