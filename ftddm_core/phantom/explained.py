r"""Variance of a map explained by tissue, and properties of the residual: statistics of measured
maps.

Inside the mask a map's values are fitted with w f_white + g f_grey + o f_other, where f are shares
of white matter, grey matter and everything else. Quantities, means over the maps:

tissue explains (%)
    of the map's variance;
white/grey, other/tissue
    w / g, and o over the mean of w and g;
residual CV
    the standard deviation of the residual, over the map's mean;
residual autocorrelation
    at a distance in the plane, along rows and columns, of voxels that are both inside the mask, and
    between neighbouring slices;
residual correlation of two maps
    the mean over all pairs of maps;
edge/inside
    the mean of the mask's outermost voxels over that of those at least three voxels deep.

`MEASURED` holds the results for a measured study, `MEASURED_SLAB` its scan parameters: statistics
depend on the voxel, so simulated patients must be scanned in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ftddm_core.imaging.volume import Study
from ftddm_core.phantom.anatomy import TISSUES, Anatomy
from ftddm_core.phantom.literature import Reference
from ftddm_core.phantom.patient import Patient, simulate_study

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]

WHITE = ("white", "cerebellar_white", "brainstem")
GREY = ("cortex", "deep_grey", "cerebellar_grey")
DISTANCES = (1, 2, 3, 5, 8)
"""In voxels of the plane."""
ENOUGH = 100
"""Smallest number of voxels of a mask for statistics."""

VOLUNTEER = "one volunteer at 3 T, whole brain, 5 x 5 x 5.25 mm, five maps, unpublished"
MEASURED: dict[str, Reference] = {
    "tissue explains (%)": Reference(9, 20, VOLUNTEER),
    "white/grey": Reference(0.69, 1.29, VOLUNTEER),
    "other/tissue": Reference(0.4, 0.8, VOLUNTEER),
    "residual CV": Reference(0.40, 0.54, VOLUNTEER),
    "residual autocorrelation, 1 voxel": Reference(0.6, 0.6, VOLUNTEER),
    "residual autocorrelation, 2 voxels": Reference(0.35, 0.35, VOLUNTEER),
    "residual autocorrelation, 3 voxels": Reference(0.27, 0.27, VOLUNTEER),
    "residual autocorrelation, 5 voxels": Reference(0.17, 0.17, VOLUNTEER),
    "residual autocorrelation, 8 voxels": Reference(0.07, 0.07, VOLUNTEER),
    "residual autocorrelation, next slice": Reference(0.4, 0.4, VOLUNTEER),
    "residual correlation of two maps": Reference(0.66, 0.96, VOLUNTEER),
    "edge/inside": Reference(0.3, 1.2, VOLUNTEER),
}
"""Quantity -> its range on the measured maps, over maps, pairs of maps or slices."""
MEASURED_SLAB: dict[str, Any] = {
    "matrix": (36, 44), "n_slices": 12, "voxel": (5.0, 5.0, 5.25), "height": 10.0, "mri_voxel": 5.0,
}  # fmt: skip
"""Keywords of `simulate_study` for the scan parameters of the volunteer."""


def explained_of(
    kind: type[Patient], anatomy: Anatomy, rng: np.random.Generator
) -> dict[str, float]:
    """Return the statistics of a patient, scanned like the measured maps."""
    patient = kind.draw(anatomy, rng)
    study, _ = simulate_study(patient, rng, **MEASURED_SLAB)
    return explained_statistics(study, patient.fractions(study.grid.shape, study.grid.affine))


def compare_explained(
    kinds: Mapping[str, tuple[float, Sequence[Mapping[str, float]]]],
) -> list[dict[str, Any]]:
    """Return a table, one line per quantity: median, 10th and 90th percentile of kinds and mixture.

    Parameters
    ----------
    kinds
        Name -> its share of the mixture, and the statistics of each of its patients.
    """
    table = []
    for quantity, reference in MEASURED.items():
        line: dict[str, Any] = {"quantity": quantity}
        values, weights = [], []
        for name, (share, patients) in kinds.items():
            found = [p.get(quantity, np.nan) for p in patients]
            known = np.array([value for value in found if np.isfinite(value)])
            line[name] = _range(known, np.ones(len(known)))
            values.append(known)
            weights.append(np.full(len(known), share / max(len(known), 1)))
        line["mixture"] = _range(np.concatenate(values), np.concatenate(weights))
        table.append(line | {"measured": str(reference)})
    return table


def _range(values: FloatArray, weights: FloatArray) -> str:
    """Return the weighted median and the 10th and 90th percentiles in words."""
    if not values.size:
        return "–"
    order = np.argsort(values)
    heights = np.cumsum(weights[order]) - weights[order] / 2
    low, middle, high = np.interp((0.1, 0.5, 0.9), heights / weights.sum(), values[order])
    return f"{middle:.3g} ({low:.3g} to {high:.3g})"


def explained_statistics(study: Study, fractions: NDArray[np.float32]) -> dict[str, float]:
    """Return quantity -> value, see the module docstring; NaN if undefined.

    Parameters
    ----------
    study
        Measured maps with a mask on their grid.
    fractions
        Tissue shares (tissues, X, Y, Z) on that grid.
    """
    share = dict(zip(TISSUES, fractions.astype(np.float64), strict=True))
    white, grey = (np.sum([share[name] for name in names], 0) for names in (WHITE, GREY))
    model = np.stack([white, grey, 1 - white - grey], -1)
    every: list[dict[str, float]] = []
    left: list[FloatArray] = []
    for name, volume in study.maps.items():
        mask = study.mask_of(name)
        if mask is None or (inside := mask.data > 0).sum() < ENOUGH:
            continue
        data = volume.data.astype(np.float64)
        found, *_ = np.linalg.lstsq(model[inside], data[inside], rcond=None)
        residual = np.where(inside, data - model @ found, 0)
        residual[inside] -= residual[inside].mean()
        left.append(residual)
        every.append(_statistics(data, residual, inside, found))
    if not every:
        return {}
    statistics = {name: float(np.nanmean([one[name] for one in every])) for name in every[0]}
    pairs = [_correlation(a, b, (a != 0) & (b != 0)) for a, b in combinations(left, 2)]
    return statistics | {"residual correlation of two maps": float(np.mean(pairs or [np.nan]))}


def _statistics(
    data: FloatArray, residual: FloatArray, inside: Mask, found: FloatArray
) -> dict[str, float]:
    white, grey, other = found
    mean = data[inside].mean()
    statistics = {
        "tissue explains (%)": 100 * (1 - residual[inside].var() / data[inside].var()),
        "white/grey": white / grey,
        "other/tissue": other / ((white + grey) / 2),
        "residual CV": residual[inside].std() / mean,
    }
    for distance in DISTANCES:
        both = [_shifted(residual, inside, axis, distance) for axis in (0, 1)]
        noun = "voxel" if distance == 1 else "voxels"
        statistics[f"residual autocorrelation, {distance} {noun}"] = float(np.nanmean(both))
    statistics["residual autocorrelation, next slice"] = _shifted(residual, inside, 2, 1)
    flat = np.ones((3, 3, 1), bool)
    padded = np.pad(inside, ((1, 1), (1, 1), (0, 0)))
    depth = sum(ndimage.binary_erosion(padded, flat, n) for n in (1, 2, 3))[1:-1, 1:-1]
    edge, deep = inside & (depth == 0), depth == 3
    statistics["edge/inside"] = data[edge].mean() / data[deep].mean() if deep.any() else np.nan
    return statistics


def _shifted(residual: FloatArray, inside: Mask, axis: int, distance: int) -> float:
    """Return the autocorrelation of a residual at a distance in voxels along an axis."""
    count = residual.shape[axis]
    if count <= distance:
        return np.nan
    here, there = np.arange(count - distance), np.arange(distance, count)
    first, second = residual.take(here, axis), residual.take(there, axis)
    return _correlation(first, second, inside.take(here, axis) & inside.take(there, axis))


def _correlation(first: FloatArray, second: FloatArray, where: Mask) -> float:
    if where.sum() < ENOUGH:
        return np.nan
    return float(np.corrcoef(first[where], second[where])[0, 1])
