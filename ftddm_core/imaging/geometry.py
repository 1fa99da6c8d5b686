"""Grids in world coordinates: the matrix and affine of the output, and images brought onto it.

Refinement follows the geometry of k-space, not of image resizing. Zero-filling interpolates

    y[J] = sum_k M[k] exp(2 pi i k J / N)

with phases referred to index 0, so the first voxel keeps its centre: the affine keeps its origin
and each in-plane column is multiplied by n / N. Everything else here goes through world
coordinates, never through indices of one image used on another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import GeometryError, SettingsError
from ftddm_core.imaging.volume import FloatArray, Volume

TIE = 1e-4
"""Voxels. Affines are stored as float32 and positions carry that noise (about 1e-5 voxels); a
point within TIE below a voxel's lower edge counts as on it, so noise cannot decide a tie."""

MAX_SUBPOINTS = 16
"""Most sub-points per axis in an output voxel: bounds the time spent on very fine sources."""


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
            f"{output[0]} x {output[1]}, which is no enlargement. Choose a value of 2 or more."
        )
    return output


def effective_upscale(acquired: tuple[int, int], output: tuple[int, int]) -> float:
    """Return the upscale that the two matrices amount to, s = sqrt((Nx / nx) (Ny / ny))."""
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
    """Return the source's value at the nearest voxel, for masks and labels.

    A source voxel extends half a voxel beyond its centre; outside the source the result is 0. A
    point on the border of two voxels belongs to the one with the higher index.

    Parameters
    ----------
    volume
        Source image; its values and their type are kept.
    shape, affine
        Target matrix (X, Y, Z) and 4x4 affine in mm.

    Raises
    ------
    GeometryError
        If no target voxel centre lies inside the source.
    """
    data = np.zeros(shape, dtype=volume.data.dtype)
    overlap = False
    for k, points in _planes(volume, shape, affine):
        index, inside = _locate(points, volume.shape)
        i, j, l = index[:, inside]  # noqa: E741 - indices into the source's three axes
        data[..., k][inside] = volume.data[i, j, l]
        overlap = overlap or bool(inside.any())
    if not overlap:
        raise _no_overlap(volume, shape, affine)
    return replace(volume, data=data, affine=affine)


def regrid_mean(volume: Volume, shape: tuple[int, int, int], affine: FloatArray) -> Volume:
    """Return the source's mean over each target voxel, for MRI on a coarser grid.

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
    # Only here: fitting networks needs this module, but no scipy.
    from scipy.ndimage import map_coordinates

    affine = np.asarray(affine, dtype=float)
    source = np.where(np.isfinite(volume.data), volume.data, 0).astype(np.float32)
    span = np.linalg.norm((np.linalg.inv(volume.affine) @ affine)[:3, :3], axis=0)
    count = np.clip(np.ceil(span - TIE), 1, MAX_SUBPOINTS).astype(int)
    cx, cy, cz = (int(c) for c in count)

    # The sub-points form a grid of their own, which shares the target's voxel edges.
    lattice = affine.copy()
    lattice[:3, :3] /= count
    lattice[:3, 3] += affine[:3, :3] @ ((1 / count - 1) / 2)

    data = np.zeros(shape)
    overlap = False
    for k, points in _planes(volume, (shape[0] * cx, shape[1] * cy, shape[2] * cz), lattice):
        _, inside = _locate(points, volume.shape)
        if inside.any():
            overlap = True
            # mode="nearest" continues the outermost values over the outer half of their voxels.
            values = map_coordinates(source, points, order=1, mode="nearest") * inside
            blocks = values.reshape(shape[0], cx, shape[1], cy)
            data[..., k // cz] += blocks.mean(axis=(1, 3)) / cz
    if not overlap:
        raise _no_overlap(volume, shape, affine)
    return replace(volume, data=data.astype(np.float32), affine=affine)


def _planes(
    volume: Volume, shape: tuple[int, int, int], affine: FloatArray
) -> Iterator[tuple[int, FloatArray]]:
    """Yield slice k and its voxel centres (3, X, Y) in the source's voxel coordinates.

    One slice at a time keeps the memory small whatever the target.
    """
    a, b, c, origin = (np.linalg.inv(volume.affine) @ affine)[:3].T[:, :, None, None]
    plane = a * np.arange(shape[0])[:, None] + b * np.arange(shape[1])
    for k in range(shape[2]):
        yield k, plane + (c * k + origin)


def _locate(
    points: FloatArray, shape: tuple[int, int, int]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the indices (3, X, Y) of the voxels around the points, and which voxels exist."""
    index = np.floor(points + (0.5 + TIE)).astype(np.intp)
    inside = np.logical_and.reduce((index >= 0) & (index < np.reshape(shape, (3, 1, 1))))
    return index, inside


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
