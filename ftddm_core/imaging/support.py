r"""The least-squares map of a coarse map that is 0 outside the mask.

With T the truncation to the acquired matrix, w the acquired voxels that were kept and m the mask,

.. math:: \min_x \| w (T m x - y) \|^2

is solved by a few steps of conjugate gradients from 0 (CGLS, Hestenes & Stiefel 1952, section 10).
Early stopping leaves out components that the acquired voxels hardly determine. For a truncated
masked map, this is far closer to the truth than zero-filling; for a scan with signal outside the
mask it is not, and the networks learn to distinguish the two.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import GeometryError
from ftddm_core.imaging.fourier import zero_fill_matrix

FloatArray = NDArray[np.floating[Any]]

ITERATIONS = 6
"""Steps of conjugate gradients; more do not help on noisy maps and are worse at 8x."""

SOLVED = 1e-8
"""A slice counts as solved at this share of the energy of its first gradient."""

TINY = np.float32(1e-30)
"""Makes 0 / 0 of an empty slice 0."""


def fit_inside(
    acquired: FloatArray, kept: NDArray[Any], mask: NDArray[Any], iterations: int = ITERATIONS
) -> NDArray[np.float32]:
    """Return the non-negative map (Nx, Ny, Z), 0 outside the mask, that best explains a coarse one.

    Parameters
    ----------
    acquired
        Coarse map (nx, ny, Z).
    kept
        Valid voxels (nx, ny, Z): those that cleaning did not set to 0.
    mask
        Support of the map, (Nx, Ny, Z).
    iterations
        Number of steps; each slice is solved separately.

    Raises
    ------
    GeometryError
        If the coarse matrix is larger than the mask's, or the numbers of slices differ.
    """
    if acquired.shape != kept.shape or acquired.shape[2] != mask.shape[2]:
        raise GeometryError(
            f"A map {acquired.shape}, its kept voxels {kept.shape} and a mask {mask.shape} "
            "do not belong together."
        )
    if any(n > n_out for n, n_out in zip(acquired.shape[:2], mask.shape[:2], strict=True)):
        raise GeometryError(
            f"A {mask.shape[:2]} mask is coarser than the map {acquired.shape[:2]}."
        )
    rows, columns = (
        (zero_fill_matrix(n, n_out) * (n / n_out)).astype(np.float32)
        for n, n_out in zip(acquired.shape[:2], mask.shape[:2], strict=True)
    )
    y, w, m = (np.asarray(np.moveaxis(a, -1, 0), np.float32) for a in (acquired, kept, mask))

    def forward(x: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(w * (rows.T @ x @ columns))

    def adjoint(r: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(m * (rows @ (w * r) @ columns.T))

    def energy(x: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(np.square(x).sum((1, 2), keepdims=True))

    x = np.zeros_like(m)
    residual = w * y
    gradient = adjoint(residual)
    direction, size = gradient, energy(gradient)
    enough = SOLVED * size
    for _ in range(iterations):
        shown = forward(direction)
        going = size > enough
        step = (size / np.maximum(energy(shown), TINY) * going).astype(np.float32)
        x += step * direction
        residual = residual - step * shown
        gradient = adjoint(residual)
        before, size = size, energy(gradient)
        direction = gradient + (size / np.maximum(before, TINY)).astype(np.float32) * direction
    return np.moveaxis(np.maximum(x, 0), 0, -1)
