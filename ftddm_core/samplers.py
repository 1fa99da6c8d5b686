"""Samplers: a step of reverse diffusion from x_t to x_r, and the levels of the chain.

A sampler consists only of its step from level t down to level r, given the denoiser's current and
previous x0; the loop over the levels is `sampling.chain.truncated_chain`. To add one, write a
function of a `Transition` and enter it in `SAMPLERS`: the command line and both front ends will
offer it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ftddm_core.errors import SettingsError

if TYPE_CHECKING:  # a menu of samplers does not need torch
    from torch import Tensor

    from ftddm_core.model.schedule import NoiseSchedule

LAST_LEVEL = 3
"""Level of the last estimate of `log_snr_timesteps`: below it, there is almost no noise."""

LEAST_LOG_SNR = -5.1
"""Half log-SNR, see `_log_snr`, where `log_snr_timesteps` start: beyond it there is almost no
signal, whatever the number of levels."""


@dataclass(frozen=True, eq=False)
class Transition:
    """One step of a chain, from level t to level r < t, and its inputs.

    Parameters
    ----------
    x_t, x0
        The map at level t and its clean estimate, (B, 1, H, W), in units of ``scale``.
    t, r
        The levels; no noise is added at r = 0.
    z
        Noise N(0, I) in the shape of ``x_t``; None for no noise.
    tau_diffusion
        tau_d, which multiplies the variance of the noise; of all maps or of each, (B, 1, 1, 1).
    schedule
        Schedule of the noise levels.
    before
        Level and clean estimate of the previous step; None at the first step.
    """

    x_t: Tensor
    x0: Tensor
    t: int
    r: int
    z: Tensor | None
    tau_diffusion: float | Tensor
    schedule: NoiseSchedule
    before: tuple[int, Tensor] | None = None


Step = Callable[[Transition], "Tensor"]
"""Returns x_r, which is x0 itself at r = 0."""

Levels = Callable[[int, int | None, "NoiseSchedule"], tuple[int, ...]]
"""Takes T_trunc, the number of steps (None for the full chain) and the schedule; returns the
levels, strictly falling from T_trunc to 0."""


@dataclass(frozen=True)
class Sampler:
    """A sampler of a chain.

    Parameters
    ----------
    step
        Step from one level to the next.
    label, help
        Its usual name, and a short description.
    levels
        Levels of the chain.
    deterministic
        Whether the step ignores noise and tau_d; no noise is drawn then.
    """

    step: Step
    label: str
    help: str
    levels: Levels
    deterministic: bool = False


# ---- levels


def timesteps(
    t_trunc: int, steps: int | None = None, schedule: NoiseSchedule | None = None
) -> tuple[int, ...]:
    """t_i = round(T_trunc (1 - i / n)), i = 0..n: the levels of a chain of n = ``steps`` steps.

    Even strides, as in Nichol & Dhariwal 2021, section 4, for any schedule.

    Returns
    -------
    levels
        n + 1 integers, strictly decreasing from ``t_trunc`` to 0; n = ``t_trunc`` for None.

    Raises
    ------
    SettingsError
        If n steps do not fit between ``t_trunc`` and 0.
    """
    n = _count(t_trunc, steps)
    # Rounded half up in integers: round(), half to even, would repeat a level at 1.5 and 2.5.
    return (*((2 * t_trunc * k + n) // (2 * n) for k in range(n, 0, -1)), 0)


def log_snr_timesteps(t_trunc: int, steps: int | None, schedule: NoiseSchedule) -> tuple[int, ...]:
    """Integer levels, as even in log-SNR as possible, from T_trunc to `LAST_LEVEL`, and 0.

    The uniform log-SNR steps of Lu et al. 2022. Returns and raises like `timesteps`; for the full
    chain the levels are the same.
    """
    n = _count(t_trunc, steps)
    if n == 0:
        return (0,)
    known = _log_snr(schedule, slice(1, t_trunc + 1))
    first, last = max(float(known[-1]), LEAST_LOG_SNR), float(known[min(LAST_LEVEL, t_trunc) - 1])
    wanted = (first + (last - first) * i / (n - 1) for i in range(1, n))
    levels = [t_trunc, *(int((known - value).abs().argmin()) + 1 for value in wanted)]
    for i in range(1, n):
        levels[i] = min(levels[i], levels[i - 1] - 1)
    # Each level leaves room for the later ones; both sequences decrease, and so does their maximum.
    return (*(max(level, n - i) for i, level in enumerate(levels)), 0)


def _count(t_trunc: int, steps: int | None) -> int:
    n = t_trunc if steps is None else steps
    if t_trunc < 0 or not min(1, t_trunc) <= n <= t_trunc:
        raise SettingsError(
            f"A chain from t_trunc = {t_trunc} cannot take {n} steps: "
            "give t_trunc >= 0 and steps in 1..t_trunc, or no steps for the full chain."
        )
    return n


# ---- steps


def ancestral(move: Transition) -> Tensor:
    """x_r = mean(x_t, x0) + sigma sqrt(tau_d) z; Ho et al. 2020, eq. 6-7 and algorithm 2.

    sigma^2 = (1 - ab_r) / (1 - ab_t) (1 - ab_t/ab_r), the posterior variance: DDIM with eta = 1.

    Raises
    ------
    ValueError
        If r >= t.
    """
    mean, sigma = move.schedule.posterior(move.x_t, move.x0, move.t, move.r)
    if move.z is None or move.r == 0:
        return mean
    return mean + sigma * move.tau_diffusion**0.5 * move.z


def ancestral_fixed_large(move: Transition) -> Tensor:
    """`ancestral` with sigma^2 = 1 - ab_t/ab_r, which is beta_t for r = t - 1.

    Ho et al. 2020, section 3.2: right for x0 ~ N(0, I), too noisy for anything narrower.
    """
    mean, _ = move.schedule.posterior(move.x_t, move.x0, move.t, move.r)
    if move.z is None or move.r == 0:
        return mean
    return mean + (move.tau_diffusion * (1 - _ratio(move))) ** 0.5 * move.z


def ddim(move: Transition) -> Tensor:
    """x_r = sqrt(ab_r) x0 + sqrt(1 - ab_r) eps, eps = (x_t - sqrt(ab_t) x0) / sqrt(1 - ab_t).

    Song et al. 2021, eq. 12 with sigma = 0 (eta = 0): ignores ``z`` and ``tau_diffusion``.

    Raises
    ------
    ValueError
        If r >= t.
    """
    _ratio(move)
    ab_t, ab_r = (float(move.schedule.alpha_bar[level]) for level in (move.t, move.r))
    from_x_t = math.sqrt((1 - ab_r) / (1 - ab_t))
    # One coefficient for x0, so that two nearly equal terms cancel in float64.
    return from_x_t * move.x_t + (math.sqrt(ab_r) - from_x_t * math.sqrt(ab_t)) * move.x0


def dpm_solver_2m(move: Transition) -> Tensor:
    """DPM-Solver++(2M): `ddim` towards x0 extrapolated to half the step in log-SNR.

    Lu et al. 2022, "DPM-Solver++", algorithm 2: second order, from two estimates and one call.
    Ignores ``z`` and ``tau_diffusion``; without ``before`` it is `ddim`.
    """
    return ddim(_halfway(move))


def dpm_solver_2m_sde(move: Transition) -> Tensor:
    """SDE-DPM-Solver++(2M): `ancestral` towards x0 extrapolated to half the step in log-SNR.

    Lu et al. 2022, "DPM-Solver++", solvers of diffusion SDEs: the noise is that of `ancestral`,
    including tau_d; without ``before`` it is `ancestral`.
    """
    return ancestral(_halfway(move))


def _halfway(move: Transition) -> Transition:
    """Extrapolate x0 to the middle between t and r in log-SNR, from the previous estimate."""
    if move.before is None or move.r == 0:  # the log-SNR of 0 is infinite, and x_0 is x0
        return move
    u, x0_before = move.before
    at_u, at_t, at_r = (float(_log_snr(move.schedule, level)) for level in (u, move.t, move.r))
    weight = (at_r - at_t) / 2 / (at_t - at_u)
    return replace(move, x0=move.x0 + weight * (move.x0 - x0_before))


def _log_snr(schedule: NoiseSchedule, t: int | slice) -> Any:
    """Return log(sqrt(ab_t) / sqrt(1 - ab_t)), half the log of the powers' ratio: Lu's lambda."""
    ab = schedule.alpha_bar[t]
    return (ab.log() - (-ab).log1p()) / 2


def _ratio(move: Transition) -> float:
    """Return ab_t / ab_r, the share of x_r's signal power that is left in x_t."""
    t, r, schedule = move.t, move.r, move.schedule
    if not 0 <= r < t <= schedule.n_train_steps:
        raise ValueError(f"a step goes from t down to r: need 0 <= r < t, found t={t}, r={r}")
    return float(schedule.alpha_bar[t] / schedule.alpha_bar[r])


