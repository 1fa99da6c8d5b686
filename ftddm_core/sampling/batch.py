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

from ftddm_core.conventions import channel_slice
from ftddm_core.model.merged import Conditioning
from ftddm_core.model.prediction import x0_of
from ftddm_core.samplers import SAMPLERS
from ftddm_core.sampling.chain import truncated_chain
from ftddm_core.sampling.condition import Condition
from ftddm_core.sampling.consistency import Consistency
from ftddm_core.sampling.device import computing, halved
from ftddm_core.sampling.mixing import Mixing
from ftddm_core.sampling.need import check_memory
from ftddm_core.sampling.networks import Networks
from ftddm_core.sampling.noise import NoiseKey, Tag, batch_normal
from ftddm_core.sampling.recall import Recall
from ftddm_core.sampling.recent import consistency_of
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


class Item(NamedTuple):
    """One sample of one slice, to be drawn.

    Parameters
    ----------
    key
        Of its noise.
    settings
        The user's settings; `upscale` is that of the conditions. The items of a batch may differ in
        the temperatures only.
    weight
        MRI weight.
    """

    key: NoiseKey
    settings: SamplerSettings
    weight: float


def draw_batch(
    networks: Networks,
    items: Sequence[Item],
    conditions: Mapping[str, Condition],
    cancelled: Callable[[], bool],
    recall: Recall | None = None,
) -> Iterator[Drawn]:
    """Draw every item of a batch: flow, then truncated chain.

    Parameters
    ----------
    networks
        The networks to apply.
    items
        What to draw.
    conditions
        Metabolite -> network input.
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
        batch = _Batch(networks, items, conditions, recall)
        x_start = batch.start()
    settings = items[0].settings
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
            batch.tau_diffusion,
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
    networks: Networks, item: Item, condition: Condition, recall: Recall | None = None
) -> Start:
    """Return where the chain of one slice starts: x_{T_trunc}, and the first estimate of x0.

    Parameters as for `draw_batch`; after it, with the same recall, nothing is computed again.
    """
    with computing():
        own = {item.key.metabolite: condition}
        batch = _Batch(networks, [item], own, recall)
        x_start, t = batch.start(), item.settings.t_trunc
        x0 = batch.denoise(x_start, t) if t else batch.corrected(x_start)
        return Start(*Copy(*(image[0] for image in batch.starting(x_start, x0))).fetch())


class _Batch:
    """The slices on the device, and quantities computed from them or recalled.

    Attributes
    ----------
    mask
        m, (B, 1, H, W).
    tau_diffusion
        Of all items, or of each, (B, 1, 1, 1).
    new
        Whether the last quantity was computed instead of recalled.
    """

    def __init__(
        self,
        networks: Networks,
        items: Sequence[Item],
        conditions: Mapping[str, Condition],
        recall: Recall | None,
    ) -> None:
        self._keys = tuple(item.key for item in items)
        self._settings = settings = items[0].settings
        self._networks, self._recall = networks, Recall(0) if recall is None else recall
        self._recalls = recall is not None
        own = [conditions[key.metabolite] for key in self._keys]
        slices = [c.channels[..., k.slice_index] for c, k in zip(own, self._keys, strict=True)]
        device = networks.device
        channels = torch.from_numpy(np.stack(slices))
        self._channels = channels.to(device, memory_format=torch.channels_last)
        self._upscale = torch.tensor([c.upscale for c in own], device=device)
        self._scale = torch.tensor([c.scale for c in own], device=device)[:, None, None]
        self._shape = own[0].shape[:2]
        places = [(key.metabolite, key.slice_index) for key in self._keys]
        self._slices = tuple(dict.fromkeys(places))
        self._index = [self._slices.index(place) for place in places]
        self._mixing = Mixing(self._channels, [item.weight for item in items])
        self._taus_flow = [item.settings.tau_flow for item in items]
        self._taus_diffusion = [item.settings.tau_diffusion for item in items]
        self.tau_diffusion = _one_or_each(self._taus_diffusion, device)
        began = [
            (key, tau, settings.t_trunc, weight)
            for key, tau, weight in zip(
                self._keys, self._taus_flow, self._mixing.weights, strict=True
            )
        ]
        # Equal to rounding in any batch: only the same batch may recall it, so that no image
        # depends on earlier ones.
        self._began = [(tuple(began), each) for each in began]
        self._walked: tuple[int, ...] = ()
        self.mask = self._channels[:, channel_slice("mask")]
        self.new = True
        self._consistency = self._held_to(conditions).of_items(self._index)
        self._consistency.draw(None, 0)
        self._alone = self._consistency.correct(
            self._cropped(self._channels[:, channel_slice("lowres")])
        )
        self._beside_alone = self._consistency.beside
        tau = self._temperature()
        if isinstance(tau, Tensor) or tau > 0:
            matrix = own[0].acquired
            normal = batch_normal(self._keys, "measurement", matrix, device)[:, 0]
            self._consistency.draw(normal, tau[:, 0] if isinstance(tau, Tensor) else tau)

    def _held_to(self, conditions: Mapping[str, Condition]) -> Consistency:
        """Return the consistency of every slice."""
        settings, networks = self._settings, self._networks
        measurements = [conditions[name].measurement for name, _ in self._slices]
        slices = [k for _, k in self._slices]

        def check() -> None:
            if networks.device.type == "cpu":
                check_memory(measurements[0].acquired, networks.memory())

        exact = settings.consistency == "exact"
        if self._recalls:
            return networks.recent.of(
                measurements, slices, settings.noise, networks.device, exact=exact, check=check
            )
        check()
        return consistency_of(measurements, slices, settings.noise, networks.device, exact=exact)

    def _temperature(self) -> float | Tensor:
        """Return the temperature of the samples' noise at the end."""
        settings = self._settings
        if settings.t_trunc == 0 or SAMPLERS[settings.sampler_used].deterministic:
            return _one_or_each(self._taus_flow, self._networks.device)
        return self.tau_diffusion

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
        return self._each([("start", began) for began in self._began], self._start)

    def _start(self, items: list[int]) -> Tensor:
        networks, t = self._networks, self._settings.t_trunc
        tau = _one_or_each([self._taus_flow[item] for item in items], networks.device)
        if t == networks.schedule.n_train_steps:
            return tau**0.5 * self._of(items, self.normal("jump"))
        level = min(max(t, 1), networks.t_flow_max)
        normal = self._of(items, self.normal("flow"))
        slices = [self._index[item] for item in items]
        mixing = self._mixing.of(items)

        def flow(with_mri: bool) -> Tensor:
            told = self._recall(
                ("told", self._slices, level, with_mri), lambda: self._encoded(level, with_mri)
            )
            return networks.flow.sample(normal, told.of_items(slices), tau)

        x = mixing.mixed(flow)
        if t > level:
            jump = tau**0.5 * self._of(items, self.normal("jump"))
            x = networks.schedule.jump(x, level, t, jump)
        return x

    def _encoded(self, level: int, with_mri: bool) -> Conditioning:
        """Return the flow's view of the conditions of every slice."""
        firsts = [self._index.index(number) for number in range(len(self._slices))]
        channels, upscale, at = (
            self._of(firsts, each)
            for each in (self._mixing.channels(with_mri), self._upscale, self._at(level))
        )
        return self._networks.flow.encode(channels, at, upscale)

    def denoise(self, x_t: Tensor, t: int) -> Tensor:
        """Return x0 from x_t, the next level of the chain.

        A chain with the same start and the same steps so far has stored it for recall. The first
        estimate depends only on the start.
        """
        self._walked = (*self._walked, t)
        settings = self._settings
        stepped = len(self._walked) > 1
        noisy = stepped and not SAMPLERS[settings.sampler_used].deterministic
        held = (settings.consistency, settings.noise)
        how = (*held, stepped and settings.sampler_used, self._walked)
        taus = self._taus_diffusion if noisy else [0.0] * len(self._began)
        keys = [("x0", *each, *how) for each in zip(self._began, taus, strict=True)]
        return self.corrected(self._each(keys, lambda items: self._denoise(x_t, t, items)))

    def _denoise(self, x_t: Tensor, t: int, items: list[int]) -> Tensor:
        networks, mixing = self._networks, self._mixing.of(items)
        times = mixing.count
        x = self._of(items, x_t).repeat(times, 1, 1, 1)
        at, upscale = (self._of(items, each).repeat(times) for each in (self._at(t), self._upscale))
        with halved(networks.device, half=networks.half):
            output = networks.denoiser(x, mixing.stacked, at, upscale)
        parts = x0_of(networks.schedule, networks.prediction, output.float(), x, t).chunk(times)
        return parts[0] if times == 1 else mixing.mix(*parts)

    def _each(self, keys: Sequence[Hashable], make: Callable[[list[int]], Tensor]) -> Tensor:
        """Return a quantity of every item, (B, 1, H, W): recalled, or made of those it lacks, each
        once."""
        if not self._recalls:
            return make([*range(len(keys))])
        found = {key: self._recall[key] for key in keys if key in self._recall}
        lacking = {key: keys.index(key) for key in keys if key not in found}
        self.new = bool(lacking)
        if lacking:
            made = make([*lacking.values()])
            parts = made.split(1) if len(lacking) == 1 else [part.clone() for part in made.split(1)]
            for key, part in zip(lacking, parts, strict=True):
                found[key] = self._recall.keep(key, part)
        return found[keys[0]] if len(keys) == 1 else torch.cat([found[key] for key in keys])

    def _of(self, items: Sequence[int], every: Tensor) -> Tensor:
        """Return the part of some items, in ascending order, of a tensor of all."""
        return every if len(items) == len(every) else every[items]

    def _at(self, t: int) -> Tensor:
        return torch.full((len(self._keys),), t, device=self._networks.device)


def _one_or_each(values: Sequence[float], device: torch.device) -> float | Tensor:
    """Return the value of all items, or where they differ that of each, (B, 1, 1, 1)."""
    if len(set(values)) == 1:
        return values[0]
    return torch.tensor(values, dtype=torch.float32, device=device)[:, None, None, None]


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
