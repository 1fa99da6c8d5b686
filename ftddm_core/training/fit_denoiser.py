r"""The denoiser's loss: its prediction inside the mask, over the whole chain.

E w(t) \|m (output - target)\|^2 / \|m\|^2, with the velocity or the noise as the target. `LEVELS`
defines how t is drawn; the weight w is 1 except for `min-snr`, min(SNR, 5) / (SNR + 1) for the
velocity and min(SNR, 5) / SNR for the noise, SNR = ab_t / (1 - ab_t) (Hang et al. 2023, eq. 8),
which in terms of x0 is min(SNR, 5) for both.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ftddm_core.model.prediction import Prediction, target_of
from ftddm_core.model.schedule import NoiseSchedule
from ftddm_core.training.dataset import Batch

SCHEDULE = NoiseSchedule()
LOW_LEVELS = 200
GAMMA = 5.0
"""Largest weight of an x0 under `min-snr` (Hang et al. 2023)."""

Levels = Literal["low", "uniform", "min-snr"]
"""`low`: half of the levels from 1..200, the range of the truncated chain, the other half from
1..1000, so that one network serves every T_trunc; `uniform`: all from 1..1000; `min-snr`: the same,
weighted."""
LEVELS: tuple[Levels, ...] = get_args(Levels)


def draw_levels(size: int, generator: torch.Generator, levels: Levels = "low") -> Tensor:
    """Draw levels t (size,) from 1..1000; for `low`, those of even items from 1..200."""
    low = torch.randint(1, LOW_LEVELS + 1, (size,), generator=generator)
    full = torch.randint(1, SCHEDULE.n_train_steps + 1, (size,), generator=generator)
    return torch.where(torch.arange(size) % 2 == 0, low, full) if levels == "low" else full


def weight_of(t: Tensor, prediction: Prediction, levels: Levels) -> Tensor:
    """Return the weights w(t) (size,) of the squared error of the prediction."""
    if levels != "min-snr":
        return torch.ones(len(t), device=t.device)
    ab = SCHEDULE.alpha_bar[t.cpu()]
    snr = ab / (1 - ab)
    return (snr.clamp_max(GAMMA) / (snr + (prediction == "v"))).float().to(t.device)


def denoiser_loss(
    network: nn.Module,
    batch: Batch,
    generator: torch.Generator,
    prediction: Prediction = "v",
    levels: Levels = "low",
) -> dict[str, Tensor]:
    """Return the loss, and that of even items, which for `low` is the part on low levels."""
    x0, mask = batch.x0, batch.mask
    t = draw_levels(len(x0), generator, levels).to(x0.device)
    eps = torch.randn(x0.shape, generator=generator).to(x0.device)
    x_t = SCHEDULE.add_noise(x0, t, eps)
    target = target_of(SCHEDULE, prediction, x0, eps, t)
    error = network(x_t, batch.condition, t, batch.upscale) - target
    each = (mask * error.square()).sum((1, 2, 3)) / mask.sum((1, 2, 3)).clamp_min(1)
    each = each * weight_of(t, prediction, levels)
    return {"loss": each.mean(), "low": each[::2].mean()}
