"""The menu of presets: those of the program, the user's own, and what is done with them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from qtpy.QtWidgets import QInputDialog, QMenu, QWidget

from ftddm_viewer.session.presets import (
    BUILT_IN,
    Preset,
    keep_preset,
    own_presets,
    remove_preset,
)
from ftddm_viewer.session.session import Session

Do = Callable[[Callable[[], Any]], None]


class PresetMenu:
    """Fills a menu whenever it opens: own presets may have come or gone in another window.

    Parameters
    ----------
    menu
        What it holds already stays below the presets.
    do
        Runs a command, and shows the words of its errors.
    """

    def __init__(self, menu: QMenu, parent: QWidget, session: Session, do: Do) -> None:
        self._menu, self._parent, self._session, self._do = menu, parent, session, do
        self._first = menu.actions()[0] if menu.actions() else None
        self._made: list[Any] = []
        menu.setToolTipsVisible(True)
        menu.aboutToShow.connect(self.fill)

    def fill(self) -> None:
        """Put the presets at the top of the menu."""
        for entry in self._made:
            self._menu.removeAction(entry)
        self._made = []
        own = own_presets()
        for preset in BUILT_IN:
            self._add(preset.name, partial(self._use, preset), preset.words)
        self._line()
        for preset in own:
            self._add(_shown(preset.name), partial(self._use, preset), "Use all its settings.")
        self._add("Keep these settings as…", self._keep, "As a preset, for later sessions too.")
        if own:
            self._add("Remove a preset…", partial(self._remove, own), "Choose one of your own.")
        self._line()

    def _add(self, words: str, call: Callable[[], Any], tip: str) -> None:
        entry = self._menu.addAction(words)
        if entry is None:
            return
        entry.setToolTip(tip)
        entry.triggered.connect(lambda *_: call())
        self._put(entry)

    def _line(self) -> None:
        self._put(self._menu.addSeparator())

    def _put(self, entry: Any) -> None:
        if self._first is not None:
            self._menu.insertAction(self._first, entry)
        self._made.append(entry)

    def _use(self, preset: Preset) -> None:
        self._do(lambda: self._session.update(**preset.settings))

    def _keep(self) -> None:
        name, given = QInputDialog.getText(self._parent, "Keep these settings", "Name:")
        if given:
            self._do(lambda: keep_preset(name, self._session.state.settings))

    def _remove(self, own: tuple[Preset, ...]) -> None:
        names = [preset.name for preset in own]
        name, given = QInputDialog.getItem(
            self._parent, "Remove a preset", "Your own presets:", names, 0, False
        )
        if given:
            self._do(lambda: remove_preset(name))


def _shown(name: str) -> str:
    """Return a name as a menu shows it, in which a lone & would underline a letter."""
    return name.replace("&", "&&")
