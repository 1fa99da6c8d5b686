"""The flow's loss: likelihood of noisy truths, and an image loss at the base mean.

Negative log-likelihood in bits per voxel + 10 (0.16 L1 + 0.84 (1 - MS-SSIM)) between the sample at
the base mean and sqrt(ab_t) x0 inside the mask (Dong et al. 2025, who compare with x0, which is
correct only near t = 0).
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from ftddm_core.model.flow import ConditionalGlow
from ftddm_core.training.dataset import Batch
from ftddm_core.training.losses import l1_ms_ssim

IMAGE_WEIGHT = 10.0


def draw_levels(size: int, t_flow_max: int, generator: torch.Generator) -> Tensor:
    """Draw levels t (size,) from 1..t_flow_max: uniform, with even items biased towards 1."""
    share = torch.rand(size, generator=generator)
    share = torch.where(torch.arange(size) % 2 == 0, share**2.5, share)
    return 1 + (share * t_flow_max).long().clamp_max(t_flow_max - 1)


def flow_loss(network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
    """Return the loss, the bits per voxel and the image loss."""
    flow = cast(ConditionalGlow, network)
    x0, mask = batch.x0, batch.mask
    t = draw_levels(len(x0), flow.config.t_flow_max, generator).to(x0.device)
    eps = torch.randn(x0.shape, generator=generator).to(x0.device)
    x_t = flow.schedule.add_noise(x0, t, eps)
    encoded = flow.encode(batch.condition, t, batch.upscale)
    bits = -flow.log_prob(x_t, encoded).mean() / (x0[0].numel() * math.log(2))
    at_mean = flow.inverse([mean for mean, _ in encoded.base], encoded)
    image = l1_ms_ssim(mask * at_mean, flow.schedule.signal(t) * x0)
    return {"loss": bits + IMAGE_WEIGHT * image, "bits": bits, "image": image}
