"""The self-check of one slice at any settings: what they gain where the truth is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ftddm_core.errors import GeometryError
from ftddm_core.imaging.degrade import coarse_matrix
from ftddm_core.imaging.volume import Study
from ftddm_core.sampling.recall import Recall
from ftddm_core.sampling.self_check import (
    CHECK_FACTOR,
    FEWEST_VOXELS,
    LEAST_MATRIX,
    Held,
    Restored,
    coarse_conditions,
    plain,
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
        where = [self.slice_index]
        outside = self._condition.measurement.outside[..., where]
        self._beside = outside * np.float32(self._condition.scale)
        self._plain = plain(self._held, self._condition, where)

    def gains(
        self,
        settings: Sequence[SamplerSettings],
        *,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> list[float]:
        """Return the gains in PSNR over zero-filling in dB, inside the mask.

        Parameters
        ----------
        settings
            Each with an MRI weight, and a share of the detail; the mean of the samples is compared.
        cancelled
            Callback before every denoising step: whether to stop.

        Raises
        ------
        Cancelled
            If `cancelled()` returns true.
        """
        name, k = self._condition.metabolite, self.slice_index
        found = {}
        for each, result in self._resolver.sweep(
            self._condition, k, settings, cancelled=cancelled, recall=self._recall
        ):
            drawn, alone = (
                self._held.seen(image.data[..., [k]], self._beside)
                for image in (result.drawn[name], result.alone[name])
            )
            restored = Restored((k,), alone, self._plain, drawn[None])
            detail = 1.0 if each.detail is None else each.detail
            found[each] = self._held.compare(restored, detail).gain
        return [found[each] for each in settings]
