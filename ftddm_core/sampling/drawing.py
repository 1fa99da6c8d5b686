"""Slices drawn in batches as large as the device's memory allows, and copied from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from math import inf

from ftddm_core.errors import Cancelled, SettingsError
from ftddm_core.samplers import SAMPLERS
from ftddm_core.sampling.batch import Copy, Item, draw_batch
from ftddm_core.sampling.condition import Condition
from ftddm_core.sampling.device import ran_out_of_memory, release_memory, slices_together
from ftddm_core.sampling.gathered import Sampled
from ftddm_core.sampling.graphed import Graphed
from ftddm_core.sampling.networks import Networks
from ftddm_core.sampling.noise import NoiseKey
from ftddm_core.sampling.recall import Recall
from ftddm_core.sampling.result import Update
from ftddm_core.settings import SamplerSettings


def drawn_in_batches(
    networks: Networks,
    items: Sequence[Item],
    conditions: Mapping[str, Condition],
    cancelled: Callable[[], bool],
    every: float,
    recall: Recall | None,
    size: int,
) -> Iterator[tuple[Update, list[Sampled]]]:
    """Yield the estimates that are due, and every sample.

    A batch's samples are copied from the device while the next batch's first step runs.

    Parameters
    ----------
    networks
        The networks to apply.
    items
        What to draw; they may differ in temperatures and weights only.
    conditions
        Metabolite -> network input.
    cancelled
        Callback before every batch and every denoising step: whether to stop.
    every
        Shortest time between two running estimates, in s; infinite for none at all.
    recall
        Cache of results, for drawing the same slices repeatedly.
    size
        Batch size; 0 to choose it for the device.

    Raises
    ------
    Cancelled
        If `cancelled()` returns true.
    SettingsError
        If the device's memory is too small for one slice; if it is too small for a batch, smaller
        batches are used.
    """
    ready: tuple[Update, Copy] | None = None
    done, told, due = 0, 0.0, inf if every == inf else 0.0
    while done < len(items):
        if cancelled():  # the chain checks too, but T_trunc = 0 has no chain
            raise Cancelled(f"Stopped after {done} of {len(items)} slices, as requested.")
        settings = items[done].settings
        levels = SAMPLERS[settings.sampler_used].levels
        n_steps = len(levels(settings.t_trunc, settings.steps, networks.schedule)) - 1 or 1
        height, width = conditions[items[done].key.metabolite].channels.shape[1:3]
        size = size or slices_together(networks.device, height, width)
        batch, lacking = items[done : done + size], None
        keys = tuple(item.key for item in batch)
        try:
            drawing = draw_batch(networks, batch, conditions, cancelled, recall)
            for number, drawn in enumerate(drawing, 1):
                if ready is not None:
                    yield _arrived(*ready)
                    ready = None
                told = max(told, (done + len(batch) * number / n_steps) / len(items))
                now = time.perf_counter()
                if number < n_steps and drawn.new and now >= due:
                    due = now + every
                    images, alone = Copy(drawn.images, drawn.alone).fetch()
                    yield Update("estimate", told, keys, images, alone, drawn.t), []
            last = Copy(
                drawn.images, drawn.alone, drawn.explained, drawn.beside, drawn.beside_alone
            )
        except (RuntimeError, MemoryError) as error:
            if not ran_out_of_memory(error):
                raise
            # Not the error itself, which keeps the step's tensors alive, nor torch's advice.
            lacking = ". ".join(str(error).split(". ")[:2]) or type(error).__name__
        if lacking is not None:
            size = _less(networks, len(batch), (height, width), lacking)
            continue
        ready = Update("sample", told, keys, t=drawn.t), last
        done += len(batch)
    if ready is not None:
        yield _arrived(*ready)


def _less(networks: Networks, size: int, grid: tuple[int, int], lacking: str) -> int:
    """Release memory, and return the size of a smaller batch."""
    if size == 1:
        raise SettingsError(
            f"{networks.device} does not have enough memory for one slice of {grid[0]} x {grid[1]} "
            f"voxels ({lacking}): choose a smaller upscaling, or another device."
        )
    if isinstance(networks.denoiser, Graphed):
        networks.denoiser.forget()
    release_memory(networks.device)
    return size // 2


def _arrived(update: Update, copy: Copy) -> tuple[Update, list[Sampled]]:
    """Return an update with its copied images, and their samples."""
    arrays = copy.fetch()
    return update.showing(*arrays[:2]), [Sampled(*slices) for slices in zip(*arrays, strict=True)]


def in_order(
    conditions: Mapping[str, Condition],
    settings: SamplerSettings,
    slices: Collection[int] | None,
    first: int | None,
) -> tuple[NoiseKey, ...]:
    """Return the slices to draw, without those that have no trusted voxels."""

    def distance(k: int) -> int:
        return 0 if first is None else abs(k - first)

    return tuple(
        NoiseKey(settings.seed, name, k, sample)
        for name, condition in conditions.items()
        for k in sorted(range(condition.shape[2]), key=distance)
        if condition.mask[..., k].any() and (slices is None or k in slices)
        for sample in range(settings.samples)
    )
