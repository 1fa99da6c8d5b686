"""One batch of slices through flow and chain, as images on the device."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ftddm_core.conventions import channel, channel_slice
from ftddm_core.model.prediction import x0_of
from ftddm_core.samplers import SAMPLERS
from ftddm_core.sampling.chain import truncated_chain
from ftddm_core.sampling.condition import Condition
from ftddm_core.sampling.consistency import Consistency
from ftddm_core.sampling.device import computing, halved
from ftddm_core.sampling.need import check_memory
from ftddm_core.sampling.networks import Networks
from ftddm_core.sampling.noise import NoiseKey, Tag, batch_normal
from ftddm_core.sampling.recall import Recall
from ftddm_core.sampling.result import FloatArray, Start
from ftddm_core.settings import SamplerSettings


class Drawn(NamedTuple):
    """An image of every slice of a batch.

    Parameters
    ----------
    t
        Noise level at which the images were estimated.
    images
        (B, Nx, Ny) in the maps' unit, on the device.
    new
        Whether they were computed now instead of recalled.
    alone
        The estimate from the measurement alone, in the same form.
    explained, beside, beside_alone
        The acquired maps (B, nx, ny) corresponding to the images before clipping, in units of
        `scale`; and the inferred contribution from outside the mask to these, for the images and
        for `alone`.
    """

    t: int
    images: Tensor
    new: bool
    alone: Tensor
    explained: Tensor
    beside: Tensor
    beside_alone: Tensor


class Copy:
    """Asynchronous copy of tensors from the device to the CPU."""

    def __init__(self, *tensors: Tensor) -> None:
        self._arrived: torch.cuda.Event | None = None
        self._tensors = tensors
        device = tensors[0].device
        if device.type == "cuda":
            with torch.cuda.device(device):
                self._tensors = tuple(
                    torch.empty(t.shape, dtype=t.dtype, pin_memory=True) for t in tensors
                )
                beside = torch.cuda.Stream()
                beside.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(beside):
                    for here, there in zip(self._tensors, tensors, strict=True):
                        here.copy_(there, non_blocking=True)
                    self._arrived = torch.cuda.Event()
                    self._arrived.record()
                for there in tensors:
                    there.record_stream(beside)

    def fetch(self) -> tuple[FloatArray, ...]:
        """Wait for the copy and return the tensors as arrays."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return tuple(np.asarray(t.cpu().numpy(), np.float32) for t in self._tensors)


def draw_batch(
    networks: Networks,
    keys: Sequence[NoiseKey],
    conditions: Mapping[str, Condition],
    settings: SamplerSettings,
    weights: Sequence[float],
    cancelled: Callable[[], bool],
    recall: Recall | None = None,
) -> Iterator[Drawn]:
    """Draw one sample of every slice: flow, then truncated chain.

    Parameters
    ----------
    networks
        The networks to apply.
    keys
        The slices, with the keys of their noise.
    conditions
        Metabolite -> network input.
    settings
        The user's settings; `upscale` is that of the conditions.
    weights
        MRI weight of each slice.
    cancelled
        Callback before every denoiser call: whether to stop.
    recall
        Cache of results, for drawing the same slices repeatedly.

    Yields
    ------
    Drawn
        Every estimate of the chain, the last being the result; for T_trunc = 0 the flow's image.

    Raises
    ------
    Cancelled
        If `cancelled()` returns true.
    """
    with computing():
        batch = _Batch(networks, keys, conditions, settings, weights, recall or Recall(0))
        x_start = batch.start()
    if settings.t_trunc == 0:
        with computing():
            only = batch.drawing(0, batch.corrected(x_start))
        yield only
        return
    sampler = SAMPLERS[settings.sampler_used]
    pace = _Pace(networks.device)
    levels = sampler.levels(settings.t_trunc, settings.steps, networks.schedule)
    with _drawn_ahead(batch, levels) as noise:
        chain = truncated_chain(
            batch.denoise,
            x_start,
            settings.t_trunc,
            settings.steps,
            noise,
            settings.tau_diffusion,
            networks.schedule,
            sampler,
            batch.mask,
            cancelled,
        )
        while True:
            with computing():  # not while the consumer is busy with something else
                found = next((batch.drawing(t, x0) for t, x0 in chain), None)
            if found is None:
                return
            pace.step()
            yield found


