"""The files of a study as a table: what each was taken for, and what the user wants it to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import Any

from qtpy.QtCore import QModelIndex, QSize, Qt
from qtpy.QtGui import QBrush, QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from ftddm_viewer.session.study_choices import ROLES, Row

COLUMNS = {
    "File": 0.30,
    "Taken for": 0.16,
    "Because": 0.17,
    "Use": 0.17,
    "Set to": 0.11,
    "Metabolite": 0.09,
}
"""Column -> its share of the width."""

ROLE, NAME = 4, 5
"""Columns that the user edits."""

ASKED, UNUSED = QColor("#ff6b61"), QColor("#8f979f")
BREAK = "\u200b"
"""A place at which a line may end."""

EDITABLE = QColor(128, 128, 128, 60)
"""Background of what can be edited, in a dark theme and in a bright one."""

ROOM = QSize(10, 8)
"""Pixels around the words of a cell."""


class FileTable(QTableWidget):
    """Rows of `study_choices`; `rows` returns them as they were edited."""

    def __init__(self) -> None:
        super().__init__(0, len(COLUMNS))
        self.setObjectName("ftddm_files")
        self._rows: tuple[Row, ...] = ()
        self.setHorizontalHeaderLabels(list(COLUMNS))
        self.setItemDelegate(_Delegate(self))
        self.setWordWrap(True)
        self.setTabKeyNavigation(False)  # Tab leaves the table; arrow keys move within it
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        trigger = QAbstractItemView.EditTrigger
        self.setEditTriggers(trigger.EditKeyPressed | trigger.AnyKeyPressed)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        header, beside = self.horizontalHeader(), self.verticalHeader()
        if header is not None and beside is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
            header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft)
            header.setStretchLastSection(True)
            beside.hide()
        self.itemChanged.connect(self._name_follows)
        self.cellClicked.connect(self._clicked)

    def fill(self, rows: Sequence[Row]) -> None:
        """Show rows, and scroll to what the open question is about."""
        self._rows = tuple(rows)
        self.blockSignals(True)
        self.setRowCount(len(rows))
        for number, row in enumerate(rows):
            words = (row.file, row.taken_for, row.because, row.use, "", row.name)
            for column, text in enumerate(words):
                item = QTableWidgetItem(_breakable(text) if column < ROLE else text)
                item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
                item.setToolTip(f"<p>{escape(str(row.path) if column == 0 else text)}</p>")
                if row.asked:
                    item.setForeground(ASKED)
                elif not row.use.startswith("used"):
                    item.setForeground(UNUSED)
                self.setItem(number, column, item)
            self._cell(number, ROLE).setData(Qt.ItemDataRole.UserRole, row.role)
            self._cell(number, ROLE).setText(_listed(row.role))
            self._allow(number, ROLE, True)
            self._allow(number, NAME, row.takes_name)
        self.blockSignals(False)
        self.fit()
        asked = next((n for n, row in enumerate(rows) if row.asked), None)
        if asked is not None:
            self.setCurrentCell(asked, 0)
            self.scrollToItem(self._cell(asked, 0))

    def rows(self) -> tuple[Row, ...]:
        """Return the rows as they are now."""
        return tuple(
            replace(
                row,
                role=self._cell(number, ROLE).data(Qt.ItemDataRole.UserRole),
                name=self._cell(number, NAME).text(),
            )
            for number, row in enumerate(self._rows)
        )

    def edit_row(self, file: str, *, role: str | None = None, name: str | None = None) -> None:
        """Set what a file is wanted to be, as a user does in its row."""
        number = next(n for n, row in enumerate(self._rows) if row.file == file)
        if role is not None:
            self._cell(number, ROLE).setData(Qt.ItemDataRole.UserRole, role)
        if name is not None:
            self._cell(number, NAME).setText(name)

    def fit(self) -> None:
        """Share the width among the columns, and give every row the height of its words."""
        viewport = self.viewport()
        if viewport is None:
            return
        for column, share in enumerate(COLUMNS.values()):
            self.setColumnWidth(column, int(share * viewport.width()))
        self.resizeRowsToContents()

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802 (Qt's name)
        """Edit the current cell on Enter, which would else press the window's button."""
        item = self.currentItem()
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if enter and item is not None and item.flags() & Qt.ItemFlag.ItemIsEditable:
            self.editItem(item)
        else:
            super().keyPressEvent(event)

    def _clicked(self, row: int, column: int) -> None:
        """Edit a cell on one click, and open the list of roles."""
        item, viewport = self._cell(row, column), self.viewport()
        if not item.flags() & Qt.ItemFlag.ItemIsEditable:
            return
        self.editItem(item)
        for box in [] if viewport is None else viewport.findChildren(QComboBox):
            if box.isVisible():  # an earlier one may not be gone yet
                box.showPopup()

    def resizeEvent(self, event: Any) -> None:  # noqa: N802 (Qt's name)
        """Fit the columns to another width."""
        super().resizeEvent(event)
        self.fit()

    def _cell(self, row: int, column: int) -> QTableWidgetItem:
        item = self.item(row, column)
        return item if item is not None else QTableWidgetItem()

    def _allow(self, row: int, column: int, may: bool) -> None:
        item = self._cell(row, column)
        flags = item.flags() & ~Qt.ItemFlag.ItemIsEditable
        item.setFlags(flags | Qt.ItemFlag.ItemIsEditable if may else flags)
        item.setBackground(QBrush(EDITABLE) if may else QBrush())
        if column == NAME:
            item.setToolTip("" if may else "No metabolite belongs to a file in this role.")

    def _name_follows(self, item: QTableWidgetItem) -> None:
        """Let a name be edited only where it can act."""
        if item.column() == ROLE:
            number = item.row()
            role = item.data(Qt.ItemDataRole.UserRole)
            self.blockSignals(True)
            item.setText(_listed(role))
            self._allow(number, NAME, replace(self._rows[number], role=role).takes_name)
            self.blockSignals(False)


