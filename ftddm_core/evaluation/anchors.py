"""What a condition says without any network: what drawn detail is measured against.

A map that is worse than these was made worse by the network.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ftddm_core.conventions import channel
from ftddm_core.evaluation.baselines import Baseline
from ftddm_core.sampling.condition import Condition

FloatArray = NDArray[np.float32]


def alone(condition: Condition, *, exact: bool = False) -> FloatArray:
    """Return z, what the measurement alone says: the zero-filled map held to the measurement.

    The same as `Result.alone` of any run with these conditions; see `sampling.consistency`.

    Parameters
    ----------
    condition
        Of the map.
    exact
        Whether the noise is taken to be nothing.

    Returns
    -------
    array
        (Nx, Ny, Z) in the map's unit, 0 outside the mask; not clipped.
    """
    import torch

    from ftddm_core.sampling.consistency import Consistency

    depth = condition.shape[2]
    zero_filled = np.moveaxis(condition.lowres / np.float32(condition.scale), -1, 0)
    with torch.inference_mode():
        held = Consistency(
            [condition.measurement] * depth, range(depth), torch.device("cpu"), exact=exact
        )
        found = held.correct(torch.from_numpy(np.ascontiguousarray(zero_filled))).numpy()
    return np.asarray(np.moveaxis(found, 0, -1) * np.float32(condition.scale), np.float32)


def measurement(condition: Condition) -> FloatArray:
    """Return z as it is shown at detail 0: clipped at 0."""
    return np.maximum(alone(condition), 0)


def inside(condition: Condition) -> FloatArray:
    """Return the map inside the mask that explains the acquired one best, clipped at 0.

    It is a channel of the condition: the networks are given it. See `imaging.support`.
    """
    nx, ny, _ = condition.shape
    image = condition.channels[channel("inside"), :nx, :ny] * np.float32(condition.scale)
    return np.asarray(np.maximum(image, 0) * condition.mask, np.float32)


ANCHORS: dict[str, Baseline] = {"measurement": measurement, "inside": inside}
"""Each by its kind in a protocol."""
