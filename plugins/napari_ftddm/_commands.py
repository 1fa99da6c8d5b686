"""What the keys and buttons of a panel do, each in a line or two."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari_ftddm._hands import Hands
from napari_ftddm._help import HelpBox

if TYPE_CHECKING:
    from napari import Viewer

    from ftddm_viewer.session.session import Session
    from napari_ftddm._panel import Panel

Do = Callable[[Callable[[], Any]], None]


class Commands:
    """The actions that a panel offers.

    Parameters
    ----------
    do
        Runs a command of the session, and shows the words of its errors.

    Attributes
    ----------
    hands
        Where actions are added: `hands.on(name, call)`.
    """

    def __init__(self, viewer: Viewer, panel: Panel, session: Session, do: Do) -> None:
        self._panel, self._session, self._do = panel, session, do
        self._help: HelpBox | None = None
        self.hands = Hands(viewer, panel.toolbar)
        self._add("update", session.refresh)
        self._add("cancel", session.cancel)
        self._add("next_slice", lambda: self._slice(1))
        self._add("previous_slice", lambda: self._slice(-1))
        self._add("next_metabolite", lambda: self._metabolite(1))
        self._add("previous_metabolite", lambda: self._metabolite(-1))
        self._add("detail", session.toggle_detail)
        self.hands.on("help", self.explain)

    def explain(self) -> None:
        """Open the help box."""
        if self._help is None:
            self._help = HelpBox(self._panel)
        self._help.show()
        self._help.raise_()

    def close(self) -> None:
        """Give the keys back."""
        self.hands.close()

    def _add(self, name: str, command: Callable[[], Any]) -> None:
        """Let an action run a command on the open study; without one it does nothing."""

        def call() -> None:
            if self._session.state.case is not None:
                self._do(command)

        self.hands.on(name, call)

    def _slice(self, step: int) -> None:
        state = self._session.state
        if state.case is not None:
            last = state.case.study.grid.shape[2] - 1
            self._session.choose(slice_index=min(max(state.slice_index + step, 0), last))

    def _metabolite(self, step: int) -> None:
        state = self._session.state
        if state.case is not None:
            names = list(state.case.study.maps)
            index = (names.index(state.metabolite) + step) % len(names)
            self._session.choose(metabolite=names[index])
