"""The panel: widgets that show a state and hold none."""

from __future__ import annotations

from collections.abc import Collection

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtWidgets import (
    QAction,
    QCheckBox,
    QComboBox,
    QFrame,
    QGridLayout,
    QLabel,
    QMenu,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QToolButton,
    QWidget,
)

from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_viewer.session.actions import action
from ftddm_viewer.session.bundled import BUNDLED, Bundled
from ftddm_viewer.session.case import MODE_WORDS
from ftddm_viewer.session.messages import (
    SHOW_ALL,
    detail_button,
    going_on,
    other_volume,
    self_check,
)
from ftddm_viewer.session.scene import Scene
from ftddm_viewer.session.state import Activity, State
from ftddm_viewer.session.tips import TIPS, volume_tip
from napari_ftddm._form import Form
from napari_ftddm._parts import (
    SMALL,
    column,
    ignore_stray_wheel,
    line,
    paragraphs,
    quiet,
    row,
    say,
    text,
)
from napari_ftddm._toolbar import Toolbar

WIDTH = 372
FRAME = 8
"""Pixels that a style may draw around what scrolls."""

WELCOME = (
    "Open the folder of an MRSI study: metabolite maps as NIfTI and, if available, a mask, a T1 "
    "and a FLAIR. Or explore the simulated case that comes with the program."
)
SHOW_ALL_KEY = action("detail").key

COMPARED = {"input": "Input", "output": "Output", "reference": "Reference"}


