"""Actions by key and by button: each is bound where something is there to carry it out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
)

from ftddm_viewer.session.actions import action
from napari_ftddm._toolbar import Toolbar

if TYPE_CHECKING:
    from napari import Viewer

TEXT = (QLineEdit, QAbstractSpinBox, QTextEdit, QPlainTextEdit)


class Hands:
    """The keys of a viewer and the buttons of a toolbar.

    A key acts wherever the window has the focus, except in a box for text or numbers. A layer's own
    key comes first: on a labels layer, Ctrl+Z undoes the drawing.
    """

    def __init__(self, viewer: Viewer, toolbar: Toolbar) -> None:
        self._viewer, self._toolbar = viewer, toolbar
        self._calls: dict[str, Callable[[], Any]] = {}
        toolbar.wanted.connect(self.run)

    def on(self, name: str, call: Callable[[], Any]) -> None:
        """Carry an action out by a function, and offer it to the user.

        Raises
        ------
        KeyError
            If there is no such action.
        """
        known = action(name)
        self._calls[name] = call
        self._toolbar.offer(known)
        if known.key:
            self._viewer.bind_key(
                native(known.key), lambda viewer: self._pressed(name), overwrite=True
            )

    def run(self, name: str) -> None:
        """Carry out an action."""
        self._calls[name]()

    def close(self) -> None:
        """Give the keys back to the viewer."""
        for name in self._calls:
            if key := action(name).key:
                self._viewer.bind_key(native(key), None)
        self._calls.clear()

    def _pressed(self, name: str) -> None:
        if not takes_text(QApplication.focusWidget()) and name in self._calls:
            self.run(name)


def takes_text(widget: object) -> bool:
    """Return whether what is typed belongs to a widget."""
    return isinstance(widget, TEXT) or (isinstance(widget, QComboBox) and widget.isEditable())


def native(key: str) -> str:
    """Return a key as napari reads it on this platform."""
    return key.replace("Ctrl", "Cmd") if sys.platform == "darwin" else key
