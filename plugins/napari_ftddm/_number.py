"""A number in a form: a slider with a box for the exact value, and a box for "no value of its own".

magicgui's own sliders are even, and hold no None; `NumberEdit` serves settings that are optional or
whose range is long.
"""

from __future__ import annotations

import math
from typing import Any

from magicgui.widgets import CheckBox, Container, FloatSpinBox, Slider, SpinBox
from magicgui.widgets.bases import ValuedContainerWidget

STOPS = 200
"""Positions of a slider over a wide range of whole numbers."""

WIDE = 200
"""From this many whole numbers on, a slider is finer at its lower end."""


class NumberEdit(ValuedContainerWidget[Any]):
    """A magicgui widget for a number or None.

    Parameters
    ----------
    min, max, step
        Smallest and largest number, and the distance of the slider's positions.
    whole
        Whether the number is an int.
    empty
        Words of the check box for None; "" where None is not allowed.

    Attributes
    ----------
    slider, box, empty
        The magicgui widgets that it consists of; `empty` is None without words for it.
    """

    def __init__(
        self,
        value: float | None = None,
        *,
        min: float,
        max: float,
        step: float = 1,
        whole: bool = False,
        empty: str = "",
        **arguments: Any,
    ) -> None:
        self._low, self._high, self._whole = min, max, whole
        self._bent = whole and max - min >= WIDE
        self._stops = STOPS if self._bent else round((max - min) / step)
        self.slider = Slider(min=0, max=self._stops, readout=False)
        box = SpinBox if whole else FloatSpinBox
        self.box: SpinBox | FloatSpinBox = box(min=min, max=max, step=step)
        line = Container(widgets=[self.slider, self.box], layout="horizontal", labels=False)
        line.margins = (0, 0, 0, 0)
        self.empty = CheckBox(text=empty) if empty else None
        widgets = [line] if self.empty is None else [line, self.empty]
        super().__init__(widgets=widgets, labels=False, nullable=bool(empty), **arguments)
        self.margins = (0, 0, 0, 0)
        self.slider.changed.connect(self._slid)
        self.box.changed.connect(self._typed)
        if self.empty is not None:
            self.empty.changed.connect(self._emptied)
        self.set_value(value)

    def get_value(self) -> float | None:
        """Return the number, None where the check box says so."""
        if self.empty is not None and self.empty.value:
            return None
        return self._number(self.box.value)

    def set_value(self, value: float | None) -> None:
        """Show a number or None, which leaves the number that stands there."""
        self._check_empty(value is None)
        if value is not None:
            self.show_number(value)

    def show_number(self, value: float) -> None:
        """Show a number, whether or not the check box says that there is none.

        The slider keeps its place if that stands for the number already.
        """
        number = self._number(min(max(value, self._low), self._high))
        with self.box.changed.blocked():
            self.box.value = number
        if not math.isclose(self._at(self.slider.value), number, abs_tol=1e-9):
            self._move_slider(number)

    def limit(self, low: float, high: float) -> None:
        """Let slider and box begin and end at these numbers."""
        if (low, high) == (self._low, self._high):
            return
        self._low, self._high = low, high
        with self.box.changed.blocked():
            self.box.range = (low, max(high, low))
        self._move_slider(self.box.value)

    def _number(self, value: float) -> float:
        return round(value) if self._whole else float(value)

    def _at(self, stop: int) -> float:
        """Return the number at a slider's position."""
        share = stop / self._stops
        if self._bent:  # as fine at its lower end as it is long
            share *= share
        value = self._low + (self._high - self._low) * share
        return round(value) if self._whole else round(value, 6)

    def _move_slider(self, number: float) -> None:
        share = (number - self._low) / max(self._high - self._low, 1e-9)
        with self.slider.changed.blocked():
            self.slider.value = round(self._stops * (math.sqrt(share) if self._bent else share))

    def _check_empty(self, on: bool) -> None:
        if self.empty is not None:
            with self.empty.changed.blocked():
                self.empty.value = on

    def _slid(self, stop: int) -> None:
        number = self._at(stop)
        self._check_empty(False)
        with self.box.changed.blocked():
            self.box.value = number
        self.changed.emit(number)

    def _typed(self, value: float) -> None:
        number = self._number(value)
        self._check_empty(False)
        self._move_slider(number)
        self.changed.emit(number)

    def _emptied(self, on: bool) -> None:
        self.changed.emit(None if on else self._number(self.box.value))