class Panel(QWidget):
    """The widgets, by name; `_engine` connects them."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.sample = QPushButton("Open study…"), QToolButton()
        self._offer_samples()
        self.files, self.reopen = QPushButton("Study…"), QPushButton("Reopen session…")
        self.mode, self.metabolite = QComboBox(), QComboBox()
        for mode, words in MODE_WORDS.items():
            self.mode.addItem(words, mode)
        for combo in (self.mode, self.metabolite):  # may be narrower than its longest entry
            combo.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
            combo.setMinimumContentsLength(8)
            ignore_stray_wheel(combo)
        self.live, self.update_now = QCheckBox("Live"), QPushButton("Update")
        self.form = Form()
        self.toolbar = Toolbar()
        self.volume, self.cancel = QPushButton("Whole volume"), QPushButton("Cancel")
        self.save, self.unfill = QPushButton("Save volume…"), QPushButton("Undo zero-filling")
        self.look_at = {role: QPushButton(words) for role, words in COMPARED.items()}
        self.more = QPushButton("More…")
        self.more.setToolTip("Difference, drawn detail, deviation, images at T_trunc, reliability.")
        self.show_all = QPushButton(SHOW_ALL)
        self.link = QCheckBox("Link colours of input and output")
        self.link.setChecked(True)
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(8)
        self.label, self.welcome = text(bold=True), text()
        self.welcome.setText(WELCOME)
        self.mode_words, self.notes = text(small=True), text(small=True)
        self.status, self.metrics, self.made = text(), text(small=True), text(small=True)
        self.check = text(small=True)
        self.error = text()
        self.error.setStyleSheet("color: #ff6b61; font-weight: bold;")
        for name in ("open", "sample", "mode", "metabolite", "live", "update_now", "volume",
                     "reopen", "cancel", "save", "unfill", "more", "link", "show_all", "check",
                     "status", "error"):  # fmt: skip
            getattr(self, name).setObjectName(f"ftddm_{name}")
        for widget in (self.progress, self.cancel):  # the panel must not jump during a drag
            policy = widget.sizePolicy()
            policy.setRetainSizeWhenHidden(True)
            widget.setSizePolicy(policy)
        for name, tip in TIPS.items():
            part = self.look_at[name] if name in self.look_at else getattr(self, name)
            part.setToolTip(paragraphs(tip))
        self.metrics.setMinimumHeight(30)
        self.files.setObjectName("ftddm_study")
        self._lay_out()

    def _offer_samples(self) -> None:
        """Let the button open the first bundled case, and its menu any of them."""
        menu = QMenu(self.sample)
        menu.setToolTipsVisible(True)
        self.samples: dict[Bundled, QAction] = {}
        for case in BUNDLED:
            self.samples[case] = QAction(case.label, menu)
            self.samples[case].setToolTip(case.words)
            menu.addAction(self.samples[case])
        self.sample.setText("Simulated")
        self.sample.setStyleSheet(
            "QToolButton { padding: 3px 18px 3px 6px; "
            "border: 1px solid #808890; border-radius: 3px; }"
        )
        self.sample.setMenu(menu)
        self.sample.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)

    def _lay_out(self) -> None:
        self.study = QWidget()
        study = column(self.study)
        chooser = QGridLayout()
        chooser.setColumnStretch(1, 1)
        chooser.addWidget(self.mode, 0, 0, 1, 4)
        chooser.addWidget(self.mode_words, 1, 0, 1, 4)
        chooser.addWidget(QLabel("Metabolite"), 2, 0)
        chooser.addWidget(self.metabolite, 2, 1)
        chooser.addWidget(self.live, 2, 2)
        chooser.addWidget(self.update_now, 2, 3)
        study.addLayout(chooser)
        study.addLayout(row(QLabel("Show"), *self.look_at.values(), self.more))
        study.addWidget(line())
        study.addWidget(self.form.native)
        study.addWidget(line())
        study.addWidget(self.link)
        study.addWidget(self.made)
        study.addWidget(self.unfill)
        study.addWidget(self.notes)

        inside = QWidget()
        top = column(inside)
        top.setContentsMargins(8, 4, 8, 4)
        top.addWidget(self.label)
        top.addWidget(self.toolbar)
        top.addWidget(self.welcome)
        top.addLayout(row(self.open, self.files, self.sample))
        top.addWidget(self.reopen)
        top.addWidget(self.study)
        top.addStretch(1)
        scroll = _Scroll()
        scroll.setWidget(inside)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

        # What runs stays in sight, however far the rest is scrolled.
        below = QWidget()
        foot = column(below)
        foot.setContentsMargins(8, 0, 8, 6)
        foot.addWidget(line())
        foot.addWidget(self.error)
        foot.addLayout(row(self.status, self.cancel, stretch=0))
        foot.addWidget(self.progress)
        foot.addWidget(self.metrics)
        foot.addWidget(self.check)
        foot.addWidget(self.show_all)
        foot.addLayout(row(self.volume, self.save))
        notice = text(small=True)
        notice.setText(f"{RESEARCH_ONLY}.")
        foot.addWidget(notice)
        whole = column(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(scroll, 1)
        whole.addWidget(below)

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Fit what is measured in letters to the type that the window uses now."""
        super().changeEvent(event)
        if event is not None and event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self.form.fit()

    # ---- showing

    def show_state(
        self,
        state: State,
        scene: Scene,
        *,
        place: str,
        waiting: Collection[str],
        said: str,
        refused: str,
        takes: float,
    ) -> None:
        """Show a state.

        Parameters
        ----------
        state, scene
            What is shown.
        place
            The device in use, "" while it is not known.
        waiting
            Controls whose newest move has not reached the session yet.
        said, refused
            The outcome of the user's last command, where the state does not hold it.
        takes
            How many seconds a whole volume will take.
        """
        case, there = state.case, state.case is not None
        computing = state.activity is Activity.VOLUME
        self.welcome.setVisible(not there)
        self.reopen.setVisible(not there)
        for part in (self.toolbar, self.study, self.volume, self.save):
            part.setVisible(there)
        self.files.setVisible(state.inspection is not None)
        self.label.setVisible(there)
        self.label.setText(case.label if case is not None else "")
        self._show_choices(state)
        self.mode_words.setText(scene.mode)
        self.form.show_state(state, waiting)
        for widget in (self.form.native, self.mode, self.unfill):
            widget.setEnabled(not computing)
        # Live images need it too where a run failed or was cancelled.
        to_do = not state.up_to_date and state.activity is Activity.IDLE
        self.update_now.setVisible(to_do or not state.live)
        self.update_now.setEnabled(to_do)
        shown = {layer.role for layer in scene.layers}
        for role, button in self.look_at.items():
            button.setVisible(role in shown or role != "reference")
            button.setEnabled(role in shown)
        self.volume.setToolTip(paragraphs(volume_tip(takes)))
        self.volume.setEnabled(state.activity not in (Activity.OPENING, Activity.VOLUME))
        self.save.setEnabled(state.finished is not None)
        say(self.made, other_volume(state))
        self.unfill.setVisible(
            case is not None and case.zero_filled is not None and not case.unfilled
        )
        say(self.notes, "\n".join(_sentence(note) for note in state.notes))
        self._show_progress(state, place, said)
        self.metrics.setText(scene.metrics)
        self.metrics.setVisible(there)
        self._show_check(state)
        say(self.error, refused or state.error)

    def _show_check(self, state: State) -> None:
        say(self.check, self_check(state))
        self.show_all.setVisible(state.case is not None)
        style = SMALL
        style += " color: #ff6b61; font-weight: bold;" if state.warned else ""
        if self.check.styleSheet() != style:
            self.check.setStyleSheet(style)
        self.show_all.setText(f"{detail_button(state)} ({SHOW_ALL_KEY})")

    def show_fault(self, words: str) -> None:
        """Show that a state could not be shown."""
        say(self.error, words)

    def _show_choices(self, state: State) -> None:
        names = list(state.case.study.maps) if state.case is not None else []
        with quiet(self.metabolite, self.mode, self.live):
            if [self.metabolite.itemText(i) for i in range(self.metabolite.count())] != names:
                self.metabolite.clear()
                self.metabolite.addItems(names)
            self.metabolite.setCurrentText(state.metabolite)
            self.mode.setCurrentIndex(self.mode.findData(state.mode))
            self.live.setChecked(state.live)

    def _show_progress(self, state: State, place: str, said: str) -> None:
        running = state.activity is not Activity.IDLE
        waiting = state.loading or state.activity is Activity.OPENING
        self.progress.setRange(0, 0 if waiting else 1000)
        self.progress.setValue(round(1000 * state.progress))
        self.progress.setVisible(running)
        self.cancel.setVisible(running)
        words = [going_on(state)] + ([said] if said else [])
        if place and state.case is not None:
            words.append(f"Device: {place}.")
        say(self.status, " ".join(word for word in words if word))


class _Scroll(QScrollArea):
    """Scrolls upwards and downwards only: it is never narrower than what is inside."""

    def minimumSizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return the width of what is inside, and of the bar beside it."""
        hint, inside, bar = super().minimumSizeHint(), self.widget(), self.verticalScrollBar()
        if inside is not None and bar is not None:
            width = inside.minimumSizeHint().width() + bar.sizeHint().width() + FRAME
            hint.setWidth(max(WIDTH, width))
        return hint

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Ask for another width as soon as what is inside needs one."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().eventFilter(watched, event)


def _sentence(note: str) -> str:
    return note[:1].upper() + note[1:]
