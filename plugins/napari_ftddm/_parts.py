"""The plain pieces a panel is laid out with."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget


def say(label: QLabel, words: str) -> None:
    """Set a label's text, and take no room where there is none."""
    if label.text() != words:
        label.setText(words)
    label.setVisible(bool(words))


def text(*, bold: bool = False, small: bool = False) -> QLabel:
    """Return an empty label whose words wrap and can be selected."""
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    if bold:
        label.setStyleSheet("font-weight: bold; font-size: 14px;")
    elif small:
        label.setStyleSheet("font-size: 11px;")
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
