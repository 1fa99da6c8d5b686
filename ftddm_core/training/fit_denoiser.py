r"""The denoiser's loss: the velocity inside the mask, over the whole chain.

E \|m (v_theta(x_t, condition, t, s) - v)\|^2 / \|m\|^2. Half of the levels are drawn from 1..200,
where the truncated chain works, the other half from 1..1000, so that one network serves every
T_trunc.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ftddm_core.model.schedule import NoiseSchedule
from ftddm_core.training.dataset import Batch

SCHEDULE = NoiseSchedule()
LOW_LEVELS = 200


def draw_levels(size: int, generator: torch.Generator) -> Tensor:
    """Draw levels t (size,): even items from 1..200, odd ones from 1..1000."""
    low = torch.randint(1, LOW_LEVELS + 1, (size,), generator=generator)
    full = torch.randint(1, SCHEDULE.n_train_steps + 1, (size,), generator=generator)
    return torch.where(torch.arange(size) % 2 == 0, low, full)


def denoiser_loss(
    network: nn.Module, batch: Batch, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return the loss, and its part on the low levels."""
    x0, mask = batch.x0, batch.mask
    t = draw_levels(len(x0), generator).to(x0.device)
    eps = torch.randn(x0.shape, generator=generator).to(x0.device)
    x_t = SCHEDULE.add_noise(x0, t, eps)
    error = network(x_t, batch.condition, t, batch.upscale) - SCHEDULE.velocity(x0, eps, t)
    each = (mask * error.square()).sum((1, 2, 3)) / mask.sum((1, 2, 3)).clamp_min(1)
    return {"loss": each.mean(), "low": each[::2].mean()}
