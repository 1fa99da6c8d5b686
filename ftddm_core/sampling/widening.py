r"""Widening of the samples' spread, so that it matches their error.

One network is trained on many kinds of patients, and samples as if it were not sure of the kind: at
large factors, samples of maps that vary a lot are too much alike, whatever the MRI shows. A simple
factor corrects this; it was chosen on the simulated patients of the validation subjects, so that on
literature, randomised and null patients alike the truth lies within the range of 19 samples at
temperature 1 in 85 to 95 % of the voxels. `ftddm evaluate --protocol calibration` measures it.

The samples and their mean are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.conventions import channel

if TYPE_CHECKING:
    from ftddm_core.sampling.condition import Condition

FloatArray = NDArray[np.floating[Any]]

MOST: Mapping[float, float] = MappingProxyType({2.0: 0.0, 4.0: 0.12, 8.0: 0.2})
"""Factor s -> widening of maps that vary a lot; in between, by the logarithm of s."""

VARIES = (0.2, 0.3)
"""Coefficient of variation up to which maps are not widened, and from which they are in full."""


def variation(condition: Condition) -> float:
    """Return the coefficient of variation of the acquired map inside the mask; 0 without signal."""
    nx, ny, _ = condition.shape
    values = condition.channels[channel("inside"), :nx, :ny][condition.mask]
    mean = float(values.mean(dtype=np.float64)) if values.size else 0.0
    return float(values.std(dtype=np.float64)) / mean if mean > 0 else 0.0


def widening(condition: Condition) -> float:
    """Return the factor on the standard deviation of a map's samples, 1 or more."""
    most = np.interp(np.log2(condition.upscale), np.log2(list(MOST)), list(MOST.values()))
    low, high = VARIES
    share = np.clip((variation(condition) - low) / (high - low), 0, 1)
    return float(1 + most * share)


def widened(samples: FloatArray, factor: float) -> FloatArray:
    """Return samples (N, ...) moved away from their mean by a factor, at least 0."""
    mean = samples.mean(0)
    moved: FloatArray = np.maximum(mean + factor * (samples - mean), 0)
    return moved
