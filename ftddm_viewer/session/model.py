"""The networks of the front ends: loaded on first use, shared by all sessions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from ftddm_core.imaging.memory import plannable
from ftddm_core.imaging.volume import Study
from ftddm_core.settings import SamplerSettings
from ftddm_viewer.session.jobs import apart
from ftddm_viewer.session.pace import Pace, work_of
from ftddm_viewer.session.turns import LATER, Turns

if TYPE_CHECKING:  # torch takes seconds to import
    from ftddm_core.sampling.condition import Condition
    from ftddm_core.sampling.recall import Recall
    from ftddm_core.sampling.resolver import SuperResolver
    from ftddm_core.sampling.result import Start, Update
    from ftddm_core.sampling.self_check import SelfCheck

T = TypeVar("T")
Idle = Callable[["SuperResolver", Callable[[], bool]], T]

FRAME = 1 / 30
"""In s: shortest time between two running estimates that are shown."""

SLICES_CHECKED = 2
"""Slices per batch in a self-check on a CPU: it yields after every step."""


class Model:
    """Weights that are loaded on first use.

    Parameters
    ----------
    weights
        Name or folder.
    device
        "auto", "cpu", "cuda" or "mps".
    half
        Whether to compute in half precision, on a GPU; see `SuperResolver`.
    memory
        Returns the bytes that one slice may take on a CPU.
    together
        How many sessions may compute at once; see `SuperResolver`.

    Attributes
    ----------
    pace
        How fast images were computed.
    checks
        Study -> its self-check, if any session has made it.
    """

    def __init__(
        self,
        weights: str = "small",
        device: str = "auto",
        *,
        half: bool = False,
        memory: Callable[[], float] = plannable,
        together: int = 1,
    ) -> None:
        self.weights = weights
        self.device = device
        self.half = half
        self._memory, self._together = memory, together
        self._resolver: SuperResolver | None = None
        self._loading = Lock()
        self._turns = Turns()
        self.checks: WeakKeyDictionary[Study, SelfCheck] = WeakKeyDictionary()
        self.pace = Pace()

    @property
    def loaded(self) -> bool:
        """Whether the networks are in memory."""
        return self._resolver is not None

    @property
    def place(self) -> str:
        """The device in use, "" until the networks are loaded."""
        return "" if self._resolver is None else self._resolver.where

    @property
    def name(self) -> str:
        """The name of the weights: that of their folder."""
        return Path(self.weights).absolute().name

    @property
    def digest(self) -> str:
        """The SHA-256 of the networks in memory, else of their files; see `Weights.digest`."""
        from ftddm_core.model.checkpoint import digest_of

        return digest_of(self.weights) if self._resolver is None else self._resolver.weights.digest

    def unload(self) -> None:
        """Let go of the networks and their memory; they are loaded again when they are needed.

        An image that is being computed keeps them until it is done.
        """
        with self._loading:
            before, self._resolver = self._resolver, None
        if before is not None:
            from ftddm_core.sampling.device import release_memory

            device = before.device
            del before
            release_memory(device)

    def load(self) -> SuperResolver:
        """Return the resolver, loading it first if necessary.

        Raises
        ------
        CheckpointError, SettingsError
            If there are no such weights, or no such device.
        """
        with self._loading:
            if self._resolver is None:
                self._resolver = apart(self._load)
            return self._resolver

    def _load(self) -> SuperResolver:
        from ftddm_core.sampling.device import use_cores
        from ftddm_core.sampling.resolver import SuperResolver

        use_cores()
        resolver = SuperResolver.load(
            self.weights,
            self.device,
            half=self.half,
            memory=self._memory,
            together=self._together,
        )
        self._turns.room = resolver.together
        return resolver

    def usual_upscale(self, study: Study) -> float:
        """Return the factor that brings a study's voxels nearest to the training data's."""
        from ftddm_core.sampling.resolver import settle_upscale

        voxel = self.load().weights.trained_voxel
        return settle_upscale(SamplerSettings(), study, voxel).upscale or 0.0

    def sample(
        self,
        conditions: Iterable[Condition],
        settings: SamplerSettings,
        *,
        check: SelfCheck | None = None,
        slices: Collection[int] | None = None,
        first: int | None = None,
        cancelled: Callable[[], bool],
        recall: Recall | None = None,
    ) -> Iterator[Update]:
        """Yield the updates of `SuperResolver.sample`, limited to a visible rate.

        Concurrent sessions take turns, one step each; first images go before refined ones.
        """
        conditions = list(conditions)
        spent, later = 0.0, 0.0
        updates = self.load().sample(
            conditions,
            settings,
            check=check,
            slices=slices,
            first=first,
            cancelled=cancelled,
            every=FRAME,
            recall=recall,
        )
        with self._turns.wanted():
            while True:
                with self._turns.step(later):
                    start = perf_counter()
                    update = next(updates, None)
                    spent += perf_counter() - start
                later = LATER
                if update is None:
                    break
                yield update
        if conditions:
            nx, ny, nz = conditions[0].shape
            done = len(conditions) * (nz if slices is None else len(slices))
            self.pace.measured(spent, work_of(settings, (nx, ny), done))

    def start_of(
        self,
        condition: Condition,
        settings: SamplerSettings,
        k: int,
        *,
        check: SelfCheck | None = None,
        recall: Recall | None = None,
    ) -> Start:
        """Return the result of `SuperResolver.start`, when it is this image's turn."""
        resolver = self.load()
        with self._turns.wanted(), self._turns.step(LATER):
            return resolver.start(condition, settings, k, check=check, recall=recall)

    def check(
        self,
        study: Study,
        *,
        progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> SelfCheck:
        """Return the result of `SuperResolver.check`; images of all sessions have priority.

        After a cancellation, the next call resumes where it stopped.
        """
        batch = SLICES_CHECKED if self.load().device.type == "cpu" else None
        return self.idly(
            lambda resolver, stop: resolver.check(
                study, progress=progress, cancelled=stop, batch=batch
            ),
            cancelled,
        )

    def idly(self, work: Idle[T], cancelled: Callable[[], bool]) -> T:
        """Run `work(resolver, stop)` while no session waits for an image; return its result.

        Parameters
        ----------
        work
            Asks `stop()` before every step whether to end: meanwhile images get their turn.
        cancelled
            Whether the work is still wanted.

        Raises
        ------
        Cancelled
            If it was not, while another session's idle work was being done.
        """
        resolver = self.load()

        def stop() -> bool:
            self._turns.give_way(cancelled)
            return cancelled()

        with self._turns.idle(cancelled):
            return work(resolver, stop)
