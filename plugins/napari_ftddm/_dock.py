"""A small window beside the panel that follows its session: what docks have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from ftddm_core.errors import FtddmError
from ftddm_viewer.session.messages import error_words
from ftddm_viewer.session.state import State
from napari_ftddm._engine import Engine, engine_in, panels
from napari_ftddm._parts import column, say, text
from napari_ftddm._relay import Relay
from napari_ftddm._sides import unwrapped

if TYPE_CHECKING:
    from napari import Viewer

WITHOUT_PANEL = "Open the panel FTDDM first (Plugins > FTDDM), then press here again."


class Dock(QWidget):
    """Shows the states of the session that runs in a viewer, if one does.

    A subclass lays its widgets out in `self.inside`, and shows states in `show_state`.

    Attributes
    ----------
    height_wanted
        Height in pixels below the images.
    engine
        What runs the viewer's panel; None without one.
    problem
        Shows what went wrong with the last command.
    """

    height_wanted = 60

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self.viewer = unwrapped(viewer)
        self.engine: Engine | None = None
        self._docked = False
        self._mover = QTimer(self)
        self._mover.setSingleShot(True)
        self._mover.timeout.connect(self._move)
        self._relay = Relay(self._apply)
        self.inside = QWidget()
        self.problem = text()
        self.problem.setStyleSheet("color: #ff6b61; font-weight: bold;")
        layout = column(self)
        layout.setContentsMargins(8, 4, 8, 4)
        layout.addWidget(self.problem)
        layout.addWidget(self.inside, 1)
        say(self.problem, "")
        # A method of this widget would not be called any more: the relay's is.
        self.destroyed.connect(self._relay.close)
        panels.changed.connect(self._relay.post)

    def follow(self) -> Engine | None:
        """Follow the session of the viewer's panel from now on; return its engine, if any."""
        engine = engine_in(self.viewer)
        if engine is not self.engine:
            self.engine = engine
            self._relay.follow(None if engine is None else engine.session)
            self._show_newest()
        say(self.problem, WITHOUT_PANEL if engine is None else "")
        return engine

    def do(self, command: Callable[[Engine], Any]) -> None:
        """Run a command on the engine; an error of the user's is shown."""
        engine = self.follow()
        if engine is None:
            return
        try:
            command(engine)
        except (FtddmError, OSError) as error:
            say(self.problem, error_words(error) or "")
        self._relay.post()

    def _apply(self) -> None:
        if engine_in(self.viewer) is not self.engine:  # the panel was opened or closed
            self.follow()
        else:
            self._show_newest()

    def _show_newest(self) -> None:
        self.show_state(State() if self.engine is None else self.engine.session.state)

    def show_state(self, state: State) -> None:
        """Show a state; on the main thread."""

    def _move(self) -> None:
        """Go below the images: at the right, where napari puts it, there is no room for more."""
        dock: Any = self
        while dock is not None and not isinstance(dock, QDockWidget):
            dock = dock.parent()
        window = None if dock is None else dock.parent()
        if dock is not None and isinstance(window, QMainWindow):
            right = Qt.DockWidgetArea.RightDockWidgetArea
            docks = window.findChildren(QDockWidget)
            beside = [d for d in docks if window.dockWidgetArea(d) == right and d is not dock]
            widths = [each.width() for each in beside]
            # Beside the panel, not below it: its sliders need the window's whole height.
            window.setCorner(Qt.Corner.BottomRightCorner, right)
            window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
            self.inside.show()
            dock.show()
            window.resizeDocks([dock], [self.height_wanted], Qt.Orientation.Vertical)
            window.resizeDocks(beside, widths, Qt.Orientation.Horizontal)
        self.inside.show()

    def event(self, event: QEvent | None) -> bool:
        """Stop following when the dock is closed: napari keeps the widget."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                if not self._docked:
                    self.inside.hide()  # or it would widen the window
                    self._mover.start()
                self._docked = True
            elif self._docked:
                self.stop()
        return super().event(event)

    def stop(self) -> None:
        """Follow nothing any more."""
        self._relay.close()
        panels.changed.disconnect(self._relay.post, missing_ok=True)
        self._mover.stop()
        self.engine = None
