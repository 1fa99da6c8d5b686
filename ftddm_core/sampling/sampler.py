"""Truncated reverse diffusion: x_{T_trunc} -> ... -> x_0, one step function each, one loop.

A sampler is only its step from level t down to level r, given the denoiser's x0; the loop, the
mask, the noise and cancelling live once, in `truncated_chain`. To add a sampler, write a function
with the signature of `Step`, enter it in `SAMPLERS` and name it in `ftddm_core.settings`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Literal, Protocol

from torch import Tensor

from ftddm_core.errors import Cancelled, SettingsError
from ftddm_core.model.schedule import NoiseSchedule


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
    ) -> Tensor:
        """Return x_r, which is x0 itself at r = 0; ``z`` is None where no noise is to be added."""
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
    n = t_trunc if steps is None else steps
    if t_trunc < 0 or not min(1, t_trunc) <= n <= t_trunc:
        raise SettingsError(
            f"A chain from t_trunc = {t_trunc} cannot take {n} steps: "
            "give t_trunc >= 0 and steps in 1..t_trunc, or none for the full chain."
        )
    # Rounded half up in integers: round(), half to even, would repeat a level at 1.5 and 2.5.
    return (*((2 * t_trunc * k + n) // (2 * n) for k in range(n, 0, -1)), 0)


def ancestral(
    x_t: Tensor,
    x0: Tensor,
    t: int,
    r: int,
    z: Tensor | None,
    tau_diffusion: float,
    schedule: NoiseSchedule,
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
) -> Tensor:
    """`ancestral` with sigma^2 = 1 - ab_t/ab_r, which is beta_t for r = t - 1.

    Ho et al. 2020, section 3.2: right for x0 ~ N(0, I), too noisy for anything narrower.
    """
    return ancestral(x_t, x0, t, r, z, tau_diffusion, schedule, variance="beta")


def ddim(
    x_t: Tensor,
    x0: Tensor,
    t: int,
    r: int,
    z: Tensor | None,
    tau_diffusion: float,
    schedule: NoiseSchedule,
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


SAMPLERS: Mapping[str, Step] = MappingProxyType(
    {
        "ancestral": ancestral,
        "ancestral_fixed_large": ancestral_fixed_large,
        "ddim": ddim,
    }
)
DETERMINISTIC: frozenset[Step] = frozenset({ddim})
"""Steps that ignore their noise: for them none is drawn, which is all that this entry changes."""


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
        See `timesteps`; T_trunc = 0 yields nothing, for x_start is then the result.
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
    x_t = x_start
    for t, r in pairwise(timesteps(t_trunc, steps)):
        if cancelled():
            raise Cancelled(f"Stopped at timestep {t} of {t_trunc}, as asked.")
        x0 = mask * denoise(x_t, t)
        if r > 0:  # by the contract of Step, x_0 is x0
            wanted = tau_diffusion > 0 and step not in DETERMINISTIC
            x_t = step(x_t, x0, t, r, noise(t) if wanted else None, tau_diffusion, schedule)
        yield t, x0


def _ratio(schedule: NoiseSchedule, t: int, r: int) -> float:
    """Return ab_t / ab_r, the share of x_r's signal power that is left in x_t."""
    if not 0 <= r < t <= schedule.n_train_steps:
        raise ValueError(f"a step goes from t down to r: need 0 <= r < t, found t={t}, r={r}")
    return float(schedule.alpha_bar[t] / schedule.alpha_bar[r])
