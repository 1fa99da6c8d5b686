r"""Metrics of fidelity to the truth, and of sharpness, slice by slice.

Every metric has one signature, ``metric(output, truth, mask, acquired) -> float``: two slices (Nx,
Ny) in one unit, the trusted voxels of that slice, and the acquired matrix (nx, ny). An undefined
metric, as on an empty slice, is NaN. With x the output, r the truth and R = max r - min r over the
slice:

.. math::
    \text{NRMSE} &= \|x - r\| / \|r\| \\
    \text{PSNR} &= 10 \log_{10} (R^2 / \langle (x - r)^2 \rangle) \\
    \text{SSIM} &: \text{Wang et al. 2004, eq. 13, mean over 7x7 windows, dynamic range } R \\
    \text{sharpness} &= \langle |\nabla (x - Bx)|^2 \rangle / \langle |\nabla (r - Br)|^2 \rangle

B keeps the acquired frequencies, so sharpness counts only what a method adds to them. Over several
slices, sharpness is the ratio of sums of what `detail` returns, never the mean of the slices'
ratios: E[a / b] is not E[a] / E[b]. The noise of the truth varies between slices unpredictably, so
that even a perfect sampler has some slices well above 1 and fewer far below: if the noise's
deviation is uniform in 0.5..1.25, its mean ratio is 1.3. The first three are computed over the
whole slice, as in Dong et al. 2025; PSNR and SSIM also inside the mask. NRMSE needs no such
variant: truth and outputs are 0 outside the mask.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import GeometryError
from ftddm_core.imaging.fourier import Matrix, low_pass

FloatArray = NDArray[np.floating[Any]]
BoolArray = NDArray[np.bool_]
MetricFunction = Callable[[FloatArray, FloatArray, BoolArray, Matrix], float]

SSIM_WINDOW = 7
"""Voxels along the side of an SSIM window."""

NO_DETAIL = 1e-12
"""A truth whose detail is below this share of its energy counts as band-limited."""


@dataclass(frozen=True)
class Metric:
    """A metric and its interpretation.

    Parameters
    ----------
    name, unit
        Column head; the unit may be empty.
    better
        Whether "higher" or "lower" is better; "one": 1 is ideal.
    function
        ``function(output, truth, mask, acquired) -> float``, NaN where undefined.
    """

    name: str
    unit: str
    better: Literal["higher", "lower", "one"]
    function: MetricFunction


def nrmse(output: FloatArray, truth: FloatArray, mask: BoolArray, acquired: Matrix) -> float:
    """Return |x - r| / |r|, euclidean over the slice."""
    norm = float(np.linalg.norm(truth))
    return float(np.linalg.norm(_double(output) - truth)) / norm if norm > 0 else np.nan


def psnr(output: FloatArray, truth: FloatArray, mask: BoolArray, acquired: Matrix) -> float:
    """Return the peak signal-to-noise ratio in dB over the slice; infinite for the truth itself."""
    return _psnr(output, truth, np.ones(truth.shape, bool))


def psnr_in_mask(output: FloatArray, truth: FloatArray, mask: BoolArray, acquired: Matrix) -> float:
    """Return the PSNR in dB with the mean squared error of the trusted voxels only."""
    return _psnr(output, truth, mask)


def ssim(output: FloatArray, truth: FloatArray, mask: BoolArray, acquired: Matrix) -> float:
    """Return the mean structural similarity of all windows that lie within the slice."""
    margin = SSIM_WINDOW // 2
    similarity = _similarity(output, truth)
    return _mean(similarity[margin:-margin, margin:-margin])


def ssim_in_mask(output: FloatArray, truth: FloatArray, mask: BoolArray, acquired: Matrix) -> float:
    """Return the mean structural similarity of the windows around the trusted voxels."""
    return _mean(_similarity(output, truth)[mask])


def sharpness(output: FloatArray, truth: FloatArray, mask: BoolArray, acquired: Matrix) -> float:
    """Return the amount of detail relative to the truth: 1 is as sharp.

    Detail is the signal outside the acquired box of k-space. Its mean squared difference between
    neighbours is taken over pairs inside the mask eroded by one voxel, since the mask's edge is
    sharp for every method. NaN without such pairs, and if the truth has no detail.
    """
    ours, reference = detail(output, truth, mask, acquired)
    return ours / reference if reference > 0 else np.nan


def detail(
    output: FloatArray, truth: FloatArray, mask: BoolArray, acquired: Matrix
) -> tuple[float, float]:
    """Return the energy of the detail of output and truth, each as a share of the truth's energy.

    Detail and its energy are defined as in `sharpness`; both are divided by the mean square of the
    truth inside the mask, so that slices, metabolites and units have equal weight in a sum. A truth
    that is band-limited up to rounding has exactly 0 detail. Both are NaN if the mask has no two
    inner neighbours or the truth is 0 inside it.

    Parameters
    ----------
    output, truth
        Slices (Nx, Ny) in one unit.
    mask
        Trusted voxels (Nx, Ny).
    acquired
        Acquired matrix (nx, ny).
    """
    from scipy.ndimage import binary_erosion

    inner = binary_erosion(mask)
    power = _mean(np.square(_double(truth))[mask])
    if not power > 0:
        return np.nan, np.nan
    ours, reference = (
        _roughness(_double(image) - low_pass(_double(image), acquired), inner) / power
        for image in (output, truth)
    )
    if np.isnan(reference):
        return np.nan, np.nan
    return ours, reference if reference > NO_DETAIL else 0.0


def gradient(output: FloatArray, zero_filled: FloatArray, mask: BoolArray) -> float:
    """Return the mean gradient relative to the zero-filled map: sharpness without a truth.

    The gradient's magnitude is that of the differences to the next voxel along both axes, where all
    three lie in the mask. Noise counts as much as detail. NaN without such a voxel, and if the
    zero-filled map is flat.

    Parameters
    ----------
    output, zero_filled
        Slices (Nx, Ny) in one unit.
    mask
        Trusted voxels (Nx, Ny).
    """
    ours, reference = (_slope(_double(image), mask) for image in (output, zero_filled))
    return ours / reference if reference > 0 else np.nan


METRICS: dict[str, Metric] = {
    "nrmse": Metric("NRMSE", "", "lower", nrmse),
    "psnr": Metric("PSNR", "dB", "higher", psnr),
    "ssim": Metric("SSIM", "", "higher", ssim),
    "psnr_in_mask": Metric("PSNR in mask", "dB", "higher", psnr_in_mask),
    "ssim_in_mask": Metric("SSIM in mask", "", "higher", ssim_in_mask),
    "sharpness": Metric("Sharpness", "", "one", sharpness),
}
"""Every metric, in the order of the tables' columns."""


