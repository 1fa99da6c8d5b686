"""The dock "Layers and reliability": shows derived layers, and fades unreliable voxels."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSlider,
    QWidget,
)

from ftddm_viewer.session.derived import BUTTONS, HELP, faded, unavailable
from ftddm_viewer.session.display import CRLB_BOUNDS
from ftddm_viewer.session.reliability import (
    BY_DEVIATION,
    BY_DEVIATION_HELP,
    FADE,
    FADE_HELP,
    LIMIT_HELP,
    share_words,
)
from ftddm_viewer.session.state import State
from napari_ftddm._parts import column, ignore_stray_wheel, line, quiet, row, say, text

NAME = "Layers and reliability"

LINES = 30
"""Height of two lines of small words, in pixels."""


class MoreLayers(QWidget):
    """Shows a state, and holds none.

    Attributes
    ----------
    wanted
        Emitted with the role of the layer to look at.
    changed
        Emitted with changes of the `Display`.
    """

    wanted = Signal(str)
    changed = Signal(dict)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("ftddm_more_layers")
        self.show_layer = {role: QPushButton(words) for role, words in BUTTONS.items()}
        self.fade = QCheckBox(FADE)
        self.fade.setToolTip(f"<p>{FADE_HELP}</p>")
        self.limit = QSlider(Qt.Orientation.Horizontal)
        self.limit.setRange(*(round(bound) for bound in CRLB_BOUNDS))
        self.limit.setToolTip(LIMIT_HELP)
        self.percent = QLabel()
        self.percent.setMinimumWidth(38)
        self.by_deviation = QCheckBox(BY_DEVIATION)
        self.by_deviation.setToolTip(f"<p>{BY_DEVIATION_HELP}</p>")
        self.words = text(small=True)
        for name in ("fade", "limit", "by_deviation"):
            getattr(self, name).setObjectName(f"ftddm_{name}")
        ignore_stray_wheel(self.limit)
        for role, button in self.show_layer.items():
            button.setObjectName(f"ftddm_show_{role}")
            button.clicked.connect(lambda *_, role=role: self.wanted.emit(role))
        self.fade.toggled.connect(lambda on: self.changed.emit({"fade": on}))
        self.by_deviation.toggled.connect(lambda on: self.changed.emit({"by_deviation": on}))
        self.limit.valueChanged.connect(lambda value: self.changed.emit({"limit": float(value)}))
        self._lay_out()

    def _lay_out(self) -> None:
        layout = column(self)
        layout.setContentsMargins(6, 4, 6, 4)
        buttons = QGridLayout()
        buttons.setSpacing(4)
        for number, button in enumerate(self.show_layer.values()):
            buttons.addWidget(button, number // 3, number % 3)
        layout.addLayout(buttons)
        layout.addWidget(line())
        layout.addLayout(row(self.fade, self.by_deviation, stretch=0))
        layout.addLayout(row(QLabel("CRLB above"), self.limit, self.percent, stretch=1))
        self.words.setMinimumHeight(LINES)
        layout.addWidget(self.words)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)

    def show_state(self, state: State) -> None:
        """Show which layers there are, and what is faded."""
        for role, button in self.show_layer.items():
            reason = unavailable(state, role)
            button.setEnabled(not reason)
            button.setToolTip(f"<p>{HELP[role]} {reason}</p>")
        display, view = state.display, state.view
        with quiet(self.fade, self.limit, self.by_deviation):
            self.fade.setChecked(display.fade)
            self.limit.setValue(round(display.limit))
            self.by_deviation.setChecked(display.by_deviation)
        self.percent.setText(f"{display.limit:g} %")
        several = view is not None and view.settings.samples > 1
        self.by_deviation.setEnabled(several)
        known = view is not None and bool(faded(state, view))
        self.fade.setEnabled(known)
        self.limit.setEnabled(known)
        say(self.words, share_words(state))
