"""Undo and redo of the settings of a session; nothing else is undone.

A step is one settled change: moves of the same controls that follow each other closely, or while a
front end says that a hand holds the control, are one. Opening a study ends the history: undo never
leads back to settings that were chosen for another study.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from threading import RLock, get_ident
from typing import Any

from psygnal import Signal

from ftddm_core.settings import SamplerSettings
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.state import State

MOST_STEPS = 200
"""How many steps are kept; the oldest go."""

SETTLED = 1.0
"""In s: a control that rests for longer begins another step."""


class History:
    """The settings of a session as they were, and those that were undone.

    Parameters
    ----------
    session
        Whose `changed` it follows; it holds no reference to the history.
    clock
        The time in s.

    Attributes
    ----------
    moved
        Emitted when there is more or less to undo or to redo.
    """

    moved = Signal()

    def __init__(self, session: Session, clock: Callable[[], float] = time.monotonic) -> None:
        self._session, self._clock = session, clock
        self._lock = RLock()
        self._past: list[SamplerSettings] = []
        self._future: list[SamplerSettings] = []
        self._controls: frozenset[str] = frozenset()
        self._last = -SETTLED
        self._held = False
        self._walker: int | None = None
        session.hear(self._follow)

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether an undone step can be made again."""
        return bool(self._future)

    def hold(self) -> None:
        """Begin a step that lasts until `settle`, however long a hand takes."""
        self.settle()
        self._held = True

    def settle(self) -> None:
        """End the step: the next change begins another."""
        with self._lock:
            self._held = False
            self._controls = frozenset()

    def undo(self) -> None:
        """Return to the settings before the last step; nothing where there is none.

        Raises
        ------
        SettingsError
            If the session refuses now; the step stays to be undone.
        """
        self._walk(self._past, self._future)

    def redo(self) -> None:
        """Make the step again that was undone last; nothing where there is none.

        Raises
        ------
        SettingsError
            If the session refuses now; the step stays to be made again.
        """
        self._walk(self._future, self._past)

    def _walk(self, source: list[SamplerSettings], target: list[SamplerSettings]) -> None:
        with self._lock:
            if not source:
                return
            wanted, now = source[-1], self._session.state.settings
            self._walker = get_ident()
        try:  # not under the lock: the session has one of its own
            _turn(self._session, wanted)
        finally:
            self._walker = None
        with self._lock:
            if source and source[-1] is wanted:  # no study was opened meanwhile
                source.pop()
                target.append(now)
            self.settle()
        self.moved.emit()

    def _follow(self, old: State, new: State) -> None:
        with self._lock:
            if new.case is not old.case:
                self._past.clear()
                self._future.clear()
                self.settle()
            elif new.settings != old.settings and self._walker != get_ident():
                self._add(old.settings, new.settings)
            else:
                return
        self.moved.emit()

    def _add(self, before: SamplerSettings, after: SamplerSettings) -> None:
        controls, now = frozenset(differences(before, after)), self._clock()
        goes_on = self._held or now - self._last < SETTLED
        # A drag of T_trunc takes the steps along only below them.
        alike = bool(self._controls) and (self._held or not controls.isdisjoint(self._controls))
        self._last, self._future[:] = now, []
        if goes_on and alike and self._past:
            self._controls |= controls
            if self._past[-1] == after:  # back where it began: no step
                self._past.pop()
                self._controls = frozenset()
            return
        self._past[:] = [*self._past, before][-MOST_STEPS:]
        self._controls = controls


def differences(before: SamplerSettings, after: SamplerSettings) -> Mapping[str, Any]:
    """Return name -> new value of the settings that differ."""
    old = before.to_dict()
    return {name: value for name, value in after.to_dict().items() if value != old[name]}


def _turn(session: Session, wanted: SamplerSettings) -> None:
    """Let a session take settings, as a user would: steps follow T_trunc where they did."""
    changes = dict(differences(session.state.settings, wanted))
    if {"steps", "t_trunc"} <= changes.keys():
        steps = changes.pop("steps")
        session.update(**changes)
        if session.state.settings.steps == steps:
            return
        changes["steps"] = steps
    session.update(**changes)
