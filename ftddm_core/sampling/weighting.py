"""How far a map follows its MRI, and how much of its drawn detail is shown."""

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
    """Return max(0, z + detail (x - z)): the map that is shown and saved.

    Parameters
    ----------
    x
        What the model drew, or the mean of its samples; 0 outside the mask.
    z
        What the measurement alone says, of the same shape and unit.
    detail
        Share of the drawn detail.
    """
    share = np.float32(detail)  # written so that 1 gives x, and 0 gives z, to the bit
    return np.asarray(np.maximum((1 - share) * z + share * x, 0), np.float32)


def shown_error(
    x: FloatArray, z: FloatArray, deviation: FloatArray, detail: float
) -> NDArray[np.float32]:
    """Return sqrt(sd(x)^2 + (1 - detail)^2 (x - z)^2): how far the map shown may be off.

    The samples' deviation, and what was left out of their mean on purpose.
    """
    left_out = np.float32(1 - detail) * (x - z)
    return np.asarray(np.sqrt(np.square(deviation) + np.square(left_out)), np.float32)
