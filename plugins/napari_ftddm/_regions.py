"""The dock "Regions": what is read in a region that the user draws, and in its mirror image."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from ftddm_core.errors import FtddmError
from ftddm_core.saving.files import save_files
from ftddm_viewer.session.region_table import COLUMNS, about, as_csv, rows
from ftddm_viewer.session.regions import (
    SOURCES,
    BoolArray,
    Reading,
    grid_of,
    middle,
    mirrored,
    read,
)
from ftddm_viewer.session.state import Activity, State
from napari_ftddm._dock import Dock
from napari_ftddm._engine import Engine
from napari_ftddm._parts import SMALL, column, ignore_stray_wheel, quiet, row, say, text
from napari_ftddm._region_layers import add_region, chosen_layer, region_in, show_mirror

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer

LINE = 19
"""Height of a row, in pixels."""

PAUSE_MS = 60
"""Time after a change of a shape, until the table follows."""

DRAW_FIRST = "Press Draw, then drag an ellipse over the image; or select a Shapes or Labels layer."


class RegionsDock(Dock):
    """Draw a region and read what it holds.

    Attributes
    ----------
    draw, whole, copy, save
        Buttons: draw a region, compute the whole volume, copy the table, save it.
    compared
        Of which maps the mirror image and lesion/normal are shown.
    plane
        x0 of the plane of the mirror image, in mm.
    table
        One row for every metabolite and ratio.
    reading
        What the table shows.
    """

    height_wanted = 250

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self.reading: Reading | None = None
        self._layer: Layer | None = None
        self._inside: BoolArray | None = None
        self._other: BoolArray | None = None
        self._made_of: tuple[object, ...] = ()
        self._of: object = None
        self.draw, self.whole = QPushButton("Draw"), QPushButton("Compute all")
        self.copy, self.save = QPushButton("Copy"), QPushButton("CSV…")
        self.save.setToolTip("Save the table with every statistic and unit as CSV.")
        self.whole.setToolTip("Compute every slice of every metabolite; see Whole volume.")
        self.compared = QComboBox()
        self.compared.addItems([source.capitalize() for source in SOURCES])
        self.compared.setCurrentIndex(SOURCES.index("output"))
        self.mirror = QCheckBox("Mirror")
        self.mirror.setChecked(True)
        self.mirror.setToolTip("Outline the mirror image.")
        self.plane = QDoubleSpinBox()
        self.plane.setRange(-300.0, 300.0)
        self.plane.setSuffix(" mm")
        self.plane.setDecimals(1)
        self.plane.setKeyboardTracking(False)
        self.centre = QPushButton("Centre")
        self.centre.setToolTip("Put the plane in the middle of the trusted voxels.")
        ignore_stray_wheel(self.compared, self.plane)
        self.words = text(small=True)
        self.table = QTableWidget(0, len(COLUMNS))
        self._lay_out()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PAUSE_MS)
        self._timer.timeout.connect(self.refresh)
        self._connect()
        self.follow()
        self.refresh()

    def _lay_out(self) -> None:
        table, header = self.table, self.table.verticalHeader()
        table.setObjectName("ftddm_regions")
        table.setHorizontalHeaderLabels(COLUMNS)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setMinimumHeight(90)
        if header is not None:
            header.hide()
            header.setMinimumSectionSize(LINE)
            header.setDefaultSectionSize(LINE)
        table.setStyleSheet(SMALL)
        columns = table.horizontalHeader()
        if columns is not None:
            columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            columns.setStretchLastSection(True)
        across = (self.mirror, self.compared, QLabel("at x ="), self.plane, self.centre)
        done = (self.whole, self.copy, self.save)
        layout = column(self.inside)
        layout.addLayout(row(self.draw, *across, QWidget(), *done, stretch=6))
        layout.addWidget(self.words)
        layout.addWidget(table, 1)

    def _connect(self) -> None:
        self.draw.clicked.connect(lambda *_: self.do(self._draw))
        self.whole.clicked.connect(lambda *_: self.do(lambda e: e.session.compute_volume()))
        self.copy.clicked.connect(lambda *_: self.copy_table())
        self.save.clicked.connect(lambda *_: self._save())
        self.compared.activated.connect(lambda *_: self._fill())
        self.mirror.toggled.connect(lambda *_: self.refresh())
        self.plane.valueChanged.connect(lambda *_: self.refresh())
        self.centre.clicked.connect(lambda *_: self._to_centre())
        layers = self.viewer.layers
        layers.events.removed.connect(self._later)
        layers.selection.events.active.connect(self._later)

    # ---- the region

    def _draw(self, engine: Engine) -> None:
        view = engine.session.state.view
        if view is not None:
            add_region(self.viewer, grid_of(view.prepared))

    def _later(self, *_: object) -> None:
        """Read soon what is drawn now."""
        self._made_of = ()
        self._soon()

    def _soon(self) -> None:
        if not self._timer.isActive():  # it would never come while a slider moves
            self._timer.start()

    def _watch(self, layer: Layer | None) -> None:
        """Follow the shapes of a layer instead of those of the one before."""
        if layer is self._layer:
            return
        for each, connect in ((self._layer, False), (layer, True)):
            if each is None:
                continue
            for name in ("data", "set_data", "paint", "labels_update"):
                emitter = getattr(each.events, name, None)
                if emitter is not None and connect:
                    emitter.connect(self._later)
                elif emitter is not None:
                    with suppress(ValueError):
                        emitter.disconnect(self._later)
        self._layer = layer

    def show_state(self, state: State) -> None:
        """Read the region again in the images of a state."""
        view = state.view
        case = None if view is None else view.prepared.case
        if case is not self._of:
            self._of = case
            self._to_centre()
        self._soon()

    def _to_centre(self) -> None:
        view = None if self.engine is None else self.engine.session.state.view
        if view is not None:
            with quiet(self.plane):
                self.plane.setValue(middle(view.prepared))
            self.refresh()

    def refresh(self) -> None:
        """Read the region as it is drawn now, and show what it holds."""
        engine = self.engine
        state = State() if engine is None else engine.session.state
        self._watch(chosen_layer(self.viewer, self._layer))
        self.reading, words = None, DRAW_FIRST
        try:
            self._form(state)
            if self._inside is not None and self._inside.any():
                self.reading = read(state, self._inside, self.plane.value(), mirror=self._other)
        except FtddmError as error:
            words = str(error)
        if self.reading is not None:
            words = about(self.reading, state.metabolite)
        say(self.words, words)
        self._fill()
        free = state.view is not None and state.activity in (Activity.IDLE, Activity.SAMPLING)
        self.draw.setEnabled(state.view is not None)
        self.whole.setEnabled(free)
        for button in (self.copy, self.save):
            button.setEnabled(self.reading is not None)

    def _form(self, state: State) -> None:
        """Form the region and its mirror image, unless they are those of before.

        Raises
        ------
        GeometryError
            If a shape does not lie in one slice.
        """
        view, layer, plane = state.view, self._layer, self.plane.value()
        grid = None if view is None else grid_of(view.prepared)
        wanted = (grid, layer, plane, self.mirror.isChecked())
        if self._made_of == wanted:
            return
        self._inside = self._other = None
        self._made_of = ()  # an error is found, and shown, every time
        try:
            if view is not None and grid is not None and layer is not None:
                self._inside = region_in(layer, grid)
                self._other = mirrored(self._inside, grid, view.prepared.case.frame, plane)
        finally:
            show_mirror(self.viewer, self._other if self.mirror.isChecked() else None, grid)
        self._made_of = wanted

    # ---- the table

    def _fill(self) -> None:
        source = SOURCES[self.compared.currentIndex()]
        cells = [] if self.reading is None else rows(self.reading, source)
        self.table.setRowCount(len(cells))
        for i, line in enumerate(cells):
            for j, words in enumerate(line):
                item = self.table.item(i, j)
                if item is None:
                    self.table.setItem(i, j, QTableWidgetItem(words))
                elif item.text() != words:
                    item.setText(words)

    def written(self, delimiter: str = ",") -> str:
        """Return what was read as text; "" without a region."""
        if self.reading is None or self.engine is None:
            return ""
        return as_csv(self.reading, self.engine.session.state, delimiter)

    def copy_table(self) -> None:
        """Put what was read on the clipboard, for a spreadsheet."""
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.written("\t"))

    def _save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "Save the table as", "regions.csv", "CSV (*.csv)"
        )
        if path:
            self.do(lambda _: self.save_as(Path(path)))

    def save_as(self, path: Path) -> None:
        """Write what was read as CSV; the dialog has asked whether it may be replaced."""
        path = path if path.suffix else path.with_suffix(".csv")
        save_files({path.name: self.written().encode("utf-8-sig")}, path.parent, overwrite=True)

    def stop(self) -> None:
        """Follow nothing any more."""
        super().stop()
        self._timer.stop()
        self._watch(None)
        for emitter in (
            self.viewer.layers.events.removed,
            self.viewer.layers.selection.events.active,
        ):
            with suppress(ValueError):
                emitter.disconnect(self._later)
