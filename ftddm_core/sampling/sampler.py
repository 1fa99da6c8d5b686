"""Truncated reverse diffusion: x_{T_trunc} -> ... -> x_0, one step function each, one loop.

A sampler is only its step from level t down to level r, given the denoiser's x0 and the one
before; the loop, the mask, the noise and cancelling live once, in `truncated_chain`. To add a
sampler, write a function with the signature of `Step`, enter it in `SAMPLERS` and name it in
`ftddm_core.settings`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ftddm_core.errors import Cancelled, SettingsError
from ftddm_core.model.schedule import NoiseSchedule

Estimate = tuple[int, Tensor]
"""A level and the clean estimate x0 made there."""


LAST_LEVEL = 3
"""Where `log_snr_timesteps` make their last estimate: below, there is next to no noise left."""

LEAST_LOG_SNR = -5.1
"""Where `log_snr_timesteps` begin to count, as `_log_snr` has it: there is next to no signal above,
however many levels of it there are."""


class Step(Protocol):
    """What every sampler is: one step from level t to level r < t."""

    def __call__(
        self,
        x_t: Tensor,
        x0: Tensor,
        t: int,
        r: int,
        z: Tensor | None,
        tau_diffusion: float,
        schedule: NoiseSchedule,
        before: Estimate | None = None,
    ) -> Tensor:
        """Return x_r, which is x0 itself at r = 0.

        ``z`` is None where no noise is to be added, ``before`` at the first step.
        """
        ...


def timesteps(t_trunc: int, steps: int | None = None) -> tuple[int, ...]:
    """t_i = round(T_trunc (1 - i / n)), i = 0..n: the levels of a chain of n = ``steps`` steps.

    Even strides, as in Nichol & Dhariwal 2021, section 4.

    Returns
    -------
    levels
        n + 1 integers, strictly decreasing from ``t_trunc`` to 0; n = ``t_trunc`` for None.

    Raises
    ------
    SettingsError
        Where n steps do not fit between ``t_trunc`` and 0.
    """
    n = _count(t_trunc, steps)
    # Rounded half up in integers: round(), half to even, would repeat a level at 1.5 and 2.5.
    return (*((2 * t_trunc * k + n) // (2 * n) for k in range(n, 0, -1)), 0)


def log_snr_timesteps(
    t_trunc: int, steps: int | None = None, schedule: NoiseSchedule | None = None
) -> tuple[int, ...]:
    """Levels as even in log-SNR as integers can be, from T_trunc to `LAST_LEVEL`, and 0.

    The uniform log-SNR steps of Lu et al. 2022. Returns and raises as `timesteps`, whose levels
    these are for the full chain.
    """
    n = _count(t_trunc, steps)
    schedule = schedule or NoiseSchedule()
    last = min(LAST_LEVEL, t_trunc)
    if n == 0:
        return (0,)
    known = _log_snr(schedule, np.arange(1, t_trunc + 1))
    wanted = np.linspace(max(known[-1], LEAST_LOG_SNR), known[last - 1], n)
    levels = [t_trunc, *(int(np.abs(known - value).argmin()) + 1 for value in wanted[1:])]
    for i in range(1, n):
        levels[i] = min(levels[i], levels[i - 1] - 1)
    # Each level leaves room for those after it; both sequences fall, so their larger one does.
    return (*(max(level, n - i) for i, level in enumerate(levels)), 0)


def _count(t_trunc: int, steps: int | None) -> int:
    n = t_trunc if steps is None else steps
    if t_trunc < 0 or not min(1, t_trunc) <= n <= t_trunc:
        raise SettingsError(
            f"A chain from t_trunc = {t_trunc} cannot take {n} steps: "
            "give t_trunc >= 0 and steps in 1..t_trunc, or none for the full chain."
        )
    return n


def ancestral(
    x_t: Tensor,
    x0: Tensor,
    t: int,
    r: int,
    z: Tensor | None,
    tau_diffusion: float,
    schedule: NoiseSchedule,
    before: Estimate | None = None,
    variance: Literal["posterior", "beta"] = "posterior",
) -> Tensor:
    """x_r = mean(x_t, x0) + sigma sqrt(tau_d) z; Ho et al. 2020, eq. 6-7 and algorithm 2.

    sigma^2 = (1 - ab_r) / (1 - ab_t) (1 - ab_t/ab_r), the posterior variance: DDIM with eta = 1.

    Parameters
    ----------
    x_t, x0, z
        The map at level t, its clean estimate and the noise: (B, 1, H, W), in units of ``scale``.
    t, r
        From level t to level r < t; no noise goes into r = 0.
    tau_diffusion
        tau_d, which multiplies the variance.
    variance
        "beta" is Ho et al.'s other choice, "fixed large": sigma^2 = 1 - ab_t/ab_r.

    Raises
    ------
    ValueError
        Where r >= t.
    """
    mean, sigma = schedule.posterior(x_t, x0, t, r)
    if z is None or r == 0:
        return mean
    if variance == "beta":
        return mean + math.sqrt(tau_diffusion * (1 - _ratio(schedule, t, r))) * z
    return mean + sigma * math.sqrt(tau_diffusion) * z


def ancestral_fixed_large(
    x_t: Tensor,
    x0: Tensor,
    t: int,
    r: int,
    z: Tensor | None,
    tau_diffusion: float,
    schedule: NoiseSchedule,
    before: Estimate | None = None,
) -> Tensor:
    """`ancestral` with sigma^2 = 1 - ab_t/ab_r, which is beta_t for r = t - 1.

    Ho et al. 2020, section 3.2: right for x0 ~ N(0, I), too noisy for anything narrower.
    """
    return ancestral(x_t, x0, t, r, z, tau_diffusion, schedule, before, variance="beta")


def ddim(
    x_t: Tensor,
    x0: Tensor,
    t: int,
    r: int,
    z: Tensor | None,
    tau_diffusion: float,
    schedule: NoiseSchedule,
    before: Estimate | None = None,
) -> Tensor:
    """x_r = sqrt(ab_r) x0 + sqrt(1 - ab_r) eps, eps = (x_t - sqrt(ab_t) x0) / sqrt(1 - ab_t).

    Song et al. 2021, eq. 12 with sigma = 0 (eta = 0): ignores ``z`` and ``tau_diffusion``.

    Raises
    ------
    ValueError
        Where r >= t.
    """
    _ratio(schedule, t, r)
    ab_t, ab_r = float(schedule.alpha_bar[t]), float(schedule.alpha_bar[r])
    from_x_t = math.sqrt((1 - ab_r) / (1 - ab_t))
    # One coefficient for x0, so that the two nearly equal terms cancel in float64.
    return from_x_t * x_t + (math.sqrt(ab_r) - from_x_t * math.sqrt(ab_t)) * x0


def dpm_solver_2m(
    x_t: Tensor,
    x0: Tensor,
    t: int,
    r: int,
    z: Tensor | None,
    tau_diffusion: float,
    schedule: NoiseSchedule,
    before: Estimate | None = None,
) -> Tensor:
    """`ddim` towards x0 as it is expected halfway down in log-SNR: DPM-Solver++(2M).

    Lu et al. 2022, "DPM-Solver++", algorithm 2: second order, from two estimates and one call.
    Ignores ``z`` and ``tau_diffusion``; without ``before`` it is `ddim`.
    """
    ahead = _halfway(x0, t, r, schedule, before)
    return ddim(x_t, ahead, t, r, z, tau_diffusion, schedule)


def dpm_solver_2m_sde(
    x_t: Tensor,
    x0: Tensor,
    t: int,
    r: int,
    z: Tensor | None,
    tau_diffusion: float,
    schedule: NoiseSchedule,
    before: Estimate | None = None,
) -> Tensor:
    """`ancestral` towards x0 as it is expected halfway down in log-SNR: SDE-DPM-Solver++(2M).

    Lu et al. 2022, "DPM-Solver++", its solvers of diffusion SDEs: the noise is that of
    `ancestral`, tau_d and all; without ``before`` it is `ancestral`.
    """
    ahead = _halfway(x0, t, r, schedule, before)
    return ancestral(x_t, ahead, t, r, z, tau_diffusion, schedule)


SAMPLERS: Mapping[str, Step] = MappingProxyType(
    {
        "ancestral": ancestral,
        "ancestral_fixed_large": ancestral_fixed_large,
        "ddim": ddim,
        "dpm_solver_2m": dpm_solver_2m,
        "dpm_solver_2m_sde": dpm_solver_2m_sde,
    }
)
DETERMINISTIC: frozenset[Step] = frozenset({ddim, dpm_solver_2m})
"""Steps that ignore their noise, and tau_d with it: for them none is drawn."""

EVEN_IN_LOG_SNR: frozenset[Step] = frozenset({dpm_solver_2m, dpm_solver_2m_sde})
"""Steps whose levels are `log_snr_timesteps`; those of all others are `timesteps`."""


def levels_of(
    step: Step, t_trunc: int, steps: int | None, schedule: NoiseSchedule
) -> tuple[int, ...]:
    """Return the levels that a chain of a sampler goes through; errors as for `timesteps`."""
    if step in EVEN_IN_LOG_SNR:
        return log_snr_timesteps(t_trunc, steps, schedule)
    return timesteps(t_trunc, steps)


def truncated_chain(
    denoise: Callable[[Tensor, int], Tensor],
    x_start: Tensor,
    t_trunc: int,
    steps: int | None,
    noise: Callable[[int], Tensor],
    tau_diffusion: float,
    schedule: NoiseSchedule,
    step: Step,
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
        See `levels_of`; T_trunc = 0 yields nothing, for x_start is then the result.
    noise
        Maps t to z ~ N(0, I) in the shape of ``x_start``; called only where the step uses it.
    tau_diffusion
        tau_d, the variance of what ``noise`` contributes.
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
    for t, r in pairwise(levels_of(step, t_trunc, steps, schedule)):
        if cancelled():
            raise Cancelled(f"Stopped at timestep {t} of {t_trunc}, as asked.")
        x0 = mask * denoise(x_t, t)
        if r > 0:  # by the contract of Step, x_0 is x0
            wanted = tau_diffusion > 0 and step not in DETERMINISTIC
            z = noise(t) if wanted else None
            x_t = step(x_t, x0, t, r, z, tau_diffusion, schedule, before)
            before = t, x0.clone()  # whoever receives the estimate may change it
        yield t, x0


def _halfway(
    x0: Tensor, t: int, r: int, schedule: NoiseSchedule, before: Estimate | None
) -> Tensor:
    """Return x0 extrapolated to the middle between t and r in log-SNR, through the one before."""
    if before is None or r == 0:  # the log-SNR of 0 is infinite, and x_0 is x0 by contract
        return x0
    u, x0_before = before
    ahead = (_log_snr(schedule, r) - _log_snr(schedule, t)) / 2
    behind = _log_snr(schedule, t) - _log_snr(schedule, u)
    return x0 + float(ahead / behind) * (x0 - x0_before)


def _log_snr(schedule: NoiseSchedule, t: int | NDArray[np.intp]) -> Any:
    """Return log(sqrt(ab_t) / sqrt(1 - ab_t)), half the log of the powers' ratio: Lu's lambda."""
    ab = schedule.alpha_bar.numpy()[t]
    return (np.log(ab) - np.log1p(-ab)) / 2


def _ratio(schedule: NoiseSchedule, t: int, r: int) -> float:
    """Return ab_t / ab_r, the share of x_r's signal power that is left in x_t."""
    if not 0 <= r < t <= schedule.n_train_steps:
        raise ValueError(f"a step goes from t down to r: need 0 <= r < t, found t={t}, r={r}")
    return float(schedule.alpha_bar[t] / schedule.alpha_bar[r])
