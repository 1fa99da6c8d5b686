"""One batch of slices through flow and chain, as images that are still on the device."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
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
from ftddm_core.sampling.sampler import DETERMINISTIC, SAMPLERS, levels_of, truncated_chain
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
            with torch.cuda.device(images.device):
                self._images = torch.empty(images.shape, dtype=images.dtype, pin_memory=True)
                beside = torch.cuda.Stream()
                beside.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(beside):
                    self._images.copy_(images, non_blocking=True)
                    self._arrived = torch.cuda.Event()
                    self._arrived.record()
                images.record_stream(beside)

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
    batch = _Batch(networks, keys, conditions, settings, recall or Recall(0))
    with computing():
        x_start = batch.start()
    if settings.t_trunc == 0:
        yield Drawn(0, batch.image(x_start), batch.new)
        return
    step = SAMPLERS[settings.sampler_used]
    pace = _Pace(networks.device)
    levels = levels_of(step, settings.t_trunc, settings.steps, networks.schedule)
    with _drawn_ahead(batch, levels) as noise:
        chain = truncated_chain(
            batch.denoise,
            x_start,
            settings.t_trunc,
            settings.steps,
            noise,
            settings.tau_diffusion,
            networks.schedule,
            step,
            batch.mask,
            cancelled,
        )
        while True:
            with computing():  # never while whoever draws is busy with something else
                found = next(chain, None)
            if found is None:
                return
            pace.step()
            t, x0 = found
            yield Drawn(t, batch.image(x0), batch.new)


class _Batch:
    """The slices on the device, and what is computed of them or recalled.

    Attributes
    ----------
    mask
        m, (B, 1, H, W).
    new
        Whether what was asked for last was computed, and not recalled.
    """

    def __init__(
        self,
        networks: Networks,
        keys: Sequence[NoiseKey],
        conditions: Mapping[str, Condition],
        settings: SamplerSettings,
        recall: Recall,
    ) -> None:
        own = [conditions[key.metabolite] for key in keys]
        slices = [c.channels[..., key.slice_index] for c, key in zip(own, keys, strict=True)]
        device = networks.device
        channels = torch.from_numpy(np.stack(slices))
        self._channels = channels.to(device, memory_format=torch.channels_last)
        self._upscale = torch.tensor([c.upscale for c in own], device=device)
        self._scale = torch.tensor([c.scale for c in own], device=device)[:, None, None]
        self._shape = own[0].shape[:2]
        self._networks, self._keys, self._settings = networks, tuple(keys), settings
        self._recall = recall
        self._began = (self._keys, settings.tau_flow, settings.t_trunc)
        self._walked: tuple[int, ...] = ()
        self.mask = self._channels[:, 1:2]
        self.new = True

    def image(self, x: Tensor) -> Tensor:
        """Return x (B, 1, H, W) as maps (B, Nx, Ny) in their unit."""
        nx, ny = self._shape
        with computing():
            return (x * self.mask)[:, 0, :nx, :ny].clamp_min(0) * self._scale

    def normal(self, tag: Tag) -> Tensor:
        """Draw z ~ N(0, I), (B, 1, H, W)."""
        return self.moved(self.drawn(tag))

    def drawn(self, tag: Tag) -> Tensor:
        """Draw z on the CPU, and nothing else: on any thread."""
        height, width = self._channels.shape[2:]
        z = batch_normal(self._keys, tag, (height, width))
        return z.pin_memory() if self._networks.device.type == "cuda" else z

    def moved(self, z: Tensor) -> Tensor:
        """Return z on the device; from pinned memory the copy holds nothing up."""
        return z.to(self._networks.device, non_blocking=True)

    def start(self) -> Tensor:
        """Return x_{T_trunc}: by the flow, by the flow and more noise, or pure noise."""
        return self._known(("start", self._began), self._start)

    def _start(self) -> Tensor:
        networks, settings = self._networks, self._settings
        t, deviation = settings.t_trunc, float(np.sqrt(settings.tau_flow))
        if t == networks.schedule.n_train_steps:
            return deviation * self.normal("jump")
        level = min(max(t, 1), networks.t_flow_max)
        slices = tuple((key.metabolite, key.slice_index) for key in self._keys)
        told = self._recall(
            ("told", slices, level),
            lambda: networks.flow.tell(self._channels, self._at(level), self._upscale),
        )
        x = networks.flow.sample(self.normal("flow"), told, settings.tau_flow)
        if t > level:
            x = networks.schedule.jump(x, level, t, deviation * self.normal("jump"))
        return x

    def denoise(self, x_t: Tensor, t: int) -> Tensor:
        """Return x0 from x_t, the next level of the chain.

        A chain that began alike and went the same way to here has left it to be recalled. The
        first estimate depends on the start alone.
        """
        self._walked = (*self._walked, t)
        settings = self._settings
        first = len(self._walked) == 1
        step = SAMPLERS[settings.sampler_used]
        tau = None if step in DETERMINISTIC else settings.tau_diffusion
        how = () if first else (settings.sampler_used, tau)
        key = ("x0", self._began, how, self._walked)
        return self._known(key, lambda: self._denoise(x_t, t))

    def _denoise(self, x_t: Tensor, t: int) -> Tensor:
        networks = self._networks
        with halved(networks.device, half=networks.half):
            output = networks.denoiser(x_t, self._channels, self._at(t), self._upscale)
        return x0_of(networks.schedule, networks.prediction, output.float(), x_t, t)

    def _known(self, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        self.new = key not in self._recall
        return self._recall(key, make)

    def _at(self, t: int) -> Tensor:
        return torch.full((len(self._keys),), t, device=self._networks.device)


class _Pace:
    """Lets the CPU be one step ahead of a CUDA device, and no more: else it could not stop soon."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before: torch.cuda.Event | None = None

    def step(self) -> None:
        """Note the end of a step, and wait for that of the one before."""
        if self._device.type != "cuda":
            return
        if self._before is not None:
            self._before.synchronize()
        with torch.cuda.device(self._device):
            self._before = torch.cuda.Event()
            self._before.record()


def _drawn_ahead(
    batch: _Batch, levels: Sequence[int]
) -> AbstractContextManager[Callable[[int], Tensor]]:
    """Return noise(t); beside a CUDA device, the next level's is drawn while a step runs."""
    return _Ahead(batch, levels) if batch.mask.is_cuda else nullcontext(batch.normal)


class _Ahead:
    """Draws the noise of the next level on another thread while this level's step runs."""

    def __init__(self, batch: _Batch, levels: Sequence[int]) -> None:
        self._batch = batch
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
            self._drawing[after] = self._pool.submit(self._batch.drawn, after)
        return self._batch.moved(self._batch.drawn(t) if drawn is None else drawn.result())
