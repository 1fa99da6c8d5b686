"""A state that is replaced under a lock, and announced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
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
        Emitted with the old and the new state, on the thread that made the change; see `hear`.
    """

    changed = Signal(object, object)

    def __init__(self) -> None:
        self.state = State()
        self._lock = RLock()

    def hear(self, listener: Callable[[State, State], object]) -> Callable[[], None]:
        """Have a listener called with the old and the new state of every change.

        The session keeps it: psygnal alone holds methods weakly, and an emission fails where one
        is collected on another thread meanwhile.

        Returns
        -------
        Callable
            Call it to end this.
        """

        def heard(old: State, new: State) -> None:
            listener(old, new)

        self.changed.connect(heard)
        return partial(self.changed.disconnect, heard, missing_ok=True)

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
