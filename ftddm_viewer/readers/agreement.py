"""Agreement between readers, and correction of many tests: three small formulas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ftddm_core.errors import FormatError


class Icc(NamedTuple):
    """Intraclass correlations of one reader, and of the mean over all of them."""

    single: float
    mean: float


def fleiss_kappa(counts: ArrayLike) -> float:
    r"""Return the agreement of readers on categories, beyond what chance gives.

    With n readers and n_ij of them choosing category j for subject i (Fleiss 1971, Psychological
    Bulletin 76:378, equations 1 to 8): kappa = (P - Pe) / (1 - Pe), where P is the mean over i of
    (sum_j n_ij^2 - n) / (n (n - 1)), and Pe = sum_j p_j^2 with the share p_j of category j.

    Parameters
    ----------
    counts
        n_ij, (subjects, categories); every row has the same sum n of 2 or more.

    Returns
    -------
    float
        1 for full agreement, 0 for that of chance; NaN without subjects, and where only one
        category was ever chosen, so that chance alone agrees fully.

    Raises
    ------
    FormatError
        If the subjects have different numbers of readers, or fewer than 2.
    """
    table = np.asarray(counts, float)
    if not table.size:
        return float("nan")
    n = table.sum(axis=1)
    if (n != n[0]).any() or n[0] < 2:
        raise FormatError("Every subject needs the same number of readers, 2 or more.")
    readers = n[0]
    agreed = ((np.square(table).sum(axis=1) - readers) / (readers * (readers - 1))).mean()
    chance = np.square(table.sum(axis=0) / table.sum()).sum()
    return float((agreed - chance) / (1 - chance)) if chance < 1 else float("nan")


def icc(ratings: ArrayLike) -> Icc:
    r"""Return ICC(2,1) and ICC(2,k): absolute agreement of readers who stand for others.

    From the mean squares between subjects, between readers and of the rest, with n subjects and k
    readers (Shrout and Fleiss 1979, Psychological Bulletin 86:420, table 4):
    ICC(2,1) = (B - E) / (B + (k - 1) E + k (J - E) / n) and
    ICC(2,k) = (B - E) / (B + (J - E) / n).

    Parameters
    ----------
    ratings
        (subjects, readers), complete.

    Returns
    -------
    Icc
        NaN with fewer than 2 subjects or readers, and where all ratings are the same.
    """
    table = np.asarray(ratings, float)
    if table.ndim != 2 or min(table.shape) < 2:
        return Icc(float("nan"), float("nan"))
    n, k = table.shape
    rows, columns, mean = table.mean(axis=1), table.mean(axis=0), table.mean()
    between = k * np.square(rows - mean).sum() / (n - 1)
    judges = n * np.square(columns - mean).sum() / (k - 1)
    left = table - rows[:, None] - columns[None, :] + mean
    rest = np.square(left).sum() / ((n - 1) * (k - 1))
    bias = (judges - rest) / n
    return Icc(
        _ratio(between - rest, between + (k - 1) * rest + k * bias),
        _ratio(between - rest, between + bias),
    )


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values that are corrected for their number, which bound the chance of any error.

    The i-th smallest of m is multiplied by m - i + 1, and none becomes smaller than the one before
    it (Holm 1979, Scandinavian Journal of Statistics 6:65). NaN stays, and is not counted.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, float)
    found: NDArray[Any] = np.full(len(values), np.nan)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    found[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1)
    return [float(value) for value in found]


def _ratio(above: float, below: float) -> float:
    return float(above / below) if below else float("nan")
