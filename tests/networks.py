"""Tiny networks whose every weight matters: no layer is left at the zero it starts from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from ftddm_core.model.checkpoint import Weights
from ftddm_core.model.flow import ConditionalGlow, Encoded, FlowConfig
from ftddm_core.model.unet import UNet, UNetConfig

TINY_UNET = UNetConfig(channels=(16, 16, 16), embedding=32, heads=2)
TINY_FLOW = FlowConfig(encoder=TINY_UNET, steps=1, hidden=8)

Network = TypeVar("Network", bound=nn.Module)


def randn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def shaken(build: Callable[[], Network], seed: int = 0, size: float = 0.1) -> Network:
    """Build a network, add noise to every weight, and make it ready for inference."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)  # convolutions start from the global generator
        network = build()
        for parameter in network.parameters():
            parameter.add_(size * torch.randn(parameter.shape))
    return network.eval().requires_grad_(False)


def tiny_unet(seed: int = 1, config: UNetConfig = TINY_UNET) -> UNet:
    return shaken(lambda: UNet(config), seed)


def tiny_flow(seed: int = 2, config: FlowConfig = TINY_FLOW) -> ConditionalGlow:
    return shaken(lambda: ConditionalGlow(config), seed)


def tiny_weights(trained_voxel: float = 3.4) -> Weights:
    return Weights("tiny", "0" * 64, tiny_unet(), tiny_flow(), trained_voxel)


def conditions(batch: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Draw channels (B, 5, H, W); the mask, channel 1, is an off-centre ellipse."""
    channels = randn(batch, 5, height, width, seed=seed)
    rows = (torch.arange(height)[:, None] - 0.45 * height) / (0.4 * height)
    columns = (torch.arange(width)[None] - 0.55 * width) / (0.3 * width)
    channels[:, 1] = (rows**2 + columns**2 < 1).float()
    return channels


def in_double(flow: ConditionalGlow, encoded: Encoded) -> Encoded:
    """Take a flow's bijections to float64, and what its encoder said with them."""
    flow.levels.double()
    return Encoded(
        encoded.mean.double(),
        encoded.deviation.double(),
        [feature.double() for feature in encoded.features],
        [(mean.double(), log_deviation.double()) for mean, log_deviation in encoded.base],
    )