SAMPLERS: Mapping[str, Sampler] = MappingProxyType(
    {
        "ancestral": Sampler(
            ancestral, "DDPM", "draws from the posterior in every step", timesteps
        ),
        "ancestral_fixed_large": Sampler(
            ancestral_fixed_large,
            "DDPM, fixed large variance",
            "adds the larger noise of the authors' code",
            timesteps,
        ),
        "ddim": Sampler(ddim, "DDIM", "adds no noise", timesteps, deterministic=True),
        "dpm_solver_2m": Sampler(
            dpm_solver_2m,
            "DPM-Solver++ (2M)",
            "is second-order ddim, for few steps: it also uses the previous estimate",
            log_snr_timesteps,
            deterministic=True,
        ),
        "dpm_solver_2m_sde": Sampler(
            dpm_solver_2m_sde,
            "SDE-DPM-Solver++ (2M)",
            "is second-order ancestral, for few steps: it also uses the previous estimate",
            log_snr_timesteps,
        ),
    }
)
"""Key: the name in settings, sidecars and links."""

FULL_SAMPLER, FEW_STEPS_SAMPLER = "ancestral", "dpm_solver_2m_sde"
"""The method's own sampler for the full chain; and for fewer steps, of those that use tau_d, the
one closest to it: `ftddm bench` compares them, and `ftddm evaluate` compares it with the chain."""
