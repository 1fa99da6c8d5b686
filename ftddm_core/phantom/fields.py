r"""Smooth random fields as functions of world coordinates.

A stationary Gaussian field with covariance exp(-\|d\|^2 / (2 l^2)) is approximated by random
Fourier features, f(r) = sqrt(2/M) sum_m a_m cos(k_m . r + phi_m) with k_m ~ N(0, I / l^2) (Rahimi &
Recht 2007, section 3). Being a function, one field can be read on any grid: a map and an MRI agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class RandomField:
    """`n_fields` independent fields of zero mean, unit variance and one length scale.

    Parameters
    ----------
    wave
        Wave vectors k of shape (M, 3), in rad/mm.
    phase
        Phases phi of shape (M,), in rad.
    amplitude
        Amplitudes a of shape (M, n_fields).
    """

    wave: FloatArray
    phase: FloatArray
    amplitude: FloatArray

    @classmethod
    def draw(
        cls, rng: np.random.Generator, length: float, n_fields: int = 1, n_features: int = 48
    ) -> RandomField:
        """Draw fields of the given length scale in mm."""
        return cls(
            wave=(rng.standard_normal((n_features, 3)) / length).astype(np.float32),
            phase=rng.uniform(0, 2 * np.pi, n_features).astype(np.float32),
            amplitude=rng.standard_normal((n_features, n_fields)).astype(np.float32),
        )

    def __call__(self, points: FloatArray) -> FloatArray:
        """Return the fields' values (..., n_fields) at world points (..., 3) in mm."""
        angle = points.astype(np.float32) @ self.wave.T + self.phase
        scale = np.float32(np.sqrt(2 / len(self.phase)))
        values: FloatArray = scale * (np.cos(angle) @ self.amplitude)
        return values
