"""Bijections of a conditional Glow: y = f(x; c) with log|det dy/dx|, and the inverse with its own.

Kingma & Dhariwal, "Glow" (2018), table 1; the affine injector is SRFlow's (Lugmayr et al. 2020).
Every module maps (B, C, H, W) and a condition at the same resolution to ``(y, logdet)``, logdet of
shape (B,) in nats. Data-dependent log-scales pass through tanh, so that the flow stays bounded for
any condition, however far from the training data.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ftddm_core.errors import GeometryError

Transformed = tuple[Tensor, Tensor]


class Bijection(nn.Module, ABC):
    """x <-> y = f(x; c), invertible in x for every condition c."""

    @abstractmethod
    def forward(self, x: Tensor, cond: Tensor) -> Transformed:
        """Return y = f(x; c) and log|det dy/dx| of shape (B,), in nats."""

    @abstractmethod
    def inverse(self, y: Tensor, cond: Tensor) -> Transformed:
        """Return x = f^-1(y; c) and log|det dx/dy| of shape (B,), in nats."""


class ActNorm(Bijection):
    """y = exp(log_scale) x + shift, one scale and shift a channel; Glow, section 3.1.

    The first batch in training mode sets both such that y has mean 0 and deviation 1. Loaded
    weights have ``initialised`` set and are not changed.

    Parameters
    ----------
    floor
        Smallest deviation to divide by, so that an empty channel is not amplified.
    """

    initialised: Tensor

    def __init__(self, channels: int, floor: float = 1e-3) -> None:
        super().__init__()
        self.floor = floor
        self.log_scale = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.shift = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.register_buffer("initialised", torch.tensor(False))

    def forward(self, x: Tensor, cond: Tensor) -> Transformed:
        """Return y and H W sum(log_scale); the first batch sets the parameters."""
        if self.training and not self.initialised:
            self._initialise(x)
        return x * self.log_scale.exp() + self.shift, _everywhere(self.log_scale, x)

    def inverse(self, y: Tensor, cond: Tensor) -> Transformed:
        """Return x = exp(-log_scale) (y - shift) and -H W sum(log_scale)."""
        return (y - self.shift) * (-self.log_scale).exp(), -_everywhere(self.log_scale, y)

    @torch.no_grad()
    def _initialise(self, x: Tensor) -> None:
        std, mean = torch.std_mean(x, dim=(0, 2, 3), keepdim=True)
        self.log_scale.copy_(-std.clamp_min(self.floor).log())
        self.shift.copy_(-mean * self.log_scale.exp())
        self.initialised.fill_(True)


class InvertibleConv1x1(Bijection):
    """y = W x at every voxel, W = P L (U + diag(s)); Glow, section 3.2, eq. 10-11.

    P is a fixed permutation, L unit lower and U strictly upper triangular. The signs of s are
    fixed, so that W stays invertible and log|det W| = sum(log|s|).

    Parameters
    ----------
    generator
        Draws the initial W, a rotation (determinant 1).
    """

    permutation: Tensor
    sign: Tensor

    def __init__(self, channels: int, generator: torch.Generator) -> None:
        super().__init__()
        rotation, _ = torch.linalg.qr(torch.randn(channels, channels, generator=generator))
        rotation[:, 0] *= torch.linalg.det(rotation).sign()
        permutation, lower, upper = torch.linalg.lu(rotation)
        self.lower = nn.Parameter(lower.tril(-1))
        self.upper = nn.Parameter(upper.triu(1))
        self.log_s = nn.Parameter(upper.diagonal().abs().log())
        self.register_buffer("permutation", permutation)
        self.register_buffer("sign", upper.diagonal().sign())

    def forward(self, x: Tensor, cond: Tensor) -> Transformed:
        """Return W x and H W sum(log|s|), H W the number of voxels."""
        return _mix(self.weight(), x), _everywhere(self.log_s, x)

    def inverse(self, y: Tensor, cond: Tensor) -> Transformed:
        """Return W^-1 y by two triangular solves, and -H W sum(log|s|)."""
        lower, upper = self._triangles()
        inverse = torch.linalg.solve_triangular(lower, self.permutation.mT, upper=False)
        inverse = torch.linalg.solve_triangular(upper, inverse, upper=True)
        return _mix(inverse, y), -_everywhere(self.log_s, y)

    def weight(self) -> Tensor:
        """Return W, (channels, channels)."""
        lower, upper = self._triangles()
        return self.permutation @ lower @ upper

    def _triangles(self) -> Transformed:
        identity = torch.eye(len(self.sign), dtype=self.sign.dtype, device=self.sign.device)
        diagonal = torch.diag(self.sign * self.log_s.exp())
        return self.lower.tril(-1) + identity, self.upper.triu(1) + diagonal


class Squeeze(Bijection):
    """(B, C, H, W) -> (B, 4C, H/2, W/2), a reordering; Dinh et al. 2017, "Real NVP", section 3.6.
    Raises GeometryError for an odd H or W.
    """

    def forward(self, x: Tensor, cond: Tensor) -> Transformed:
        """Return the squeezed x and 0: a permutation preserves volume."""
        height, width = x.shape[-2:]
        if height % 2 or width % 2:
            raise GeometryError(
                f"A grid of {height} x {width} cannot be halved: pad both sides to even numbers."
            )
        return functional.pixel_unshuffle(x, 2), x.new_zeros(len(x))

    def inverse(self, y: Tensor, cond: Tensor) -> Transformed:
        """Return y at twice the resolution, and 0."""
        return functional.pixel_shuffle(y, 2), y.new_zeros(len(y))


class Injector(Bijection):
    """y = exp(s(c)) x + b(c), s = tanh(.) in (-1, 1); Lugmayr et al. 2020, "SRFlow".

    The affine injector puts the condition into every channel; x passes through no network. One 1x1
    convolution computes s and b, initialised to 0: the identity.
    """

    def __init__(self, channels: int, cond_channels: int) -> None:
        super().__init__()
        self.affine = _zeroed(nn.Conv2d(cond_channels, 2 * channels, 1))

    def forward(self, x: Tensor, cond: Tensor) -> Transformed:
        """Return y and the sum of s over channels and voxels."""
        return _scale_and_shift(x, *self._affine(cond))

    def inverse(self, y: Tensor, cond: Tensor) -> Transformed:
        """Return x = exp(-s(c)) (y - b(c)) and minus the sum of s."""
        return _unshift_and_unscale(y, *self._affine(cond))

    def _affine(self, cond: Tensor) -> Transformed:
        raw, shift = self.affine(cond).chunk(2, dim=1)
        return raw.tanh(), shift


class ConditionalCoupling(Bijection):
    """y_a = x_a, y_b = exp(s(x_a, c)) x_b + b(x_a, c), s = k tanh(.); Real NVP, section 3.2.

    The condition enters the first hidden layer; the last layer is initialised to 0, so that the
    coupling starts as the identity. k is a learned factor per channel, initialised to 1.

    Parameters
    ----------
    channels, cond_channels, hidden
        Of x, at least 2 (else ValueError), of the condition and of the hidden layers. x_a is the
        first half of x, rounded down.
    """

    def __init__(self, channels: int, cond_channels: int, hidden: int) -> None:
        super().__init__()
        if channels < 2:
            raise ValueError(f"a coupling needs at least 2 channels to split, found {channels}")
        self.kept = channels // 2
        changed = channels - self.kept
        self.from_x = nn.Conv2d(self.kept, hidden, 3, padding=1)
        self.from_cond = nn.Conv2d(cond_channels, hidden, 1)
        self.hidden = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.affine = _zeroed(nn.Conv2d(hidden, 2 * changed, 3, padding=1))
        self.factor = nn.Parameter(torch.ones(1, changed, 1, 1))

    def forward(self, x: Tensor, cond: Tensor) -> Transformed:
        """Return y and the sum of s over channels and voxels."""
        x_a, x_b = x.tensor_split([self.kept], dim=1)
        y_b, logdet = _scale_and_shift(x_b, *self._affine(x_a, cond))
        return torch.cat([x_a, y_b], dim=1), logdet

    def inverse(self, y: Tensor, cond: Tensor) -> Transformed:
        """Return x, with x_b = exp(-s) (y_b - b), and minus the sum of s."""
        y_a, y_b = y.tensor_split([self.kept], dim=1)
        x_b, logdet = _unshift_and_unscale(y_b, *self._affine(y_a, cond))
        return torch.cat([y_a, x_b], dim=1), logdet

    def _affine(self, x_a: Tensor, cond: Tensor) -> Transformed:
        h = functional.silu(self.from_x(x_a) + self.from_cond(cond))
        raw, shift = self.affine(functional.silu(self.hidden(h))).chunk(2, dim=1)
        return self.factor * raw.tanh(), shift


class Sequence(Bijection):
    """y = f_n(... f_1(x; c) ...; c), whose log-determinants add up; all share one condition."""

    def __init__(self, bijections: Iterable[Bijection]) -> None:
        super().__init__()
        self.bijections = nn.ModuleList(bijections)

    def forward(self, x: Tensor, cond: Tensor) -> Transformed:
        """Return y and the sum of the log-determinants."""
        return _compose(self.bijections, x, cond)

    def inverse(self, y: Tensor, cond: Tensor) -> Transformed:
        """Undo the last bijection first; return x and the sum of the inverse log-determinants."""
        return _compose([cast(Bijection, f).inverse for f in reversed(self.bijections)], y, cond)


def _compose(maps: Iterable[Callable[..., Transformed]], x: Tensor, cond: Tensor) -> Transformed:
    total = x.new_zeros(len(x))
    for f in maps:
        x, logdet = f(x, cond)
        total = total + logdet
    return x, total


def _everywhere(log_factor: Tensor, x: Tensor) -> Tensor:
    """Sum per-channel log-factors over the voxels of x, for every item of its batch."""
    return (log_factor.sum() * x[0, 0].numel()).expand(len(x))


def _scale_and_shift(x: Tensor, log_scale: Tensor, shift: Tensor) -> Transformed:
    return x * log_scale.exp() + shift, log_scale.sum(dim=(1, 2, 3))


def _unshift_and_unscale(y: Tensor, log_scale: Tensor, shift: Tensor) -> Transformed:
    return (y - shift) * (-log_scale).exp(), -log_scale.sum(dim=(1, 2, 3))


def _mix(weight: Tensor, x: Tensor) -> Tensor:
    return functional.conv2d(x, weight[:, :, None, None])


def _zeroed(conv: nn.Conv2d) -> nn.Conv2d:
    for parameter in conv.parameters():
        nn.init.zeros_(parameter)
    return conv
