"""The regression's loss: 0.16 L1 + 0.84 (1 - MS-SSIM) between its x0 and the truth, in the mask.

A comparison method (Dong et al. 2025 also compare with such a UNet): the sizes of the denoiser, one
output per condition, blurred where the condition does not determine the output.
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
    """Return the loss, and the mean squared error inside the mask; nothing is random."""
    found = batch.mask * regression_x0(SCHEDULE, network, batch.condition, batch.upscale)
    squared = (found - batch.x0).square().sum() / batch.mask.sum().clamp_min(1)
    return {"loss": l1_ms_ssim(found, batch.x0), "mse": squared}
