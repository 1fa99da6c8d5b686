r"""Baselines without a network: interpolations of the acquired map.

A baseline is ``baseline(condition) -> map``: the condition holds grid, mask and the cleaned
acquired map. All baselines sample it at the same positions u = J n / N, so the first voxel keeps
its centre, and all are masked and clipped at 0 like the method's own output, so that only the
interpolation is compared.

Both extend the map periodically, as k-space does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.imaging.fourier import Matrix
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.sampling.condition import Condition, form_conditions

FloatArray = NDArray[np.floating[Any]]
Baseline = Callable[[Condition], NDArray[np.float32]]

KEYS_A = -0.5
"""Slope of the cubic kernel at distance 1; only this value reproduces quadratics (Keys 1981)."""


def keys_kernel(distance: FloatArray) -> FloatArray:
    """Return the weight of a sample at a distance in samples, of any shape.

    With d = |distance| and a = -1/2 (Keys 1981, IEEE Trans. ASSP 29:1153, eq. 15):
    (a + 2) d^3 - (a + 3) d^2 + 1 for d <= 1, a (d^3 - 5 d^2 + 8 d - 4) for 1 < d < 2, 0 beyond.
    """
    d = np.abs(distance)
    near = ((KEYS_A + 2) * d - (KEYS_A + 3)) * d**2 + 1
    far = KEYS_A * (((d - 5) * d + 8) * d - 4)
    weight: FloatArray = np.where(d <= 1, near, np.where(d < 2, far, 0))
    return weight


@lru_cache(maxsize=256)
def bicubic_matrix(n: int, n_out: int) -> FloatArray:
    """Return the (n_out, n) matrix that reads n periodic samples at J n / n_out."""
    lag = np.arange(n_out)[:, None] * (n / n_out) - np.arange(n)[None, :]
    # The kernel is 4 samples wide, so a few periods to either side suffice even for the smallest
    # map.
    matrix: FloatArray = np.sum([keys_kernel(lag + period * n) for period in range(-3, 4)], axis=0)
    matrix.setflags(write=False)
    return matrix


def zero_filling(condition: Condition) -> NDArray[np.float32]:
    """Return the sinc interpolation: the acquired k-space, and 0 beyond it.

    Parameters
    ----------
    condition
        Holds the zero-filled map already.

    Returns
    -------
    array
        (Nx, Ny, Z) in the map's unit, masked and clipped at 0.
    """
    return _finish(condition.lowres, condition)


def bicubic(condition: Condition) -> NDArray[np.float32]:
    """Return the cubic convolution of Keys 1981, separable in the plane.

    Parameters
    ----------
    condition
        Grid, mask and acquired map.

    Returns
    -------
    array
        (Nx, Ny, Z) in the map's unit, masked and clipped at 0.
    """
    rows, columns = (
        bicubic_matrix(n, n_out)
        for n, n_out in zip(condition.acquired, condition.shape[:2], strict=True)
    )
    image = np.einsum("Xx,xyz,Yy->XYz", rows, condition.cleaned, columns, optimize=True)
    return _finish(np.ascontiguousarray(image), condition)  # in the same order in every process


BASELINES: dict[str, Baseline] = {"zero-filling": zero_filling, "bicubic": bicubic}
"""Every baseline by its name in tables."""


def run_baseline(
    baseline: Baseline, study: Study, upscale: float, matrix: Matrix | None = None
) -> dict[str, Volume]:
    """Enlarge every map of a study.

    Parameters
    ----------
    baseline
        A value of `BASELINES`.
    study
        Acquired maps.
    upscale, matrix
        Factor s, and the output matrix where it is not derived from s.

    Returns
    -------
    dict
        Metabolite -> map (Nx, Ny, Z) on the output grid.

    Raises
    ------
    FormatError, GeometryError
        If no conditions can be formed from the study; see `form_conditions`.
    """
    maps = {}
    for condition in form_conditions(study, upscale, matrix):
        maps[condition.metabolite] = condition.volume(baseline(condition))
    return maps


def _finish(image: FloatArray, condition: Condition) -> NDArray[np.float32]:
    return np.asarray(np.maximum(image, 0) * condition.mask, np.float32)
