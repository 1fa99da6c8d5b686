"""The sampler's updates as pictures: running estimates, and results with their fidelity."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ftddm_core.evaluation.baselines import zero_filling
from ftddm_core.evaluation.metrics import evaluate
from ftddm_core.imaging.fourier import consistency_residual
from ftddm_viewer.case import Prepared
from ftddm_viewer.state import FloatArray, Picture

if TYPE_CHECKING:  # torch takes seconds to import
    from ftddm_core.sampling.noise import NoiseKey
    from ftddm_core.sampling.result import Result, Update


class RunningMean:
    """The mean over each slice's samples so far, those of finished batches included."""

    def __init__(self) -> None:
        self._batch: tuple[NoiseKey, ...] = ()
        self._newest: dict[tuple[str, int], list[FloatArray]] = {}
        self._finished: dict[tuple[str, int], tuple[int, FloatArray]] = {}

    def take(self, update: Update) -> dict[tuple[str, int], Picture]:
        """Return the pictures that an update's images change."""
        if update.keys != self._batch:  # the one before has ended with its samples
            for key, images in self._newest.items():
                self._finished[key] = self._with(key, images)
            self._batch = update.keys
        self._newest = {}
        for noise, image in zip(update.keys, update.images, strict=True):
            self._newest.setdefault((noise.metabolite, noise.slice_index), []).append(image)
        means = {key: self._with(key, images) for key, images in self._newest.items()}
        return {
            key: Picture(np.float32(1 / count) * total) for key, (count, total) in means.items()
        }

    def _with(self, key: tuple[str, int], images: list[FloatArray]) -> tuple[int, FloatArray]:
        """Return number and sum of a slice's samples: its memory is that of one, for any number."""
        count, total = self._finished.get(key, (0, np.zeros_like(images[0])))
        return count + len(images), total + np.sum(images, axis=0)


def final_pictures(
    result: Result, prepared: Prepared, slices: Iterable[int]
) -> dict[tuple[str, int], Picture]:
    """Return a result's slices, compared with the reference where there is one."""
    pictures = {}
    for name, volume in result.maps.items():
        for k in slices:
            deviation = result.deviation[name].data[..., k] if name in result.deviation else None
            image = volume.data[..., k]
            figures = _fidelity(image, prepared, name, k)
            pictures[name, k] = Picture(image, deviation, True, figures)
    return pictures


def _fidelity(image: FloatArray, prepared: Prepared, metabolite: str, k: int) -> dict[str, float]:
    """Return a slice's figures; see `Picture`."""
    condition = prepared.conditions[metabolite]
    mask, lowres = condition.mask[..., k], condition.lowres[..., k]
    if not mask.any():
        return {}
    figures = {"residual": consistency_residual(image, lowres, condition.acquired)}
    if prepared.reference is not None:
        truth = np.nan_to_num(prepared.reference.maps[metabolite].data[..., k]) * mask
        baseline = zero_filling(condition)[..., k]
        for prefix, shown in (("", image), ("input_", baseline)):
            found = evaluate(shown, truth, mask, condition.acquired)
            figures |= {f"{prefix}{name}": found[name] for name in ("psnr", "ssim")}
    return figures
