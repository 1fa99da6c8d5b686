"""Images from the sampler's updates: running estimates, and results."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ftddm_core.imaging.volume import Volume
from ftddm_viewer.session.state import FloatArray, SliceImage, View

if TYPE_CHECKING:  # torch takes seconds to import
    from ftddm_core.sampling.noise import NoiseKey
    from ftddm_core.sampling.result import Result, Update


KEPT_SAMPLES = 2**28
"""In bytes: samples of a volume's ratio beyond that are computed again, slice by slice."""


class Arriving:
    """A view that fills up as its images arrive.

    Parameters
    ----------
    view
        The view so far.
    slices
        Which slices are computed.
    with_samples
        Maps of which every sample is kept, for a ratio; none beyond `KEPT_SAMPLES`.
    """

    def __init__(
        self, view: View, slices: Sequence[int], with_samples: Collection[str] = ()
    ) -> None:
        self._view, self._slices = view, slices
        self._running = RunningMean()
        self._samples: dict[tuple[str, int], dict[int, FloatArray]] = {}
        nx, ny = view.prepared.conditions.plane
        needed = 4 * nx * ny * view.asked.samples * len(slices) * len(with_samples)
        keeps = view.asked.samples > 1 and (needed <= KEPT_SAMPLES or len(slices) == 1)
        self._kept = frozenset(with_samples if keeps else ())

    def take(self, update: Update) -> View:
        """Return the view with an update; a running estimate does not replace a final image."""
        for key, image in zip(update.keys, update.images, strict=True):
            if key.metabolite in self._kept:
                place = (key.metabolite, key.slice_index)
                self._samples.setdefault(place, {})[key.sample] = image
        if update.result is not None:
            images = final_images(update.result, self._slices)
        else:
            images = self._running.take(update)
            known = self._view.images
            images = {k: i for k, i in images.items() if k not in known or not known[k].final}
        self._view = self._view.adding({key: self._with(key, i) for key, i in images.items()})
        return self._view

    def _with(self, key: tuple[str, int], image: SliceImage) -> SliceImage:
        if key[0] not in self._kept:
            return image
        found = self._samples.get(key, {})
        stacked = np.empty((len(found), *image.drawn.shape), np.float32)
        for row, number in enumerate(sorted(found)):
            stacked[row] = found[number]
        return replace(image, samples=stacked)


class RunningMean:
    """Running mean over each slice's samples, including those of finished batches."""

    def __init__(self) -> None:
        self._batch: tuple[NoiseKey, ...] = ()
        self._newest: dict[tuple[str, int], list[FloatArray]] = {}
        self._finished: dict[tuple[str, int], tuple[int, FloatArray]] = {}

    def take(self, update: Update) -> dict[tuple[str, int], SliceImage]:
        """Return the images that an update changes."""
        if update.keys != self._batch:  # the previous batch has ended with its samples
            for key, images in self._newest.items():
                self._finished[key] = self._with(key, images)
            self._batch = update.keys
        self._newest, alone = {}, {}
        for noise, image, z in zip(update.keys, update.images, update.alone, strict=True):
            key = (noise.metabolite, noise.slice_index)
            self._newest.setdefault(key, []).append(image)
            alone[key] = z
        means = {key: self._with(key, images) for key, images in self._newest.items()}
        return {
            key: SliceImage(np.float32(1 / count) * total, alone[key])
            for key, (count, total) in means.items()
        }

    def _with(self, key: tuple[str, int], images: list[FloatArray]) -> tuple[int, FloatArray]:
        """Return number and sum of a slice's samples: memory of one image for any number."""
        count, total = self._finished.get(key, (0, np.zeros_like(images[0])))
        return count + len(images), total + np.sum(images, axis=0)


def final_images(result: Result, slices: Sequence[int]) -> dict[tuple[str, int], SliceImage]:
    """Return a result's slices as copies, so that they do not keep the whole volume in memory."""

    def cut(volume: Volume, k: int) -> FloatArray:
        image: FloatArray = volume.data[..., k]
        return image.copy() if len(slices) == 1 else image

    images = {}
    for name, drawn in result.drawn.items():
        spread = result.deviation.get(name)
        for k in slices:
            images[name, k] = SliceImage(
                cut(drawn, k),
                cut(result.alone[name], k),
                None if spread is None else cut(spread, k),
                final=True,
                traces=result.traces[name].of(k),
            )
    return images
