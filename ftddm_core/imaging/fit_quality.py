"""Reliability of a fitted map: failed fits, and noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import GeometryError
from ftddm_core.imaging.geometry import regrid_nearest
from ftddm_core.imaging.volume import Noise, Study

FloatArray = NDArray[np.floating[Any]]
BoolArray = NDArray[np.bool_]

FAILED_CRLB = 999.0
"""CRLB in per cent from which a fit counts as failed; so does a CRLB of 0 (LCModel)."""

FRACTION_BELOW = 1.0
"""A CRLB map whose valid values have a smaller median is a fraction: no fit is known to 1 %."""

TOP_PERCENTILE = 99.0

LEAST_NOISE, MOST_NOISE = 0.005, 0.04
"""Limits of an estimated noise deviation, as shares of the map's 99th percentile. On a coarse map,
structure looks like noise; fits that pass quality control have CRLBs of 3 to 8 per cent."""


def crlb_on_grid(study: Study, metabolite: str) -> FloatArray | None:
    """Return a map's CRLB in per cent on the map's own grid (nx, ny, Z); None if there is none.

    A CRLB map that does not overlap the map is ignored: it is optional.
    """
    bound = study.crlb.get(metabolite)
    if bound is None:
        return None
    grid = study.maps[metabolite]
    if bound.on_grid_of(grid):
        return bound.data
    try:
        return regrid_nearest(bound, grid.shape, grid.affine).data
    except GeometryError:
        return None


def looks_like_fraction(bound: FloatArray) -> bool:
    """Return whether a CRLB map of any shape holds fractions, not per cent."""
    failed = np.isclose(bound, FAILED_CRLB / 100)  # as a fraction
    valid = bound[np.isfinite(bound) & (bound > 0) & (bound < FAILED_CRLB) & ~failed]
    return valid.size > 0 and float(np.median(valid)) < FRACTION_BELOW


def in_percent(fractions: FloatArray) -> FloatArray:
    """Return CRLB given as fractions in per cent; 9.99 becomes the 999 of a failed fit."""
    failed = np.isclose(fractions, FAILED_CRLB / 100)
    return np.where(failed, fractions.dtype.type(FAILED_CRLB), fractions * 100)


def failed_fit(bound: FloatArray) -> BoolArray:
    """Return the voxels of a CRLB map in per cent whose fit failed: 0, 999, or not a number."""
    with np.errstate(invalid="ignore"):
        return np.asarray(~np.isfinite(bound) | (bound <= 0) | (bound >= FAILED_CRLB))


def noise_of(study: Study, metabolite: str, trusted: BoolArray) -> Noise:
    """Return the noise of an acquired map.

    The study's own noise has priority; else sd = CRLB / 100 times the value, at least `LEAST_NOISE`
    of the map's top, NaN where the fit failed; else an estimate, uniform over the map.

    Parameters
    ----------
    study, metabolite
        Which map.
    trusted
        Trusted voxels on the map's own grid, (nx, ny, Z).
    """
    if metabolite in study.noise:
        return study.noise[metabolite]
    data = np.asarray(study.maps[metabolite].data, np.float64)
    bound = crlb_on_grid(study, metabolite)
    if bound is None:
        return Noise(np.full(data.shape, estimated_deviation(data, trusted)), "estimate")
    failed = failed_fit(bound) | ~np.isfinite(data)
    with np.errstate(invalid="ignore"):
        deviation = np.maximum(bound / 100 * np.abs(data), LEAST_NOISE * top_of(data, trusted))
    return Noise(np.where(failed, np.nan, deviation), "CRLB")


def top_of(data: FloatArray, trusted: BoolArray) -> float:
    """Return the 99th percentile of a map's trusted finite values, 0 if there are none."""
    values = data[trusted & np.isfinite(data)]
    return float(np.percentile(values, TOP_PERCENTILE)) if values.size else 0.0


def estimated_deviation(data: FloatArray, trusted: BoolArray) -> float:
    """Return the estimated noise deviation of a map, from second differences of trusted neighbours.

    sd = 1.4826 median |D x| / 6 over the voxels whose 3 x 3 neighbours are all trusted, D the
    second difference along both axes, which is insensitive to planes and to edges along either axis
    (Immerkaer 1996); limited to `LEAST_NOISE` and `MOST_NOISE` of the map's top, and equal to their
    geometric mean for fewer than ten voxels.

    Parameters
    ----------
    data, trusted
        Map (nx, ny, Z) and its trusted voxels.
    """
    top = top_of(data, trusted)
    held = trusted & np.isfinite(data)
    inner = _along_both(held, lambda before, here, after: before & here & after)
    if inner.sum() < 10:
        return float(np.sqrt(LEAST_NOISE * MOST_NOISE)) * top
    known = np.where(held, data, 0)
    curved = _along_both(known, lambda before, here, after: before - 2 * here + after)[inner]
    deviation = 1.4826 * float(np.median(np.abs(curved))) / 6
    return float(np.clip(deviation, LEAST_NOISE * top, MOST_NOISE * top))


def _along_both(image: NDArray[Any], join: Callable[..., NDArray[Any]]) -> NDArray[Any]:
    """Join every inner voxel (nx - 2, ny - 2, Z) with its two neighbours along x, then along y."""
    along_x = join(image[:-2], image[1:-1], image[2:])
    return join(along_x[:, :-2], along_x[:, 1:-1], along_x[:, 2:])
