r"""What was measured of one map: y = w (T x + n).

x is the whole field of view on the output grid, T its truncation to the acquired matrix (with the
scan's window, where that is known), n the noise of the acquired voxels, independent and of known
deviation, and w says which of them count. What lies inside the mask is to be found; about what lies
outside, the prior depends on where the map comes from (`imaging.volume.Outside`):

- empty: the map was 0 there before its k-space was cut down, and is so here;
- seen: a scan saw it; it is taken to be as zero-filling shows it, give or take `OUTSIDE_ERROR`.

Acquired voxels of exactly 0 in a scan are no measurement (fits that failed, maps that were blanked
or clamped there); nor are wild ones. Values themselves are never altered. `consistency` holds maps
to it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.imaging.degrade import WILD
from ftddm_core.imaging.fourier import Matrix, truncate, zero_fill, zero_fill_matrix
from ftddm_core.imaging.volume import Noise, Outside, finite_or_zero
from ftddm_core.imaging.window import Window

FloatArray = NDArray[np.floating[Any]]
BoolArray = NDArray[np.bool_]

MODEL_ERROR = 0.3
"""Deviation of the model's error as an acquired voxel shows it, in units of `scale`. Errors of
independent output voxels average out in an acquired one: each has s times this deviation."""

OUTSIDE_ERROR = 1.4
"""Deviation of what is assumed outside the mask of a scan, likewise, relative to the root mean
square of the trusted acquired values."""

SPREAD = 0.04
"""Deviation by which the model's samples differ from each other, as `MODEL_ERROR`; the rest of its
error they share."""

LEAST_DEVIATION = 0.001
"""Least deviation of the noise, in units of `scale`: float32 would tell less apart."""


@dataclass(frozen=True, eq=False)
class Measurement:
    """One acquired map and what is known of it, in units of `scale`.

    Parameters
    ----------
    y
        The acquired map, uncleaned, (nx, ny, Z); 0 where it does not count.
    w
        Which acquired voxels count, (nx, ny, Z).
    deviation
        Of the noise, (nx, ny, Z).
    mask
        Trusted voxels of the output grid, (Nx, Ny, Z).
    outside
        Mean u of what is assumed outside the mask, (Nx, Ny, Z), 0 inside it.
    model_variance, outside_variance
        C of an output voxel inside and outside the mask.
    spread
        Share of C by which samples differ from each other.
    window
        Of k-space; None for all alike.
    noise_source
        "CRLB", "estimate" or "set".
    """

    y: NDArray[np.float32]
    w: BoolArray
    deviation: NDArray[np.float32]
    mask: BoolArray
    outside: NDArray[np.float32]
    model_variance: float
    outside_variance: float
    spread: float
    window: Window | None
    noise_source: str

    @property
    def acquired(self) -> Matrix:
        """Acquired matrix (nx, ny)."""
        return self.y.shape[0], self.y.shape[1]

    def with_noise(self, percent: float | None) -> Measurement:
        """Return the same with noise of a deviation that the user has set, in per cent of scale."""
        if percent is None:
            return self
        flat = np.full_like(self.deviation, max(percent / 100, LEAST_DEVIATION))
        return replace(self, deviation=flat, noise_source="set")

    def of_slices(self, indices: NDArray[np.intp]) -> Measurement:
        """Return the measurement of some slices, each as often as it is named."""
        names = ("y", "w", "deviation", "mask", "outside")
        return replace(self, **{name: getattr(self, name)[..., indices] for name in names})

    def acquire(self, image: FloatArray) -> FloatArray:
        """Return T of a map (Nx, Ny, ...), (nx, ny, ...): what the scan would show of it."""
        seen = truncate(image, self.acquired)
        return seen if self.window is None else self.window.blur(seen)

    @property
    def typical_noise(self) -> float:
        """Root mean square of the deviation over the voxels that count, in units of `scale`."""
        held = self.deviation[self.w]
        return float(np.sqrt(np.mean(np.square(held, dtype=np.float64)))) if held.size else 0.0


def form_measurement(
    acquired: FloatArray,
    noise: Noise,
    mask: BoolArray,
    trusted: BoolArray,
    scale: float,
    outside: Outside,
    window: Window | None = None,
) -> Measurement:
    """Form the measurement of one map.

    Parameters
    ----------
    acquired, noise
        The map as it was measured, (nx, ny, Z), and its noise, both in the map's unit.
    mask
        Trusted voxels of the output grid, (Nx, Ny, Z).
    trusted
        Acquired voxels whose cell holds one of them, (nx, ny, Z).
    scale
        The map's unit that stands for 1.
    outside, window
        As the study has them.
    """
    finite = np.isfinite(acquired)
    y = np.where(finite, acquired, 0) / scale
    w = finite & (np.abs(y) <= WILD) & np.isfinite(noise.deviation)
    if outside is Outside.SEEN:
        w &= y != 0
    y = np.where(w, y, 0)
    matrix = (mask.shape[0], mask.shape[1])
    s = np.sqrt(mask.shape[0] / y.shape[0] * (mask.shape[1] / y.shape[1]))
    mean: FloatArray = np.zeros(mask.shape)
    error = 0.0
    if outside is Outside.SEEN:
        mean = zero_fill(y if window is None else window.sharpen(y), matrix) * ~mask
        values = y[w & trusted]
        error = OUTSIDE_ERROR * float(np.sqrt(np.mean(values**2))) if values.size else MODEL_ERROR
    deviation = np.maximum(finite_or_zero(noise.deviation / scale), LEAST_DEVIATION)
    return Measurement(
        y=y.astype(np.float32),
        w=w,
        deviation=deviation.astype(np.float32),
        mask=mask,
        outside=mean.astype(np.float32),
        model_variance=float((MODEL_ERROR * s) ** 2),
        outside_variance=float((error * s) ** 2),
        spread=(SPREAD / MODEL_ERROR) ** 2,
        window=None if window is None or window.flat else window,
        noise_source=noise.source,
    )


def truncation(n: int, n_out: int) -> FloatArray:
    """Return the (n, n_out) matrix T of `fourier.truncate` along one axis."""
    matrix: FloatArray = zero_fill_matrix(n, n_out).T * (n / n_out)
    return matrix
