"""The plain pieces a panel is laid out with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QValidator
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

SMALL = "font-size: 11px;"


def say(label: QLabel, words: str) -> None:
    """Set a label's text, and take no room where there is none."""
    if label.text() != words:
        label.setText(words)
    label.setVisible(bool(words))


def paragraphs(words: str) -> str:
    """Return lines as a tooltip that wraps, one paragraph each."""
    return "".join(f"<p>{escape(each)}</p>" for each in words.splitlines())


def text(*, bold: bool = False, small: bool = False) -> QLabel:
    """Return an empty label whose words wrap and can be selected."""
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    if bold:
        label.setStyleSheet("font-weight: bold; font-size: 14px;")
    elif small:
        label.setStyleSheet(SMALL)
    return label


def line() -> QFrame:
    """Return a line across the panel."""
    made = QFrame()
    made.setFrameShape(QFrame.Shape.HLine)
    made.setStyleSheet("color: #5a626c;")
    return made


def column(widget: QWidget) -> QVBoxLayout:
    """Lay out a widget from top to bottom, without margins."""
    layout = QVBoxLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(5)
    return layout


def row(*widgets: QWidget, stretch: int | None = None) -> QHBoxLayout:
    """Lay out widgets side by side; one of them may take what room is left."""
    layout = QHBoxLayout()
    layout.setSpacing(6)
    for index, widget in enumerate(widgets):
        layout.addWidget(widget, int(index == stretch))
    return layout


class EitherSign(QValidator):
    """Lets a box for numbers take a point as well as a comma, whatever its locale."""

    def __init__(self, box: Any) -> None:
        super().__init__(box)
        self._box = box

    def validate(self, text: str | None, position: int) -> Any:
        """Let the box judge a text in which every decimal sign is its locale's."""
        sign = self._box.locale().decimalPoint()
        return self._box.validate((text or "").replace("." if sign == "," else ",", sign), position)


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
def quiet(*widgets: QObject) -> Iterator[None]:
    """Keep widgets from telling that they changed."""
    before = [widget.blockSignals(True) for widget in widgets]
    try:
        yield
    finally:
        for widget, was in zip(widgets, before, strict=True):
            widget.blockSignals(was)
