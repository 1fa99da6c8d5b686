r"""Held-out likelihood of the flow, compared with a Gaussian and with wrong conditioning.

All metrics at a level t use the same noisy truths x_t = sqrt(ab_t) x0 + sqrt(1 - ab_t) eps, so that
their differences are paired. Likelihoods are negative log-likelihoods in bits per voxel of the
whole grid, -log2 p(x_t) / (H W); less is better. The diagonal Gaussian for comparison is the
regression's at the same level,

.. math::  N(\sqrt{\bar\alpha_t}\, m x_{reg},\ 1 - \bar\alpha_t + \bar\alpha_t\, m\, v_s),

with v_s the mean square of the regression's residual inside the mask m, fitted for each of several
factors s. Outside the mask, both are the noise of the level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ftddm_core.conventions import UPSCALE_BOUNDS, channel, channel_slice
from ftddm_core.errors import SettingsError
from ftddm_core.evaluation.calibration import spread_error
from ftddm_core.evaluation.tables import Table
from ftddm_core.model.checkpoint import Weights
from ftddm_core.model.flow import ConditionalGlow
from ftddm_core.model.prediction import regression_x0, target_of
from ftddm_core.model.schedule import NoiseSchedule
from ftddm_core.model.unet import UNet
from ftddm_core.sampling.device import computing

Case = tuple[Tensor, Tensor, Tensor]
"""x0 (B, 1, H, W) divided by `scale`, condition (B, 5, H, W) and s (B,): one batch on one grid."""

FACTORS = (2.0, 3.0, 4.0, 6.0, 8.0)
"""The Gaussian has one variance per factor, for the slices nearest to it."""


WRONG = ("wrong_level", "wrong_s", "shuffled_y")
"""Wrong conditioning: the next of the levels (for the last, the first); the bound of s that is
farther away; the zero-filled map of the next slice in the batch."""


def flow_metrics(
    weights: Weights,
    regression: UNet | None,
    cases: Sequence[Case],
    fit_cases: Sequence[Case] = (),
    levels: Sequence[int] = (1, 20, 100, 200),
    *,
    seed: int = 0,
) -> Table:
    """Return the metrics of flow and denoiser on held-out truths at every level.

    Parameters
    ----------
    weights
        Flow and denoiser.
    regression
        The regression on whose residual the Gaussian is fitted; None for no Gaussian.
    cases
        Held-out truths, at least two slices per batch, on the device of the networks.
    fit_cases
        Data for fitting the Gaussian's variances; must be disjoint from `cases`.
    levels
        Noise levels t, at least two.
    seed
        Seed of the noise.

    Returns
    -------
    list of dict
        One line per level: `level`, `slices`; `flow_bits`, `gaussian_bits` where there is a
        regression; `denoiser_loss`, the mean squared error of the denoiser's prediction inside the
        mask; and, for every entry of `WRONG`, `flow_bits_<entry>` and `denoiser_loss_<entry>`. All
        are means over slices.

    Raises
    ------
    SettingsError
        For a level outside the flow's training, fewer than two levels, a batch of one slice, no
        case, or a regression without `fit_cases`.
    """
    flow, denoiser = weights.flow, weights.denoiser
    _check(cases, fit_cases if regression else None, levels, flow.config.t_flow_max)
    variances = torch.zeros(0)
    if regression is not None:
        variances = _residual_variances(regression, fit_cases)
    table = []
    for position, level in enumerate(levels):
        other = levels[(position + 1) % len(levels)]
        generator = torch.Generator().manual_seed(seed)
        found: dict[str, list[Tensor]] = {}
        for x0, condition, upscale in cases:
            noisy = _Noisy.draw(x0, condition, level, generator, flow.schedule)
            wrong = _wrongly(level, other, condition, upscale)
            given = {"": (level, condition, upscale)} | wrong
            for name, (t, channels, factor) in given.items():
                bits = noisy.flow_bits(flow, t, channels, factor)
                found.setdefault(f"flow_bits{name}", []).append(bits)
                loss = noisy.denoiser_loss(denoiser, t, channels, factor)
                found.setdefault(f"denoiser_loss{name}", []).append(loss)
            if regression is not None:
                mean = _regressed(regression, condition, upscale)
                variance = variances[_nearest(upscale)].to(x0.device)
                bits = noisy.gaussian_bits(mean, variance.view(-1, 1, 1, 1))
                found.setdefault("gaussian_bits", []).append(bits)
        means = {name: float(torch.cat(parts).double().mean()) for name, parts in found.items()}
        order = ("flow_bits", "gaussian_bits", "denoiser_loss")
        names = [name for start in order for name in means if name.startswith(start)]
        slices = sum(len(x0) for x0, _, _ in cases)
        table.append({"level": level, "slices": slices} | {name: means[name] for name in names})
    return table


def flow_spread(
    weights: Weights, cases: Sequence[Case], samples: int = 16, *, seed: int = 0
) -> float:
    """Return the ratio of the flow's spread to the error of its mean; see `spread_error`.

    T_trunc = 0 and tau_f = 1: samples of the flow at level 1, masked and clipped at 0 like results,
    pooled over the masked voxels of all cases, in units of `scale`.

    Parameters
    ----------
    weights, cases
        As for `flow_metrics`; a batch may have one slice.
    samples
        Number of samples per slice, at least two.
    seed
        Seed of the samples.

    Raises
    ------
    SettingsError
        For fewer than two samples, or no case.
    """
    if not cases or samples < 2:
        raise SettingsError(
            f"A spread needs a case and two samples, found {len(cases)} and {samples}."
        )
    generator = torch.Generator().manual_seed(seed)
    drawn, truth = [], []
    for x0, condition, upscale in cases:
        inside = condition[:, channel_slice("mask")] > 0
        level = torch.ones(len(x0), dtype=torch.long, device=x0.device)
        with computing():
            encoded = weights.flow.encode(condition, level, upscale)
            images = [
                weights.flow.sample(
                    torch.randn(x0.shape, generator=generator).to(x0.device), encoded, 1.0
                ).clamp_min(0)[inside]
                for _ in range(samples)
            ]
        drawn.append(torch.stack(images).cpu().numpy())
        truth.append(x0[inside].cpu().numpy())
    x, y = np.concatenate(drawn, axis=1), np.concatenate(truth)
    return spread_error(x, y, np.ones(y.shape, bool))


@dataclass(frozen=True, eq=False)
class _Noisy:
    """A batch at a noise level, for measuring likelihood and denoising."""

    x_t: Tensor
    x0: Tensor
    eps: Tensor
    mask: Tensor
    level: int
    schedule: NoiseSchedule

    @classmethod
    def draw(
        cls,
        x0: Tensor,
        condition: Tensor,
        level: int,
        generator: torch.Generator,
        schedule: NoiseSchedule,
    ) -> _Noisy:
        eps = torch.randn(x0.shape, generator=generator).to(x0.device)
        mask = condition[:, channel_slice("mask")]
        return cls(schedule.add_noise(x0, level, eps), x0, eps, mask, level, schedule)

    def flow_bits(
        self, flow: ConditionalGlow, level: int, condition: Tensor, upscale: Tensor
    ) -> Tensor:
        """Return -log2 p(x_t) per voxel, (B,)."""
        with computing():
            encoded = flow.encode(condition, _levels(level, upscale), upscale)
            nats = -flow.log_prob(self.x_t, encoded)
        return nats / (self.x_t[0].numel() * math.log(2))

    def denoiser_loss(
        self, denoiser: UNet, level: int, condition: Tensor, upscale: Tensor
    ) -> Tensor:
        """Return the mean squared error of the prediction inside the mask, (B,)."""
        levels = torch.full((len(self.x0),), self.level, device=self.x0.device)
        target = target_of(self.schedule, denoiser.config.prediction, self.x0, self.eps, levels)
        with computing():
            found = denoiser(self.x_t, condition, _levels(level, upscale), upscale)
        error: Tensor = (self.mask * (found - target).square()).sum((1, 2, 3))
        return error / self.mask.sum((1, 2, 3)).clamp_min(1)

    def gaussian_bits(self, x0: Tensor, variance: Tensor) -> Tensor:
        """Return -log2 of the density per voxel, (B,), of the Gaussian with a mean and a variance
        of x0."""
        ab = float(self.schedule.alpha_bar[self.level])
        total = 1 - ab + ab * self.mask * variance
        squared = (self.x_t - math.sqrt(ab) * x0).square()
        nats = 0.5 * (squared / total + total.log() + math.log(2 * math.pi))
        return nats.mean((1, 2, 3)) / math.log(2)


def _levels(level: int, upscale: Tensor) -> Tensor:
    return torch.full((len(upscale),), level, device=upscale.device)


def _wrongly(
    level: int, other: int, condition: Tensor, upscale: Tensor
) -> dict[str, tuple[int, Tensor, Tensor]]:
    """Return level, condition and s, one of them wrong as in `WRONG`."""
    low, high = UPSCALE_BOUNDS
    far = torch.where(upscale < math.sqrt(low * high), high, low).to(upscale)
    shuffled = condition.clone()
    lowres = channel("lowres")
    shuffled[:, lowres] = condition[:, lowres].roll(1, dims=0)
    wrong = (
        (other, condition, upscale),
        (level, condition, far),
        (level, shuffled, upscale),
    )
    return {f"_{name}": one for name, one in zip(WRONG, wrong, strict=True)}


def _regressed(regression: UNet, condition: Tensor, upscale: Tensor) -> Tensor:
    """Return m x_reg (B, 1, H, W)."""
    with computing():
        x0 = regression_x0(NoiseSchedule(), regression, condition, upscale)
    return x0 * condition[:, channel_slice("mask")]


def _nearest(upscale: Tensor) -> Tensor:
    """Return the index of the nearest of `FACTORS` (by ratio) for each s (B,), on the CPU."""
    distance = (upscale.cpu()[:, None].double() / torch.tensor(FACTORS).double()).log().abs()
    return distance.argmin(dim=1)


def _residual_variances(regression: UNet, cases: Sequence[Case]) -> Tensor:
    """Return the mean square of the regression's residual inside the mask near each of `FACTORS`.

    A factor without slices gets the value of all slices.
    """
    squares, voxels = (torch.zeros(len(FACTORS), dtype=torch.double) for _ in range(2))
    for x0, condition, upscale in cases:
        residual = _regressed(regression, condition, upscale) - x0
        mask, which = condition[:, channel_slice("mask")], _nearest(upscale)
        squares.index_add_(0, which, (mask * residual.square()).sum((1, 2, 3)).double().cpu())
        voxels.index_add_(0, which, mask.sum((1, 2, 3)).double().cpu())
    found = torch.where(voxels > 0, squares / voxels.clamp_min(1), squares.sum() / voxels.sum())
    return found.float()


def _check(
    cases: Sequence[Case], fit_cases: Sequence[Case] | None, levels: Sequence[int], top: int
) -> None:
    if not cases or min(len(x0) for x0, _, _ in cases) < 2:
        raise SettingsError(
            "The flow's metrics need two slices or more per case, to exchange their maps."
        )
    if fit_cases is not None and not fit_cases:
        raise SettingsError("The Gaussian needs fit_cases for its variance.")
    if len(set(levels)) < 2 or not all(1 <= level <= top for level in levels):
        raise SettingsError(
            f"levels is {tuple(levels)}: give two or more, from 1 to {top}, the flow's largest."
        )
