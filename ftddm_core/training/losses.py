"""Image losses of the flow and the regression: L1 and multi-scale SSIM."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

L1_WEIGHT, SSIM_WEIGHT = 0.16, 0.84
"""Weights of L1 and 1 - MS-SSIM (Zhao et al. 2017, as used by Dong et al. 2025)."""

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001)
"""The first three of the five scales of Wang et al. 2003: a 48-pixel grid supports no more."""
WINDOW = 7
"""Side of the Gaussian window; scales on which the image is smaller are left out."""


def _window(size: int = WINDOW, sigma: float = 1.5) -> Tensor:
    axis = torch.arange(size) - size // 2
    line = torch.exp(-(axis**2) / (2 * sigma**2))
    line = line / line.sum()
    return torch.outer(line, line)[None, None]


def ms_ssim(x: Tensor, y: Tensor, data_range: float = 1.0) -> Tensor:
    """Return the multi-scale structural similarity (B,) of images (B, 1, H, W).

    Wang, Simoncelli & Bovik 2003, eq. 7, over up to three scales with a 7x7 Gaussian window:
    luminance at the coarsest scale, contrast and structure at each, exponents normalised to sum 1.
    """
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    window = _window().to(x)
    total = torch.ones(len(x), device=x.device, dtype=x.dtype)
    side = min(x.shape[2:])
    weights = [w for scale, w in enumerate(SCALE_WEIGHTS) if side >> scale >= WINDOW]
    exponents = [w / sum(weights) for w in weights]
    for scale, exponent in enumerate(exponents):
        if scale:
            x, y = functional.avg_pool2d(x, 2), functional.avg_pool2d(y, 2)
        images = torch.cat([x, y, x * x, y * y, x * y])
        mx, my, xx, yy, xy = functional.conv2d(images, window).chunk(5)
        vx, vy, vxy = xx - mx * mx, yy - my * my, xy - mx * my
        similarity = (2 * vxy + c2) / (vx + vy + c2)
        if scale == len(exponents) - 1:
            similarity = similarity * (2 * mx * my + c1) / (mx * mx + my * my + c1)
        total = total * similarity.mean((1, 2, 3)).clamp_min(1e-3) ** exponent
    return total


def l1_ms_ssim(x: Tensor, target: Tensor) -> Tensor:
    """Return 0.16 L1 + 0.84 (1 - MS-SSIM), the mean over a batch of images (B, 1, H, W)."""
    l1 = (x - target).abs().mean()
    return L1_WEIGHT * l1 + SSIM_WEIGHT * (1 - ms_ssim(x, target)).mean()
