"""What the scanner and the fit do to a true map: noise, failing voxels, a coarse matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ftddm_core.imaging.fourier import Matrix, truncate
from ftddm_core.phantom.anatomy import BRAIN, TISSUES, world_points
from ftddm_core.phantom.fields import RandomField

FloatArray = NDArray[np.float32]


def quality_mask(
    fractions: FloatArray, affine: NDArray[Any], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return the voxels (X, Y, Z) of the brain whose fit would pass quality control.

    A tenth to a third of the brain's voxels fail: near the skull base, near the scalp's lipids,
    in fluid, and by chance (`fractions` is (tissues, X, Y, Z), the affine in mm).
    """
    shape = fractions.shape[1:]
    points = world_points((shape[0], shape[1], shape[2]), affine)
    tissue = fractions[[TISSUES.index(name) for name in BRAIN]].sum(0)
    csf = fractions[TISSUES.index("csf")]
    brain: NDArray[np.bool_] = (tissue + csf > 0.6) & (tissue > 0.05)
    if not brain.any():
        return brain
    outside = fractions[[TISSUES.index(t) for t in ("fat", "bone", "soft_tissue")]].sum(0)
    size = np.linalg.norm(affine[:3, :3], axis=0)
    near_scalp = ndimage.gaussian_filter(outside, np.minimum(5.0 / size, 3.0))
    height = points[..., 2] - points[..., 2][brain].mean()
    score = (
        3.0 * near_scalp
        + 1.5 * csf
        - 0.02 * height * (height < 0)
        + 0.35 * RandomField.draw(rng, 12.0)(points)[..., 0]
        + rng.normal(0, 0.15, shape)
    )
    passing = np.quantile(score[brain], 1 - rng.uniform(0.1, 0.33))
    return np.asarray(brain & (score <= passing))


def measure(truth: FloatArray, deviation: float, rng: np.random.Generator) -> FloatArray:
    """Add the fit's noise to a true map and clamp at 0, as fitted concentrations are."""
    noise = rng.standard_normal(truth.shape, np.float32) * np.float32(deviation)
    measured: FloatArray = np.maximum(truth + noise, 0)
    return measured


def scan_again(
    truth: FloatArray, matrix: Matrix, deviation: float, rng: np.random.Generator
) -> FloatArray:
    """Scan a noise-free map (X, Y, Z) anew at a coarse matrix, with that scan's own noise.

    A coarse voxel holds more signal: for the same time per sample the noise falls with the square
    root of the number of voxels it replaces.
    """
    share = np.sqrt(matrix[0] * matrix[1] / (truth.shape[0] * truth.shape[1]))
    return measure(truncate(truth, matrix).astype(np.float32), deviation * share, rng)
