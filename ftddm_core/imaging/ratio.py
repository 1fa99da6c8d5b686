"""Ratio of two maps, sample by sample; there is none where the denominator is close to zero.

For samples a_i and b_i of two maps, drawn with one seed, i = 1..N,

    r_i = a_i / b_i   where b_i >= floor,    floor = FLOOR times the scale of b.

Shown are mean and standard deviation (N - 1) of r_i. The ratio of the means is another quantity: it
ignores that both maps vary, and is used only where there is a single map of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]

FLOOR = 0.05
"""Smallest denominator that gives a ratio, relative to the denominator's scale."""


def floor_of(scale: float) -> float:
    """Return the smallest denominator that gives a ratio, in the unit of `scale`."""
    return FLOOR * scale


def ratio(above: FloatArray, below: FloatArray, floor: float) -> NDArray[np.float64]:
    """Return above / below, NaN where the denominator is below the floor or a value is not finite.

    Parameters
    ----------
    above, below
        Maps of one shape, each in its unit.
    floor
        Smallest denominator, above 0, in the unit of `below`.
    """
    above, below = np.asarray(above, np.float64), np.asarray(below, np.float64)
    held = np.isfinite(above) & np.isfinite(below) & (below >= floor) & (below > 0)
    result = np.full(np.broadcast_shapes(above.shape, below.shape), np.nan)
    np.divide(above, below, out=result, where=held)
    return result


def ratio_of_samples(
    above: Sequence[FloatArray], below: Sequence[FloatArray], floor: float
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return mean and standard deviation of the samples' ratios; no deviation of a single one.

    A voxel has a ratio only if every sample has one there: leaving out the samples with a small
    denominator would bias the mean.

    Parameters
    ----------
    above, below
        Samples of both maps in the same order, at least one of each, all of one shape; samples
        without a partner are ignored.
    floor
        Smallest denominator, above 0, in the unit of `below`.
    """
    count = 0
    mean = squares = np.zeros(np.shape(above[0]))
    for count, (a, b) in enumerate(zip(above, below, strict=False), 1):
        found = ratio(a, b, floor)
        change = found - mean
        mean = mean + change / count
        squares = squares + change * (found - mean)  # Welford, as in `sampling.tally`
    return mean, np.sqrt(squares / (count - 1)) if count > 1 else None


def ratio_unit(above: str, below: str) -> str:
    """Return the unit of a ratio; "" if both units are the same or unknown.

    >>> ratio_unit("mM", "mM"), ratio_unit("mM", "a.u."), ratio_unit("mM", "")
    ('', 'mM/a.u.', 'mM/(unit unknown)')
    """
    if above == below:
        return ""
    return f"{above or '(unit unknown)'}/{below or '(unit unknown)'}"
