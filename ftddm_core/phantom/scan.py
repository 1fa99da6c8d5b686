"""A scan of true concentrations: point spread, noise, a coarse matrix. Needs numpy alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ftddm_core.imaging.fourier import Matrix, truncate

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Sampling:
    """How a scan samples k-space in the plane; it decides the point spread function.

    Parameters
    ----------
    elliptical
        Whether only the ellipse inscribed into the box of k-space is sampled.
    hamming
        Strength of the Hamming filter, 0 for none to 1 for the full filter.
    """

    elliptical: bool = False
    hamming: float = 0.0

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Sampling:
        """Draw a sampling: a third elliptical, a third filtered."""
        elliptical, filtered = rng.random(2) < 1 / 3
        return cls(bool(elliptical), float(rng.uniform(0.5, 1)) if filtered else 0.0)

    def window(self, matrix: Matrix) -> FloatArray:
        r"""Return the weight of every sample of k-space, shape `matrix`, in the FFT's order.

        With r = k / k_max on each axis, 1 on the ellipse's edge, the filter is the product over
        both axes of 1 - a (1 - 0.54 - 0.46 cos(pi r)) for strength a; symmetric in k, so that
        filtered maps stay real.
        """
        rx, ry = (2 * np.abs(np.fft.fftfreq(n)) for n in matrix)
        fx, fy = (1 - self.hamming * 0.46 * (1 - np.cos(np.pi * r)) for r in (rx, ry))
        weight = fx[:, None] * fy
        if self.elliptical:
            weight = weight * (rx[:, None] ** 2 + ry**2 <= 1)
        return np.asarray(weight, np.float32)

    def blur(self, image: FloatArray) -> FloatArray:
        """Return maps (X, Y, ...) as this sampling shows them: convolved with its point spread."""
        window = self.window((image.shape[0], image.shape[1]))
        weight = window.reshape(window.shape + (1,) * (image.ndim - 2))
        seen = np.fft.ifft2(np.fft.fft2(image, axes=(0, 1)) * weight, axes=(0, 1)).real
        return np.asarray(seen, np.float32)

    def noise(self, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
        """Draw noise (X, Y, ...) of unit deviation, coloured by the window as the signal is."""
        white = rng.standard_normal(shape, np.float32)
        if self == Sampling():
            return white
        power = float(np.sqrt(np.mean(self.window((shape[0], shape[1])) ** 2)))
        return self.blur(white) / np.float32(power)


FULL = Sampling()
"""All of the box, unfiltered."""


def measure(
    truth: FloatArray, deviation: float, rng: np.random.Generator, sampling: Sampling = FULL
) -> FloatArray:
    """Add the fit's noise to a true map and clamp at 0, as fitted concentrations are.

    Parameters
    ----------
    truth
        What the scan would show without noise, (X, Y, ...).
    deviation
        Of the noise in the map's unit: the CRLB.
    rng
        Of the noise.
    sampling
        Of the scan, which colours the noise.
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

    A coarse voxel holds more signal: for the same time per sample the noise falls with the square
    root of the number of voxels it replaces.
    """
    share = np.sqrt(matrix[0] * matrix[1] / (truth.shape[0] * truth.shape[1]))
    coarse = sampling.blur(truncate(truth, matrix).astype(np.float32))
    return measure(coarse, deviation * share, rng, sampling)
