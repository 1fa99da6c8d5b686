r"""Bootstrap intervals over patients: slices of one patient are not independent of each other.

A statistic is a function of sums over slices, such as a mean: sum of values / number of values.
Patients are drawn with replacement, :math:`n_p \sim` multinomial, and the sums follow, :math:`S =
\sum_p n_p s_p` (Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 13: the percentile
interval). The difference of two methods is paired: it is taken slice by slice on the slices that
both have, before anything is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]

REPEATS = 2000
SEED = 0
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A value, its 95 % interval over patients, and the size of the data.

    Parameters
    ----------
    value
        NaN without data.
    low, high
        The interval; NaN for fewer than two patients.
    slices, patients
        Number of slices (of each metabolite) and of patients.
    """

    value: float
    low: float
    high: float
    slices: int
    patients: int


def estimate(
    patients: Sequence[str],
    columns: FloatArray,
    statistic: Callable[[FloatArray], FloatArray],
    *,
    seed: int = SEED,
    repeats: int = REPEATS,
) -> Estimate:
    """Return a statistic of sums over slices with its bootstrap interval over patients.

    Parameters
    ----------
    patients
        Name of the patient of every row.
    columns
        (rows, c): values to sum; rows with a non-finite value are left out.
    statistic
        From sums (..., c) to values (...).
    seed, repeats
        Seed and number of the draws: the same rows give the same interval.
    """
    nothing = Estimate(np.nan, np.nan, np.nan, 0, 0)
    if not len(patients):
        return nothing
    held = np.isfinite(columns).all(axis=1)
    names, index = np.unique(np.asarray(patients, dtype=str)[held], return_inverse=True)
    if not names.size:
        return nothing
    sums = np.zeros((len(names), columns.shape[1]))
    np.add.at(sums, index, columns[held])
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(sums.sum(0)))
        low = high = np.nan
        if len(names) > 1:
            rng = np.random.default_rng(seed)
            drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), repeats)
            found = statistic(drawn @ sums)
            tail = (1 - LEVEL) / 2
            low, high = np.nanquantile(found, (tail, 1 - tail)) if np.isfinite(found).any() else (
                np.nan, np.nan,
            )  # fmt: skip
    return Estimate(value, float(low), float(high), int(held.sum()), len(names))


def ratio(sums: FloatArray) -> FloatArray:
    """Return first / second of sums (..., 2): a mean where the second counts rows."""
    return np.asarray(sums[..., 0] / sums[..., 1])


def ratio_difference(sums: FloatArray) -> FloatArray:
    """Return first / second - third / fourth of sums (..., 4)."""
    return np.asarray(sums[..., 0] / sums[..., 1] - sums[..., 2] / sums[..., 3])


def mean(patients: Sequence[str], values: Sequence[float]) -> Estimate:
    """Return the mean of values with its interval; undefined values are left out."""
    return estimate(patients, np.stack([values, np.ones(len(values))], 1), ratio)
