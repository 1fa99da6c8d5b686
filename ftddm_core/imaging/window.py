"""How a scan weights k-space in the plane: all of the box alike, an ellipse, a Hamming filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.imaging.fourier import Matrix

FloatArray = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Window:
    """The weights of the samples of k-space; they decide the point spread function.

    Parameters
    ----------
    elliptical
        Whether only the ellipse inscribed into the box of k-space is sampled.
    hamming
        Strength of the Hamming filter, 0 for none to 1 for the full filter.
    """

    elliptical: bool = False
    hamming: float = 0.0

    @property
    def flat(self) -> bool:
        """Whether every sample of the box has weight 1."""
        return not self.elliptical and self.hamming == 0

    def weights(self, matrix: Matrix) -> NDArray[np.float32]:
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

    def blur(self, image: FloatArray) -> NDArray[np.float32]:
        """Return maps (X, Y, ...) as this window shows them: convolved with its point spread."""
        window = self.weights((image.shape[0], image.shape[1]))
        weight = window.reshape(window.shape + (1,) * (image.ndim - 2))
        seen = np.fft.ifft2(np.fft.fft2(image, axes=(0, 1)) * weight, axes=(0, 1)).real
        return np.asarray(seen, np.float32)
