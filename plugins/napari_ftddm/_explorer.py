"""The dock widget "Trade-off explorer": a sweep over settings, sharpness against fidelity."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDockWidget,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QMainWindow,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ftddm_core.errors import FtddmError, SettingsError
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
from ftddm_viewer.session.messages import error_words
from ftddm_viewer.session.state import State
from ftddm_viewer.session.sweep_words import numbers_of, said_of
from napari_ftddm._engine import Engine, engine_in, panels
from napari_ftddm._parts import quiet, row, say, text
from napari_ftddm._relay import Relay
from napari_ftddm._sides import unwrapped

if TYPE_CHECKING:
    import napari

NO_PANEL = "Open the panel FTDDM (Plugins > FTDDM) and a study in it first."


class ExplorerWidget(QWidget):
    """Sweep settings on the slice that is shown, and choose among the results.

    Attributes
    ----------
    engine
        That of the panel in the same viewer; None while there is none.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._moved = False
        self._axes: Axes | None = None
        self._drawn: object = None
        self._viewer = unwrapped(napari_viewer)
        self.engine: Engine | None = None
        self._said = text(small=True)
        self._lay_out()
        self._relay = Relay(self._show)
        # Methods of this widget are gone with it: the relay's is not.
        self.destroyed.connect(self._relay.close)
        panels.changed.connect(self._relay.post)
        self._show()

    def event(self, event: QEvent | None) -> bool:
        """Move below the canvas when docked: at the side it would squeeze the sliders."""
        if event is not None and event.type() == QEvent.Type.ParentChange and not self._moved:
            dock = self.parent()
            if isinstance(dock, QDockWidget):
                self._moved = True
                QTimer.singleShot(0, lambda: _to_bottom(dock))
        return super().event(event)

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
        self.measure.activated.connect(lambda *_: self._show(again=True))
        side.addWidget(self.measure)
        self.start, self.stop = QPushButton("Start"), QPushButton("Cancel")
        self.png, self.csv = QPushButton("Save PNG…"), QPushButton("Save CSV…")
        self.start.clicked.connect(lambda *_: self._do(self._begin))
        self.stop.clicked.connect(lambda *_: self._do(self._session.stop_exploring))
        self.png.clicked.connect(lambda *_: self._save("PNG"))
        self.csv.clicked.connect(lambda *_: self._save("CSV"))
        side.addLayout(row(self.start, self.stop))
        side.addLayout(row(self.png, self.csv))
        side.addStretch(1)
        self.figure = Figure(layout="constrained")
        self.canvas = _Canvas(self.figure)  # type: ignore[no-untyped-call]
        self.canvas.setMinimumSize(420, 210)
        self.canvas.mpl_connect("button_press_event", self._clicked)
        # What there is room for depends on the size.
        self.canvas.mpl_connect("resize_event", lambda *_: self._show(again=True))
        self.canvas.setCursor(Qt.CursorShape.PointingHandCursor)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 2)
        layout.addLayout(side)
        shown = QVBoxLayout()
        shown.setSpacing(2)
        shown.addWidget(self.canvas, 1)
        self._said.setMinimumHeight(30)  # two lines: a dock asks no label how high it wraps
        shown.addWidget(self._said)
        layout.addLayout(shown, 1)

    @property
    def _session(self) -> Any:
        if self.engine is None:
            raise SettingsError(NO_PANEL)
        return self.engine.session

    # ---- from the user to the session

    def _begin(self) -> None:
        self._session.explore(
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
            self._do(lambda: self._session.update(**found.sweep.changes(point.settings)))

    def _save(self, kind: str) -> None:
        found = self._session.state.exploration
        name, _ = QFileDialog.getSaveFileName(
            self, f"Save the trade-off as {kind}", f"trade-off.{kind.lower()}", f"*.{kind.lower()}"
        )
        if name and found is not None:
            self._do(lambda: save_exploration(found, Path(name), self._chosen(found)))

    def _do(self, command: Callable[[], Any]) -> None:
        """Run a command; an error is shown in words."""
        self._follow()
        try:
            command()
        except (FtddmError, OSError) as error:
            say(self._said, error_words(error) or "")
        else:
            self._show()

    # ---- from the session to the screen

    def _chosen(self, found: Exploration) -> str:
        measure = str(self.measure.currentData() or "")
        return measure if measure in found.sweep.measures else found.sweep.measures[0]

    def _follow(self) -> None:
        """Follow the session of the panel that is open now."""
        engine = engine_in(self._viewer)
        if engine is not self.engine:
            self.engine = engine
            self._relay.follow(None if engine is None else engine.session)

    def _show(self, *, again: bool = False) -> None:
        """Show the newest state, where it differs from what is drawn."""
        self._follow()
        state = State() if self.engine is None else self.engine.session.state
        found = state.exploration
        self.start.setEnabled(state.case is not None)
        self.stop.setEnabled(found is not None and found.running)
        for button in (self.png, self.csv):
            button.setEnabled(found is not None and bool(found.points))
        say(self._said, NO_PANEL if self.engine is None else said_of(state))
        here = found is not None and state.place == found.sweep.place
        if (found, here) == self._drawn and not again:
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


def _to_bottom(dock: QDockWidget) -> None:
    """Move a dock below the canvas, unless the user has let it float."""
    window = dock.parent() if isalive(dock) else None  # type: ignore[no-untyped-call]
    if isinstance(window, QMainWindow) and not dock.isFloating():
        # Beside the panel, not below it: its sliders need the window's whole height.
        window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
        window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)


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
