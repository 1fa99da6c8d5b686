"""A scan of true concentrations: point spread, noise, a coarse matrix. Needs numpy alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ftddm_core.imaging.fourier import Matrix, truncate
from ftddm_core.imaging.window import Window

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Sampling(Window):
    """k-space sampling of a simulated scan: a random window, which also colours the noise."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Sampling:
        """Draw a sampling: a third elliptical, a third filtered."""
        elliptical, filtered = rng.random(2) < 1 / 3
        return cls(bool(elliptical), float(rng.uniform(0.5, 1)) if filtered else 0.0)

    def noise(self, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
        """Draw noise (X, Y, ...) of unit standard deviation, coloured by the window like the
        signal."""
        white = rng.standard_normal(shape, np.float32)
        if self == Sampling():
            return white
        power = float(np.sqrt(np.mean(self.weights((shape[0], shape[1])) ** 2)))
        return self.blur(white) / np.float32(power)


FULL = Sampling()
"""The full box, unfiltered."""


def measure(
    truth: FloatArray, deviation: float, rng: np.random.Generator, sampling: Sampling = FULL
) -> FloatArray:
    """Add the fit's noise to a true map and clip it at 0, like fitted concentrations.

    Parameters
    ----------
    truth
        Noise-free map of the scan, (X, Y, ...).
    deviation
        Standard deviation of the noise in the map's unit: the CRLB.
    rng
        Of the noise.
    sampling
        Sampling of the scan, which colours the noise.
    """
    measured: FloatArray = np.maximum(
        truth + np.float32(deviation) * sampling.noise(truth.shape, rng), 0
    )
    return measured


def scan_again(
    truth: FloatArray,
    matrix: Matrix,
    deviation: float,
    rng: np.random.Generator,
    sampling: Sampling = FULL,
) -> FloatArray:
    """Scan noise-free concentrations (X, Y, Z) at a coarse matrix, with that scan's own noise.

    A coarse voxel contains more signal: for the same time per sample, the noise falls with the
    square root of the number of voxels it replaces.
    """
    share = np.sqrt(matrix[0] * matrix[1] / (truth.shape[0] * truth.shape[1]))
    coarse = sampling.blur(truncate(truth, matrix).astype(np.float32))
    return measure(coarse, deviation * share, rng, sampling)
