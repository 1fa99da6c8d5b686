"""The method end to end: condition -> flow -> truncated reverse chain -> maps, as a stream.

Dong et al. 2025, with the chain of `sampling.sampler` and the geometry of `imaging.fourier`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ftddm_core.errors import Cancelled, CheckpointError, SettingsError
from ftddm_core.imaging.fourier import Matrix, consistency_residual, data_consistency
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.model.checkpoint import Weights, load_weights
from ftddm_core.model.prediction import x0_of
from ftddm_core.model.schedule import NoiseSchedule
from ftddm_core.sampling.condition import CHANNELS, Condition, form_conditions
from ftddm_core.sampling.noise import NoiseKey, batch_normal
from ftddm_core.sampling.result import FloatArray, Result, Update
from ftddm_core.sampling.sampler import SAMPLERS, timesteps, truncated_chain
from ftddm_core.settings import UPSCALE_BOUNDS, SamplerSettings

BATCH = 16
"""Slices that go through the networks together."""


def pick_device(wanted: str = "auto") -> torch.device:
    """Return the device asked for, or the fastest there is.

    Raises
    ------
    SettingsError
        If this machine or this build of torch does not have it.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.zeros(1, device=device).item()  # "meta" holds no values, and fails only here
    except (RuntimeError, AssertionError, ImportError):
        raise SettingsError(
            f"The device '{wanted}' is not available here: use auto, cpu, cuda or mps."
        ) from None
    return device


def settle_upscale(
    settings: SamplerSettings, study: Study, trained_voxel: float
) -> SamplerSettings:
    """Fill in an empty `upscale` by the value that brings the voxel nearest to the trained one."""
    if settings.upscale is not None:
        return settings
    voxel = float(np.sqrt(study.grid.voxel_size[0] * study.grid.voxel_size[1]))
    return settings.replace(upscale=float(np.clip(voxel / trained_voxel, *UPSCALE_BOUNDS)))


