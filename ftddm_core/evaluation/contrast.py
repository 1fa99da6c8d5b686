r"""Preservation of tumour contrast: the Cho/NAA hot spot relative to normal tissue.

The contrast of a pair of maps is

.. math::
    c = \frac{\sum_H \text{Cho} / \sum_H \text{NAA}}
             {\mathrm{median}_N (\text{Cho} / \text{NAA})}

over the hot spot H and the normal tissue N. Both are defined by the noise-free truth, so that every
method is measured in the same voxels and none profits from noise: N is the mask outside the tumour,
H the tenth (at least three) of the tumour's viable voxels with the highest true ratio. Viable
voxels are those whose true Cho is at least the median of N, since the remaining signal in necrosis
has a ratio too. A ratio of sums stays stable where NAA is near 0, and a median is insensitive to
single voxels of fluid.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import GeometryError

FloatArray = NDArray[np.floating[Any]]
BoolArray = NDArray[np.bool_]

HOT_SHARE = 0.1
"""Share of the tumour's viable voxels that form its hot spot."""

LEAST_VOXELS = 3
"""Smallest number of voxels of a hot spot, and of normal tissue, for a contrast."""


def tumour_contrast_error(
    cho: FloatArray,
    naa: FloatArray,
    true_cho: FloatArray,
    true_naa: FloatArray,
    tumour: BoolArray,
    mask: BoolArray,
) -> float:
    """Return the relative error of the hot spot's contrast, |c - c_true| / c_true.

    Parameters
    ----------
    cho, naa
        A method's maps (Nx, Ny) or (Nx, Ny, Z); choline and NAA may have different units.
    true_cho, true_naa
        Noise-free, in the same units.
    tumour, mask
        Voxels of the tumour, and trusted voxels, of the same shape.

    Returns
    -------
    float
        0 for the truth. NaN with fewer than three voxels of viable tumour or of normal tissue, and
        for maps that are 0 throughout either; infinite if the hot spot has no NAA.

    Raises
    ------
    GeometryError
        If the arrays differ in shape.
    """
    shapes = {image.shape for image in (cho, naa, true_cho, true_naa, tumour, mask)}
    if len(shapes) > 1:
        raise GeometryError(f"Maps, tumour and mask must share one shape, found {sorted(shapes)}.")
    hot, normal = _regions(true_cho, true_naa, tumour, mask)
    if min(hot.sum(), normal.sum()) < LEAST_VOXELS:
        return np.nan
    true = _contrast(true_cho, true_naa, hot, normal)
    return abs(_contrast(cho, naa, hot, normal) - true) / true


def _regions(
    true_cho: FloatArray, true_naa: FloatArray, tumour: BoolArray, mask: BoolArray
) -> tuple[BoolArray, BoolArray]:
    """Return the hot spot (may be empty) and the normal tissue."""
    normal = np.asarray(mask & ~tumour & (true_naa > 0))
    hot = np.zeros(mask.shape, bool)
    if not normal.any():
        return hot, normal
    living = mask & tumour & (true_naa > 0) & (true_cho >= np.median(true_cho[normal]))
    count = max(LEAST_VOXELS, round(HOT_SHARE * int(living.sum())))
    candidates = np.flatnonzero(living)
    ratio = np.asarray(true_cho[living], np.float64) / true_naa[living]
    hot.flat[candidates[np.argsort(-ratio, kind="stable")[:count]]] = True
    return hot, normal


def _contrast(cho: FloatArray, naa: FloatArray, hot: BoolArray, normal: BoolArray) -> float:
    cho, naa = np.asarray(cho, np.float64), np.asarray(naa, np.float64)
    held = normal & ((cho > 0) | (naa > 0))
    if not held.any():
        return np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        usual = np.median(cho[held] / naa[held])
        return float(cho[hot].sum() / naa[hot].sum() / usual)
