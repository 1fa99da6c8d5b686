r"""Smooth random fields as functions of world coordinates.

A stationary Gaussian field with covariance exp(-\|d\|^2 / (2 l^2)) is approximated by random
Fourier features, f(r) = sqrt(2/M) sum_m a_m cos(k_m . r + phi_m) with k_m ~ N(0, I / l^2) (Rahimi &
Recht 2007, section 3). Being a function, a field can be evaluated on any grid, so that maps and MRI
agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

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


@dataclass(frozen=True, eq=False)
class MixedField:
    """Fields of zero mean and unit variance with several length scales at once.

    Parameters
    ----------
    parts
        One per length scale, with the same number of fields.
    shares
        Shares of the variance, one per part; their sum is 1.
    """

    parts: tuple[RandomField, ...]
    shares: tuple[float, ...]

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        lengths: Sequence[float],
        shares: Sequence[float],
        n_fields: int = 1,
        n_features: int = 256,
    ) -> MixedField:
        """Draw fields of the given length scales in mm and their shares of the variance."""
        parts = tuple(RandomField.draw(rng, length, n_fields, n_features) for length in lengths)
        return cls(parts, tuple(float(share) for share in shares))

    def __call__(self, points: FloatArray) -> FloatArray:
        """Return the fields' values (..., n_fields) at world points (..., 3) in mm."""
        values = [
            np.float32(np.sqrt(share)) * part(points)
            for part, share in zip(self.parts, self.shares, strict=True)
        ]
        return np.asarray(np.sum(values, 0), np.float32)


def correlated_fields(fields: FloatArray, correlation: ArrayLike) -> FloatArray:
    """Mix a shared field into independent ones.

    Parameters
    ----------
    fields
        1 + n unit fields (..., 1 + n), the shared one first.
    correlation
        Share of each field's variance from the shared one, a number or (n,): the correlation of two
        fields with the same share.

    Returns
    -------
    array
        n unit fields (..., n).
    """
    share = np.asarray(correlation, np.float32)
    mixed = np.sqrt(share) * fields[..., :1] + np.sqrt(1 - share) * fields[..., 1:]
    return np.asarray(mixed, np.float32)


def lognormal(fields: FloatArray, variation: ArrayLike) -> FloatArray:
    """Turn unit fields (..., n) into factors of mean 1 and the given coefficients of variation."""
    variance = np.log1p(np.square(np.asarray(variation, np.float32)))
    return np.asarray(np.exp(np.sqrt(variance) * fields - variance / 2), np.float32)
