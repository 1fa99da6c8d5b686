"""Gradio components of the study panel: its texts, and the controls of the user's choices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import gradio as gr

from ftddm_viewer.session.study_choices import ROLES, Field
from ftddm_viewer.web import study_panel
from ftddm_viewer.web.controls import AS_IT_IS, typed
from ftddm_viewer.web.plain import LONGEST as MOST_LETTERS
from ftddm_viewer.web.plain import plain
from ftddm_viewer.web.study_draft import Draft

FIRST = ("subject", "session", "scale", "mask_labels", "mask_threshold")
"""Fields that a study may ask for."""

FURTHER = ("label", "crlb_unit", "max_crlb", "min_snr", "max_fwhm", "space")

LABELS = {"label": "Name of the study"}
"""Field -> its label, where the usual one would be unclear beside the names of metabolites."""

LONGEST = 120
"""Most characters of a name."""


class Move(NamedTuple):
    """A component, what its value does to the draft, and the script that sends it."""

    name: str
    component: Any
    set_to: Callable[[Draft, Any], None]
    js: str


class StudyForm:
    """The components, created in the current gradio blocks.

    Attributes
    ----------
    panel
        The accordion.
    open, again
        Buttons: open the study with these choices, or without any.
    shown
        Name -> component, for all components set by the server.
    """

    def __init__(self) -> None:
        self.shown: dict[str, Any] = {}
        self._fields: dict[str, Any] = {}
        with gr.Accordion("Study", open=False, visible=False, elem_id="study") as self.panel:
            self._show("study-question", gr.HTML, padding=False)
            with gr.Column(elem_id="study-files-box"):
                self._show("study-files", gr.HTML, padding=False)
                self._show("study-about", gr.HTML, padding=False)
                self._show("study-placement", gr.HTML, padding=False)
            with gr.Column(elem_id="study-form"):
                for key in FIRST:
                    self._field(key)
                self._file()
                for key in FURTHER:
                    self._field(key)
                with gr.Row():
                    self.open = self._button("Open with these choices", "study-open", "primary")
                    self.again = self._button("Start over", "study-again")
        self.shown["study"] = self.panel

    def _show(self, name: str, kind: Any, *args: Any, **options: Any) -> Any:
        self.shown[name] = kind(*args, elem_id=name, **options)
        return self.shown[name]

    def _button(self, text: str, name: str, variant: Any = "secondary") -> Any:
        return self._show(name, gr.Button, text, size="sm", variant=variant, min_width=90)

    def _file(self) -> None:
        roles = [(words, key) for key, words in ROLES.items()]
        options: dict[str, Any] = {"filterable": False, "min_width": 120}
        self.file = self._show("study-file", gr.Dropdown, label="File", type="value", **options)
        with gr.Row(elem_classes="pair"):
            self.role = self._show("study-role", gr.Dropdown, roles, label="Its role", **options)
            self.name = self._show(
                "study-name",
                gr.Textbox,
                label="Metabolite",
                max_lines=1,
                max_length=LONGEST,
                min_width=80,
            )

    def _field(self, key: str) -> None:
        name, options = f"study-{key}", {"visible": False, "label": key}
        if key == "mask_threshold":
            box = self._show(name, gr.Slider, 0, 0.99, 0.5, step=0.01, buttons=[], **options)
        elif key == "mask_labels":
            box = self._show(name, gr.CheckboxGroup, [], **options)
        elif key in ("label", "max_crlb", "min_snr", "max_fwhm"):  # a gr.Number is never empty
            box = self._show(name, gr.Textbox, max_lines=1, max_length=LONGEST, **options)
        else:
            box = self._show(name, gr.Dropdown, [], filterable=False, min_width=120, **options)
        self._fields[key] = box

    def moves(self) -> Iterator[Move]:
        """Yield the components that the user changes."""
        yield Move("study-file", self.file, Draft.choose, AS_IT_IS)
        yield Move("study-role", self.role, Draft.set_role, AS_IT_IS)
        yield Move("study-name", self.name, Draft.set_name, AS_IT_IS)
        for key, box in self._fields.items():
            name = f"study-{key}"
            js = typed(name) if isinstance(box, gr.Slider) else AS_IT_IS
            yield Move(name, box, _setter(key), js)

    def properties(self, draft: Draft, *, free: bool) -> dict[str, dict[str, Any]]:
        """Return the properties that the components should have.

        Parameters
        ----------
        draft
            What they show.
        free
            Whether a study can be opened now.
        """
        found = {f"study-{name}": {"value": text} for name, text in draft.texts.items()}
        row = draft.row
        properties: dict[str, dict[str, Any]] = {
            **found,
            "study": {
                "visible": draft.found is not None,
                "open": draft.expanded,
                "label": study_panel.title(draft.found),
            },
            "study-open": {"interactive": free},
            "study-again": {"interactive": free},
            "study-file": {
                "choices": [(plain(row.file, MOST_LETTERS), i) for i, row in enumerate(draft.rows)],
                "value": draft.at if draft.rows else None,
            },
            "study-role": {"value": "automatic" if row is None else row.role},
            "study-name": {
                "value": "" if row is None else row.name,
                "interactive": row is not None and row.takes_name,
            },
        }
        for key, box in self._fields.items():
            properties[f"study-{key}"] = _of_field(box, draft.fields.get(key))
        return properties


def whole(changes: Mapping[str, dict[str, Any]], wanted: Mapping[str, dict[str, Any]]) -> None:
    """Add the value to every change of choices: a list of choices without one would drop it."""
    for name, properties in changes.items():
        if name in wanted and "choices" in properties:
            properties["value"] = wanted[name]["value"]


def _setter(key: str) -> Callable[[Draft, Any], None]:
    return lambda draft, value: draft.set_value(key, value)


def _of_field(box: Any, field: Field | None) -> dict[str, Any]:
    if field is None or field.disabled:
        return {"visible": False}
    unit = f" ({field.unit})" if field.unit else ""
    properties: dict[str, Any] = {
        "visible": True,
        "label": f"{LABELS.get(field.key, field.label)}{unit}",
        "value": field.value,
    }
    if isinstance(box, gr.Dropdown):
        properties["choices"] = [(field.empty, ""), *((text, text) for text in field.options)]
    elif isinstance(box, gr.CheckboxGroup):
        properties |= {"choices": list(field.options), "value": list(field.value)}
    elif isinstance(box, gr.Textbox):
        shown = field.value if isinstance(field.value, str) else ""
        if isinstance(field.value, float | int):
            shown = f"{field.value:.12g}"
        properties |= {"placeholder": field.empty, "value": shown}
    return properties
