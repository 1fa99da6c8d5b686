"""Grids in world coordinates: matrix and affine of the output, and resampling of images onto it.

Enlargement follows the geometry of k-space, not of image resizing. Zero-filling interpolates

    y[J] = sum_k M[k] exp(2 pi i k J / N)

with phases referred to index 0, so the first voxel keeps its centre: the affine keeps its origin
and each in-plane column is multiplied by n / N. Everything else uses world coordinates, never the
indices of one image on another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ftddm_core.cores import usable_cores
from ftddm_core.errors import GeometryError, SettingsError
from ftddm_core.imaging.volume import FloatArray, Volume

BoolArray = NDArray[np.bool_]
T = TypeVar("T")

TIE = 1e-4
"""In voxels. Affines are stored as float32, which gives positions an error of about 1e-5 voxels; a
point within TIE below a voxel's lower edge counts as on it, so that this error cannot decide a
tie."""

MAX_SUBPOINTS = 16
"""Largest number of sub-points per axis in an output voxel: limits the time for very fine
sources."""

MOST_THREADS = 8
"""Largest number of threads for resampling one image; each holds one plane of points at a time."""

PLANES = 16
"""Number of planes that a thread interpolates at a time."""


def output_matrix(acquired: tuple[int, int], upscale: float) -> tuple[int, int]:
    """Return the even output matrix, N = 2 round(n s / 2) per axis.

    Parameters
    ----------
    acquired
        Acquired in-plane matrix (nx, ny).
    upscale
        Requested ratio s of the output to the acquired matrix.

    Raises
    ------
    SettingsError
        If the output would be smaller than what was acquired.
    """
    nx, ny = acquired
    output = (2 * round(nx * upscale / 2), 2 * round(ny * upscale / 2))
    if min(acquired) < 1 or output[0] < nx or output[1] < ny:
        raise SettingsError(
            f"An upscale of {upscale:g} turns the acquired matrix {nx} x {ny} into "
            f"{output[0]} x {output[1]}, which is not an enlargement. Choose a value of 2 or more."
        )
    return output


def effective_upscale(acquired: tuple[int, int], output: tuple[int, int]) -> float:
    """Return the effective upscale of two matrices, s = sqrt((Nx / nx) (Ny / ny))."""
    return float(np.sqrt(output[0] / acquired[0] * (output[1] / acquired[1])))


def refined_affine(
    affine: FloatArray, acquired: tuple[int, int], output: tuple[int, int]
) -> FloatArray:
    """Return the affine after zero-filling in k-space from n to N in-plane voxels.

    The origin, the centre of the first voxel, is unchanged for every parity of n and N; the
    in-plane columns are multiplied by n / N and the slice column is kept.

    Parameters
    ----------
    affine
        4x4 affine in mm of the acquired grid.
    acquired, output
        In-plane matrices (nx, ny) and (Nx, Ny).
    """
    scale = np.array([acquired[0] / output[0], acquired[1] / output[1], 1.0, 1.0])
    refined: FloatArray = np.asarray(affine, dtype=float) * scale
    return refined


def regrid_nearest(volume: Volume, shape: tuple[int, int, int], affine: FloatArray) -> Volume:
    """Resample by nearest neighbour, for masks and labels.

    A source voxel extends half a voxel beyond its centre; outside the source the result is 0. A
    point on the border of two voxels belongs to the one with the higher index.

    Parameters
    ----------
    volume
        Source image; values and type are preserved.
    shape, affine
        Target matrix (X, Y, Z) and 4x4 affine in mm.

    Raises
    ------
    GeometryError
        If no target voxel centre lies inside the source.
    """
    data = np.zeros(shape, dtype=volume.data.dtype)
    values = volume.data.reshape(-1)
    overlap = False
    plane = _planes(volume, shape, affine)
    for k in range(shape[2]):
        points, inside = plane(k)
        place = np.zeros(shape[:2], np.intp)  # in `values`; meaningless outside the source
        for x, n in zip(_from_edge(points), volume.shape, strict=True):
            place = place * n + x.astype(np.intp)
        np.copyto(data[..., k], values.take(place, mode="clip"), where=inside)
        overlap = overlap or bool(inside.any())
    if not overlap:
        raise _no_overlap(volume, shape, affine)
    return replace(volume, data=data, affine=affine)


def regrid_mean(volume: Volume, shape: tuple[int, int, int], affine: FloatArray) -> Volume:
    """Resample by averaging over each target voxel, for MRI on a coarser grid.

    Trilinear interpolation is averaged over a regular lattice of sub-points that fills each target
    voxel with a spacing of at most one source voxel, so fine structure is averaged, not aliased.
    A target voxel no larger than a source voxel has one sub-point: plain trilinear interpolation.
    The source is 0 outside its voxels, and where it is not finite.

    Parameters
    ----------
    volume
        Source image.
    shape, affine
        Target matrix (X, Y, Z) and 4x4 affine in mm, of any orientation.

    Returns
    -------
    Volume
        float32 values in the source's unit.

    Raises
    ------
    GeometryError
        If no sub-point of the target lies inside the source.
    """
    # Imported here only: training needs this module, but not scipy.
    from scipy.ndimage import map_coordinates

    affine = np.asarray(affine, dtype=float)
    steps = (np.linalg.inv(volume.affine) @ affine)[:3, :3]
    # The source is laid out in memory so that each plane of points touches few of its slices:
    # several times faster for a fine source.
    across = int(np.abs(steps[:, 2]).argmax())
    slices = np.moveaxis(volume.data, across, 0)
    finite = np.where(np.isfinite(slices), slices, 0).astype(np.float32, order="C", copy=False)
    source = np.moveaxis(finite, 0, across)
    span = np.linalg.norm(steps, axis=0)
    count = np.clip(np.ceil(span - TIE), 1, MAX_SUBPOINTS).astype(int)
    cx, cy, cz = (int(c) for c in count)

    # The sub-points form a grid of their own, which shares the target's voxel edges.
    lattice = affine.copy()
    lattice[:3, :3] /= count
    lattice[:3, 3] += affine[:3, :3] @ ((1 / count - 1) / 2)

    fine = (shape[0] * cx, shape[1] * cy, shape[2] * cz)
    plane = _planes(volume, fine, lattice)

    def means(k: int) -> FloatArray | None:
        points, inside = plane(k)
        if not inside.any():
            return None
        # mode="nearest" extends the outermost values over the outer half of their voxels.
        values = map_coordinates(source, points, order=1, mode="nearest") * inside
        blocks = values.reshape(shape[0], cx, shape[1], cy)
        return np.asarray(blocks.mean(axis=(1, 3)) / cz)

    data = np.zeros(shape)
    overlap = False
    for k, values in enumerate(_in_order(means, fine[2])):
        if values is not None:
            data[..., k // cz] += values
            overlap = True
    if not overlap:
        raise _no_overlap(volume, shape, affine)
    return replace(volume, data=data.astype(np.float32), affine=affine)


def regrid_linear(volume: Volume, shape: tuple[int, int, int], affine: FloatArray) -> Volume:
    """Resample by trilinear interpolation, onto voxels about as large as the source's.

    Faster than `regrid_mean`, and equal to it inside the source where target voxels span no more
    than a source voxel. The source is 0 beyond its outermost voxel centres, and where it is not
    finite.

    Parameters
    ----------
    volume
        Source image.
    shape, affine
        Target matrix (X, Y, Z) and 4x4 affine in mm, of any orientation.

    Returns
    -------
    Volume
        float32 values in the source's unit.
    """
    from scipy.ndimage import affine_transform

    affine = np.asarray(affine, dtype=float)
    source = np.where(np.isfinite(volume.data), volume.data, 0).astype(np.float32)
    place = np.linalg.inv(volume.affine) @ affine
    data = np.empty(shape, np.float32)

    def fill(i: int) -> None:
        part = data[i * PLANES : (i + 1) * PLANES]
        offset = place[:3, 3] + place[:3, 0] * (i * PLANES)
        affine_transform(source, place[:3, :3], offset, part.shape, part, order=1)

    for _ in _in_order(fill, -(-shape[0] // PLANES)):
        pass
    return replace(volume, data=data, affine=affine)


def check_overlap(volume: Volume, shape: tuple[int, int, int], affine: FloatArray) -> None:
    """Raise the GeometryError of `regrid_nearest` without resampling."""
    plane = _planes(volume, shape, affine)
    if not any(plane(k)[1].any() for k in range(shape[2])):
        raise _no_overlap(volume, shape, affine)


def _planes(
    volume: Volume, shape: tuple[int, int, int], affine: FloatArray
) -> Callable[[int], tuple[FloatArray, BoolArray]]:
    """Return a function of k that returns slice k's voxel centres, and which lie in the source.

    The centres (3, X, Y) are in the source's voxel coordinates. One slice at a time keeps memory
    small for any target.
    """
    a, b, c, origin = (np.linalg.inv(volume.affine) @ affine)[:3].T[:, :, None, None]
    plane = a * np.arange(shape[0])[:, None] + b * np.arange(shape[1])

    def points(k: int) -> tuple[FloatArray, BoolArray]:
        centres = plane + (c * k + origin)
        inside = np.ones(shape[:2], bool)
        for x, n in zip(_from_edge(centres), volume.shape, strict=True):
            inside &= (x >= 0) & (x < n)
        return centres, inside

    return points


def _from_edge(points: FloatArray) -> FloatArray:
    """Return the distance in voxels of points from the lower edge of the first voxel."""
    return points + (0.5 + TIE)


def _in_order(work: Callable[[int], T], n: int) -> Iterator[T]:
    """Yield work(0) to work(n - 1) in order, computed by a few threads that run slightly ahead.

    Results are identical for any number of threads. Threads help since numpy and scipy release the
    interpreter lock while they compute.
    """
    threads = min(usable_cores(), MOST_THREADS, n)
    if threads < 2:
        yield from map(work, range(n))
        return
    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[Future[T]] = deque()
        for k in range(n):
            ahead.append(pool.submit(work, k))
            if len(ahead) > 2 * threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _no_overlap(volume: Volume, shape: tuple[int, int, int], affine: FloatArray) -> GeometryError:
    return GeometryError(
        f"The images do not overlap in space: the source covers {_box(volume.shape, volume.affine)}"
        f", the target {_box(shape, affine)}. Check that both files belong to the same examination."
    )


def _box(shape: tuple[int, int, int], affine: FloatArray) -> str:
    """Describe the world-aligned box around a grid's voxels."""
    corners = np.array(list(product(*((-0.5, size - 0.5) for size in shape))))
    world = corners @ affine[:3, :3].T + affine[:3, 3]
    limits = zip("xyz", world.min(axis=0), world.max(axis=0), strict=True)
    return ", ".join(f"{axis} {low:.1f} to {high:.1f}" for axis, low, high in limits) + " mm"
