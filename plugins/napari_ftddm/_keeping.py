"""Keeping and reopening a session, with how its layers are displayed; and copying it as text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFileDialog

from ftddm_viewer.session.keeping import ENDING, keep, named, reopen
from ftddm_viewer.session.kept_file import Kept
from ftddm_viewer.session.repeating import as_command, as_python
from ftddm_viewer.session.state import Activity, State
from napari_ftddm._display import display, display_of, managed
from napari_ftddm._reporting import ask_for_report, write_report

if TYPE_CHECKING:
    from napari import Viewer

    from ftddm_viewer.session.case import Case
    from ftddm_viewer.session.session import Session
    from napari_ftddm._hands import Hands
    from napari_ftddm._panel import Panel

Do = Callable[[Callable[[], Any]], None]

FILTER = f"FTDDM session (*{ENDING})"


class Keeping:
    """The commands about a session as a file or as text.

    Parameters
    ----------
    do
        Runs a command, and shows the words that it returns or those of its errors.
    hands
        Where the actions are offered.
    """

    def __init__(
        self, viewer: Viewer, panel: Panel, session: Session, do: Do, hands: Hands
    ) -> None:
        self._viewer, self._panel, self._session, self._do = viewer, panel, session, do
        self._wanted: Wanted | None = None
        for name, call in (
            ("keep", self._keep),
            ("reopen", self._reopen),
            ("report", self._report),
            ("copy_command", lambda: self._copy(as_command, "The command")),
            ("copy_python", lambda: self._copy(as_python, "The script")),
        ):
            hands.on(name, call)
        panel.reopen.clicked.connect(lambda *_: self._reopen())

    # ---- commands

    def open(self, path: Path) -> None:
        """Reopen a kept session."""
        self._do(lambda: self._open(path))

    def _keep(self) -> None:
        case = self._session.state.case
        if case is None:
            return
        chosen, _ = QFileDialog.getSaveFileName(
            self._panel, "Keep the session in", f"{case.label}{ENDING}", FILTER
        )
        if chosen:
            self._do(lambda: self._keep_in(Path(chosen)))

    def _keep_in(self, path: Path) -> str:
        display = display_of(self._viewer) | {"linked": self._panel.link.isChecked()}
        return f"The session is kept in {keep(self._session, named(path), display)}."

    def _reopen(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(
            self._panel, "Reopen a kept session", "", f"{FILTER};;All files (*)"
        )
        if chosen:
            self.open(Path(chosen))

    def _open(self, path: Path) -> None:
        before = self._session.state.case
        self._wanted = None
        self._wanted = Wanted(reopen(self._session, path), before)

    def _report(self) -> None:
        path = ask_for_report(self._panel, self._session)
        if path is not None:
            self._do(lambda: write_report(self._viewer, self._session, path))

    def _copy(self, text_of: Callable[..., str], what: str) -> None:
        if self._session.state.case is not None:
            self._do(lambda: self._copied(text_of, what))

    def _copied(self, text_of: Callable[..., str], what: str) -> str:
        text = text_of(self._session.state, self._session.model)
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(text)
        return f"{what} is on the clipboard."

    # ---- the display of a reopened session

    def shown(self, state: State) -> None:
        """Display layers as they were kept, once each is there; called after every change."""
        wanted = self._wanted
        if wanted is None:
            return
        if state.case is wanted.before:
            if state.activity is Activity.IDLE:  # it did not open
                self._wanted = None
            return
        if wanted.fits(state):
            self._panel.link.setChecked(wanted.kept.display.get("linked") is not False)
            wanted.apply(self._viewer)
            if state.activity is Activity.IDLE:
                self._wanted = None


class Wanted:
    """What is still to be displayed as it was kept."""

    def __init__(self, kept: Kept, before: Case | None) -> None:
        self.kept, self.before = kept, before
        layers = kept.display.get("layers")
        self._layers = dict(layers) if isinstance(layers, dict) else {}

    def fits(self, state: State) -> bool:
        """Return whether what was chosen in the session is chosen and prepared."""
        view, case = state.view, state.case
        if view is None or case is None:
            return False
        chosen = self.kept.view(case)
        mode = chosen.get("mode", state.mode)
        metabolite = chosen.get("metabolite", state.metabolite)
        return view.prepared.mode is mode and (state.mode, state.metabolite) == (mode, metabolite)

    def apply(self, viewer: Viewer) -> None:
        """Display every layer that is there for the first time."""
        for role, layer in managed(viewer).items():
            how = self._layers.pop(role, None)
            if isinstance(how, dict):
                display(layer, how)
