"""One input for one control, of whatever kind; each shows a value, and tells when a hand moves it.

Showing a value never counts as a move.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QSlider, QSpinBox, QWidget
from superqt import QLargeIntSpinBox

from ftddm_core.settings import Control, Value

QT_INT_MAX = 2**31 - 1
STOPS = 200
"""Positions of a slider over a wide range of whole numbers."""

WIDE = 200
"""From this many whole numbers on, a slider is finer at its lower end."""

BOX_WIDTH = 62


class Row(QObject):
    """A control's widgets: `label` text aside, what stands beside it and below it.

    Attributes
    ----------
    moved
        Emitted with the value that the user chose.
    widgets
        Side by side; the first is the input named like the control.
    below
        A widget for the next line, if any.
    """

    moved = Signal(object)

    def __init__(self, control: Control) -> None:
        super().__init__()
        self.control = control
        self.widgets: list[QWidget] = []
        self.below: QWidget | None = None
        self._reason = ""

    def limit(self, bounds: tuple[float, float] | None) -> None:
        """Offer no values but these; only a number's can change."""

    def show(self, value: Value, stands_for: Value) -> None:
        """Show a value; an empty one together with what it stands for, None if not known."""
        raise NotImplementedError

    def disable(self, reason: str) -> None:
        """Let nobody move it, and say why; let everybody where there is no reason."""
        for widget in (*self.widgets, *([self.below] if self.below is not None else [])):
            if reason:
                widget.setEnabled(False)
            elif self._reason:
                widget.setEnabled(True)
            if reason != self._reason:
                words = f"<b>{reason}</b> {self.control.help}" if reason else self.control.help
                widget.setToolTip(f"<p>{words}</p>")
        self._reason = reason

    def _name(self, widget: QWidget, suffix: str = "") -> None:
        widget.setObjectName(self.control.name + suffix)
        widget.setToolTip(f"<p>{self.control.help}</p>")
        widget.setAccessibleName(self.control.label)


class Decimal(QDoubleSpinBox):
    """A box for numbers that takes a point as well as a comma, whatever the locale."""

    def validate(self, text: str | None, position: int) -> Any:
        """Judge a text as if its sign were the locale's."""
        judged, _, place = super().validate(self._in_locale(text or ""), position)
        return judged, text, place

    def valueFromText(self, text: str | None) -> float:  # noqa: N802 (Qt's name)
        """Return the number that a text stands for."""
        return super().valueFromText(self._in_locale(text or ""))

    def fixup(self, text: str | None) -> str:
        """Return a text as it is: what is no number is put back."""
        return text or ""

    def _in_locale(self, text: str) -> str:
        sign = self.locale().decimalPoint()
        return text.replace("." if sign == "," else ",", sign)


class _WheelFilter(QObject):
    """Keeps the mouse wheel from changing an input without focus, over which a user scrolls."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Hand the wheel over an unfocused widget to what it lies on."""
        if event is None or event.type() != QEvent.Type.Wheel:
            return False
        if not isinstance(watched, QWidget) or watched.hasFocus():
            return False
        event.ignore()
        return True


_WHEEL_FILTER = _WheelFilter()


def ignore_stray_wheel(*widgets: QWidget) -> None:
    """Let the wheel move these inputs only once a click or the keyboard has chosen one."""
    for widget in widgets:
        widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        widget.installEventFilter(_WHEEL_FILTER)


@contextmanager
def quiet(*widgets: QObject | None) -> Iterator[None]:
    """Keep widgets from telling that they changed."""
    there = [widget for widget in widgets if widget is not None]
    before = [widget.blockSignals(True) for widget in there]
    try:
        yield
    finally:
        for widget, was in zip(there, before, strict=True):
            widget.blockSignals(was)


