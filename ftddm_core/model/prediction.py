r"""Meaning of the denoiser's output: the velocity v or the noise eps, and the corresponding x0.

v = sqrt(ab_t) eps - sqrt(1 - ab_t) x0 (Salimans & Ho 2022, section 4): the error of x0 never grows.
eps (Ho et al. 2020): x0 = (x_t - sqrt(1 - ab_t) eps) / sqrt(ab_t), whose error grows without bound
as the signal fades.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ftddm_core.model.schedule import NoiseSchedule

Prediction = Literal["v", "eps"]
PREDICTIONS: tuple[Prediction, ...] = get_args(Prediction)


def target_of(
    schedule: NoiseSchedule, prediction: Prediction, x0: Tensor, eps: Tensor, t: Tensor
) -> Tensor:
    """Return the output of a perfect network, (B, 1, H, W)."""
    return eps if prediction == "eps" else schedule.velocity(x0, eps, t)


def x0_of(
    schedule: NoiseSchedule, prediction: Prediction, output: Tensor, x_t: Tensor, t: int | Tensor
) -> Tensor:
    """Return the x0 (B, 1, H, W), divided by `scale`, for an output at x_t.

    Parameters
    ----------
    schedule
        Of the noise.
    prediction
        What the network predicts, `UNetConfig.prediction`.
    output, x_t
        The network's output and input, (B, 1, H, W).
    t
        Level of x_t, 1..T.
    """
    if prediction == "v":
        return schedule.x0_from_velocity(x_t, output, t)
    signal, noise = (c.to(x_t.device, x_t.dtype) for c in (schedule.signal(t), schedule.noise(t)))
    return (x_t - noise * output) / signal


def regression_x0(
    schedule: NoiseSchedule, network: nn.Module, condition: Tensor, upscale: Tensor
) -> Tensor:
    """Return the x0 (B, 1, H, W) of a regression: the network evaluated at x_T = 0, predicting v.

    At T the input contains no signal, so that a denoiser's output already estimates the mean of x0
    given the condition: starting from its weights, a regression is learned quickly. The result is
    to be multiplied by m.

    Parameters
    ----------
    schedule
        Of the noise.
    network
        A `UNet` that predicts v.
    condition
        Channels (B, 5, H, W).
    upscale
        Effective factors s (B,).
    """
    top = schedule.n_train_steps
    x_t = torch.zeros_like(condition[:, :1])
    level = torch.full((len(condition),), top, device=condition.device)
    return x0_of(schedule, "v", network(x_t, condition, level, upscale), x_t, top)
