"""The dock widget "FTDDM": a panel with live controls, and the engine that runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from ftddm_viewer.session.model import Model
from ftddm_viewer.session.session import Session
from napari_ftddm._engine import Engine, engine_in
from napari_ftddm._panel import Panel
from napari_ftddm._parts import column, text
from napari_ftddm._preferences import preferences

if TYPE_CHECKING:
    import napari

SECOND = (
    "FTDDM is open in this viewer already: use its other panel, and close this one. If the other "
    "one was closed meanwhile, close this one too and open it again."
)


class FtddmWidget(QWidget):
    """Sharpen the maps of the study that is open in a viewer.

    There is one panel in a viewer: a later widget only says so, and its attributes are the first's.

    Attributes
    ----------
    session
        What is open, chosen, shown and computed.
    panel
        The widgets.
    engine
        What connects them with the viewer.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._docked = False
        first = engine_in(napari_viewer)
        self._second = first is not None
        if first is not None:
            self.engine, self.session, self.panel = first, first.session, first.panel
            words = text()
            words.setText(SECOND)
            column(self).addWidget(words)
            return
        self.panel = Panel()
        # It fills the dock's height; otherwise napari would push it up with a stretch below.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.panel)
        wanted = preferences()
        model = Model(wanted.weights, wanted.device, half=wanted.half)
        self.session = Session(model, remembers=True)
        self.engine = Engine(napari_viewer, self.panel, self.session, wanted)
        # A method of this widget would not be called any more: the engine's is.
        self.destroyed.connect(self.engine.stop)

    def event(self, event: QEvent | None) -> bool:
        """Stop when the dock is closed: napari lets go of the widget then, but keeps it."""
        if event is not None and event.type() == QEvent.Type.ParentChange and not self._second:
            if self.parent() is not None:
                self._docked = True
            elif self._docked:
                self.engine.stop()
        return super().event(event)