class Number(Row):
    """A slider with a box for the exact number, and a check box for the empty value."""

    def __init__(self, control: Control) -> None:
        super().__init__(control)
        low, high = control.bounds or (0, 1)
        step = control.step or 1
        self._low, self._high = low, high
        self._bent = control.type is int and high - low >= WIDE
        self._stops = STOPS if self._bent else round((high - low) / step)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, self._stops)
        self.slider.setPageStep(max(1, self._stops // 20))
        self.slider.setMinimumWidth(80)
        if control.type is int:
            self.box: QSpinBox | QDoubleSpinBox = QSpinBox()
            self.box.setRange(int(low), int(high))
            self.box.setSingleStep(int(step))
        else:
            self.box = Decimal()
            self.box.setDecimals(max(2, -math.floor(math.log10(step))))
            self.box.setRange(low, high)
            self.box.setSingleStep(step)
        if control.unit == "×":
            self.box.setPrefix("×")
        elif control.unit == "%":
            self.box.setSuffix(" %")
        self.box.setKeyboardTracking(False)
        self.box.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)
        self.box.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.box.setFixedWidth(BOX_WIDTH)
        self._name(self.slider)
        self._name(self.box, "_box")
        ignore_stray_wheel(self.slider, self.box)
        self.widgets = [self.slider, self.box]
        self.empty: QCheckBox | None = None
        if control.optional:
            self.empty = self.below = QCheckBox(control.empty)
            self._name(self.empty, "_empty")
            self.empty.toggled.connect(self._emptied)
        self.slider.valueChanged.connect(self._slid)
        self.box.valueChanged.connect(self._typed)

    def limit(self, bounds: tuple[float, float] | None) -> None:
        """Let slider and box end at these bounds."""
        if bounds is None or bounds == (self._low, self._high):
            return
        self._low, self._high = bounds
        with quiet(self.slider, self.box):
            self.box.setRange(*map(self.control.type, bounds))
            if self._high > self._low:
                self.slider.setValue(self._stop(self.box.value()))
        self.slider.setEnabled(self._high > self._low)

    def show(self, value: Value, stands_for: Value) -> None:
        """Show a value; the slider moves only if it does not stand for it already."""
        with quiet(self.slider, self.box, self.empty):
            if self.empty is not None:
                self.empty.setChecked(value is None)
            shown = stands_for if value is None else value
            if shown is None:
                return
            # Steps stand for a T_trunc of 0 too, which they cannot be themselves.
            number = self.control.type(min(max(shown, self._low), self._high))
            self.box.setValue(number)
            if not math.isclose(self._at(self.slider.value()), number, abs_tol=1e-9):
                self.slider.setValue(self._stop(number))

    def _at(self, stop: int) -> float | int:
        """Return the value at a slider's position."""
        share = stop / self._stops
        if self._bent:  # as fine at its lower end as it is long
            share *= share
        value = self._low + (self._high - self._low) * share
        return round(value) if self.control.type is int else round(value, 6)

    def _stop(self, value: float) -> int:
        share = (value - self._low) / max(self._high - self._low, 1e-9)
        return round(self._stops * (math.sqrt(share) if self._bent else share))

    def _slid(self, stop: int) -> None:
        value = self._at(stop)
        with quiet(self.box, self.empty):
            self.box.setValue(self.control.type(value))
            if self.empty is not None:
                self.empty.setChecked(False)
        self.moved.emit(value)

    def _typed(self, value: float) -> None:
        with quiet(self.slider, self.empty):
            self.slider.setValue(self._stop(value))
            if self.empty is not None:
                self.empty.setChecked(False)
        self.moved.emit(self.control.type(value))

    def _emptied(self, on: bool) -> None:
        self.moved.emit(None if on else self.control.type(self.box.value()))


class Large(Row):
    """A box for whole numbers that a slider cannot hold."""

    def __init__(self, control: Control) -> None:
        super().__init__(control)
        low, high = control.bounds or (0, 1)
        self.box = QLargeIntSpinBox()
        self.box.setRange(int(low), int(high))
        self.box.setKeyboardTracking(False)
        self._name(self.box)
        ignore_stray_wheel(self.box)
        self.box.valueChanged.connect(lambda value: self.moved.emit(int(value)))
        self.widgets = [self.box]

    def show(self, value: Value, stands_for: Value) -> None:
        """Show a value."""
        with quiet(self.box):
            self.box.setValue(int(value or 0))


class Choice(Row):
    """A list to choose from."""

    def __init__(self, control: Control) -> None:
        super().__init__(control)
        self.combo = QComboBox()
        for choice in control.choices:
            self.combo.addItem(choice.replace("_", " "), choice)
        self.combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.combo.setMinimumContentsLength(8)
        self._name(self.combo)
        ignore_stray_wheel(self.combo)
        self.combo.currentIndexChanged.connect(
            lambda index: self.moved.emit(self.combo.itemData(index))
        )
        self.widgets = [self.combo]

    def show(self, value: Value, stands_for: Value) -> None:
        """Show a value."""
        with quiet(self.combo):
            self.combo.setCurrentIndex(self.combo.findData(value))


class Flag(Row):
    """A check box."""

    def __init__(self, control: Control) -> None:
        super().__init__(control)
        self.box = QCheckBox()
        self._name(self.box)
        self.box.toggled.connect(lambda on: self.moved.emit(bool(on)))
        self.widgets = [self.box]

    def show(self, value: Value, stands_for: Value) -> None:
        """Show a value."""
        with quiet(self.box):
            self.box.setChecked(bool(value))


def row_of(control: Control) -> Row:
    """Return the row that fits a control's type, bounds and choices."""
    if control.choices:
        return Choice(control)
    if control.type is bool:
        return Flag(control)
    if control.bounds is not None and control.bounds[1] > QT_INT_MAX:
        return Large(control)
    return Number(control)
