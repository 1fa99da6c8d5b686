"""What the keys and buttons of a panel do, each in a line or two."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QSlider

from ftddm_viewer.session.actions import Group
from ftddm_viewer.session.history import History
from ftddm_viewer.session.pins import Pins
from ftddm_viewer.session.presets import defaults
from napari_ftddm._hands import Hands
from napari_ftddm._help import HelpBox
from napari_ftddm._pinned import Pinned
from napari_ftddm._presets import PresetMenu
from napari_ftddm._swipe import STEP
from napari_ftddm._views import Views

if TYPE_CHECKING:
    from napari import Viewer

    from ftddm_viewer.session.session import Session
    from ftddm_viewer.session.state import State
    from napari_ftddm._panel import Panel
    from napari_ftddm._stage import Stage

Do = Callable[[Callable[[], Any]], None]


class Commands:
    """The actions that a panel offers.

    Parameters
    ----------
    do
        Runs a command of the session, and shows the words of its errors.
    changed
        Called, on any thread, when there is something else to be shown.

    Attributes
    ----------
    hands
        Where actions are added: `hands.on(name, call)`.
    views
        From where the layers are seen, and how smooth.
    """

    def __init__(
        self,
        viewer: Viewer,
        panel: Panel,
        session: Session,
        stage: Stage,
        do: Do,
        changed: Callable[[], Any],
    ) -> None:
        self._changed = changed
        self._panel, self._session, self._do = panel, session, do
        self._help: HelpBox | None = None
        self.hands = Hands(viewer, panel.toolbar)
        self._add("update", session.refresh)
        self._add("cancel", session.cancel)
        self._add("next_slice", lambda: self._slice(1))
        self._add("previous_slice", lambda: self._slice(-1))
        self._add("next_metabolite", lambda: self._metabolite(1))
        self._add("previous_metabolite", lambda: self._metabolite(-1))
        self._history = History(session)
        self.hands.on("undo", lambda: do(self._history.undo))
        self.hands.on("redo", lambda: do(self._history.redo))
        self.hands.on("reset", lambda: do(lambda: session.update(**defaults())))
        self._add("detail", session.toggle_detail)
        self._pins = Pins(session)
        self.pinned = Pinned(viewer, stage, self._pins)
        self._pins.changed.connect(changed)
        self._add("pin", self._pins.pin)
        self._add("unpin", self._pins.unpin)
        self._look("flicker", self.pinned.flicker)
        self._look("side_by_side", self.pinned.side_by_side)
        self._look("swipe", self.pinned.swipe)
        self._look("divider_left", lambda: self.pinned.move_divider(-STEP))
        self._look("divider_right", lambda: self.pinned.move_divider(STEP))
        self.views = views = Views(viewer, stage)
        for direction in ("axial", "coronal", "sagittal"):
            self._add(direction, partial(views.turn, direction))
        self._add("smooth", views.switch_interpolation)
        self._add("convention", views.switch_convention)
        self._add("contrast", stage.reset_contrast)
        self._presets = PresetMenu(panel.toolbar.menus[Group.SETTINGS], panel, session, do)
        for slider in panel.form.native.findChildren(QSlider):  # a drag is one step
            slider.sliderPressed.connect(self._history.hold)
            slider.sliderReleased.connect(lambda: do(self._history.settle))
        self.hands.on("help", self.explain)

    def explain(self) -> None:
        """Open the help box."""
        if self._help is None:
            self._help = HelpBox(self._panel)
        self._help.show()
        self._help.raise_()

    def show_state(self, state: State) -> None:
        """Show the pins, and let the buttons act that can do something now."""
        self.pinned.show_state(state)
        image = state.image
        self._panel.toolbar.enable("pin", image is not None and image.final)
        self._panel.toolbar.enable("side_by_side", bool(self._pins.pins))
        self._panel.toolbar.enable("swipe", bool(self._pins.pins))
        self._panel.toolbar.enable("undo", self._history.can_undo)
        self._panel.toolbar.enable("redo", self._history.can_redo)

    def close(self) -> None:
        """Give the keys back."""
        self.hands.close()
        self.views.close()
        self.pinned.close()

    def _add(self, name: str, command: Callable[[], Any]) -> None:
        """Let an action run a command on the open study; without one it does nothing."""

        def call() -> None:
            if self._session.state.case is not None:
                self._do(command)

        self.hands.on(name, call)

    def _look(self, name: str, look: Callable[[], Any]) -> None:
        """Let an action change what is seen, and the words on it."""

        def call() -> None:
            if self._session.state.case is not None:
                look()
                self._changed()

        self.hands.on(name, call)

    def _slice(self, step: int) -> None:
        state = self._session.state
        if state.case is not None and self.views.turned(state.case.frame.axis):
            self.views.step(step)
        elif state.case is not None:
            last = state.case.study.grid.shape[2] - 1
            self._session.choose(slice_index=min(max(state.slice_index + step, 0), last))

    def _metabolite(self, step: int) -> None:
        state = self._session.state
        if state.case is not None:
            names = list(state.case.study.maps)
            index = (names.index(state.metabolite) + step) % len(names)
            self._session.choose(metabolite=names[index])
