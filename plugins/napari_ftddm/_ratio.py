"""The dock "Ratio": which ratio of two maps is computed and shown, and of which maps."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QComboBox, QLabel, QPushButton

from ftddm_core.imaging.metabolites import Ratio
from ftddm_viewer.session.case import Case
from ftddm_viewer.session.ratios import DIVIDES, not_divided, offered_ratios, ratio_name
from ftddm_viewer.session.scene import resolve
from ftddm_viewer.session.state import State
from napari_ftddm._dock import Dock
from napari_ftddm._parts import column, ignore_stray_wheel, quiet, row, say, text

if TYPE_CHECKING:
    import napari

SHOWN = {"ratio input": "Input", "ratio output": "Output", "ratio reference": "Reference"}

WIDTH = 270
"""In pixels: the rest is left to the dock beside it."""


class RatioDock(Dock):
    """Choose a ratio of two maps.

    Attributes
    ----------
    ratio
        Chooses none, the usual ratios, or any other.
    look_at
        Role -> button that shows only that layer.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self.ratio = QComboBox()
        self.ratio.setObjectName("ftddm_ratio")
        self.ratio.setMaxVisibleItems(20)
        ignore_stray_wheel(self.ratio)
        self.look_at = {role: QPushButton(words) for role, words in SHOWN.items()}
        self.words = text(small=True)
        self._of: Case | None = None
        self._pairs: list[Ratio | None] = [None]
        layout = column(self.inside)
        buttons = self.look_at.values()
        layout.addLayout(row(QLabel("Ratio"), self.ratio, stretch=1))
        layout.addLayout(row(QLabel("Show"), *buttons))
        layout.addWidget(self.words)
        layout.addStretch(1)
        self.ratio.activated.connect(lambda *_: self._choose())
        for role, button in self.look_at.items():
            button.clicked.connect(lambda *_, role=role: self._show(role))
        self._offer(None)
        self.setMaximumWidth(WIDTH)
        self.follow()

    def _choose(self) -> None:
        pair = self._pairs[self.ratio.currentIndex()] or ("", "")
        self.do(lambda engine: engine.session.choose_ratio(*pair))

    def _show(self, role: str) -> None:
        self.do(lambda engine: engine.show_only(role))

    def show_state(self, state: State) -> None:
        """Show which ratio is chosen, and how it was formed."""
        if state.case is not self._of:
            self._offer(state.case)
        with quiet(self.ratio):
            self.ratio.setCurrentIndex(self._pairs.index(state.ratio))
        scene = resolve(state)
        there = {layer.role for layer in scene.layers}
        for role, button in self.look_at.items():
            button.setEnabled(role in there)
        say(self.words, "" if state.case is None else not_divided(state.case.study))
        self.ratio.setToolTip(f"<p>{escape(scene.captions.get('ratio output', DIVIDES))}</p>")

    def _offer(self, case: Case | None) -> None:
        self._of, self._pairs = case, [None]
        if case is not None:
            self._pairs += offered_ratios(case.study)
        with quiet(self.ratio):
            self.ratio.clear()
            self.ratio.addItems(["none" if p is None else ratio_name(p) for p in self._pairs])
