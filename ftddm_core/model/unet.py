"""The denoiser: a UNet conditioned on noise level t and upscaling factor s in every block.

Inputs x_t and the condition's channels; output the velocity v = sqrt(ab_t) eps - sqrt(1 - ab_t) x0
(Salimans & Ho 2022), or eps: see `prediction`. Residual blocks are modulated by scale and shift
from the embeddings of t and s side by side, the paper's Conditional Instance Normalisation (Dong et
al. 2025) in the form of Dhariwal & Nichol 2021 (adaptive group normalisation). A pixel-unshuffle
stem lets the `small` preset work at half the resolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ftddm_core.errors import SettingsError
from ftddm_core.model.prediction import PREDICTIONS, Prediction


@dataclass(frozen=True)
class UNetConfig:
    """Sizes of a `UNet`.

    Parameters
    ----------
    condition_channels
        Number of condition channels.
    patch
        Side of the pixel-unshuffle stem; 1 for none.
    channels
        Channels at each resolution, each half the one before.
    blocks
        Residual blocks at each resolution on the way down (one more on the way up).
    attention
        Resolutions with self-attention, counted from 0, the finest.
    heads
        Attention heads.
    embedding
        Width of the joint embedding of t and s.
    prediction
        Output of a `UNet`: the velocity, or the noise.
    """

    condition_channels: int = 5
    patch: int = 2
    channels: tuple[int, ...] = (64, 128, 128)
    blocks: int = 1
    attention: tuple[int, ...] = (2,)
    heads: int = 4
    embedding: int = 256
    prediction: Prediction = "v"

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this."""
        halvings = len(self.channels) - 1
        return int(self.patch * 2**halvings)


UNET_PRESETS = {
    "small": UNetConfig(),
    "paper": UNetConfig(
        patch=1, channels=(64, 128, 192, 256), blocks=3, attention=(2, 3), embedding=256
    ),
}
"""`small` is fast on a CPU; `paper` has the sizes of Dong et al. 2025."""


