"""Maps from a condition without any network: the reference for drawn detail.

If a result is worse than these, the network has made it worse.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ftddm_core.conventions import channel
from ftddm_core.evaluation.baselines import Baseline
from ftddm_core.sampling.condition import Condition

FloatArray = NDArray[np.float32]


def alone(condition: Condition, *, exact: bool = False) -> FloatArray:
    """Return z, the estimate from the measurement alone: the zero-filled map held to the
    measurement.

    Equal to `Result.alone` of any run with these conditions; see `sampling.consistency`.

    Parameters
    ----------
    condition
        Condition of the map.
    exact
        Whether to assume zero noise.

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
    """Return z as shown at detail 0: clipped at 0."""
    return np.maximum(alone(condition), 0)


def inside(condition: Condition) -> FloatArray:
    """Return the least-squares map inside the mask, clipped at 0.

    It is a channel of the condition and thus a network input. See `imaging.support`.
    """
    nx, ny, _ = condition.shape
    image = condition.channels[channel("inside"), :nx, :ny] * np.float32(condition.scale)
    return np.asarray(np.maximum(image, 0) * condition.mask, np.float32)


ANCHORS: dict[str, Baseline] = {"measurement": measurement, "inside": inside}
"""Key: kind of the method in a protocol."""
