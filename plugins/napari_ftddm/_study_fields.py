"""The decisions about a study as inputs, one a `Field` of `study_choices`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QGridLayout, QLabel, QLineEdit, QWidget

from ftddm_viewer.session.study_choices import Field
from napari_ftddm._parts import ignore_stray_wheel

IN_A_ROW = 6
"""Check boxes side by side."""

ASKED = "color: #ff6b61; font-weight: bold;"


class FieldForm(QWidget):
    """Inputs with their labels; `values` returns what they hold. An input is named ftddm_<key>.

    Attributes
    ----------
    edited
        Emitted when the user changed an input.
    """

    edited = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 8, 0)
        self._grid.setColumnStretch(1, 1)
        self._inputs: dict[str, _Input] = {}

    def fill(self, fields: Mapping[str, Field]) -> None:
        """Show fields in place of those before."""
        while (item := self._grid.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.setParent(None)
                old.deleteLater()
        self._inputs = {}
        for number, (key, field) in enumerate(fields.items()):
            made: _Input = _MAKERS[field.kind](field, self.edited.emit)
            made.setObjectName(f"ftddm_{key}")
            label = QLabel(f"{field.label} ({field.unit})" if field.unit else field.label)
            label.setBuddy(made)
            label.setStyleSheet(ASKED if field.asked else "")
            for widget in (label, made):
                widget.setEnabled(not field.disabled)
                widget.setToolTip(f"<p>{field.disabled}</p>" if field.disabled else "")
            self._grid.addWidget(label, number, 0, Qt.AlignmentFlag.AlignVCenter)
            self._grid.addWidget(made, number, 1)
            self._inputs[key] = made
        self._grid.setRowStretch(len(fields), 1)

    def values(self) -> dict[str, Any]:
        """Return key -> value of the inputs that can act."""
        return {key: made.value() for key, made in self._inputs.items() if made.isEnabled()}

    def focus(self, key: str) -> None:
        """Let the keyboard act on an input."""
        if key in self._inputs:
            self._inputs[key].setFocus(Qt.FocusReason.OtherFocusReason)


class _Line(QLineEdit):
    """A text or a number."""

    def __init__(self, field: Field, edited: Any) -> None:
        value = field.value
        super().__init__(f"{value:g}" if isinstance(value, int | float) else value or "")
        self.setPlaceholderText(field.empty)
        self.textChanged.connect(lambda _: edited())

    def value(self) -> str:
        return self.text()


class _One(QComboBox):
    """One of the options, or none."""

    def __init__(self, field: Field, edited: Any) -> None:
        super().__init__()
        self.addItem(field.empty, "")
        for option in field.options:
            self.addItem(option, option)
        self.setCurrentIndex(max(0, self.findData(field.value)))
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(10)
        ignore_stray_wheel(self)
        self.currentIndexChanged.connect(lambda _: edited())

    def value(self) -> str:
        return str(self.currentData())


class _Several(QWidget):
    """Check boxes, one an option."""

    def __init__(self, field: Field, edited: Any) -> None:
        super().__init__()
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._boxes = [QCheckBox(option) for option in field.options]
        for number, box in enumerate(self._boxes):
            box.setChecked(box.text() in field.value)
            box.toggled.connect(lambda _: edited())
            layout.addWidget(box, *divmod(number, IN_A_ROW))
        layout.setColumnStretch(IN_A_ROW, 1)
        if self._boxes:
            self.setFocusProxy(self._boxes[0])
        else:
            layout.addWidget(QLabel("none"), 0, 0)

    def value(self) -> tuple[str, ...]:
        return tuple(box.text() for box in self._boxes if box.isChecked())


_Input = _Line | _One | _Several
_MAKERS: dict[str, Callable[[Field, Any], _Input]] = {
    "text": _Line,
    "number": _Line,
    "one": _One,
    "several": _Several,
}
