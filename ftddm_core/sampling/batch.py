"""One batch of slices through flow and chain, as images that are still on the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ftddm_core.model.merged import MergedFlow
from ftddm_core.model.prediction import Prediction, x0_of
from ftddm_core.model.schedule import NoiseSchedule
from ftddm_core.sampling.condition import Condition
from ftddm_core.sampling.device import computing, halved
from ftddm_core.sampling.noise import NoiseKey, Tag, batch_normal
from ftddm_core.sampling.recall import Recall
from ftddm_core.sampling.result import FloatArray
from ftddm_core.sampling.sampler import SAMPLERS, levels_of, truncated_chain
from ftddm_core.settings import SamplerSettings


class Networks(NamedTuple):
    """What a batch goes through.

    Parameters
    ----------
    denoiser
        Maps (x_t, channels, t, s) to what `prediction` says, as a `UNet` does.
    prediction
        See `model.prediction`.
    flow
        Draws x_t.
    t_flow_max
        Largest level that the flow draws.
    schedule
        Of the noise.
    device
        Where they are.
    half
        Whether the denoiser computes in float16.
    """

    denoiser: Callable[..., Tensor]
    prediction: Prediction
    flow: MergedFlow
    t_flow_max: int
    schedule: NoiseSchedule
    device: torch.device
    half: bool = False


class Drawn(NamedTuple):
    """An image of every slice of a batch.

    Parameters
    ----------
    t
        Noise level that the images were estimated at.
    images
        (B, Nx, Ny) in the maps' unit, on the device.
    new
        Whether they were computed now, and not recalled.
    """

    t: int
    images: Tensor
    new: bool


class Copy:
    """Images on their way from the device to the CPU, while the device goes on."""

    def __init__(self, images: Tensor) -> None:
        self._arrived: torch.cuda.Event | None = None
        self._images = images
        if images.device.type == "cuda":
            self._images = torch.empty(images.shape, dtype=images.dtype, pin_memory=True)
            self._images.copy_(images, non_blocking=True)
            self._arrived = torch.cuda.Event()
            self._arrived.record()

    def fetch(self) -> FloatArray:
        """Return the images (B, Nx, Ny), as soon as they are there."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return np.asarray(self._images.cpu().numpy(), np.float32)


def draw_batch(
    networks: Networks,
    keys: Sequence[NoiseKey],
    conditions: Mapping[str, Condition],
    settings: SamplerSettings,
    cancelled: Callable[[], bool],
    recall: Recall | None = None,
) -> Iterator[Drawn]:
    """Draw one sample of every slice: flow, then truncated chain.

    Parameters
    ----------
    networks
        What it goes through.
    keys
        The slices, and what their noise is.
    conditions
        Metabolite -> what the networks are told.
    settings
        What the user chose; `upscale` is the conditions'.
    cancelled
        Asked before every call of the denoiser.
    recall
        Where results are kept and found; for whoever draws the same slices again and again.

    Yields
    ------
    Drawn
        Every estimate of the chain, the last of them the result; for T_trunc = 0 the flow's image.

    Raises
    ------
    Cancelled
        As soon as `cancelled()` is true.
    """
    own = [conditions[key.metabolite] for key in keys]
    stacked = np.stack([c.channels[..., key.slice_index] for c, key in zip(own, keys, strict=True)])
    channels = torch.from_numpy(stacked).to(networks.device, memory_format=torch.channels_last)
    mask = channels[:, 1:2]
    upscale = torch.tensor([c.upscale for c in own], device=networks.device)
    scale = torch.tensor([c.scale for c in own], device=networks.device)[:, None, None]
    nx, ny, _ = own[0].shape
    schedule, step = networks.schedule, SAMPLERS[settings.sampler_used]
    shape = (channels.shape[2], channels.shape[3])
    recall = recall or Recall(0)
    began = (tuple(keys), settings.tau_flow, settings.t_trunc)
    walked: tuple[int, ...] = ()
    new = True

    def image(x: Tensor) -> Tensor:
        with computing():
            return (x * mask)[:, 0, :nx, :ny].clamp_min(0) * scale

    def at(t: int) -> Tensor:
        return torch.full((len(keys),), t, device=networks.device)

    def normal(tag: Tag) -> Tensor:
        return batch_normal(keys, tag, shape, networks.device)

    def start() -> Tensor:
        """Draw x_{T_trunc}: by the flow, by the flow and more noise, or pure noise."""
        t, deviation = settings.t_trunc, float(np.sqrt(settings.tau_flow))
        if t == schedule.n_train_steps:
            return deviation * normal("jump")
        level = min(max(t, 1), networks.t_flow_max)
        slices = tuple((key.metabolite, key.slice_index) for key in keys)
        told = recall(
            ("told", slices, level), lambda: networks.flow.tell(channels, at(level), upscale)
        )
        x = networks.flow.sample(normal("flow"), told, settings.tau_flow)
        if t > level:
            x = schedule.jump(x, level, t, deviation * normal("jump"))
        return x

    def denoise(x_t: Tensor, t: int) -> Tensor:
        """Return x0; a chain that began alike, and went the same way to here, knows it."""
        nonlocal walked, new
        walked = (*walked, t)
        how = (settings.sampler_used, settings.tau_diffusion) if len(walked) > 1 else ()
        key = ("x0", began, how, walked)
        new = key not in recall

        def call() -> Tensor:
            with halved(networks.device, half=networks.half):
                output = networks.denoiser(x_t, channels, at(t), upscale)
            return x0_of(schedule, networks.prediction, output.float(), x_t, t)

        return recall(key, call)

    with computing():
        x_start = recall(("start", began), start)
    if settings.t_trunc == 0:
        yield Drawn(0, image(x_start), new)
        return
    levels = levels_of(step, settings.t_trunc, settings.steps, schedule)
    with _drawn_ahead(normal, levels, networks.device) as noise:
        chain = truncated_chain(
            denoise,
            x_start,
            settings.t_trunc,
            settings.steps,
            noise,
            settings.tau_diffusion,
            schedule,
            step,
            mask,
            cancelled,
        )
        while True:
            with computing():  # never while whoever draws is busy with something else
                found = next(chain, None)
            if found is None:
                return
            t, x0 = found
            yield Drawn(t, image(x0), new)


def _drawn_ahead(
    normal: Callable[[Tag], Tensor], levels: Sequence[int], device: torch.device
) -> AbstractContextManager[Callable[[int], Tensor]]:
    """Return noise(t); where the CPU has time for it, the next level's is drawn meanwhile."""
    return nullcontext(normal) if device.type == "cpu" else _Ahead(normal, levels)


class _Ahead:
    """Draws the noise of the next level on another thread while this level's step runs."""

    def __init__(self, normal: Callable[[Tag], Tensor], levels: Sequence[int]) -> None:
        self._normal = normal
        self._next = dict(pairwise(levels))
        self._drawing: dict[int, Future[Tensor]] = {}
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> Callable[[int], Tensor]:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def __call__(self, t: int) -> Tensor:
        """Return z of level t, and begin with that of the level after it."""
        drawn = self._drawing.pop(t, None)
        after = self._next[t]
        if self._next.get(after):  # no noise goes into level 0
            self._drawing[after] = self._pool.submit(self._normal, after)
        return self._normal(t) if drawn is None else drawn.result()
