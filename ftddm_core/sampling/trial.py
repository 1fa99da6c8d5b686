"""The self-check of one slice at any settings: what they gain where the truth is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ftddm_core.errors import GeometryError
from ftddm_core.imaging.degrade import coarse_matrix
from ftddm_core.imaging.volume import Study
from ftddm_core.sampling.recall import Recall
from ftddm_core.sampling.self_check import (
    CHECK_FACTOR,
    FEWEST_VOXELS,
    LEAST_MATRIX,
    Held,
    coarse_conditions,
    restore,
)
from ftddm_core.settings import SamplerSettings

if TYPE_CHECKING:
    from ftddm_core.sampling.resolver import SuperResolver


class Trial:
    """One slice of a map, degraded twofold once more to try any settings on it.

    Parameters
    ----------
    resolver
        The networks.
    study
        Maps as they were acquired.
    metabolite, k
        Which map, and which slice, or the nearest one with enough trusted voxels.

    Attributes
    ----------
    slice_index
        The slice that is compared.

    Raises
    ------
    GeometryError
        If the matrix is too small to be halved, or no slice has enough trusted voxels.
    """

    def __init__(self, resolver: SuperResolver, study: Study, metabolite: str, k: int) -> None:
        left = coarse_matrix((study.grid.shape[0], study.grid.shape[1]), CHECK_FACTOR)
        if min(left) < LEAST_MATRIX:
            raise GeometryError(
                f"A {study.grid.shape[0]} x {study.grid.shape[1]} matrix is too small to be halved."
            )
        self._held = Held.of(study, metabolite)
        enough = self._held.slices(study.grid.shape[2])
        if not enough:
            raise GeometryError(
                f"No slice of {metabolite} has {FEWEST_VOXELS} trusted voxels to compare in."
            )
        self.slice_index = min(enough, key=lambda each: abs(each - k))
        alone = replace(study, maps={metabolite: study.maps[metabolite]})
        self._condition = coarse_conditions(resolver, alone, left)[metabolite]
        self._resolver, self._recall = resolver, Recall()

    def gain(
        self,
        settings: SamplerSettings,
        detail: float = 1.0,
        *,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> float:
        """Return the gain in PSNR over zero-filling in dB, inside the mask.

        Parameters
        ----------
        settings
            With an MRI weight; the mean of the samples is compared.
        detail
            Share of the drawn detail that is shown.
        cancelled
            Callback before every denoising step: whether to stop.

        Raises
        ------
        Cancelled
            If `cancelled()` returns true.
        """
        restored = restore(
            self._resolver, self._held, self._condition, settings, (self.slice_index,), cancelled,
            None, self._recall,
        )  # fmt: skip
        mean = replace(restored, drawn=restored.drawn.mean(0, keepdims=True))
        return self._held.compare(mean, detail).gain
