"""First view of a study: which slice, and the upper limit of its colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.imaging.volume import finite_or_zero

PERCENTILE = 99.5
"""Percentile of the trusted values used as the upper colour limit, so that an outlier cannot darken
the image."""


def most_varied_slice(maps: Sequence[tuple[NDArray[Any], NDArray[np.bool_]]]) -> int:
    """Return the slice with the largest variation of maps (X, Y, Z) in their masks, else the
    middle.

    A slice with much brain varies more than one with little, and one through a tumour most. Values
    are clipped to 0 and the 99.5th percentile, so that an outlier cannot decide.
    """
    variation = np.zeros(maps[0][0].shape[2])
    for data, mask in maps:
        shown = np.clip(finite_or_zero(data) / upper_limit(data[mask]), 0, 1)
        count = np.maximum(mask.sum((0, 1)), 1)
        mean = (shown * mask).sum((0, 1)) / count
        variation += (np.square(shown - mean) * mask).sum((0, 1))
    return int(variation.argmax()) if variation.any() else len(variation) // 2


def upper_limit(values: NDArray[Any]) -> float:
    """Return the 99.5th percentile of the finite values, or 1 if it is not positive."""
    values = values[np.isfinite(values)]
    top = float(np.percentile(values, PERCENTILE)) if values.size else 0.0
    return top if top > 0 else 1.0
