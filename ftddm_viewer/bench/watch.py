"""Observing a real session: when images arrive, and how many chains run at once."""

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
"""Longest wait for an image, in seconds."""


class Run(NamedTuple):
    """A chain, by `time.perf_counter`.

    Parameters
    ----------
    begin, end
        Start and end of the chain.
    steps
        Start of each step, right after the check for cancellation.
    """

    begin: float
    end: float
    steps: Sequence[float] = ()


class WatchedModel(Model):
    """A model that records when every chain began and ended, and how many ran at once.

    Attributes
    ----------
    runs
        All chains that have ended.
    begun, most
        Number of chains started, and the most that ran at the same time.
    """

    def __init__(self, weights: str, device: str) -> None:
        super().__init__(weights, device)
        self._counting = threading.Lock()
        self._alive = 0
        self.forget()

    def forget(self) -> None:
        """Reset all counts."""
        self.runs: list[Run] = []
        self.begun = self.most = 0

    def sample(self, *args: Any, cancelled: Callable[[], bool], **words: Any) -> Iterator[Update]:
        """Yield the updates of `Model.sample`."""
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
    """An image of the selected map and slice.

    Parameters
    ----------
    time
        When it arrived, by `time.perf_counter`.
    fits
        Whether it was computed with the settings of that moment.
    final
        Whether it is the result, and not a running estimate.
    """

    time: float
    fits: bool
    final: bool


class Watch:
    """Records every image that a session shows.

    Attributes
    ----------
    arrivals
        Images since the last `timed` move, or since the start.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.arrivals: list[Arrival] = []
        session.hear(self._note)

    def _note(self, old: State, new: State) -> None:
        now, image = time.perf_counter(), new.image
        if image is not None and image is not old.image:
            self.arrivals.append(Arrival(now, new.fitting_view() is not None, image.final))

    def timed(self, move: Callable[[], object]) -> tuple[float, float]:
        """Return the seconds from a move to the first and to the final matching image."""
        self.arrivals.clear()
        start = time.perf_counter()
        move()
        end = self.settled()
        return next(a.time for a in self.arrivals if a.fits) - start, end - start

    def settled(self) -> float:
        """Wait for the work to end; return when the final image arrived.

        Raises
        ------
        FtddmError
            If it did not arrive, with the session's message.
        """
        ended = self.session.wait(PATIENCE)
        final = [arrival for arrival in self.arrivals if arrival.fits and arrival.final]
        if not (ended and final):
            problem = self.session.state.error or f"No final image within {PATIENCE:g} s."
            raise FtddmError(problem)
        return final[-1].time
