"""Whose turn it is at the networks, which compute a few steps at a time, in one batch.

An image that nobody has seen anything of goes first; its later steps and the images at T_trunc
make room for the first of another session, but not for longer than `LATER`. Idle work is done while
no session waits for an image.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from threading import Condition, Lock
from time import monotonic

from ftddm_core.errors import Cancelled

LATER = 1.0
"""In s: by how much a step that only refines an image lets those of first images go before."""

GLANCE = 0.05
"""In s: how often idle work that waits for its turn tests whether it was cancelled."""


class Turns:
    """Access to the networks. Thread-safe.

    Parameters
    ----------
    now
        Returns the time, in s.

    Attributes
    ----------
    room
        How many may have their turn at the same time.
    """

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self.room = 1
        self._now = now
        self._idle = Lock()
        self._change = Condition()
        self._numbers = count()
        self._line: list[tuple[float, int]] = []
        self._taken = self._first = 0
        self._wanted = 0

    @contextmanager
    def step(self, later: float = 0.0) -> Iterator[None]:
        """Have the networks for this block: one step of an image, or idle work until it gives way.

        Parameters
        ----------
        later
            Seconds by which those that come afterwards may go before.
        """
        self._take(later)
        try:
            yield
        finally:
            self._leave(later)

    def _take(self, later: float = 0.0) -> None:
        with self._change:
            mine = (self._now() + later, next(self._numbers))
            heapq.heappush(self._line, mine)
            self._change.wait_for(lambda: self._line[0] == mine and self._admits(later))
            heapq.heappop(self._line)
            self._taken += 1
            self._first += not later
            self._change.notify_all()

    def _admits(self, later: float) -> bool:
        """Return whether there is room: what only refines would slow down the first images that
        it is computed with, and waits for them unless it has waited for long."""
        beside = not (later and self._first) or self._line[0][0] <= self._now()
        return self._taken < self.room and beside

    def _leave(self, later: float = 0.0) -> None:
        with self._change:
            self._taken -= 1
            self._first -= not later
            self._change.notify_all()

    @contextmanager
    def wanted(self) -> Iterator[None]:
        """Let idle work yield for the duration of this block."""
        with self._change:
            self._wanted += 1
        try:
            yield
        finally:
            with self._change:
                self._wanted -= 1
                self._change.notify_all()

    @contextmanager
    def idle(self, cancelled: Callable[[], bool]) -> Iterator[None]:
        """Wait until no other idle work is being done, which may take long; then keep it out."""
        while not self._idle.acquire(timeout=GLANCE):
            if cancelled():
                raise Cancelled("Superseded.")
        try:
            with self.step():
                yield
        finally:
            self._idle.release()

    def give_way(self, cancelled: Callable[[], bool]) -> None:
        """Within `idle`: let all images be computed that are waited for, unless cancelled."""
        if not self._wanted:
            return
        self._leave()
        try:
            with self._change:
                while self._wanted and not cancelled():
                    self._change.wait(GLANCE)
        finally:
            self._take()