def evaluate(
    output: FloatArray, truth: FloatArray, mask: BoolArray, acquired: Matrix
) -> dict[str, float]:
    """Return every metric of one slice by its key in `METRICS`.

    Parameters
    ----------
    output, truth
        Slices (Nx, Ny) in one unit.
    mask
        Trusted voxels (Nx, Ny).
    acquired
        Acquired matrix (nx, ny).

    Raises
    ------
    GeometryError
        If the three arrays are not slices of one matrix.
    """
    if truth.ndim != 2 or not output.shape == truth.shape == mask.shape:
        raise GeometryError(
            f"Metrics compare slices of one matrix, found output {output.shape}, truth "
            f"{truth.shape} and mask {mask.shape}: bring them onto one grid first."
        )
    return {key: m.function(output, truth, mask, acquired) for key, m in METRICS.items()}


def _double(image: FloatArray) -> NDArray[np.float64]:
    return np.asarray(image, np.float64)


def _mean(values: FloatArray) -> float:
    """Return the mean, NaN without values."""
    return float(values.mean()) if values.size else np.nan


def _psnr(output: FloatArray, truth: FloatArray, where: BoolArray) -> float:
    peak = float(np.ptp(truth))
    error = _mean(np.square(_double(output) - truth)[where])
    if not peak > 0 or np.isnan(error):
        return np.nan
    return float(10 * np.log10(peak**2 / error)) if error > 0 else np.inf


def _similarity(output: FloatArray, truth: FloatArray) -> FloatArray:
    """Return SSIM (Nx, Ny) around every voxel, NaN for a constant truth or a tiny slice."""
    from skimage.metrics import structural_similarity

    peak = float(np.ptp(truth))
    if not peak > 0 or min(truth.shape) < SSIM_WINDOW:
        return np.full(truth.shape, np.nan)
    _, similarity = structural_similarity(  # type: ignore[no-untyped-call]
        _double(output), _double(truth), data_range=peak, win_size=SSIM_WINDOW, full=True
    )
    result: FloatArray = similarity
    return result


def _roughness(image: FloatArray, inner: BoolArray) -> float:
    """Return the mean squared difference of neighbours that are both in `inner`."""
    squares = [
        np.square(np.diff(image, axis=axis))[pairs]
        for axis, pairs in enumerate((inner[1:] & inner[:-1], inner[:, 1:] & inner[:, :-1]))
    ]
    return _mean(np.concatenate(squares))


def _slope(image: FloatArray, mask: BoolArray) -> float:
    """Return the mean magnitude of the gradient where voxel and both next ones are in the mask."""
    whole = mask[:-1, :-1] & mask[1:, :-1] & mask[:-1, 1:]
    across, along = np.diff(image, axis=0)[:, :-1], np.diff(image, axis=1)[:-1]
    return _mean(np.hypot(across, along)[whole])
