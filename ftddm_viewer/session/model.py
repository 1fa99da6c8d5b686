"""The networks behind the faces: loaded on first use, shared by every session."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from threading import Condition as Change
from threading import Lock
from typing import TYPE_CHECKING

from ftddm_core.imaging.volume import Study
from ftddm_core.settings import SamplerSettings
from ftddm_viewer.session.jobs import apart

if TYPE_CHECKING:  # torch takes seconds to import
    from ftddm_core.sampling.condition import Condition
    from ftddm_core.sampling.recall import Recall
    from ftddm_core.sampling.resolver import SuperResolver
    from ftddm_core.sampling.result import Update
    from ftddm_core.sampling.self_check import SelfCheck

FRAME = 1 / 30
"""In s: least time between two running estimates that are shown."""

SLICES_CHECKED = 2
"""That go through the networks together in a self-check on a CPU: it gives way after every step."""

GLANCE = 0.05
"""In s: how often a self-check that has given way looks whether it is still wanted."""


class Model:
    """Weights that are loaded when they are first needed.

    Parameters
    ----------
    weights
        Name or folder.
    device
        "auto", "cpu", "cuda" or "mps".
    half
        Whether they compute in half precision, on a GPU; see `SuperResolver`.
    """

    def __init__(self, weights: str = "small", device: str = "auto", *, half: bool = False) -> None:
        self.weights = weights
        self.device = device
        self.half = half
        self._resolver: SuperResolver | None = None
        self._loading = Lock()
        self._turns = _Turns()

    @property
    def loaded(self) -> bool:
        """Whether the networks are in memory."""
        return self._resolver is not None

    @property
    def place(self) -> str:
        """The device in use, "" until the networks are loaded."""
        return "" if self._resolver is None else self._resolver.where

    def load(self) -> SuperResolver:
        """Return the resolver, loading it first where that is still to be done.

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
        return SuperResolver.load(self.weights, self.device, half=self.half)

    def usual_upscale(self, study: Study) -> float:
        """Return the factor that brings a study's voxels nearest to the trained ones."""
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
        """Yield what `SuperResolver.sample` does, as fast as eyes can follow.

        Sessions at work together take turns by picture.
        """
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
                with self._turns.step:
                    update = next(updates, None)
                if update is None:
                    return
                yield update

    def check(
        self,
        study: Study,
        *,
        progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> SelfCheck:
        """Return what `SuperResolver.check` does; the pictures of every session go first.

        Cancelled, it goes on where it stopped when it is asked for again.
        """
        resolver = self.load()
        batch = SLICES_CHECKED if resolver.device.type == "cpu" else None

        def stop() -> bool:
            self._turns.give_way(cancelled)
            return cancelled()

        with self._turns.step:
            return resolver.check(study, progress=progress, cancelled=stop, batch=batch)


class _Turns:
    """Who may use the networks now.

    Attributes
    ----------
    step
        Held for one step of a picture, and between two looks around by whatever can wait.
    """

    def __init__(self) -> None:
        self.step = Lock()
        self._change = Change()
        self._wanted = 0

    @contextmanager
    def wanted(self) -> Iterator[None]:
        """Have what can wait give way as long as this block lasts."""
        with self._change:
            self._wanted += 1
        try:
            yield
        finally:
            with self._change:
                self._wanted -= 1
                self._change.notify_all()

    def give_way(self, cancelled: Callable[[], bool]) -> None:
        """Let go of `step`, which the caller holds, until no picture is wanted any more."""
        if not self._wanted:
            return
        self.step.release()
        try:
            with self._change:
                while self._wanted and not cancelled():
                    self._change.wait(GLANCE)
        finally:
            self.step.acquire()
