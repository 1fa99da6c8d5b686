"""The controls of the method as a magicgui container, made from `ftddm_core.settings.controls`."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from functools import partial
from typing import Any

from magicgui.widgets import Container, FloatSlider, Label
from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLayoutItem, QWidget

from ftddm_core.settings import Control, controls
from ftddm_viewer.session.messages import hints
from ftddm_viewer.session.state import State
from napari_ftddm._inputs import tooltip, widget_of
from napari_ftddm._number import NumberEdit
from napari_ftddm._parts import SMALL, say

WIDEST = "50.00 %"
"""What boxes have room for."""

LABEL_MARGIN, BOX_MARGIN = 8, 24
"""In pixels; a style draws a box's frame within."""

HINTED = ("t_trunc", "samples")
"""Controls below which `hints` may have something to say."""


class Form(Container[Any]):
    """The controls; it shows a state's settings and holds none. A control is `form[name]`.

    Attributes
    ----------
    moved
        Emitted with a control's name and the value that the user chose.
    hints
        Control's name -> what is said below it.
    """

    moved = Signal(str, object)

    def __init__(self) -> None:
        super().__init__()
        self.hints: dict[str, Label] = {}
        self.margins = (0, 0, 0, 0)
        self.native.layout().setSpacing(4)
        for control in controls():
            widget = widget_of(control)
            widget.changed.connect(partial(self._changed, control))
            self.append(widget)
            if control.name in HINTED:
                self.hints[control.name] = _hint(control)
                self.append(self.hints[control.name])
        for name, item, label in self._labels_of_rows():
            if isinstance(self[name], NumberEdit) and self[name].empty is not None:
                item.setAlignment(Qt.AlignmentFlag.AlignTop)
                label.setContentsMargins(0, 4, 0, 0)  # beside the first of two lines
        self.fit()

    def show_state(self, state: State, waiting: Collection[str]) -> None:
        """Show a state's settings, but for controls whose newest move is still `waiting`."""
        words = hints(state)
        for name, label in self.hints.items():
            say(label.native, words.get(name, ""))
            label.visible = name in words
        for control in controls():
            widget = self[control.name]
            reason = state.disabled(control)
            widget.enabled = not reason
            widget.tooltip = tooltip(control, reason)
            if control.name not in waiting:
                with widget.changed.blocked():
                    _show(widget, control, state)

    def fit(self) -> None:
        """Line up labels and boxes, as wide as the type in use needs them."""
        for name, _, label in self._labels_of_rows():
            metrics = label.fontMetrics()
            width = max(metrics.horizontalAdvance(control.label) for control in controls())
            label.setFixedWidth(width + LABEL_MARGIN)
            box = self.native.findChild(QWidget, f"{name}_box")
            if box is not None:
                box.setFixedWidth(metrics.horizontalAdvance(WIDEST) + BOX_MARGIN)

    def _labels_of_rows(self) -> Iterator[tuple[str, QLayoutItem, QWidget]]:
        for widget in self:
            row = widget.native.parentWidget()
            layout = None if row is None else row.layout()
            item = None if layout is None else layout.itemAt(0)
            label = None if item is None else item.widget()
            if item is not None and label is not None:
                yield widget.name, item, label

    def _changed(self, control: Control, value: Any) -> None:
        widget = self[control.name]
        if isinstance(widget, FloatSlider):  # which stops anywhere
            value = _on_step(value, control)
            with widget.changed.blocked():
                widget.value = value
        self.moved.emit(control.name, value)


def _show(widget: Any, control: Control, state: State) -> None:
    """Show a setting, for an empty one what it stands for."""
    value: Any = getattr(state.settings, control.name)
    stands_for: Any = state.shown_value(control.name)
    if isinstance(widget, NumberEdit):
        widget.limit(*(state.bounds(control) or (0, 1)))
        widget.value = value
        if value is None and stands_for is not None:
            widget.show_number(stands_for)
    else:
        widget.value = value


def _on_step(value: float, control: Control) -> float:
    """Return the value nearest to one that a control's steps lead to."""
    step = control.step or 1
    digits = max(0, math.ceil(-math.log10(step)))
    return round(round(value / step) * step, digits)


def _hint(control: Control) -> Label:
    made = Label(name=f"{control.name}_hint", label=" ")
    made.native.setWordWrap(True)
    made.native.setStyleSheet(SMALL)
    made.visible = False
    return made
