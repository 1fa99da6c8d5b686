r"""The conditional normalising flow that draws x_t for any level t = 1..t_flow_max.

A Glow (Kingma & Dhariwal 2018) conditioned on (lowres, mask, T1, FLAIR), on s and on the level t.
Its first bijection standardises x_t by the known effect of the level,

.. math::  u = (x_t - \sqrt{\bar\alpha_t}\, \mu_0) / d,
           \quad d^2 = 1 - \bar\alpha_t + \bar\alpha_t\, m\, \sigma_0^2,

with mu_0 (0 outside the mask m) and sigma_0 predicted from the conditions: outside the mask, d is
exactly the noise of the level; inside, it is never less. The remaining steps (activation norm,
invertible 1x1 convolution, affine injector, conditional affine coupling) at 1/2, 1/4 and 1/8 of the
resolution, with half of the channels split off after each of the first two, model the non-Gaussian
and dependent part. The base N(mu, tau_f sigma^2) is predicted from the conditions, so that any grid
size works.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ftddm_core.conventions import channel_slice
from ftddm_core.model.bijections import (
    ActNorm,
    Bijection,
    ConditionalCoupling,
    Injector,
    InvertibleConv1x1,
    Sequence,
)
from ftddm_core.model.schedule import NoiseSchedule
from ftddm_core.model.unet import Trunk, UNetConfig, norm


@dataclass(frozen=True)
class FlowConfig:
    """Sizes of a `ConditionalGlow`.

    Parameters
    ----------
    encoder
        Sizes of the network that reads the conditions: patch 2 and three resolutions.
    steps
        Flow steps at each of the three resolutions.
    hidden
        Channels inside the couplings.
    t_flow_max
        Largest level of the training.
    """

    encoder: UNetConfig = field(
        default_factory=lambda: UNetConfig(channels=(48, 96, 128), attention=(2,))
    )
    steps: int = 4
    hidden: int = 64
    t_flow_max: int = 250


FLOW_PRESETS = {
    "small": FlowConfig(),
    "paper": FlowConfig(
        encoder=UNetConfig(channels=(128, 192, 256), blocks=2, attention=(2,)),
        steps=12,
        hidden=128,
    ),
}
"""`small` is fast on a CPU; `paper` has 12 steps per level as in Dong et al. 2025, in our
layout."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """Encoded conditions, computed once for a likelihood or any number of samples.

    Parameters
    ----------
    mean, deviation
        Of the standardisation, (B, 1, H, W), in units of x_t.
    features
        (B, C_i, H/2^i, W/2^i) for i = 1, 2, 3.
    base
        Mean and log-deviation of each of the three latents, as one list of pairs.
    """

    mean: Tensor
    deviation: Tensor
    features: list[Tensor]
    base: list[tuple[Tensor, Tensor]]


class ConditionalGlow(nn.Module):
    """p(x_t | lowres, mask, T1, FLAIR, s, t), exactly invertible."""

    def __init__(self, config: FlowConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.schedule = NoiseSchedule()
        if config.t_flow_max not in range(1, self.schedule.n_train_steps + 1):
            raise ValueError(
                f"t_flow_max lies in 1..{self.schedule.n_train_steps}, found {config.t_flow_max}"
            )
        generator = generator or torch.Generator().manual_seed(0)
        widths = config.encoder.channels
        self.encoder = Trunk(config.encoder, config.encoder.condition_channels)
        pixels = config.encoder.patch**2
        self.head_norm = norm(widths[0])
        self.head = nn.Conv2d(widths[0], 2 * pixels, 3, padding=1)
        self.feature_norms = nn.ModuleList([norm(width) for width in widths])
        self.levels, self.bases = nn.ModuleList(), nn.ModuleList()
        channels = 1
        for level, width in enumerate(widths):
            channels *= 4
            self.levels.append(
                Sequence(
                    step
                    for _ in range(config.steps)
                    for step in _flow_step(channels, width, config.hidden, generator)
                )
            )
            leaving = channels // 2 if level < len(widths) - 1 else channels
            self.bases.append(nn.Conv2d(width, 2 * leaving, 1))
            channels -= leaving
        for layer in (self.head, *cast(list[nn.Conv2d], list(self.bases))):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(cast(Tensor, layer.bias))

    def encode(self, condition: Tensor, t: Tensor, upscale: Tensor) -> Encoded:
        """Read the conditions.

        Parameters
        ----------
        condition
            Channels (B, 5, H, W) in the order of `conventions.CHANNELS`.
        t
            Levels (B,), 1..t_flow_max.
        upscale
            Effective factors s (B,).
        """
        pyramid = self.encoder.pyramid(condition, t, upscale)[::-1]
        features = [
            functional.silu(normalise(f))
            for normalise, f in zip(self.feature_norms, pyramid, strict=True)
        ]
        head = self.head(functional.silu(self.head_norm(pyramid[0])))
        head = functional.pixel_shuffle(head, self.config.encoder.patch)
        lowres, mask = (condition[:, channel_slice(name)] for name in ("lowres", "mask"))
        x0 = mask * (lowres + head[:, 0:1])
        x0_deviation = torch.exp(-3 + 2.5 * torch.tanh(head[:, 1:2]))
        signal, noise = self.schedule.signal(t), self.schedule.noise(t)
        variance = noise**2 + mask * (signal * x0_deviation) ** 2
        base = []
        for layer, feature in zip(self.bases, features, strict=True):
            mean, raw = layer(feature).chunk(2, dim=1)
            base.append((mean, torch.tanh(raw)))
        return Encoded(signal * x0, variance.sqrt(), features, base)

    def forward(self, x_t: Tensor, encoded: Encoded) -> tuple[list[Tensor], Tensor]:
        """Return the latents z and log|det dz/dx_t| of shape (B,), in nats.

        The latents are (B, 2, H/2, W/2), (B, 4, H/4, W/4) and (B, 16, H/8, W/8).
        """
        logdet = -encoded.deviation.log().sum((1, 2, 3))
        rest = (x_t - encoded.mean) / encoded.deviation
        latents = []
        for level, feature in enumerate(encoded.features):
            rest = functional.pixel_unshuffle(rest, 2)
            rest, change = self._level(level)(rest, feature)
            logdet = logdet + change
            z, rest = self._split(level, rest)
            latents.append(z)
        return latents, logdet

    def inverse(self, latents: list[Tensor], encoded: Encoded) -> Tensor:
        """Return x_t (B, 1, H, W) from latents shaped as `forward` returns them."""
        rest = latents[-1]
        for level in reversed(range(len(latents))):
            if level < len(latents) - 1:
                rest = torch.cat([latents[level], rest], dim=1)
            rest, _ = self._level(level).inverse(rest, encoded.features[level])
            rest = functional.pixel_shuffle(rest, 2)
        return encoded.mean + encoded.deviation * rest

    def log_prob(self, x_t: Tensor, encoded: Encoded) -> Tensor:
        """Return log p(x_t) in nats, (B,): base density of z plus log|det dz/dx_t|."""
        latents, total = self(x_t, encoded)
        for z, (mean, log_deviation) in zip(latents, encoded.base, strict=True):
            standard = (z - mean) * torch.exp(-log_deviation)
            density = -0.5 * standard**2 - log_deviation - 0.5 * math.log(2 * math.pi)
            total = total + density.sum((1, 2, 3))
        return cast(Tensor, total)

    def sample(self, normal: Tensor, encoded: Encoded, tau_flow: float) -> Tensor:
        """Return x_t (B, 1, H, W) for z = mu + sqrt(tau_f) sigma n.

        Parameters
        ----------
        normal
            Standard normal noise n of the grid's shape (B, 1, H, W): its voxels are distributed to
            the latents like those of an image, so that noise keeps its position.
        encoded
            The conditions.
        tau_flow
            Temperature: a factor on the variance, 0..1.
        """
        scale = math.sqrt(tau_flow)
        latents = []
        for level, (mean, log_deviation) in enumerate(encoded.base):
            normal = functional.pixel_unshuffle(normal, 2)
            own, normal = self._split(level, normal)
            latents.append(mean + scale * log_deviation.exp() * own)
        return self.inverse(latents, encoded)

    def _level(self, level: int) -> Bijection:
        return cast(Bijection, self.levels[level])

    def _split(self, level: int, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the channels split off at a level, and the rest (none at the last)."""
        leaving = x.shape[1] // 2 if level < len(self.levels) - 1 else x.shape[1]
        return x[:, :leaving], x[:, leaving:]


def _flow_step(
    channels: int, width: int, hidden: int, generator: torch.Generator
) -> tuple[Bijection, ...]:
    return (
        ActNorm(channels),
        InvertibleConv1x1(channels, generator),
        Injector(channels, width),
        ConditionalCoupling(channels, width, hidden),
    )
