"""Running statistics of one map, from its slices and samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ftddm_core.sampling.condition import Condition
from ftddm_core.sampling.tally import Tally
from ftddm_core.sampling.weighting import shown

FloatArray = NDArray[np.float32]


class Residual(NamedTuple):
    """Relative residual of the measurement, |w (T x - y)| / |w y| over the computed slices.

    Parameters
    ----------
    drawn
        Residual of the samples before clipping, including the inferred signal outside the mask;
        root mean square.
    shown
        Residual of the map shown, in the same way.
    noise
        Expected residual from noise alone.
    """

    drawn: float
    shown: float
    noise: float


class Traces(NamedTuple):
    """Quantities that, with the images, determine the residual of the slices of a map.

    Parameters
    ----------
    beside, beside_alone
        Contribution from outside the mask to the acquired map, for x and for z, (nx, ny, slices) in
        units of `scale`.
    squares
        |w (T x - y)|^2, mean over the samples, (slices,); NaN for slices that were not computed.
    """

    beside: FloatArray
    beside_alone: FloatArray
    squares: NDArray[np.float64]

    def of(self, k: int) -> Traces:
        """Return the traces of one slice."""
        return Traces(
            self.beside[..., k : k + 1].copy(),
            self.beside_alone[..., k : k + 1].copy(),
            self.squares[k : k + 1].copy(),
        )


def joined(traces: Sequence[Traces]) -> Traces:
    """Return the traces of several slices, concatenated."""
    return Traces(
        np.concatenate([each.beside for each in traces], axis=-1),
        np.concatenate([each.beside_alone for each in traces], axis=-1),
        np.concatenate([each.squares for each in traces]),
    )


def residual_of(
    condition: Condition,
    slices: Sequence[int],
    images: tuple[FloatArray, FloatArray],
    traces: Traces,
    detail: float,
    noise: FloatArray,
) -> Residual:
    """Return the residual of some slices of a map, with a share of their detail.

    Parameters
    ----------
    condition
        Of the map.
    slices
        Slices to use; those that were not computed are ignored.
    images
        x and z, (Nx, Ny, slices) in the map's unit.
    traces
        Of the same slices.
    detail
        Share of the drawn detail that is shown.
    noise
        Assumed standard deviation (nx, ny, Z), in units of `scale`.
    """
    computed = np.isfinite(traces.squares)
    if not computed.any():
        return Residual(0.0, 0.0, 0.0)
    held, where = condition.measurement, np.asarray(slices)[computed]
    w, y = held.w[..., where], held.y[..., where]
    whole = float(np.linalg.norm(w * y))
    if not whole:
        return Residual(0.0, 0.0, 0.0)
    x, z = (image[..., computed] for image in images)
    alone = traces.beside_alone[..., computed]
    beside = alone + detail * (traces.beside[..., computed] - alone)
    difference = held.acquire(shown(x, z, detail) / condition.scale) + beside - y
    return Residual(
        float(np.sqrt(traces.squares[computed].sum())) / whole,
        float(np.linalg.norm(w * difference)) / whole,
        float(np.linalg.norm(w * noise[..., where])) / whole,
    )


class Sampled(NamedTuple):
    """One slice of one sample; see `batch.Drawn`.

    Parameters
    ----------
    image, alone
        (Nx, Ny) in the map's unit.
    explained, beside, beside_alone
        (nx, ny) in units of `scale`.
    """

    image: FloatArray
    alone: FloatArray
    explained: FloatArray
    beside: FloatArray
    beside_alone: FloatArray


class Gathered:
    """Mean, deviation and residual of the samples of one map.

    Parameters
    ----------
    condition
        Of the map.
    spread
        Whether a standard deviation is needed.

    Attributes
    ----------
    drawn
        The samples' running mean and deviation.
    alone
        Estimate from the measurement alone, (Nx, Ny, Z) in the map's unit.
    """

    def __init__(self, condition: Condition, *, spread: bool) -> None:
        self.drawn = Tally(condition.shape, spread=spread)
        self.alone = np.zeros(condition.shape, np.float32)
        self._condition = condition
        self._held = condition.measurement
        acquired = self._held.y.shape
        self._beside = Tally(acquired, spread=False)
        self._beside_alone = np.zeros(acquired, np.float32)
        self._squares = np.zeros(acquired[2])

    def add(self, k: int, sample: Sampled) -> None:
        """Add one sample of slice k."""
        self.drawn.add(k, sample.image)
        self.alone[..., k] = sample.alone
        self._beside.add(k, sample.beside)
        self._beside_alone[..., k] = sample.beside_alone
        difference = self._held.w[..., k] * (sample.explained - self._held.y[..., k])
        self._squares[k] += float(np.square(difference, dtype=np.float64).sum())

    def shown(self, detail: float) -> FloatArray:
        """Return the map to show, (Nx, Ny, Z)."""
        return shown(self.drawn.mean.astype(np.float32), self.alone, detail)

    def residual(self, detail: float, noise: NDArray[np.float32]) -> Residual:
        """Return the residual; `noise` is the assumed standard deviation (nx, ny, Z)."""
        x = self.drawn.mean.astype(np.float32)
        slices = range(x.shape[2])
        return residual_of(self._condition, slices, (x, self.alone), self.traces, detail, noise)

    @property
    def traces(self) -> Traces:
        """The traces of all slices."""
        count = self.drawn.count
        squares = np.where(count > 0, self._squares / np.maximum(count, 1), np.nan)
        return Traces(self._beside.mean.astype(np.float32), self._beside_alone, squares)
