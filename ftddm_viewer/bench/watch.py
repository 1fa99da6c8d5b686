"""Watching a real session from outside: when pictures arrive, and how many chains run at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ftddm_core.errors import FtddmError
from ftddm_core.sampling.result import Update
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.state import State

PATIENCE = 600.0
"""Seconds after which a picture is not waited for any more."""


class Run(NamedTuple):
    """A chain, by `time.perf_counter`.

    Parameters
    ----------
    begin, end
        When it began and ended.
    steps
        When each of its steps began: it had asked whether to stop, and was not to.
    """

    begin: float
    end: float
    steps: Sequence[float] = ()


class WatchedModel(Model):
    """A model that notes when every chain began and ended, and how many ran at once.

    Attributes
    ----------
    runs
        Every chain that ended.
    begun, most
        Chains that began, and the most that ran at the same time.
    """

    def __init__(self, weights: str, device: str) -> None:
        super().__init__(weights, device)
        self._counting = threading.Lock()
        self._alive = 0
        self.forget()

    def forget(self) -> None:
        """Begin to count anew."""
        self.runs: list[Run] = []
        self.begun = self.most = 0

    def sample(self, *args: Any, cancelled: Callable[[], bool], **words: Any) -> Iterator[Update]:
        """Yield what `Model.sample` does."""
        start, steps = time.perf_counter(), list[float]()

        def asked() -> bool:
            if stop := cancelled():
                return stop
            steps.append(time.perf_counter())
            return False

        with self._counting:
            self.begun += 1
            self._alive += 1
            self.most = max(self.most, self._alive)
        try:
            yield from super().sample(*args, cancelled=asked, **words)
        finally:
            with self._counting:
                self._alive -= 1
                self.runs.append(Run(start, time.perf_counter(), steps))


@dataclass(frozen=True)
class Arrival:
    """A picture of what is looked at.

    Parameters
    ----------
    time
        When it came, by `time.perf_counter`.
    fits
        Whether it was made with what was chosen at that moment.
    final
        Whether it is the result, and not a running estimate.
    """

    time: float
    fits: bool
    final: bool


class Watch:
    """Notes every picture that a session shows.

    Attributes
    ----------
    arrivals
        Since the last move that was `timed`, or since the beginning.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.arrivals: list[Arrival] = []
        session.changed.connect(self._note)

    def _note(self, old: State, new: State) -> None:
        now, picture = time.perf_counter(), new.picture
        if picture is not None and picture is not old.picture:
            self.arrivals.append(Arrival(now, new.fitting_view() is not None, picture.final))

    def timed(self, move: Callable[[], object]) -> tuple[float, float]:
        """Return seconds from a move to the first and to the final picture that fit it."""
        self.arrivals.clear()
        start = time.perf_counter()
        move()
        end = self.settled()
        return next(a.time for a in self.arrivals if a.fits) - start, end - start

    def settled(self) -> float:
        """Wait for the work to end; return when the final picture came.

        Raises
        ------
        FtddmError
            If it did not come, with the session's own words.
        """
        ended = self.session.wait(PATIENCE)
        final = [arrival for arrival in self.arrivals if arrival.fits and arrival.final]
        if not (ended and final):
            problem = self.session.state.error or f"No final picture within {PATIENCE:g} s."
            raise FtddmError(problem)
        return final[-1].time
