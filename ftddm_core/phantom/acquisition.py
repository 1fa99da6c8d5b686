"""Imperfect fits: quality mask, lipid rim, outliers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ftddm_core.phantom.anatomy import BRAIN, TISSUES, world_points
from ftddm_core.phantom.fields import RandomField

FloatArray = NDArray[np.float32]


def quality_mask(
    fractions: FloatArray, affine: NDArray[Any], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return the brain voxels (X, Y, Z) whose fit would pass quality control.

    A tenth to a third of the brain's voxels fail: near the skull base, near the scalp's lipids, in
    fluid, and at random (`fractions` is (tissues, X, Y, Z), the affine in mm).
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


def lipid_rim(fractions: FloatArray, affine: NDArray[Any], rng: np.random.Generator) -> FloatArray:
    """Return the residual signal (X, Y, Z) of the scalp's fat in a fitted map, about 1 in fat.

    It is patchy, like imperfect suppression, and extends some millimetres beyond the fat.
    """
    shape = fractions.shape[1:]
    size = np.linalg.norm(affine[:3, :3], axis=0)
    fat = ndimage.gaussian_filter(fractions[TISSUES.index("fat")], np.minimum(2.0 / size, 2.0))
    points = world_points((shape[0], shape[1], shape[2]), affine)
    patches = np.exp(0.5 * RandomField.draw(rng, 25.0)(points)[..., 0])
    rim: FloatArray = (fat * patches).astype(np.float32)
    return rim


def wild_fits(
    measured: FloatArray, failing: NDArray[np.bool_], rng: np.random.Generator
) -> FloatArray:
    """Return a map in which some of the failing fits (same shape) are outliers.

    One in twenty is 2 to 30 times the map's top, one in five is 0.
    """
    chance = rng.random(measured.shape)
    top = float(measured.max(initial=0))
    factor = np.exp(rng.uniform(np.log(2), np.log(30), measured.shape))
    wild = np.where(chance < 0.05, factor * top, np.where(chance < 0.25, 0, measured))
    return np.where(failing, wild, measured).astype(np.float32)
