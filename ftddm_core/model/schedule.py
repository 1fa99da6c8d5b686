"""The noise schedule: x_t = sqrt(ab_t) x0 + sqrt(1 - ab_t) eps, with ab_0 = 1 and t = 0..T.

Cosine schedule of Nichol & Dhariwal, "Improved Denoising Diffusion Probabilistic Models" (2021),
eq. 17. Diffusers' ``alphas_cumprod[t - 1]`` is ``alpha_bar[t]`` here: t counts noising steps, so
that t = 0 is the clean map.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ftddm_core.conventions import N_TRAIN_STEPS

Timestep = int | Tensor
"""A timestep for the whole batch, or an integer tensor of shape (B,): one for every item."""


@dataclass(frozen=True)
class NoiseSchedule:
    """ab_t = prod_{u <= t} (1 - beta_u), beta_u = min(1 - f(u) / f(u - 1), ``max_beta``).

    f(t) = cos^2(pi/2 (t/T + offset) / (1 + offset)); Nichol & Dhariwal 2021, eq. 17.

    Coefficients are formed in float64 on the CPU, since 1 - ab_t is 4e-5 at t = 1 and loses three
    digits in float32; they are cast to the dtype and device of the map they multiply only then.

    Parameters
    ----------
    n_train_steps
        T, the length of the full chain.
    offset
        Keeps beta_1 from vanishing.
    max_beta
        Keeps ab_T above 0, so that no log-SNR is infinite for t >= 1.

    Attributes
    ----------
    alpha_bar
        ab, float64 of shape (T + 1,), strictly decreasing from ``alpha_bar[0] = 1``.

    Raises
    ------
    ValueError
        If a parameter is invalid.
    """

    n_train_steps: int = N_TRAIN_STEPS
    offset: float = 0.008
    max_beta: float = 0.999
    alpha_bar: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.n_train_steps < 1 or self.offset < 0 or not 0 < self.max_beta < 1:
            raise ValueError(f"no schedule for {self}: need T >= 1, offset >= 0, 0 < max_beta < 1")
        u = torch.arange(self.n_train_steps + 1, dtype=torch.float64) / self.n_train_steps
        f = torch.cos(math.pi / 2 * (u + self.offset) / (1 + self.offset)) ** 2
        alpha = (f[1:] / f[:-1]).clamp_min(1 - self.max_beta)
        object.__setattr__(self, "alpha_bar", torch.cat([torch.ones(1).double(), alpha.cumprod(0)]))

    def signal(self, t: Timestep) -> Tensor:
        """sqrt(ab_t), float32: 0-dimensional for an int, (B, 1, 1, 1) on t's device for a tensor.

        Raises
        ------
        ValueError
            Where t is not an integer in 0..T.
        """
        return self._on_device(self._ab(t).sqrt(), t)

    def noise(self, t: Timestep) -> Tensor:
        """sqrt(1 - ab_t), float32: shapes and errors as for `signal`."""
        return self._on_device((1 - self._ab(t)).sqrt(), t)

    def add_noise(self, x0: Tensor, t: Timestep, eps: Tensor) -> Tensor:
        """x_t = sqrt(ab_t) x0 + sqrt(1 - ab_t) eps; Ho et al. 2020, eq. 4.

        Parameters
        ----------
        x0, eps
            Clean maps divided by ``scale``, and standard normal noise: (B, C, H, W).
        t
            Level of the result.
        """
        ab = self._ab(t)
        return _like(ab.sqrt(), x0) * x0 + _like((1 - ab).sqrt(), x0) * eps

    def jump(self, x_u: Tensor, u: Timestep, t: Timestep, eps: Tensor) -> Tensor:
        """x_t = sqrt(ab_t / ab_u) x_u + sqrt(1 - ab_t / ab_u) eps, from level u up to t >= u.

        The forward process over several steps (Ho et al. 2020, eq. 2, iterated): a flow trained up
        to level u can start chains of any length.

        Raises
        ------
        ValueError
            Where t < u: noise cannot be taken away by adding some.
        """
        ab_u, ab_t = self._ab(u), self._ab(t)
        if bool((ab_t > ab_u).any()):
            raise ValueError(f"jump goes up in noise: t must be at least u, found u={u}, t={t}")
        ratio = ab_t / ab_u
        return _like(ratio.sqrt(), x_u) * x_u + _like((1 - ratio).sqrt(), x_u) * eps

    def velocity(self, x0: Tensor, eps: Tensor, t: Timestep) -> Tensor:
        """v = sqrt(ab_t) eps - sqrt(1 - ab_t) x0; Salimans & Ho 2022, section 4.

        The denoiser's target: unlike eps, it determines x0 at every level with an error that does
        not grow as the signal fades.
        """
        ab = self._ab(t)
        return _like(ab.sqrt(), x0) * eps - _like((1 - ab).sqrt(), x0) * x0

    def x0_from_velocity(self, x_t: Tensor, v: Tensor, t: Timestep) -> Tensor:
        """x0 = sqrt(ab_t) x_t - sqrt(1 - ab_t) v: the inverse of `velocity`."""
        ab = self._ab(t)
        return _like(ab.sqrt(), x_t) * x_t - _like((1 - ab).sqrt(), x_t) * v

    def posterior(self, x_t: Tensor, x0: Tensor, t: Timestep, r: Timestep) -> tuple[Tensor, Tensor]:
        """Mean and deviation of q(x_r | x_t, x0): Ho et al. 2020, eq. 6-7, for any r < t.

        mean = sqrt(ab_r) (1 - ab_t/ab_r) / (1 - ab_t) x0
        + sqrt(ab_t/ab_r) (1 - ab_r) / (1 - ab_t) x_t,
        sigma^2 = (1 - ab_r) / (1 - ab_t) (1 - ab_t/ab_r).
        It is DDIM with eta = 1 (Song et al. 2021, eq. 12 and 16).

        Returns
        -------
        mean
            Shape of ``x_t``; equal to x0 at r = 0.
        sigma
            Broadcastable against ``x_t``; 0 at r = 0.

        Raises
        ------
        ValueError
            Where r >= t.
        """
        ab_t, ab_r = self._ab(t), self._ab(r)
        if bool((ab_t >= ab_r).any()):
            raise ValueError(f"the posterior goes down in noise: need r < t, found t={t}, r={r}")
        ratio, share = ab_t / ab_r, (1 - self._ab(r)) / (1 - ab_t)
        from_x0 = ab_r.sqrt() * (1 - ratio) / (1 - ab_t)
        mean = _like(from_x0, x_t) * x0 + _like(ratio.sqrt() * share, x_t) * x_t
        return mean, _like((share * (1 - ratio)).sqrt(), x_t)

    def _ab(self, t: Timestep) -> Tensor:
        """ab_t in float64 on the CPU: 0-dimensional for an int, (B, 1, 1, 1) for a tensor."""
        index = torch.as_tensor(t, device="cpu")
        if index.is_floating_point() or index.is_complex() or index.dtype == torch.bool:
            raise ValueError(f"timesteps are integers, found {t!r}")
        if index.numel() and not 0 <= int(index.min()) <= int(index.max()) <= self.n_train_steps:
            raise ValueError(f"timesteps lie in 0..{self.n_train_steps}, found {t!r}")
        ab = self.alpha_bar[index.long()]
        return ab.view(-1, 1, 1, 1) if ab.ndim else ab

    @staticmethod
    def _on_device(coefficient: Tensor, t: Timestep) -> Tensor:
        # The cast comes first: not every device has float64.
        return coefficient.float().to(t.device if isinstance(t, Tensor) else "cpu")


def _like(coefficient: Tensor, x: Tensor) -> Tensor:
    """Return a coefficient for a map; a scalar may stay on the CPU, without synchronisation."""
    typed = coefficient.to(x.dtype)
    return typed.to(x.device) if typed.ndim else typed
