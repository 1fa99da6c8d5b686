"""A row for every control of the method, built from `ftddm_core.settings.controls` alone."""

from __future__ import annotations

from collections.abc import Collection

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from ftddm_core.settings import controls
from ftddm_viewer.session.messages import little_detail
from ftddm_viewer.session.state import State
from napari_ftddm._parts import say, text
from napari_ftddm._rows import Row, row_of

LAST_OF_CHAIN = "t_trunc"
"""The last of the controls that change little where little detail is shown."""


class Form(QWidget):
    """The controls; it shows a state's settings and holds none.

    Attributes
    ----------
    moved
        Emitted with a control's name and the value that the user chose.
    rows
        Control's name -> its row.
    little
        Says beside the temperatures and the truncation that they change little, where they do.
    """

    moved = Signal(str, object)

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, Row] = {}
        self.little = text(small=True)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        line = 0
        for control in controls():
            row = self.rows[control.name] = row_of(control)
            row.setParent(self)
            label = QLabel(control.label)
            unit = f" in {control.unit}" if control.unit not in ("", "×") else ""
            label.setToolTip(f"<p><b>{control.symbol}</b>{unit}. {control.help}</p>")
            label.setBuddy(row.widgets[0])
            grid.addWidget(label, line, 0)
            for column, widget in enumerate(row.widgets, start=1):
                span = 1 if len(row.widgets) > 1 else 2
                grid.addWidget(widget, line, column, 1, span)
            if row.below is not None:
                line += 1
                grid.addWidget(row.below, line, 1, 1, 2)
            row.moved.connect(lambda value, name=control.name: self.moved.emit(name, value))
            line += 1
            if control.name == LAST_OF_CHAIN:
                grid.addWidget(self.little, line, 1, 1, 2)
                line += 1

    def show_state(self, state: State, waiting: Collection[str]) -> None:
        """Show a state's settings, but for controls whose newest move is still `waiting`."""
        say(self.little, little_detail(state))
        for name, row in self.rows.items():
            row.disable(state.disabled(row.control))
            if name not in waiting:
                row.limit(state.bounds(row.control))
                row.show(getattr(state.settings, name), state.shown_value(name))