def sinusoids(value: Tensor, width: int, longest: float) -> Tensor:
    """Embed numbers (B,) as sines and cosines (B, width) of periods from 2 pi to 2 pi `longest`."""
    frequency = torch.exp(
        -math.log(longest) * torch.arange(width // 2, device=value.device) / (width // 2 - 1)
    )
    angle = value.float()[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class LevelEmbedding(nn.Module):
    """Joint embedding of t and s: two sinusoidal embeddings side by side through a small MLP."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.half_width = width // 2
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Tensor, upscale: Tensor) -> Tensor:
        """Return (B, width) for t (B,) in steps and s (B,)."""
        of_t = sinusoids(t, self.half_width, 1e4)
        of_s = sinusoids(64 * upscale.log2(), self.half_width, 1e3)
        return cast(Tensor, self.mlp(torch.cat([of_t, of_s], dim=1)))


def norm(channels: int) -> nn.GroupNorm:
    """Group normalisation with groups of at least eight channels, 32 groups at most."""
    return nn.GroupNorm(math.gcd(32, channels // 8) if channels >= 16 else 1, channels)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, the second's normalisation modulated by the embedding."""

    def __init__(self, inputs: int, outputs: int, embedding: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = norm(inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2, self.conv2 = norm(outputs), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(cast(Tensor, self.conv2.bias))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W), given an embedding (B, width)."""
        h = self.conv1(functional.silu(self.norm1(x)))
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)
        h = self.conv2(functional.silu(self.norm2(h) * (1 + scale) + shift))
        return cast(Tensor, self.skip(x) + h)


class SelfAttention(nn.Module):
    """Self-attention over all positions, added to the input."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise ValueError(f"{channels} channels cannot be split into {heads} heads")
        self.heads = heads
        self.norm = norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(cast(Tensor, self.out.bias))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        b, c, h, w = x.shape
        qkv = self.qkv(self.norm(x)).reshape(b, 3, self.heads, c // self.heads, h * w)
        q, k, v = (part.transpose(-1, -2) for part in qkv.unbind(1))
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return cast(Tensor, x + self.out(mixed.transpose(-1, -2).reshape(b, c, h, w)))


class Stage(nn.Module):
    """A residual block, followed by attention where configured."""

    def __init__(self, inputs: int, outputs: int, config: UNetConfig, attend: bool) -> None:
        super().__init__()
        self.block = ResidualBlock(inputs, outputs, config.embedding)
        self.attention = SelfAttention(outputs, config.heads) if attend else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        return cast(Tensor, self.attention(self.block(x, embedding)))


class Trunk(nn.Module):
    """A UNet without its last layer: features at every resolution, conditioned on t and s.

    The skip connections follow Ho et al. 2020.

    Parameters
    ----------
    config
        Sizes.
    inputs
        Input channels at full resolution.
    """

    def __init__(self, config: UNetConfig, inputs: int) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        last = len(channels) - 1
        self.embed = LevelEmbedding(config.embedding)
        self.stem = nn.Conv2d(inputs * config.patch**2, channels[0], 3, padding=1)
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        width, skips = channels[0], [channels[0]]
        for level, outputs in enumerate(channels):
            stages = nn.ModuleList()
            for _ in range(config.blocks):
                stages.append(Stage(width, outputs, config, level in config.attention))
                width = outputs
                skips.append(width)
            self.down.append(stages)
            if level < last:
                self.shrink.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
                skips.append(width)
        self.middle = nn.ModuleList(
            [Stage(width, width, config, True), Stage(width, width, config, False)]
        )
        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(len(channels))):
            stages = nn.ModuleList()
            for _ in range(config.blocks + 1):
                outputs = channels[level]
                attend = level in config.attention
                stages.append(Stage(width + skips.pop(), outputs, config, attend))
                width = outputs
            self.up.append(stages)
            if level > 0:
                self.grow.append(nn.Conv2d(width, width, 3, padding=1))

    def pyramid(self, x: Tensor, t: Tensor, upscale: Tensor) -> list[Tensor]:
        """Return the features of the decoder, coarsest first: (B, channels[i], h, w) each.

        Parameters
        ----------
        x
            Inputs (B, inputs, H, W).
        t
            Noise levels (B,), 1..T.
        upscale
            Effective factors s (B,).

        Raises
        ------
        SettingsError
            If height or width is not a multiple of `config.multiple`.
        """
        if any(n % self.config.multiple for n in x.shape[-2:]):
            raise SettingsError(
                f"The network needs a grid in multiples of {self.config.multiple}, "
                f"found {tuple(x.shape[-2:])}; pad it."
            )
        embedding = functional.silu(self.embed(t, upscale))
        h = self.stem(functional.pixel_unshuffle(x, self.config.patch))
        skips = [h]
        for level, stages in enumerate(self.down):
            for stage in cast(nn.ModuleList, stages):
                h = stage(h, embedding)
                skips.append(h)
            if level < len(self.shrink):
                h = self.shrink[level](h)
                skips.append(h)
        for stage in self.middle:
            h = stage(h, embedding)
        features = []
        for level, stages in enumerate(self.up):
            for stage in cast(nn.ModuleList, stages):
                h = stage(torch.cat([h, skips.pop()], dim=1), embedding)
            features.append(h)
            if level < len(self.grow):
                h = self.grow[level](functional.interpolate(h, scale_factor=2.0, mode="nearest"))
        return features


class UNet(Trunk):
    """The denoiser of Dong et al. 2025: v(x_t, condition, t, s), or eps.

    Raises
    ------
    ValueError
        If the configuration has another prediction.
    """

    def __init__(self, config: UNetConfig) -> None:
        if config.prediction not in PREDICTIONS:
            raise ValueError(f"prediction is one of {PREDICTIONS}, found {config.prediction!r}")
        super().__init__(config, 1 + config.condition_channels)
        width = config.channels[0]
        self.norm, self.out = norm(width), nn.Conv2d(width, config.patch**2, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(cast(Tensor, self.out.bias))

    def forward(self, x_t: Tensor, condition: Tensor, t: Tensor, upscale: Tensor) -> Tensor:
        """Return the velocity, or the quantity of `UNetConfig.prediction`, (B, 1, H, W).

        Parameters
        ----------
        x_t
            Noisy maps (B, 1, H, W), divided by `scale`.
        condition
            Channels (B, 5, H, W) in the order of `conventions.CHANNELS`.
        t
            Noise levels (B,), 1..T.
        upscale
            Effective factors s (B,).

        Raises
        ------
        SettingsError
            If height or width is not a multiple of `config.multiple`.
        """
        finest = self.pyramid(torch.cat([x_t, condition], dim=1), t, upscale)[-1]
        v = self.out(functional.silu(self.norm(finest)))
        return functional.pixel_shuffle(v, self.config.patch)
