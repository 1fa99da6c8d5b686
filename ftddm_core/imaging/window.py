"""In-plane weighting of k-space by a scan: uniform box, ellipse, Hamming filter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.imaging.fourier import Matrix

FloatArray = NDArray[np.floating[Any]]

FAINT = 0.1
"""Weight below which a sample of k-space is not restored."""


@dataclass(frozen=True)
class Window:
    """The weights of the samples of k-space, which determine the point spread function.

    Parameters
    ----------
    elliptical
        Whether only the ellipse inscribed in the box of k-space is sampled.
    hamming
        Strength of the Hamming filter, 0 for none to 1 for the full filter.
    reach
        End of ellipse and filter on both axes, in units of the box's edge; above 1 if less of
        k-space is kept than the scan sampled.
    """

    elliptical: bool = False
    hamming: float = 0.0
    reach: tuple[float, float] = (1.0, 1.0)

    @property
    def flat(self) -> bool:
        """Whether every sample of the box has weight 1."""
        return not self.elliptical and self.hamming == 0

    def weights(self, matrix: Matrix) -> NDArray[np.float32]:
        r"""Return the weight of every sample of k-space, shape `matrix`, in the FFT's order.

        With r = k / k_max on each axis, 1 on the ellipse's edge (`reach`), the filter is the
        product over both axes of 1 - a (1 - 0.54 - 0.46 cos(pi r)) for strength a; symmetric in k,
        so that filtered maps stay real.
        """
        rx, ry = (
            2 * np.abs(np.fft.fftfreq(n)) / end for n, end in zip(matrix, self.reach, strict=True)
        )
        fx, fy = (1 - self.hamming * 0.46 * (1 - np.cos(np.pi * r)) for r in (rx, ry))
        weight = fx[:, None] * fy
        if self.elliptical:
            weight = weight * (rx[:, None] ** 2 + ry**2 <= 1)
        return np.asarray(weight, np.float32)

    def cut_to(self, coarse: Matrix, matrix: Matrix) -> Window:
        """Return the window after cutting a box of k-space `matrix` to `coarse`."""
        x, y = (end * n / kept for end, kept, n in zip(self.reach, coarse, matrix, strict=True))
        return replace(self, reach=(x, y))

    def blur(self, image: FloatArray) -> NDArray[np.float32]:
        """Return maps (X, Y, ...) convolved with this window's point spread."""
        return _weighted(image, self.weights((image.shape[0], image.shape[1])))

    def sharpen(self, image: FloatArray) -> NDArray[np.float32]:
        """Undo `blur` of maps (X, Y, ...), as far as noise allows.

        Weights w are inverted as w / (w^2 + `FAINT`^2), as in a Wiener filter: samples of small
        weight stay small.
        """
        weight = self.weights((image.shape[0], image.shape[1]))
        return _weighted(image, weight / (weight**2 + FAINT**2))


def _weighted(image: FloatArray, weight: FloatArray) -> NDArray[np.float32]:
    """Return maps (X, Y, ...), their k-space times (X, Y)."""
    weight = weight.reshape(weight.shape + (1,) * (image.ndim - 2))
    found = np.fft.ifft2(np.fft.fft2(image, axes=(0, 1)) * weight, axes=(0, 1)).real
    return np.asarray(found, np.float32)
