"""MRI weight of a map, and the share of its drawn detail that is shown."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]


class Weighting(NamedTuple):
    """The two weights of one map, each from 0 to 1.

    Parameters
    ----------
    mri_weight
        x0 = x0(without MRI) + mri_weight (x0(with MRI) - x0(without MRI)).
    detail
        Share of the drawn detail that is shown; see `shown`.
    """

    mri_weight: float = 1.0
    detail: float = 1.0


def shown(x: FloatArray, z: FloatArray, detail: float) -> NDArray[np.float32]:
    """Return max(0, z + detail (x - z)): the map to show and save.

    Parameters
    ----------
    x
        Map drawn by the model, or the mean of its samples; 0 outside the mask.
    z
        Estimate from the measurement alone, of the same shape and unit.
    detail
        Share of the drawn detail.
    """
    share = np.float32(detail)  # written so that 1 gives exactly x, and 0 exactly z
    return np.asarray(np.maximum((1 - share) * z + share * x, 0), np.float32)


def shown_error(
    x: FloatArray, z: FloatArray, deviation: FloatArray, detail: float
) -> NDArray[np.float32]:
    """Return sqrt(sd(x)^2 + (1 - detail)^2 (x - z)^2), the estimated error of the map shown.

    It combines the samples' standard deviation and the detail left out on purpose.
    """
    left_out = np.float32(1 - detail) * (x - z)
    return np.asarray(np.sqrt(np.square(deviation) + np.square(left_out)), np.float32)