class _Delegate(QStyledItemDelegate):
    """Edits a role in a combo box, and leaves room around words."""

    def createEditor(  # noqa: N802 (Qt's name)
        self, parent: QWidget | None, option: QStyleOptionViewItem, index: QModelIndex
    ) -> QWidget | None:
        """Return the combo box of a role, else a line."""
        if index.column() != ROLE:
            return super().createEditor(parent, option, index)
        box = QComboBox(parent)
        for key, words in ROLES.items():
            box.addItem(words, key)
        box.activated.connect(lambda _: self._done(box))
        return box

    def _done(self, box: QComboBox) -> None:
        self.commitData.emit(box)
        self.closeEditor.emit(box)

    def setEditorData(self, editor: QWidget | None, index: QModelIndex) -> None:  # noqa: N802
        """Show the present role in its combo box, and its list at once."""
        if not isinstance(editor, QComboBox):
            super().setEditorData(editor, index)
            return
        editor.setCurrentIndex(editor.findData(index.data(Qt.ItemDataRole.UserRole)))

    def setModelData(self, editor: Any, model: Any, index: QModelIndex) -> None:  # noqa: N802
        """Keep the role that was chosen."""
        if isinstance(editor, QComboBox):
            model.setData(index, editor.currentData(), Qt.ItemDataRole.UserRole)
        else:
            super().setModelData(editor, model, index)

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:  # noqa: N802
        """Return the size of a cell's words with room around them."""
        return super().sizeHint(option, index) + ROOM


def _listed(role: str) -> str:
    """Return the words of a role as those of a list that opens."""
    return f"{ROLES[role]} ▾"


def _breakable(text: str) -> str:
    """Return a text whose long names may be broken between lines."""
    for sign in "/_":
        text = text.replace(sign, sign + BREAK)
    return text
