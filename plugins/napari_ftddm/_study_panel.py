"""The window "Study": every file found, what it was taken for, and what can be decided about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import (
    QDialog,
    QFrame,
    QLabel,
    QPushButton,
    QScrollArea,
    QSplitter,
    QWidget,
)

from ftddm_core.errors import FtddmError
from ftddm_core.imaging.io import Choices
from ftddm_viewer.session.inspection import Inspection
from ftddm_viewer.session.state import Activity, State
from ftddm_viewer.session.study_choices import choices_of, fields_of, rows_of
from napari_ftddm._parts import column, row, say, text
from napari_ftddm._placement import placement_image
from napari_ftddm._study_fields import FieldForm
from napari_ftddm._study_table import FileTable

SIZE = QSize(1120, 720)
"""In pixels, as far as the screen has room."""

LEAST_SIZE = QSize(760, 480)
"""In pixels: below, columns and inputs would be cut off."""

PLACEMENT_WIDTH = 600
"""In pixels, of the image of where the MRI lies."""

REMEMBERED = "These files were opened with your last choices. Start over to forget them."


class StudyPanel(QDialog):
    """Shows the inspection of a state, and holds what the user edits until it is opened.

    Attributes
    ----------
    wanted
        Emitted with the `Choices` to open the files with; None to start over without any.
    """

    wanted = Signal(object)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("ftddm_study_panel")
        self.setWindowTitle("Study")
        self._found: Inspection | None = None
        self._activity = Activity.IDLE
        self._refused = ""
        self._awaits = False
        self.problem, self.remembered = text(), text()
        self.problem.setStyleSheet("color: #ff6b61; font-weight: bold;")
        self.remembered.setText(REMEMBERED)
        self.files, self.fields = FileTable(), FieldForm()
        self.about = QLabel()
        self.about.setWordWrap(True)
        self.about.setTextFormat(Qt.TextFormat.RichText)
        self.about.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.about.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.placement = QLabel()
        self.placement.setToolTip(
            "<p>Where the MRI lies under the maps: a T1 of another examination, or one that was "
            "moved, shows here.</p>"
        )
        self._placed: Inspection | None = None
        self.apply = QPushButton("Open with these choices")
        self.start_over, self.close_it = QPushButton("Start over"), QPushButton("Close")
        self.start_over.setToolTip("Open the files without any choices.")
        for name in ("problem", "about", "apply", "start_over", "close_it"):
            getattr(self, name).setObjectName(f"ftddm_study_{name}")
        self.apply.setDefault(True)
        for button in (self.start_over, self.close_it):
            button.setAutoDefault(False)
        self.apply.clicked.connect(lambda *_: self._open())
        self.start_over.clicked.connect(lambda *_: self._ask(None))
        self.close_it.clicked.connect(lambda *_: self.hide())
        self.files.itemChanged.connect(lambda _: self._edited())
        self.fields.edited.connect(self._edited)
        self.setMinimumSize(LEAST_SIZE)
        self._lay_out()

    def _lay_out(self) -> None:
        below, whole = QSplitter(Qt.Orientation.Horizontal), QSplitter(Qt.Orientation.Vertical)
        below.addWidget(_scrolling(self.fields))
        inside = QWidget()
        right = column(inside)
        right.addWidget(self.about)
        right.addWidget(self.placement)
        right.addStretch(1)
        below.addWidget(_scrolling(inside))
        whole.addWidget(self.files)
        whole.addWidget(below)
        whole.setSizes([300, 330])
        below.setSizes([430, 640])
        for splitter in (below, whole):
            splitter.setChildrenCollapsible(False)
        layout = column(self)
        layout.setContentsMargins(10, 10, 10, 10)
        layout.addWidget(self.problem)
        layout.addWidget(self.remembered)
        layout.addWidget(whole, 1)
        layout.addLayout(row(QWidget(), self.start_over, self.close_it, self.apply, stretch=0))

    def appear(self) -> None:
        """Show the window in front, within the screen."""
        screen = self.screen()
        if not self.isVisible() and screen is not None:
            room = screen.availableGeometry().size()
            self.resize(SIZE.boundedTo(room - QSize(40, 60)))
        self.show()
        self.raise_()
        self.activateWindow()
        self._place()
        if self._found is not None and self._found.question is not None:
            self.fields.focus(self._found.question.key)

    def show_state(self, state: State) -> bool:
        """Show a state; return whether it has brought a question."""
        found, new = state.inspection, state.inspection is not self._found
        self._activity = state.activity
        if new:
            self._found, self._refused = found, ""
            if found is None:
                self.hide()
            else:
                self._fill(found)
        if found is not None:
            opening = self._activity is Activity.OPENING
            failed = state.error if self._awaits and not opening else ""
            problem = self._refused or failed or found.problem
            say(self.problem, "" if opening else problem)
            self.remembered.setVisible(found.remembered)
            self._enable()
            if self.isVisible():
                self._place()
        return new and found is not None and found.question is not None

    def _fill(self, found: Inspection) -> None:
        label = found.choices.label or found.survey.label or found.paths[0].absolute().name
        self.setWindowTitle(f"Study: {label}")
        self.files.fill(rows_of(found))
        self.fields.fill(fields_of(found))
        self.about.setText(about(found))

    def _place(self) -> None:
        """Draw the placement of the MRI, once for each inspection, and only in sight."""
        if self._found is not self._placed:
            self._placed = self._found
            study = None if self._found is None else self._found.study
            self.placement.setPixmap(placement_image(study, PLACEMENT_WIDTH))

    def _edited(self) -> None:
        """Take back what was said of values that are edited now."""
        self._refused, self._awaits = "", False
        if self._found is not None:
            say(self.problem, self._found.problem)
        self._enable()

    def _enable(self) -> None:
        """Enable what can act."""
        found = self._found
        if found is None:
            return
        free = self._activity not in (Activity.OPENING, Activity.VOLUME)
        try:
            changed = self._choices(found) != choices_of(found)
        except FtddmError:  # said when it is asked for
            changed = True
        self.apply.setEnabled(free and (changed or found.study is None))
        self.start_over.setEnabled(free and (changed or found.choices != Choices()))
        for part in (self.files, self.fields):
            part.setEnabled(free)

    def _choices(self, found: Inspection) -> Choices:
        return choices_of(found, self.files.rows(), self.fields.values())

    def _open(self) -> None:
        if self._found is None:
            return
        try:
            choices = self._choices(self._found)
        except FtddmError as error:
            self._refused = str(error)
            say(self.problem, self._refused)
            return
        self._ask(choices)

    def _ask(self, choices: Choices | None) -> None:
        self._awaits, self._refused = True, ""
        self.wanted.emit(choices)


def about(found: Inspection) -> str:
    """Return what a study is, lacks and warns of, as HTML."""
    parts = [_table(found.facts)] if found.facts else []
    for title, lines in (("Missing", found.missing), ("To know", found.warnings)):
        if lines:
            parts.append(f"<p><b>{title}</b></p>{_list(lines)}")
    return "".join(parts) or "<p>These files are not open.</p>"


def _table(facts: Mapping[str, str]) -> str:
    rows = (
        f"<tr><td style='padding-right: 12px'>{escape(name)}</td><td>{escape(words)}</td></tr>"
        for name, words in facts.items()
    )
    return f"<table>{''.join(rows)}</table>"


def _list(lines: Iterable[str]) -> str:
    return "".join(f"<p style='margin: 2px'>• {escape(line)}</p>" for line in lines)


def _scrolling(inside: QWidget) -> QScrollArea:
    scroll = QScrollArea()
    scroll.setWidget(inside)
    scroll.setWidgetResizable(True)
    scroll.setFrameShape(QFrame.Shape.NoFrame)
    return scroll
