"""Mean and deviation over the samples of every slice, as a stream: memory for one, for any number.

Welford, "Note on a method for calculating corrected sums of squares and products" (1962).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Tally:
    """Running mean and squared deviation of the samples of every slice.

    Parameters
    ----------
    shape
        Of the volume, (Nx, Ny, Z).
    spread
        Whether a deviation will be asked for; without, there is no memory for it.

    Attributes
    ----------
    mean
        So far, (Nx, Ny, Z); 0 where there is no sample.
    count
        Samples so far, (Z,).
    """

    def __init__(self, shape: tuple[int, int, int], *, spread: bool) -> None:
        self.mean: NDArray[np.float64] = np.zeros(shape)
        self.count = np.zeros(shape[2], int)
        self._squares: NDArray[np.float64] = np.zeros(shape if spread else (0, 0, 0))

    def add(self, k: int, image: NDArray[Any]) -> None:
        """Take in one sample (Nx, Ny) of slice k."""
        self.count[k] += 1
        change = image - self.mean[..., k]
        self.mean[..., k] += change / self.count[k]
        if self._squares.size:
            self._squares[..., k] += change * (image - self.mean[..., k])

    def deviation(self, samples: int) -> NDArray[np.float64]:
        """Return the standard deviation over the samples (n - 1)."""
        return np.asarray(np.sqrt(self._squares / (samples - 1)))
