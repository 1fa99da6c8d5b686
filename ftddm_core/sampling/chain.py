"""Truncated reverse diffusion: x_{T_trunc} -> ... -> x_0, the loop of every sampler.

Mask, noise and cancelling live here, once; what a step is, `ftddm_core.samplers` says.
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
    tau_diffusion: float,
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
        x_{T_trunc}, shape (B, 1, H, W), noise and all: the mask never multiplies it.
    t_trunc, steps
        Between which the sampler chooses its levels; T_trunc = 0 yields nothing, for x_start is
        then the result.
    noise
        Maps t to z ~ N(0, I) in the shape of ``x_start``; called only where the step uses it.
    tau_diffusion
        tau_d, the variance of what ``noise`` contributes.
    schedule, sampler
        The noise levels, and how to go from one to the next.
    mask
        m, broadcastable to ``x_start``, 1 where x0 may be other than 0.
    cancelled
        Asked before every call of the denoiser.

    Yields
    ------
    t, x0
        After every step, the level it started from and its masked estimate; the last is the result.

    Raises
    ------
    Cancelled
        As soon as ``cancelled()`` is true.
    SettingsError
        Where ``steps`` does not fit ``t_trunc``.
    """
    x_t, before = x_start, None
    for t, r in pairwise(sampler.levels(t_trunc, steps, schedule)):
        if cancelled():
            raise Cancelled(f"Stopped at timestep {t} of {t_trunc}, as asked.")
        x0 = mask * denoise(x_t, t)
        if r > 0:  # by the contract of `Step`, x_0 is x0
            wanted = tau_diffusion > 0 and not sampler.deterministic
            z = noise(t) if wanted else None
            x_t = sampler.step(Transition(x_t, x0, t, r, z, tau_diffusion, schedule, before))
            before = t, x0.clone()  # whoever receives the estimate may change it
        yield t, x0
