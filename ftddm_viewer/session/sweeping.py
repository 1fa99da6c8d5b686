"""The part of a session that sweeps settings while nothing else is to be done."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ftddm_core.errors import Cancelled
from ftddm_core.imaging.io.limits import OWN, Limits
from ftddm_core.settings import Value
from ftddm_viewer.session.exploration import BoolArray, Exploration
from ftddm_viewer.session.exploring import Explorer, sweep_of
from ftddm_viewer.session.jobs import Jobs, Token, Work
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.pace import work_of
from ftddm_viewer.session.preparing import Preparing


class Sweeping(Preparing):
    """Adds a sweep to a session.

    Any job takes over at once, as it does from the self-check; the sweep goes on afterwards. The
    image at the chosen settings is measured first, also after the sweep has ended.
    """

    _jobs: Jobs
    _wanted: dict[str, Any]

    def __init__(
        self, model: Model, limits: Limits = OWN, longest_unasked: float = math.inf
    ) -> None:
        super().__init__(model, limits, longest_unasked)
        self._explorer: Explorer | None = None

    @property
    def exploring(self) -> bool:
        """Whether a point is computed now or as soon as nothing else is."""
        due = self._explorer is not None and self._explorer.due(self.state) is not None
        return due and not self.state.error

    def long_sweep(self, values: Mapping[str, Sequence[Value]]) -> float:
        """Return how many seconds a sweep will take, if that is longer than unasked work may take;
        else 0. Errors as for `explore`."""
        with self._lock:
            sweep = sweep_of(self.state, self._wanted, values)
        work = sum(self._work(point, sweep.prepared, sweep.prepared.mode) for point in sweep.points)
        if not sweep.has_reference:  # each is tried on the acquired matrix, too
            nx, ny = sweep.prepared.acquired.grid.shape[:2]
            work += sum(work_of(point, (nx, ny)) for point in sweep.points)
        return self._if_long(work)

    def explore(
        self, values: Mapping[str, Sequence[Value]], *, region: BoolArray | None = None
    ) -> None:
        """Sweep settings on the slice that is shown, while the session is idle; see `sweep_of`."""
        with self._changing():
            sweep = sweep_of(self.state, self._wanted, values, region)
            self._explorer = Explorer(sweep, self._recall, lambda: self._too_long() > 0)
            self._replace(error="", exploration=Exploration(sweep))
            self._explore_later()

    def stop_exploring(self) -> None:
        """Stop the sweep; computed points stay."""
        with self._changing():
            if self.state.exploration is not None:
                self._replace(exploration=replace(self.state.exploration, running=False))

    def _explore_later(self) -> None:
        """Schedule what an exploration lacks for idle time, unless a self-check comes first."""
        waits = self._explorer is not None and self._explorer.due(self.state) is not None
        if waits and self.state.checking is None:
            self._jobs.start_idle(self._guarded(self._exploring))

    def _exploring(self, token: Token) -> None:
        """Compute what the exploration lacks, point by point."""
        self._load(token)
        while (explorer := self._explorer) is not None and explorer.due(self.state) is not None:
            found = explorer.next(self.model, lambda: self.state, token.cancelled)
            with self._changing():
                now = self.state.exploration
                if now is not None and now.sweep is explorer.sweep and found is not None:
                    self._replace(exploration=found(now))
            if token.cancelled():
                raise Cancelled("Superseded.")

    @abstractmethod
    def _guarded(self, job: Work) -> Work: ...
