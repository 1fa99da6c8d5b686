"""Gradio components for the controls of the method, built from the controls alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, NamedTuple

import gradio as gr

from ftddm_core.settings import Control, controls
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.state import Activity, State

LONGEST_SLIDER = 1e6
"""A number with a wider range gets a text box instead of a slider."""

NOW = "performance.timeOrigin + performance.now()"
"""Time of the user's action in ms: requests may arrive in another order."""

AS_IT_IS = f"(v, t) => [v, {NOW}]"

LOCKED = "Locked until the whole volume is computed: its images share these settings."

EMPTY = -1
"""Sent instead of the time by a box without a number: nothing is set."""


class Part(NamedTuple):
    """A component that changes one setting.

    Parameters
    ----------
    control
        The control it sets.
    component
        The component.
    js
        Script run in the browser on (value, time) before they are sent.
    clears
        Whether it is the checkbox that stands for the value None.
    """

    control: Control
    component: Any
    js: str
    clears: bool = False

    @property
    def key(self) -> str:
        """Its element id on the page."""
        return f"{'empty' if self.clears else 'control'}-{self.control.name}"

    def set_to(self, session: Session, value: Any, former: dict[str, Any]) -> None:
        """Apply a value that the user chose.

        Parameters
        ----------
        session
            Where it is set.
        value
            The number, or whether the checkbox is ticked.
        former
            Name -> the number that a checkbox replaced, which comes back with it.
        """
        name, state = self.control.name, session.state
        if self.clears and value:
            former[name] = getattr(state.settings, name)
            value = None
        elif self.clears:
            value = former.get(name)
            value = state.shown_value(name) if value is None else value
            if name == "steps":
                value = min(value, state.settings.t_trunc)
        session.update(**{name: value})

    def shown(self, state: State) -> dict[str, Any]:
        """Return the properties that it should have in a state."""
        name = self.control.name
        free = {"interactive": not state.disabled(self.control)}
        if self.clears:
            return {"value": getattr(state.settings, name) is None, **free}
        value = state.shown_value(name)
        if getattr(state.settings, name) is None and isinstance(value, float):
            value = round(value, 2)  # computed from the data, with many digits
        properties: dict[str, Any] = {} if value is None else {"value": value}
        if isinstance(self.component, gr.Slider):
            low, high = state.bounds(self.control) or (0, 1)
            # A slider cannot be below its lowest value, as the steps at T_trunc 0 would be.
            value = self.control.type(max(low, value or low))
            properties = {"value": value, "maximum": max(high, low + 1)}
        return {**properties, **free}


def build(*names: str) -> Iterator[Part]:
    """Yield the components of some controls, created in the current layout block."""
    for control in controls():
        if control.name not in names:
            continue
        if not control.optional:
            yield _part(control)
            continue
        with gr.Row(elem_classes="optional"):
            yield _part(control)
            name, words = f"empty-{control.name}", control.empty.capitalize()
            box = gr.Checkbox(label=words, elem_id=name, container=False, min_width=60, scale=0)
            yield Part(control, box, AS_IT_IS, clears=True)


def label(control: Control) -> str:
    """Return a control's label with symbol and unit, where they add information."""
    known = control.label.casefold()
    symbol = "" if control.symbol.casefold() in (*known.split(), known) else control.symbol
    words = [word for word in (symbol, control.unit) if word and word != "×"]
    return f"{control.label} ({', '.join(words)})" if words else control.label


def _part(control: Control) -> Part:
    name: dict[str, Any] = {"label": label(control), "elem_id": f"control-{control.name}"}
    if control.type is bool:
        return Part(control, gr.Checkbox(container=False, min_width=100, **name), AS_IT_IS)
    if control.choices:
        box = gr.Dropdown(list(control.choices), filterable=False, min_width=120, **name)
        return Part(control, box, AS_IT_IS)
    low, high = control.bounds or (0, 1)
    if high - low > LONGEST_SLIDER:
        return Part(control, gr.Number(precision=0, min_width=80, **name), typed(name["elem_id"]))
    slider = gr.Slider(low, high, low, step=control.step, buttons=[], min_width=160, **name)
    return Part(control, slider, typed(name["elem_id"]))


def typed(name: str) -> str:
    """Return a script that limits a typed value to the current range of its slider, if any."""
    return (
        f"(v, t) => {{const r = document.querySelector('#{name} input[type=range]'); "
        f"if (v === null || v === '' || isNaN(v)) return [r ? Number(r.min) : 0, {EMPTY}]; "
        f"return [r ? Math.min(r.max, Math.max(r.min, Number(v))) : Number(v), {NOW}]}}"
    )


TIPS_JS = """
const tell = () => {
  const found = element.querySelector('[data-tips]');
  for (const [id, text] of Object.entries(JSON.parse(found?.dataset.tips ?? '{}'))) {
    const control = document.getElementById(id);
    if (control) control.title = text;
  }
};
watch('value', () => setTimeout(tell));
tell();
"""
"""Sets the tooltip of every control to the help text from the server, once both exist."""


def tooltips(state: State, more: Mapping[str, str] | None = None) -> str:
    """Return the help of every control, and the reason why it has no effect now, as HTML; and
    `more`: element -> help."""
    volume = state.activity is Activity.VOLUME
    texts = {
        f"control-{control.name}": " ".join(
            [
                *([LOCKED] if volume and control.name != "detail" else []),
                *filter(None, [state.disabled(control), control.help]),
            ]
        )
        for control in controls()
    }
    texts |= more or {}
    return f'<span hidden data-tips="{escape(json.dumps(texts), quote=True)}"></span>'
