"""The networks behind the faces: loaded on first use, shared by every session."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from threading import Lock
from typing import TYPE_CHECKING

from ftddm_core.imaging.volume import Study
from ftddm_core.settings import SamplerSettings
from ftddm_viewer.jobs import apart

if TYPE_CHECKING:  # torch takes seconds to import
    from ftddm_core.sampling.condition import Condition
    from ftddm_core.sampling.recall import Recall
    from ftddm_core.sampling.resolver import SuperResolver
    from ftddm_core.sampling.result import Update

FRAME = 1 / 30
"""In s: least time between two running estimates that are shown."""


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
        self._stepping = Lock()

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
            slices=slices,
            first=first,
            cancelled=cancelled,
            every=FRAME,
            recall=recall,
        )
        while True:
            with self._stepping:
                update = next(updates, None)
            if update is None:
                return
            yield update
