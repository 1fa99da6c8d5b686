"""The window "Model": which networks, on which device, with how much memory; and other ones."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QFileDialog,
    QGridLayout,
    QLabel,
    QPushButton,
    QTextBrowser,
    QWidget,
)

from ftddm_core.errors import FtddmError
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.model_card import (
    advice,
    card_of,
    devices,
    facts,
    folder_of,
    known_weights,
)
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.state import Activity, State
from napari_ftddm._parts import column, ignore_stray_wheel, quiet, row, say, text

SIZE = QSize(760, 640)
LEAST_SIZE = QSize(520, 420)
"""In pixels."""

AUTOMATIC = "automatic (the fastest)"


class ModelPanel(QDialog):
    """Shows the networks of a session, and lets the user choose others.

    Parameters
    ----------
    session
        Its model is shown.
    use
        Called with other networks.
    do
        Runs a command, and shows the words of its errors in the panel.
    """

    def __init__(
        self,
        parent: QWidget,
        session: Session,
        use: Callable[[Model], Any],
        do: Callable[[Callable[[], Any]], None],
    ) -> None:
        super().__init__(parent)
        self.setObjectName("ftddm_model_panel")
        self.setWindowTitle("Model")
        self.setMinimumSize(LEAST_SIZE)
        self._session, self._use, self._do = session, use, do
        self.weights, self.device, self.half = QComboBox(), QComboBox(), QCheckBox("Half precision")
        self.half.setToolTip("<p>On a GPU: faster; maps differ by about 1e-3 of the scale.</p>")
        self.folder, self.apply = QPushButton("Own weights…"), QPushButton("Use")
        self.folder.setToolTip("<p>Choose a folder with config.json and the networks.</p>")
        self.unload, self.close_it = QPushButton("Unload"), QPushButton("Close")
        self.unload.setToolTip("<p>Free the memory; the next image loads the networks again.</p>")
        self.problem, self.advice = text(), text()
        for words in (self.problem, self.advice):
            words.setStyleSheet("color: #ff6b61; font-weight: bold;")
        self.facts, self.card = QLabel(), QTextBrowser()
        self.facts.setTextFormat(Qt.TextFormat.RichText)
        self.facts.setWordWrap(True)
        self.facts.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.card.setOpenLinks(False)
        for name in ("weights", "device", "half", "folder", "apply", "unload", "advice", "card"):
            getattr(self, name).setObjectName(f"ftddm_model_{name}")
        ignore_stray_wheel(self.weights, self.device)
        for button in (self.folder, self.unload, self.close_it):
            button.setAutoDefault(False)
        self.weights.currentIndexChanged.connect(lambda *_: self._chosen())
        self.device.currentIndexChanged.connect(lambda *_: self._chosen())
        self.half.toggled.connect(lambda *_: self._chosen())
        self.folder.clicked.connect(lambda *_: self._browse())
        self.apply.clicked.connect(lambda *_: self._apply())
        self.unload.clicked.connect(lambda *_: self._unload())
        self.close_it.clicked.connect(lambda *_: self.hide())
        self._lay_out()

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setColumnStretch(1, 1)
        grid.addWidget(QLabel("Weights"), 0, 0)
        grid.addWidget(self.weights, 0, 1)
        grid.addWidget(self.folder, 0, 2)
        grid.addWidget(QLabel("Device"), 1, 0)
        grid.addWidget(self.device, 1, 1)
        grid.addWidget(self.half, 1, 2)
        layout = column(self)
        layout.setContentsMargins(10, 10, 10, 10)
        layout.addLayout(grid)
        layout.addWidget(self.problem)
        layout.addWidget(self.advice)
        layout.addWidget(self.facts)
        layout.addWidget(self.card, 1)
        layout.addLayout(row(QWidget(), self.unload, self.close_it, self.apply, stretch=0))

    # ---- showing

    def appear(self) -> None:
        """Show the window in front, on the networks in use."""
        model, screen = self._session.model, self.screen()
        if not self.isVisible() and screen is not None:
            self.resize(SIZE.boundedTo(screen.availableGeometry().size() - QSize(40, 60)))
        with quiet(self.weights, self.device, self.half):
            self.weights.clear()
            for name in known_weights():
                self.weights.addItem(name, name)
            self._add_weights(model.weights)
            self.device.clear()
            for name in dict.fromkeys((*devices(), model.device)):
                self.device.addItem(AUTOMATIC if name == "auto" else name, name)
            self.device.setCurrentIndex(self.device.findData(model.device))
            self.half.setChecked(model.half)
        self._chosen()
        self.show()
        self.raise_()
        self.activateWindow()
        self.show_state(self._session.state)

    def show_state(self, state: State) -> None:
        """Show a state, while the window is open."""
        if not self.isVisible():
            return
        model = self._session.model
        say(self.advice, advice(model, state))
        try:
            rows = "".join(
                f"<tr><td style='padding-right: 12px'>{escape(name)}</td>"
                f"<td>{escape(words)}</td></tr>"
                for name, words in facts(model, state).items()
            )
        except FtddmError as error:
            rows = f"<tr><td>{escape(str(error))}</td></tr>"
        if self.facts.text() != (table := f"<table>{rows}</table>"):
            self.facts.setText(table)
        idle = state.activity is Activity.IDLE and state.checking is None
        self.unload.setEnabled(model.loaded and idle)
        self._enable()

    def _enable(self) -> None:
        model, wanted = self._session.model, self._wanted()
        same = (model.weights, model.device, model.half) == wanted
        busy = self._session.state.activity in (Activity.OPENING, Activity.VOLUME)
        self.apply.setEnabled(not same and not busy and not self.problem.text())
        self.half.setEnabled(wanted[1] != "cpu" and (self.half.isChecked() or _has_gpu()))

    def _chosen(self) -> None:
        """Show the card of the weights that are chosen."""
        weights, _, _ = self._wanted()
        try:
            self.card.setMarkdown(card_of(weights))
            say(self.problem, "")
        except FtddmError as error:
            self.card.setMarkdown("")
            say(self.problem, str(error))
        self._enable()

    # ---- commands

    def _wanted(self) -> tuple[str, str, bool]:
        """Return the weights, the device and the precision that are chosen."""
        weights, device = self.weights.currentData(), self.device.currentData()
        return str(weights), str(device), self.half.isChecked() and device != "cpu"

    def _add_weights(self, weights: str) -> None:
        """Offer weights, and choose them."""
        if self.weights.findData(weights) < 0:
            self.weights.addItem(f"{Path(weights).name} ({folder_of(weights)})", weights)
        self.weights.setCurrentIndex(self.weights.findData(weights))

    def _browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "The folder of your own weights")
        if folder:
            self._add_weights(str(Path(folder)))

    def _apply(self) -> None:
        weights, device, half = self._wanted()
        self._do(lambda: self._use(Model(weights, device, half=half)))
        self.show_state(self._session.state)

    def _unload(self) -> None:
        self._session.model.unload()
        self.show_state(self._session.state)


def _has_gpu() -> bool:
    return len(devices()) > 2
