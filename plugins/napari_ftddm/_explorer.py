"""The dock widget "Trade-off explorer": a sweep over settings, sharpness against fidelity."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
)

from ftddm_core.saving.files import save_files
from ftddm_core.settings import controls
from ftddm_viewer.drawing.figures import save_figure
from ftddm_viewer.drawing.trade_off import draw_trade_off, point_at, trade_off_figure
from ftddm_viewer.session.exploration import (
    FIDELITY,
    SWEPT,
    USUAL_VALUES,
    USUALLY_SWEPT,
    Exploration,
    table_of,
)
from ftddm_viewer.session.state import State
from ftddm_viewer.session.sweep_words import numbers_of, said_of
from napari_ftddm._dock import Dock
from napari_ftddm._engine import Engine
from napari_ftddm._parts import quiet, row, say, text

if TYPE_CHECKING:
    import napari


class ExplorerWidget(Dock):
    """Sweep settings on the slice that is shown, and choose among the results."""

    height_wanted = 250

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self._axes: Axes | None = None
        self._drawn: object = None
        self._said = text(small=True)
        self._lay_out()
        if self.follow() is None:
            self._show_newest()

    def _lay_out(self) -> None:
        self.rows: dict[str, tuple[QCheckBox, QLineEdit]] = {}
        side = QVBoxLayout()
        side.setSpacing(3)
        for control in controls():
            if control.name not in SWEPT:
                continue
            box, values = QCheckBox(f"{control.label} {control.symbol}"), QLineEdit()
            box.setChecked(control.name in USUALLY_SWEPT)
            box.setToolTip(control.help)
            values.setText(", ".join(f"{value:g}" for value in USUAL_VALUES[control.name]))
            values.setToolTip("The values to try, separated by commas.")
            values.setFixedWidth(84)
            values.setEnabled(box.isChecked())
            box.toggled.connect(values.setEnabled)
            self.rows[control.name] = (box, values)
            side.addLayout(row(box, values, stretch=0))
        self.measure = QComboBox()
        self.measure.setToolTip("What the vertical axis shows.")
        self.measure.activated.connect(self._draw_again)
        side.addWidget(self.measure)
        self.start, self.cancel = QPushButton("Start"), QPushButton("Cancel")
        self.png, self.csv = QPushButton("Save PNG…"), QPushButton("Save CSV…")
        self.start.clicked.connect(lambda *_: self.do(self._begin))
        self.cancel.clicked.connect(lambda *_: self.do(lambda e: e.session.stop_exploring()))
        self.png.clicked.connect(lambda *_: self._save("PNG"))
        self.csv.clicked.connect(lambda *_: self._save("CSV"))
        side.addLayout(row(self.start, self.cancel))
        side.addLayout(row(self.png, self.csv))
        side.addStretch(1)
        self.figure = Figure(layout="constrained")
        self.canvas = _Canvas(self.figure)  # type: ignore[no-untyped-call]
        self.canvas.setMinimumSize(420, 210)
        self.canvas.mpl_connect("button_press_event", self._clicked)
        # What there is room for depends on the size.
        self.canvas.mpl_connect("resize_event", self._draw_again)
        self.canvas.setCursor(Qt.CursorShape.PointingHandCursor)
        layout = QHBoxLayout(self.inside)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(side)
        shown = QVBoxLayout()
        shown.setSpacing(2)
        shown.addWidget(self.canvas, 1)
        self._said.setMinimumHeight(30)  # two lines: a dock asks no label how high it wraps
        shown.addWidget(self._said)
        layout.addLayout(shown, 1)

    # ---- from the user to the session

    def _begin(self, engine: Engine) -> None:
        engine.session.explore(
            {
                name: numbers_of(box.text())
                for name, (on, box) in self.rows.items()
                if on.isChecked()
            }
        )

    def _clicked(self, event: Any) -> None:
        found = None if self.engine is None else self.engine.session.state.exploration
        if found is None or self._axes is None or event.inaxes is not self._axes:
            return
        point = point_at(self._axes, found, self._chosen(found), event.x, event.y)
        if point is not None:
            self.do(lambda e: e.session.update(**found.sweep.changes(point.settings)))

    def _save(self, kind: str) -> None:
        found = None if self.engine is None else self.engine.session.state.exploration
        name, _ = QFileDialog.getSaveFileName(
            self, f"Save the trade-off as {kind}", f"trade-off.{kind.lower()}", f"*.{kind.lower()}"
        )
        if name and found is not None:
            self.do(lambda _: save_exploration(found, Path(name), self._chosen(found)))

    # ---- from the session to the screen

    def _chosen(self, found: Exploration) -> str:
        measure = str(self.measure.currentData() or "")
        return measure if measure in found.sweep.measures else found.sweep.measures[0]

    def _draw_again(self, *_: object) -> None:
        """Draw what is drawn for another measure, or in another size."""
        self._drawn = None
        self._show_newest()

    def show_state(self, state: State) -> None:
        """Show a state, where it differs from what is drawn."""
        found = state.exploration
        self.start.setEnabled(state.case is not None)
        self.cancel.setEnabled(found is not None and found.running)
        for button in (self.png, self.csv):
            button.setEnabled(found is not None and bool(found.points))
        say(self._said, "" if self.engine is None else said_of(state))
        here = found is not None and state.place == found.sweep.place
        if (found, here) == self._drawn:
            return
        self._drawn = (found, here)
        if found is None:
            self.figure.clear()
            self._axes = None
        else:
            names = list(found.sweep.measures)
            if [self.measure.itemData(i) for i in range(self.measure.count())] != names:
                with quiet(self.measure):
                    self.measure.clear()
                    for name in names:
                        self.measure.addItem(FIDELITY[name], name)
            self._axes = draw_trade_off(self.figure, found, self._chosen(found), here=here)
        self.canvas.draw_idle()  # type: ignore[no-untyped-call]


class _Canvas(FigureCanvasQTAgg):
    """A figure in a dock, which may be dragged smaller than a long legend."""

    def draw(self) -> None:
        """Draw the figure, laid out as well as its size allows."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "constrained_layout not applied")
            super().draw()  # type: ignore[no-untyped-call]


def save_exploration(found: Exploration, path: Path, measure: str = "") -> None:
    """Write an exploration as PNG or as CSV, by the ending of the file's name.

    Raises
    ------
    FormatError
        If it cannot be written.
    """
    if path.suffix.lower() == ".csv":
        save_files({path.name: table_of(found).encode()}, path.parent, overwrite=True)
    else:
        save_figure(trade_off_figure(found, measure), path)
