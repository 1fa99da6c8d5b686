"""A state that is replaced under a lock, and announced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import RLock
from typing import Any

from psygnal import Signal

from ftddm_core.errors import Cancelled, SettingsError
from ftddm_viewer.session.jobs import Token
from ftddm_viewer.session.state import Activity, State


class Holder:
    """Holds the state of a `Session`.

    Attributes
    ----------
    state
        The current state; never changed, only replaced.
    changed
        Emitted with the old and the new state, on the thread that made the change.
    """

    changed = Signal(object, object)

    def __init__(self) -> None:
        self.state = State()
        self._lock = RLock()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock, then emit exactly the change that was made under it."""
        with self._lock:
            old = self.state
            yield
            new = self.state
        if new is not old:
            self.changed.emit(old, new)

    def _replace(self, **changes: Any) -> None:
        """Replace the state; to be called under the lock."""
        self.state = replace(self.state, **changes).aligned()

    def _refuse_during(self, activity: Activity, purpose: str) -> None:
        if self.state.activity is not activity:
            return
        what = "The whole volume is being computed"
        if activity is Activity.OPENING:
            what = "A study is being opened"
        raise SettingsError(f"{what}: cancel it {purpose}, or wait.")

    def _report(self, token: Token, **changes: Any) -> None:
        """Replace the state from a job that was not cancelled.

        Raises
        ------
        Cancelled
            If it was.
        """
        with self._changing():
            if token.cancelled():
                raise Cancelled("Superseded.")
            self._replace(**changes)
