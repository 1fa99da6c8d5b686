r"""k-space truncation, zero-filling and data consistency of real images.

A map y of n samples has the centred amplitudes M[k] of the discrete Fourier transform with
``norm="forward"``, and has at any position u (in samples) the value

.. math::  y(u) = \sum_{k=-\lfloor n/2 \rfloor}^{\lfloor n/2 \rfloor} w_k M[k] e^{2\pi i k u / n},

where w_k = 1, but 1/2 at k = +-n/2 of an even n: the unpaired sample -n/2 is halved onto both
sides, which along one axis is the same as taking the real part. (In the plane the two differ in one
sample, the corner (-nx/2, -ny/2): it is quartered onto four corners, not halved onto two.) Phases
are referred to sample 0, so the centre of the first voxel never moves.

For real images, every such operation is a small real matrix per axis (a Dirichlet kernel), which
avoids shifts, complex numbers and rounding of imaginary parts, and treats odd, even and non-square
matrices alike. The in-plane axes are the first two; further axes are batch axes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import GeometryError

FloatArray = NDArray[np.floating[Any]]
Matrix = tuple[int, int]


@lru_cache(maxsize=256)
def zero_fill_matrix(n: int, n_out: int) -> FloatArray:
    """Return the (n_out, n) matrix that zero-fills n samples to n_out >= n.

    Z[J, j] = 1/n sum_k w_k cos(2 pi k (J / n_out - j / n)).
    """
    k = np.arange(-(n // 2), n // 2 + 1)
    weight = np.ones(k.size)
    if n % 2 == 0:
        weight[[0, -1]] = 0.5
    lag = np.arange(n_out)[:, None] / n_out - np.arange(n)[None, :] / n
    matrix: FloatArray = (weight * np.cos(2 * np.pi * k * lag[..., None])).sum(-1) / n
    matrix.setflags(write=False)
    return matrix


@lru_cache(maxsize=256)
def box_matrix(n: int, n_out: int) -> FloatArray:
    """Return the (n_out, n_out) orthogonal projector onto the frequencies |k| < n/2."""
    k = np.arange(-((n - 1) // 2), (n - 1) // 2 + 1)
    lag = (np.arange(n_out)[:, None] - np.arange(n_out)[None, :]) / n_out
    matrix: FloatArray = np.cos(2 * np.pi * k * lag[..., None]).sum(-1) / n_out
    matrix.setflags(write=False)
    return matrix


def _in_plane(image: FloatArray, rows: FloatArray, columns: FloatArray) -> FloatArray:
    """Apply one matrix along each of the first two axes.

    `einsum` orders its result in memory by a set of letters, which has another order in every
    process; sums over it would then differ in their last digits from run to run.
    """
    result: FloatArray = np.einsum("Xx,xy...,Yy->XY...", rows, image, columns, optimize=True)
    return np.ascontiguousarray(result)


def zero_fill(image: FloatArray, matrix: Matrix) -> FloatArray:
    """Enlarge an image by zero-filling its k-space; the result interpolates the acquired samples.

    Parameters
    ----------
    image
        Real values of shape (nx, ny, ...).
    matrix
        The output's (Nx, Ny), each at least as large as the image's.

    Raises
    ------
    GeometryError
        If the output is smaller than the image.
    """
    nx, ny = image.shape[:2]
    if matrix[0] < nx or matrix[1] < ny:
        raise GeometryError(
            f"Cannot zero-fill a {nx}x{ny} map to {matrix[0]}x{matrix[1]}: smaller."
        )
    return _in_plane(image, zero_fill_matrix(nx, matrix[0]), zero_fill_matrix(ny, matrix[1]))


def unfill(image: FloatArray, matrix: Matrix) -> FloatArray:
    """Undo `zero_fill`: return the samples (nx, ny, ...) that were enlarged to (Nx, Ny, ...).

    Unlike `truncate`, it restores the halved unpaired sample of an even matrix, with the left
    inverse of the zero-filling operator.

    Raises
    ------
    GeometryError
        If the matrix is larger than the image's.
    """
    n_out_x, n_out_y = image.shape[:2]
    nx, ny = matrix
    if nx > n_out_x or ny > n_out_y:
        raise GeometryError(f"A {n_out_x}x{n_out_y} map was not zero-filled from {nx}x{ny}.")
    rows = np.linalg.pinv(zero_fill_matrix(nx, n_out_x))
    columns = np.linalg.pinv(zero_fill_matrix(ny, n_out_y))
    return _in_plane(image, rows, columns)


def truncate(image: FloatArray, matrix: Matrix) -> FloatArray:
    """Keep the centred n x n samples of k-space, as a scan of that matrix acquires them.

    Frequencies -n/2 .. n/2 - 1 (even n) of the image are kept and the real part is taken. This is
    the adjoint of `zero_fill` for the mean inner product, T = (n/N) Z^T. It undoes `zero_fill`
    except for the unpaired sample of an even n < N, which stays halved.

    Parameters
    ----------
    image
        Real values of shape (Nx, Ny, ...).
    matrix
        The acquired (nx, ny), each at most as large as the image's.

    Raises
    ------
    GeometryError
        If the acquired matrix is larger than the image's.
    """
    n_out_x, n_out_y = image.shape[:2]
    nx, ny = matrix
    if not (0 < nx <= n_out_x and 0 < ny <= n_out_y):
        raise GeometryError(f"Cannot truncate a {n_out_x}x{n_out_y} map to {nx}x{ny}: larger.")
    rows = zero_fill_matrix(nx, n_out_x).T * (nx / n_out_x)
    columns = zero_fill_matrix(ny, n_out_y).T * (ny / n_out_y)
    return _in_plane(image, rows, columns)


def low_pass(image: FloatArray, matrix: Matrix) -> FloatArray:
    r"""Keep the box \|kx\| < nx/2, \|ky\| < ny/2 of an image (Nx, Ny, ...), on its own grid.

    Raises
    ------
    GeometryError
        If the box is larger than the image's k-space.
    """
    if matrix[0] > image.shape[0] or matrix[1] > image.shape[1]:
        raise GeometryError(
            f"The acquired matrix {matrix[0]}x{matrix[1]} is larger than the "
            f"{image.shape[0]}x{image.shape[1]} map that should hold it."
        )
    rows = box_matrix(matrix[0], image.shape[0])
    columns = box_matrix(matrix[1], image.shape[1])
    return _in_plane(image, rows, columns)


def data_consistency(image: FloatArray, measured: FloatArray, matrix: Matrix) -> FloatArray:
    """Replace the image's measured frequencies by the measurement: an orthogonal projection.

    x <- F^-1 [ box F(y) + (1 - box) F(x) ].

    Parameters
    ----------
    image
        Generated map x of shape (Nx, Ny, ...).
    measured
        Zero-filled measurement y of the same shape and unit.
    matrix
        Acquired matrix (nx, ny); the box is strict, so it is Hermitian and the result real.
    """
    result: FloatArray = image + low_pass(measured - image, matrix)
    return result


def consistency_residual(image: FloatArray, measured: FloatArray, matrix: Matrix) -> float:
    """Return |box (F(x) - F(y))| / |box F(y)|; 0 for an image that agrees with the scan.

    By Parseval's theorem the norms are taken in image space. The measurement must not be 0.
    """
    difference = np.linalg.norm(low_pass(image - measured, matrix))
    return float(difference / np.linalg.norm(low_pass(measured, matrix)))


def k_space_support(image: FloatArray, tolerance: float = 1e-4) -> Matrix:
    """Return the smallest matrix (nx, ny) whose k-space holds all of a map (Nx, Ny, ...).

    A zero-filled map gives its acquired matrix, any other map its own. Amplitudes below `tolerance`
    of the largest count as 0, as do non-finite values.
    """
    finite = np.where(np.isfinite(image), image, 0)
    support = []
    for axis in (0, 1):
        n = image.shape[axis]
        spectrum = np.moveaxis(np.fft.fft(finite, axis=axis, norm="forward"), axis, 0)
        amplitude = np.abs(spectrum).reshape(n, -1).max(axis=1)
        floor = tolerance * amplitude.max()
        frequency = np.abs(np.fft.fftfreq(n, 1 / n))
        highest = int(frequency[amplitude > floor].max(initial=0))
        # An even matrix has half of its unpaired sample at each of +highest and -highest.
        is_even = highest > 0 and np.abs(spectrum[highest] - spectrum[-highest]).max() <= floor
        support.append(min(n, 2 * highest if is_even else 2 * highest + 1))
    return support[0], support[1]
