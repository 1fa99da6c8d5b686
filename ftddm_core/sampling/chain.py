"""Truncated reverse diffusion: x_{T_trunc} -> ... -> x_0, the loop of all samplers.

Mask, noise and cancellation are handled here; the steps are in `ftddm_core.samplers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

from torch import Tensor

from ftddm_core.errors import Cancelled
from ftddm_core.model.schedule import NoiseSchedule
from ftddm_core.samplers import Sampler, Transition


def truncated_chain(
    denoise: Callable[[Tensor, int], Tensor],
    x_start: Tensor,
    t_trunc: int,
    steps: int | None,
    noise: Callable[[int], Tensor],
    tau_diffusion: float | Tensor,
    schedule: NoiseSchedule,
    sampler: Sampler,
    mask: Tensor,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[int, Tensor]]:
    """Run x0 = m denoise(x_t, t), x_r = step(x_t, x0) from T_trunc down to 0.

    Zheng et al. 2023, "Truncated diffusion probabilistic models"; Ho et al. 2020, algorithm 2.

    Parameters
    ----------
    denoise
        Maps (x_t, t) to the expected x0.
    x_start
        x_{T_trunc}, shape (B, 1, H, W), including noise; never multiplied by the mask.
    t_trunc, steps
        Start level and number of steps for the sampler's levels; T_trunc = 0 yields nothing, since
        x_start is then the result.
    noise
        Maps t to z ~ N(0, I) in the shape of ``x_start``; called only if the step uses it.
    tau_diffusion
        tau_d, the variance of the contribution of ``noise``; of all maps or of each, (B, 1, 1, 1).
    schedule, sampler
        The noise levels, and the sampler.
    mask
        m, broadcastable to ``x_start``, 1 where x0 may differ from 0.
    cancelled
        Callback before every denoiser call: whether to stop.

    Yields
    ------
    t, x0
        For every step, its start level and its masked estimate; the last is the result.

    Raises
    ------
    Cancelled
        If ``cancelled()`` returns true.
    SettingsError
        If ``steps`` does not fit ``t_trunc``.
    """
    noisy = isinstance(tau_diffusion, Tensor) or tau_diffusion > 0
    x_t, before = x_start, None
    for t, r in pairwise(sampler.levels(t_trunc, steps, schedule)):
        if cancelled():
            raise Cancelled(f"Stopped at timestep {t} of {t_trunc}, as requested.")
        x0 = mask * denoise(x_t, t)
        if r > 0:  # by the contract of `Step`, x_0 is x0
            z = noise(t) if noisy and not sampler.deterministic else None
            x_t = sampler.step(Transition(x_t, x0, t, r, z, tau_diffusion, schedule, before))
            before = t, x0.clone()  # the consumer may modify the estimate
        yield t, x0