def draw_start(
    networks: Networks,
    key: NoiseKey,
    condition: Condition,
    settings: SamplerSettings,
    weight: float,
    recall: Recall | None = None,
) -> Start:
    """Return where the chain of one slice starts: x_{T_trunc}, and the first estimate of x0.

    Parameters as for `draw_batch`; after it, with the same recall, nothing is computed again.
    """
    with computing():
        own = {key.metabolite: condition}
        batch = _Batch(networks, [key], own, settings, [weight], recall or Recall(0))
        x_start, t = batch.start(), settings.t_trunc
        x0 = batch.denoise(x_start, t) if t else batch.corrected(x_start)
        return Start(*Copy(*(image[0] for image in batch.starting(x_start, x0))).fetch())


class _Batch:
    """The slices on the device, and quantities computed from them or recalled.

    Attributes
    ----------
    mask
        m, (B, 1, H, W).
    new
        Whether the last quantity was computed instead of recalled.
    """

    def __init__(
        self,
        networks: Networks,
        keys: Sequence[NoiseKey],
        conditions: Mapping[str, Condition],
        settings: SamplerSettings,
        weights: Sequence[float],
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
        self._slices = tuple((key.metabolite, key.slice_index) for key in keys)
        self._guided = _Guided(self._channels, weights)
        self._began = (self._keys, settings.tau_flow, settings.t_trunc, self._guided.weights)
        self._walked: tuple[int, ...] = ()
        self.mask = self._channels[:, channel_slice("mask")]
        self.new = True
        exact = settings.consistency == "exact"
        self._held = (self._slices, exact, settings.noise)

        def consistency() -> Consistency:
            if device.type == "cpu":
                check_memory(own[0].acquired, networks.memory())
            return Consistency(
                [c.measurement.with_noise(settings.noise) for c in own],
                [key.slice_index for key in keys],
                device,
                exact=exact,
            )

        self._consistency = recall(("consistency", self._held), consistency)
        self._consistency.draw(None, 0)
        self._alone = self._consistency.correct(
            self._cropped(self._channels[:, channel_slice("lowres")])
        )
        self._beside_alone = self._consistency.beside
        if tau := self._temperature():
            matrix = own[0].acquired
            normal = batch_normal(keys, "measurement", matrix, device)[:, 0]
            self._consistency.draw(normal, tau)

    def _temperature(self) -> float:
        """Return the temperature of the samples' noise at the end."""
        settings = self._settings
        if settings.t_trunc == 0 or SAMPLERS[settings.sampler_used].deterministic:
            return settings.tau_flow
        return settings.tau_diffusion

    def drawing(self, t: int, x0: Tensor) -> Drawn:
        """Return the `Drawn` of x0 (B, 1, H, W), estimated at level t."""
        inside = self._cropped(x0 * self.mask)
        return Drawn(
            t,
            inside.clamp_min(0) * self._scale,
            self.new,
            self._alone * self._scale,
            self._consistency.explained(inside),
            self._consistency.beside,
            self._beside_alone,
        )

    def starting(self, x_start: Tensor, x0: Tensor) -> tuple[Tensor, Tensor]:
        """Return x_{T_trunc} and its x0 (B, 1, H, W) as images (B, Nx, Ny) in the maps' unit."""
        return self._cropped(x_start) * self._scale, self.drawing(0, x0).images

    def corrected(self, x0: Tensor) -> Tensor:
        """Return m x0 (B, 1, H, W) with data consistency as in the settings."""
        inside = self._cropped(x0)
        nx, ny = self._shape
        result = torch.zeros_like(x0)
        keep = self._settings.consistency == "off"
        result[:, 0, :nx, :ny] = self._consistency.correct(inside, keep=keep)
        return result

    def _cropped(self, x: Tensor) -> Tensor:
        """Return x (B, 1, H, W) on the unpadded grid, (B, Nx, Ny)."""
        nx, ny = self._shape
        return x[:, 0, :nx, :ny]

    def normal(self, tag: Tag) -> Tensor:
        """Draw z ~ N(0, I), (B, 1, H, W)."""
        return self.moved(self.drawn(tag))

    def drawn(self, tag: Tag) -> Tensor:
        """Draw z on the CPU; safe on any thread."""
        height, width = self._channels.shape[2:]
        z = batch_normal(self._keys, tag, (height, width))
        return z.pin_memory() if self._networks.device.type == "cuda" else z

    def moved(self, z: Tensor) -> Tensor:
        """Return z on the device; from pinned memory the copy is asynchronous."""
        return z.to(self._networks.device, non_blocking=True)

    def start(self) -> Tensor:
        """Return x_{T_trunc}: from the flow, from the flow with added noise, or pure noise."""
        return self._known(("start", self._began), self._start)

    def _start(self) -> Tensor:
        networks, settings = self._networks, self._settings
        t, deviation = settings.t_trunc, float(np.sqrt(settings.tau_flow))
        if t == networks.schedule.n_train_steps:
            return deviation * self.normal("jump")
        level = min(max(t, 1), networks.t_flow_max)
        normal = self.normal("flow")

        def flow(guided: bool) -> Tensor:
            channels = self._guided.channels(guided)
            conditioning = self._recall(
                ("told", self._slices, level, guided),
                lambda: networks.flow.encode(channels, self._at(level), self._upscale),
            )
            return networks.flow.sample(normal, conditioning, settings.tau_flow)

        x = self._guided.mixed(flow)
        if t > level:
            x = networks.schedule.jump(x, level, t, deviation * self.normal("jump"))
        return x

    def denoise(self, x_t: Tensor, t: int) -> Tensor:
        """Return x0 from x_t, the next level of the chain.

        A chain with the same start and the same steps so far has stored it for recall. The first
        estimate depends only on the start.
        """
        self._walked = (*self._walked, t)
        settings = self._settings
        first = len(self._walked) == 1
        deterministic = SAMPLERS[settings.sampler_used].deterministic
        tau = None if deterministic else settings.tau_diffusion
        how = () if first else (settings.sampler_used, tau)
        key = ("x0", self._began, settings.consistency, self._held, how, self._walked)
        return self.corrected(self._known(key, lambda: self._denoise(x_t, t)))

    def _denoise(self, x_t: Tensor, t: int) -> Tensor:
        networks, guided = self._networks, self._guided
        times = len(guided.stacked) // len(x_t)
        x, upscale = x_t.repeat(times, 1, 1, 1), self._upscale.repeat(times)
        at = self._at(t).repeat(times)
        with halved(networks.device, half=networks.half):
            output = networks.denoiser(x, guided.stacked, at, upscale)
        parts = x0_of(networks.schedule, networks.prediction, output.float(), x, t).chunk(times)
        return parts[0] if times == 1 else guided.mix(*parts)

    def _known(self, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        self.new = key not in self._recall
        return self._recall(key, make)

    def _at(self, t: int) -> Tensor:
        return torch.full((len(self._keys),), t, device=self._networks.device)


class _Guided:
    """The conditions with and without MRI, and the mixing of their results.

    Attributes
    ----------
    weights
        MRI weight of each slice; 1 if no slice has MRI anyway.
    stacked
        The conditions (B or 2B, 5, H, W) that the denoiser needs: with MRI, without, or both.
    """

    def __init__(self, channels: Tensor, weights: Sequence[float]) -> None:
        bare = channels.clone()
        bare[:, [channel("t1"), channel("flair")]] = 0
        if torch.equal(bare, channels):
            weights = [1.0] * len(channels)
        self.weights = tuple(weights)
        self._both = {True: channels, False: bare}
        self._weight = torch.tensor(weights, device=channels.device)[:, None, None, None]
        self._needed = [guided for guided in (True, False) if self._needs(guided)]
        needed = [self._both[guided] for guided in self._needed]
        self.stacked = needed[0] if len(needed) == 1 else torch.cat(needed)

    def _needs(self, guided: bool) -> bool:
        return any(weight > 0 if guided else weight < 1 for weight in self.weights)

    def channels(self, guided: bool) -> Tensor:
        """Return the conditions (B, 5, H, W) with or without MRI."""
        return self._both[guided]

    def mixed(self, make: Callable[[bool], Tensor]) -> Tensor:
        """Return the results of `make(guided)` with and without MRI, mixed by the weights."""
        made = [make(guided) for guided in self._needed]
        return made[0] if len(made) == 1 else self.mix(*made)

    def mix(self, guided: Tensor, bare: Tensor) -> Tensor:
        """Return bare + weight (guided - bare)."""
        return bare + self._weight * (guided - bare)


class _Pace:
    """Keeps the CPU at most one step ahead of a CUDA device, so that a chain can stop soon."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before: torch.cuda.Event | None = None

    def step(self) -> None:
        """Record the end of a step, and wait for the end of the previous one."""
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
    """Return noise(t); with a CUDA device, the next level's noise is drawn while a step runs."""
    return _Ahead(batch, levels) if batch.mask.is_cuda else nullcontext(batch.normal)


class _Ahead:
    """Draws the noise of the next level on another thread during the current step."""

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
        """Return z of level t, and start drawing that of the next level."""
        drawn = self._drawing.pop(t, None)
        after = self._next[t]
        if self._next.get(after):  # no noise is added at level 0
            self._drawing[after] = self._pool.submit(self._batch.drawn, after)
        return self._batch.moved(self._batch.drawn(t) if drawn is None else drawn.result())