class SuperResolver:
    """Draws high-resolution metabolite maps given a study.

    Parameters
    ----------
    weights
        The networks.
    device
        "auto", or a torch device.

    Raises
    ------
    CheckpointError
        If the networks know other conditions than are formed here.

    Examples
    --------
    >>> from ftddm_core import SamplerSettings, SuperResolver, open_study
    >>> resolver = SuperResolver.load("small")                           # doctest: +SKIP
    >>> result = resolver.run(open_study(["patient/"]), SamplerSettings())  # doctest: +SKIP
    """

    def __init__(self, weights: Weights, device: str = "auto") -> None:
        for config in (weights.denoiser.config, weights.flow.config.encoder):
            if config.condition_channels != len(CHANNELS):
                raise CheckpointError(
                    f"The weights '{weights.name}' know {config.condition_channels} condition "
                    f"channels, this program forms {len(CHANNELS)} ({', '.join(CHANNELS)}): train "
                    "on from them with --start-from, or take newer ones."
                )
        self.weights = weights
        self.device = pick_device(device)
        self.denoiser = weights.denoiser.to(self.device)
        self.flow = weights.flow.to(self.device)
        self.schedule = NoiseSchedule()

    @classmethod
    def load(cls, weights: str = "small", device: str = "auto") -> SuperResolver:
        """Load weights by name or folder."""
        return cls(load_weights(weights), device)

    def run(
        self,
        study: Study,
        settings: SamplerSettings,
        *,
        matrix: Matrix | None = None,
        progress: Callable[[float], None] = lambda done: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Result:
        """Return the result; parameters and errors as for `stream`."""
        for update in self.stream(study, settings, matrix=matrix, cancelled=cancelled):
            progress(update.done)
        if update.result is None:
            raise RuntimeError("The stream ended without a result.")
        return update.result

    def stream(
        self,
        study: Study,
        settings: SamplerSettings,
        *,
        matrix: Matrix | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[Update]:
        """Super-resolve a study, showing pictures on the way: `conditions`, then `sample`.

        Parameters
        ----------
        study
            Maps as they were acquired.
        settings
            What the user chose.
        matrix
            Output matrix, where `upscale` must not decide it (a degraded study has its own).
        cancelled
            Asked before every batch of slices and every denoising step.

        Yields
        ------
        Update
            As `sample` does.

        Raises
        ------
        Cancelled
            As soon as `cancelled()` is true.
        FormatError, GeometryError
            If the study cannot be conditioned on; see `form_conditions`.
        """
        settings = settle_upscale(settings, study, self.weights.trained_voxel)
        conditions = list(form_conditions(study, settings.upscale or 0.0, matrix))
        yield from self.sample(conditions, settings, cancelled=cancelled)

    def sample(
        self,
        conditions: Iterable[Condition],
        settings: SamplerSettings,
        *,
        slices: Collection[int] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[Update]:
        """Super-resolve metabolites whose conditions are formed, showing pictures on the way.

        Every slice's noise depends on (seed, metabolite, slice, sample, t) alone, so a slice
        computed by itself equals the same slice of the volume to rounding.

        Parameters
        ----------
        conditions
            Of the metabolites to compute, in this order; all on one output grid.
        settings
            What the user chose; `upscale` only goes on record, the conditions decided it.
        slices
            Which slices to compute; None for all. Others stay 0, and no residual counts them.
        cancelled
            Asked before every batch of slices and every denoising step.

        Yields
        ------
        Update
            For each batch of slices the flow's image and the running estimates; at last the result.

        Raises
        ------
        Cancelled
            As soon as `cancelled()` is true.
        """
        start = time.perf_counter()
        named = {condition.metabolite: condition for condition in conditions}
        keys = [
            NoiseKey(settings.seed, name, k, sample)
            for name, condition in named.items()
            for k in range(condition.shape[2])
            if condition.mask[..., k].any() and (slices is None or k in slices)
            for sample in range(settings.samples)
        ]
        drawn = {name: _Tally(condition.shape) for name, condition in named.items()}
        final = drawn
        if settings.consistency:
            final = {name: _Tally(condition.shape) for name, condition in named.items()}
        per_batch = len(timesteps(settings.t_trunc, settings.steps))
        n_batches = -(-len(keys) // BATCH)
        for number in range(n_batches):
            if cancelled():  # the chain asks too, but T_trunc = 0 has none
                raise Cancelled(f"Stopped after {number} of {n_batches} batches, as asked.")
            batch = tuple(keys[number * BATCH : (number + 1) * BATCH])
            pictures = self._batch(batch, named, settings, cancelled)
            images = np.zeros((0, 0, 0), np.float32)
            for step, (t, is_flow, images) in enumerate(pictures):
                done = (number + (step + 1) / per_batch) / n_batches
                yield Update("flow" if is_flow else "estimate", done, batch, images, t)
            for key, image in zip(batch, images, strict=True):
                drawn[key.metabolite].add(key.slice_index, image)
                if settings.consistency:
                    condition = named[key.metabolite]
                    measured = condition.lowres[..., key.slice_index].astype(np.float64)
                    consistent = data_consistency(image, measured, condition.acquired)
                    final[key.metabolite].add(key.slice_index, consistent)
        yield Update("result", 1.0, result=self._finish(named, drawn, final, settings, start))

    def _batch(
        self,
        keys: tuple[NoiseKey, ...],
        conditions: Mapping[str, Condition],
        settings: SamplerSettings,
        cancelled: Callable[[], bool],
    ) -> Iterator[tuple[int, bool, FloatArray]]:
        """Yield (t, is the flow's image, images in the maps' unit); the last are the result."""
        own = [conditions[key.metabolite] for key in keys]
        stacked = np.stack(
            [c.channels[..., key.slice_index] for c, key in zip(own, keys, strict=True)]
        )
        channels = torch.from_numpy(stacked).to(self.device)
        mask = channels[:, 1:2]
        upscale = torch.tensor([c.upscale for c in own], device=self.device)
        scale = torch.tensor([c.scale for c in own], device=self.device)[:, None, None]
        nx, ny, _ = own[0].shape
        shape = (channels.shape[2], channels.shape[3])

        def normal(tag: int | str) -> Tensor:
            return batch_normal(keys, tag, shape, self.device)

        def picture(x: Tensor) -> FloatArray:
            shown = (x * mask)[:, 0, :nx, :ny].clamp_min(0) * scale
            return np.asarray(shown.cpu().numpy(), np.float32)

        def denoise(x_t: Tensor, t: int) -> Tensor:
            level = torch.full((len(keys),), t, device=self.device)
            with torch.inference_mode():
                output = self.denoiser(x_t, channels, level, upscale)
            return x0_of(self.schedule, self.weights.denoiser.config.prediction, output, x_t, t)

        with torch.inference_mode():
            x = self._start(channels, upscale, settings, normal)
        yield settings.t_trunc, True, picture(x)
        chain = truncated_chain(
            denoise,
            x,
            settings.t_trunc,
            settings.steps,
            normal,
            settings.tau_diffusion,
            self.schedule,
            SAMPLERS[settings.sampler],
            mask,
            cancelled,
        )
        for t, x0 in chain:
            yield t, False, picture(x0)

    def _start(
        self,
        channels: Tensor,
        upscale: Tensor,
        settings: SamplerSettings,
        normal: Callable[[str], Tensor],
    ) -> Tensor:
        """Draw x_{T_trunc} (B, 1, H, W): by the flow, by the flow and more noise, or pure noise."""
        t, scale = settings.t_trunc, float(np.sqrt(settings.tau_flow))
        if t == self.schedule.n_train_steps:
            return scale * normal("jump")
        level = min(max(t, 1), self.flow.config.t_flow_max)
        levels = torch.full((len(channels),), level, device=self.device)
        encoded = self.flow.encode(channels, levels, upscale)
        x = self.flow.sample(normal("flow"), encoded, settings.tau_flow)
        if t > level:
            x = self.schedule.jump(x, level, t, scale * normal("jump"))
        return x

    def _finish(
        self,
        conditions: Mapping[str, Condition],
        drawn: Mapping[str, _Tally],
        final: Mapping[str, _Tally],
        settings: SamplerSettings,
        start: float,
    ) -> Result:
        maps, deviation, residual = {}, {}, {}
        for name, condition in conditions.items():
            computed = drawn[name].count > 0
            measured = condition.lowres[..., computed].astype(np.float64)
            before, image = (t[name].mean.astype(np.float32) for t in (drawn, final))
            residual[name] = (
                _residual(before[..., computed], measured, condition),
                _residual(image[..., computed], measured, condition),
            )
            maps[name] = Volume(image, condition.affine, condition.unit, condition.header)
            if settings.samples > 1:
                spread = final[name].deviation(settings.samples)
                deviation[name] = maps[name].with_data(spread.astype(np.float32))
        return Result(
            maps=maps,
            deviation=deviation,
            conditions=conditions,
            settings=settings,
            residual=residual,
            weights=self.weights.name,
            digest=self.weights.digest,
            device=str(self.device),
            seconds=time.perf_counter() - start,
        )


def _residual(
    image: NDArray[np.floating[Any]], measured: NDArray[np.floating[Any]], condition: Condition
) -> float:
    """Return the k-space residual of the slices given, 0 where nothing was measured in them."""
    return consistency_residual(image, measured, condition.acquired) if measured.any() else 0.0


class _Tally:
    """Running mean and squared deviation of the samples of every slice (Welford 1962)."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.mean: NDArray[np.float64] = np.zeros(shape)
        self.squares: NDArray[np.float64] = np.zeros(shape)
        self.count = np.zeros(shape[2], int)

    def add(self, k: int, image: NDArray[Any]) -> None:
        """Take in one sample (Nx, Ny) of slice k."""
        self.count[k] += 1
        change = image - self.mean[..., k]
        self.mean[..., k] += change / self.count[k]
        self.squares[..., k] += change * (image - self.mean[..., k])

    def deviation(self, samples: int) -> NDArray[np.float64]:
        """Return the standard deviation over the samples (n - 1)."""
        return np.asarray(np.sqrt(self.squares / (samples - 1)))
