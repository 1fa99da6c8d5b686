r"""Calibration: does the spread of N samples match their error? Compared voxel by voxel.

If the truth and the samples x_1..x_N are draws from one distribution, each of the N + 1 ranks of
the truth among them is equally likely. Every metric takes samples (N, ...), the truth (...) and a
mask of voxels (...), and pools the voxels of the mask: of a slice, a volume, or a flat list from
many cases. Metrics are NaN if the mask is empty.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import GeometryError, SettingsError

FloatArray = NDArray[np.floating[Any]]
BoolArray = NDArray[np.bool_]


def coverage(samples: FloatArray, truth: FloatArray, mask: BoolArray) -> float:
    """Return the share of voxels whose truth lies between the smallest and the largest sample.

    (N - 1) / (N + 1) for a calibrated sampler without ties, 0.9 for N = 19. A truth that equals the
    smallest or the largest sample counts as inside. Truth and samples are clipped at 0, so that a
    calibrated sampler's share is somewhat higher where zeros are common: compare with 1 minus the
    two ends of `rank_histogram`, which breaks ties evenly.

    Raises
    ------
    GeometryError, SettingsError
        If the arrays do not match; for fewer than two samples.
    """
    x, y = _inside(samples, truth, mask)
    return _mean((x.min(0) <= y) & (y <= x.max(0)))


def fair_crps(samples: FloatArray, truth: FloatArray, mask: BoolArray) -> float:
    r"""Return the fair continuous ranked probability score in the maps' unit; lower is better.

    .. math::  \langle |x_i - y| \rangle_i - \frac{1}{2 N (N - 1)} \sum_{i,j} |x_i - x_j|,

    averaged over the voxels: best in expectation for samples of the truth's own distribution,
    whatever N (Ferro 2014, "Fair scores for ensemble forecasts", QJRMS 140:1917). A single voxel's
    may be negative.

    Raises
    ------
    GeometryError, SettingsError
        As for `coverage`.
    """
    x, y = _inside(samples, truth, mask)
    n = len(x)
    # Sorted, sum_{i<j} (x_j - x_i) counts x_i (0-based) 2 i - n + 1 times.
    weight = (2 * np.arange(n) - n + 1) / (n * (n - 1))
    return _mean(np.abs(x - y).mean(0) - weight @ np.sort(x, axis=0))


def spread_error(samples: FloatArray, truth: FloatArray, mask: BoolArray) -> float:
    r"""Return the ratio of the samples' spread to the error of their mean; 1 is ideal, less is
    overconfident.

    .. math::  \sqrt{\tfrac{N + 1}{N} \langle s^2 \rangle / \langle (\bar x - y)^2 \rangle},

    with the unbiased variance s^2 of the samples at a voxel. The mean of N samples errs by the
    truth's variance and 1/N of the samples', which the factor corrects for (Fortin et al. 2014,
    "Why should ensemble spread match the RMSE of the ensemble mean?", J. Hydrometeorol. 15:1708).
    Infinite if the mean equals the truth.

    Raises
    ------
    GeometryError, SettingsError
        As for `coverage`.
    """
    spread, error = spread_and_error(samples, truth, mask)
    if np.isnan(error):
        return np.nan
    return float(np.sqrt(spread / error)) if error > 0 else np.inf


def spread_and_error(
    samples: FloatArray, truth: FloatArray, mask: BoolArray
) -> tuple[float, float]:
    """Return the two mean squares whose ratio `spread_error` is the root of, in the maps' unit^2.

    Over several slices, divide their sums: the mean of ratios is too large.

    Raises
    ------
    GeometryError, SettingsError
        As for `coverage`.
    """
    x, y = _inside(samples, truth, mask)
    n = len(x)
    return _mean(x.var(0, ddof=1)) * (n + 1) / n, _mean(np.square(x.mean(0) - y))


def rank_histogram(samples: FloatArray, truth: FloatArray, mask: BoolArray) -> NDArray[np.float64]:
    """Return the share of voxels (N + 1,) whose truth exceeds 0, 1, ... N of the samples.

    Flat for a calibrated sampler, U-shaped for an overconfident one (Hamill 2001, Mon. Wea. Rev.
    129:550). A truth that ties with samples is distributed evenly over the possible ranks, so that
    the histogram of a calibrated sampler is flat for clipped maps too.

    Raises
    ------
    GeometryError, SettingsError
        As for `coverage`.
    """
    x, y = _inside(samples, truth, mask)
    n = len(x)
    if not y.size:
        return np.full(n + 1, np.nan)
    lowest, highest = (x < y).sum(0), (x <= y).sum(0)
    share = 1 / (highest - lowest + 1)
    change = np.bincount(lowest, share, n + 2) - np.bincount(highest + 1, share, n + 2)
    result: NDArray[np.float64] = np.cumsum(change)[: n + 1] / y.size
    return result


def _inside(
    samples: FloatArray, truth: FloatArray, mask: BoolArray
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return samples (N, voxels) and truth (voxels,) of the mask."""
    if not samples.shape[1:] == truth.shape == mask.shape:
        raise GeometryError(
            f"Samples {samples.shape}, truth {truth.shape} and mask {mask.shape} do not match: "
            "give samples (N, ...), and (...) of the others."
        )
    if len(samples) < 2:
        raise SettingsError(f"Calibration needs two samples or more, found {len(samples)}.")
    inside = np.asarray(mask, bool)
    return np.asarray(samples[:, inside], np.float64), np.asarray(truth[inside], np.float64)


def _mean(values: NDArray[Any]) -> float:
    """Return the mean, NaN without values."""
    return float(values.mean()) if values.size else np.nan
