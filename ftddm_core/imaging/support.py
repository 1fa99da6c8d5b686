r"""Maps that explain a coarse one and are 0 outside a mask.

With T the truncation to the acquired matrix, w the acquired voxels that were kept and m the mask,

.. math:: \min_x \| w (T m x - y) \|^2

is solved by a few steps of conjugate gradients (CGLS, Hestenes & Stiefel 1952, section 10). From 0
(`fit_inside`) that is what the mask alone tells; from a map that knows more (`refit`) it is the
smallest change after which the map explains the scan, an orthogonal projection. Stopping early
leaves out what the acquired voxels hardly determine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import GeometryError
from ftddm_core.imaging.fourier import truncate, zero_fill_matrix

FloatArray = NDArray[np.floating[Any]]

ITERATIONS = 6
"""Steps of conjugate gradients; more gain nothing on noisy maps and lose at 8x."""

REFIT_ITERATIONS = 20
"""Steps of `refit`: enough that more change nothing at factors of 2 to 8."""

SOLVED = 1e-8
"""Share of its first gradient's energy at which a slice counts as solved."""

TINY = np.float32(1e-30)
"""Keeps 0 / 0 of an empty slice at 0."""


def fit_inside(
    acquired: FloatArray, kept: NDArray[Any], mask: NDArray[Any], iterations: int = ITERATIONS
) -> NDArray[np.float32]:
    """Return the non-negative map (Nx, Ny, Z), 0 outside the mask, that best explains a coarse one.

    Parameters
    ----------
    acquired
        Coarse map (nx, ny, Z).
    kept
        Which of its voxels count, (nx, ny, Z): those that cleaning did not set to 0.
    mask
        Where the map may differ from 0, (Nx, Ny, Z).
    iterations
        Steps; each slice is solved by itself.

    Raises
    ------
    GeometryError
        If the coarse matrix is larger than the mask's, or the slices are not as many.
    """
    return np.asarray(np.maximum(_least_squares(acquired, kept, mask, iterations), 0))


def refit(
    image: FloatArray,
    acquired: FloatArray,
    kept: NDArray[Any],
    mask: NDArray[Any],
    iterations: int = REFIT_ITERATIONS,
) -> NDArray[np.float32]:
    """Return an image changed as little as possible so that it explains a coarse map.

    Without noise and filter the truth is among the maps that do, so no image is farther from it
    afterwards; what noise and filter change in the coarse map, the image takes over.

    Parameters
    ----------
    image
        (Nx, Ny, Z), 0 outside the mask; negative values are clipped at the end.
    acquired, kept, mask, iterations
        As for `fit_inside`.

    Raises
    ------
    GeometryError
        If the coarse matrix is larger than the mask's, or the slices are not as many.
    """
    left = acquired - truncate(image, (acquired.shape[0], acquired.shape[1]))
    agreeing = image + _least_squares(left, kept, mask, iterations)
    return np.asarray(np.maximum(agreeing, 0), np.float32)


def _least_squares(
    acquired: FloatArray, kept: NDArray[Any], mask: NDArray[Any], iterations: int
) -> NDArray[np.float32]:
    """Return the solution nearest to 0, (Nx, Ny, Z)."""
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
    return np.moveaxis(x, 0, -1)
