"""Streaming mean and standard deviation over the samples of every slice, in constant memory.

Welford, "Note on a method for calculating corrected sums of squares and products" (1962).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Tally:
    """Running mean and squared deviation of the samples of each slice.

    Parameters
    ----------
    shape
        Shape of the volume, (Nx, Ny, Z).
    spread
        Whether a standard deviation is needed; otherwise no memory is reserved for it.

    Attributes
    ----------
    mean
        Mean so far, (Nx, Ny, Z); 0 without samples.
    count
        Number of samples so far, (Z,).
    """

    def __init__(self, shape: tuple[int, int, int], *, spread: bool) -> None:
        self.mean: NDArray[np.float64] = np.zeros(shape)
        self.count = np.zeros(shape[2], int)
        self._squares: NDArray[np.float64] = np.zeros(shape if spread else (0, 0, 0))

    def add(self, k: int, image: NDArray[Any]) -> None:
        """Add one sample (Nx, Ny) of slice k."""
        self.count[k] += 1
        change = image - self.mean[..., k]
        self.mean[..., k] += change / self.count[k]
        if self._squares.size:
            self._squares[..., k] += change * (image - self.mean[..., k])

    def deviation(self, samples: int) -> NDArray[np.float64]:
        """Return the standard deviation over the samples (n - 1)."""
        return np.asarray(np.sqrt(self._squares / (samples - 1)))
