"""The regression's loss: 0.16 L1 + 0.84 (1 - MS-SSIM) between its x0 and the truth, in the mask.

A peer that the method is compared with (Dong et al. 2025 compare with such a UNet): the sizes of
the denoiser, one answer a condition, and blurred where the condition leaves the answer open.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ftddm_core.model.prediction import regression_x0
from ftddm_core.training.dataset import Batch
from ftddm_core.training.fit_denoiser import SCHEDULE
from ftddm_core.training.losses import l1_ms_ssim


def regression_loss(
    network: nn.Module, batch: Batch, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return the loss, and the mean squared error inside the mask; nothing is drawn at random."""
    found = batch.mask * regression_x0(SCHEDULE, network, batch.condition, batch.upscale)
    squared = (found - batch.x0).square().sum() / batch.mask.sum().clamp_min(1)
    return {"loss": l1_ms_ssim(found, batch.x0), "mse": squared}
