"""The rows of small buttons under the study's name, made from the table of actions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QMenu, QToolButton, QWidget

from ftddm_viewer.session.actions import ACTIONS, Action, Group
from napari_ftddm._parts import SMALL, column, paragraphs, row

MENUS = {Group.SETTINGS: "Presets", Group.VIEW: "View", Group.TOOLS: "Tools"}
"""Groups with a menu of their own, and what its button is called."""

ROWS = ((Group.SETTINGS, Group.VIEW, Group.TOOLS, Group.HELP), (Group.COMPARE,))
"""Of buttons, each from left to right."""

STYLE = (
    f"QToolButton {{ {SMALL} padding: 2px 1px; border: 1px solid #808890; border-radius: 3px; }}"
    "QToolButton::menu-indicator { image: none; width: 0; }"
)


class Toolbar(QWidget):
    """The buttons and menus of those actions that are offered; it does nothing by itself.

    Attributes
    ----------
    wanted
        Emitted with an action's name.
    buttons
        Action's name -> its button.
    menus
        Group -> its menu.
    """

    wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.buttons: dict[str, QToolButton] = {}
        self.menus: dict[Group, QMenu] = {}
        self._openers: dict[Group, QToolButton] = {}
        whole = column(self)
        whole.setSpacing(2)
        for groups in ROWS:
            layout = row(*self._parts(groups))
            layout.setSpacing(2)
            layout.addStretch(1)
            whole.addLayout(layout)

    def offer(self, action: Action) -> None:
        """Show the button of an action, or its entry in its group's menu."""
        if action.short:
            self.buttons[action.name].show()
        elif action.group in MENUS:
            entry = self.menus[action.group].addAction(_entry(action))
            if entry is not None:
                entry.setObjectName(f"ftddm_{action.name}")
                entry.triggered.connect(partial(self._want, action.name))
            self._openers[action.group].show()

    def enable(self, name: str, on: bool) -> None:
        """Let a button act, or not."""
        if name in self.buttons and self.buttons[name].isEnabled() is not on:
            self.buttons[name].setEnabled(on)

    def _want(self, name: str, *_: object) -> None:
        self.wanted.emit(name)

    def _parts(self, groups: Sequence[Group]) -> Iterator[QWidget]:
        for group in groups:
            for each in ACTIONS:
                if each.group is group and each.short:
                    yield self._button(each)
            if group in MENUS:
                yield self._menu(group)

    def _button(self, action: Action) -> QToolButton:
        made = _small(action.short, action.tooltip, f"ftddm_{action.name}")
        made.clicked.connect(partial(self._want, action.name))
        self.buttons[action.name] = made
        return made

    def _menu(self, group: Group) -> QToolButton:
        made = _small(MENUS[group], f"{group.value}: a menu.", f"ftddm_menu_{group.name.lower()}")
        made.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menus[group] = QMenu(made)
        made.setMenu(self.menus[group])
        self._openers[group] = made
        return made


def _small(words: str, tip: str, name: str) -> QToolButton:
    made = QToolButton()
    made.setText(words)
    made.setToolTip(paragraphs(tip))
    made.setAccessibleName(tip)
    made.setObjectName(name)
    made.setStyleSheet(STYLE)
    made.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click leaves the keys with the images
    made.hide()
    return made


def _entry(action: Action) -> str:
    """Return an action's line in a menu; the tab sets its key apart."""
    return f"{action.words}\t{action.key}" if action.key else action.words
