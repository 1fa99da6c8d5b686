r"""Measurement model of one map: y = w (T x + n).

x is the whole field of view on the output grid, T its truncation to the acquired matrix (with the
scan's window, if known), n the noise of the acquired voxels, independent and of known standard
deviation, and w selects valid voxels. The signal inside the mask is unknown; the prior for the
signal outside depends on the origin of the map (`imaging.volume.Outside`):

- empty: the map was 0 there before its k-space was truncated, and is 0 here;
- seen: a scan includes it; its prior is the zero-filled map with an error of `OUTSIDE_ERROR`.

Acquired voxels of exactly 0 in a scan are not measurements (failed fits, blanked or clipped maps);
neither are outliers. Values are never altered. `consistency` holds maps to the measurement.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
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
"""Standard deviation of the model's error in an acquired voxel, in units of `scale`. Errors of
independent output voxels average out in an acquired one: each has s times this deviation."""

OUTSIDE_ERROR = 1.4
"""Standard deviation of the prior outside the mask of a scan, relative to the root mean square of
the trusted acquired values."""

SPREAD = 0.04
"""Standard deviation of the differences between the model's samples, defined like `MODEL_ERROR`;
they share the rest of its error."""

LEAST_DEVIATION = 0.001
"""Smallest standard deviation of the noise, in units of `scale`, limited by float32."""


@dataclass(frozen=True, eq=False)
class Measurement:
    """One acquired map and its measurement model, in units of `scale`.

    Parameters
    ----------
    y
        The acquired map, uncleaned, (nx, ny, Z); 0 where invalid.
    w
        Valid acquired voxels, (nx, ny, Z).
    deviation
        Of the noise, (nx, ny, Z).
    mask
        Trusted voxels of the output grid, (Nx, Ny, Z).
    outside
        Prior mean u outside the mask, (Nx, Ny, Z), 0 inside.
    model_variance, outside_variance
        Error variance C of an output voxel inside and outside the mask.
    spread
        Share of C that differs between samples.
    window
        Weighting of k-space; None for uniform.
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
        """Return the measurement with a noise level set by the user, in per cent of the scale."""
        if percent is None:
            return self
        flat = np.full_like(self.deviation, max(percent / 100, LEAST_DEVIATION))
        return replace(self, deviation=flat, noise_source="set")

    def of_slices(self, indices: NDArray[np.intp]) -> Measurement:
        """Return the measurement of some slices, which may be repeated."""
        names = ("y", "w", "deviation", "mask", "outside")
        return replace(self, **{name: getattr(self, name)[..., indices] for name in names})

    def acquire(self, image: FloatArray) -> FloatArray:
        """Return T of a map (Nx, Ny, ...), (nx, ny, ...): the scan of it."""
        seen = truncate(image, self.acquired)
        return seen if self.window is None else self.window.blur(seen)

    @cached_property
    def typical_noise(self) -> float:
        """Root mean square of the deviation over valid voxels, in units of `scale`."""
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
        The measured map, (nx, ny, Z), and its noise, both in the map's unit.
    mask
        Trusted voxels of the output grid, (Nx, Ny, Z).
    trusted
        Acquired voxels whose cell contains one of them, (nx, ny, Z).
    scale
        Value in the map's unit that corresponds to 1.
    outside, window
        From the study.
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
