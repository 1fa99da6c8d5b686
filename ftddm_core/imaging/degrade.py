"""Studies on a coarser matrix: degraded on purpose, or freed of zero-filling done before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import GeometryError
from ftddm_core.imaging.fit_quality import noise_of, top_of
from ftddm_core.imaging.fourier import (
    Matrix,
    k_space_support,
    truncate,
    unfill,
    zero_fill_matrix,
)
from ftddm_core.imaging.geometry import refined_affine, regrid_nearest
from ftddm_core.imaging.volume import FloatArray, Noise, Outside, Study, finite_or_zero

WILD = 10.0
"""A value beyond this many times the 99th percentile of the trusted ones is no measurement."""


def coarse_matrix(matrix: Matrix, upscale: float) -> Matrix:
    """Return the acquired matrix n = round(N / s) that a map of `matrix` comes from."""
    nx, ny = (max(2, round(n / upscale)) for n in matrix)
    return nx, ny


def degrade(study: Study, upscale: float, *, whole: bool = False) -> Study:
    """Return a high-resolution study's maps at their own coarse matrix; the original is the truth.

    Untrusted and non-finite voxels are set to 0 and the centred n x n samples of k-space are kept,
    so the coarse maps see no more than the mask lets them (`Outside.EMPTY`). Mask, T1 and FLAIR
    stay as they are; noise of independent voxels is carried along: var' = T diag(var) T'. The
    window of the study's own scan is none of the coarse maps': it is part of what they come from.

    Parameters
    ----------
    study
        High-resolution maps (Nx, Ny, Z), with a mask.
    upscale
        Factor s by which they are degraded.
    whole
        Keep what lies outside the mask, as a coarse scan of the whole field of view would see it
        (`Outside.SEEN`). Voxels that hold no measurement take the mean of those around them.

    Raises
    ------
    GeometryError
        If the study has no mask: what lies outside the brain would ring into it.
    """
    matrix = study.grid.shape[:2]
    coarse = coarse_matrix(matrix, upscale)
    affine = refined_affine(study.grid.affine, matrix, coarse)
    maps, noise, placed = {}, {}, {}
    for name, volume in study.maps.items():
        mask = study.mask_of(name)
        if mask is None:
            raise GeometryError(f"{name} has no mask; a study is degraded inside its mask only.")
        key = (mask, volume.affine.tobytes())  # maps share their grid to rounding only
        if key not in placed:
            placed[key] = regrid_nearest(mask, volume.shape, volume.affine).data > 0
        trusted = placed[key]
        own = noise_of(study, name, trusted)
        variance = np.square(finite_or_zero(own.deviation))
        if whole:
            held = filled(volume.data, measured(volume.data, own, trusted))
        else:
            held = np.where(trusted & np.isfinite(volume.data), volume.data, 0)
            variance = variance * trusted
        maps[name] = replace(volume, data=truncate(held, coarse).astype(np.float32), affine=affine)
        noise[name] = replace(own, deviation=np.sqrt(_truncated_variance(variance, coarse)))
    outside = study.outside if whole else Outside.EMPTY
    return replace(study, maps=maps, crlb={}, noise=noise, outside=outside, window=None)


def measured(data: FloatArray, noise: Noise, trusted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which voxels (nx, ny, Z) of a scan hold a measurement.

    Not those that are not finite, 0 (a failed fit, or nothing at all), `WILD`, or of which the
    CRLB says that the fit failed.
    """
    finite = np.isfinite(data)
    top = top_of(data, trusted) or np.inf
    with np.errstate(invalid="ignore"):
        sane = finite & (np.abs(data) <= WILD * top) & (data != 0)
    return np.asarray(sane & np.isfinite(noise.deviation))


def filled(data: FloatArray, held: NDArray[np.bool_]) -> FloatArray:
    """Return a map (nx, ny, Z) whose voxels that are not held take the mean of those around them.

    The mean has Gaussian weights, one voxel wide, within a slice; 0 where none is near.
    """
    from scipy.ndimage import gaussian_filter

    values = np.where(held, data, 0).astype(np.float64)
    total = gaussian_filter(values, (1, 1, 0), mode="constant")
    weight = gaussian_filter(held.astype(np.float64), (1, 1, 0), mode="constant")
    mean = np.divide(total, weight, out=np.zeros_like(total), where=weight > 1e-3)
    return np.where(held, data, mean)


def _truncated_variance(variance: FloatArray, coarse: Matrix) -> FloatArray:
    """Return the variances (nx, ny, Z) after `truncate`, of voxels with independent noise."""
    rows, columns = (
        np.square(zero_fill_matrix(n, n_out).T * (n / n_out))
        for n, n_out in zip(coarse, variance.shape[:2], strict=True)
    )
    found: FloatArray = np.einsum("xX,XYz,yY->xyz", rows, variance, columns, optimize=True)
    return found


def acquired_matrix(study: Study) -> Matrix:
    """Return the matrix that the maps' k-space fills: their own unless they were zero-filled.

    Read from the maps alone, so a mask that was applied after zero-filling hides it.
    """
    found = [k_space_support(volume.data) for volume in study.maps.values()]
    return max(nx for nx, _ in found), max(ny for _, ny in found)


def undo_zero_filling(study: Study) -> Study:
    """Return a zero-filled study's maps on their acquired matrix; everything else stays.

    Zero-filling interpolates the noise without adding any, so a CRLB map is read where the acquired
    voxels lie.

    Raises
    ------
    GeometryError
        If the maps do not look zero-filled.
    """
    matrix, acquired = study.grid.shape[:2], acquired_matrix(study)
    if acquired == matrix:
        raise GeometryError(
            f"The maps do not look zero-filled: their k-space fills all of {matrix[0]}x{matrix[1]}."
        )
    affine = refined_affine(study.grid.affine, matrix, acquired)
    maps = {
        name: replace(
            volume,
            data=unfill(finite_or_zero(volume.data), acquired).astype(np.float32),
            affine=affine,
        )
        for name, volume in study.maps.items()
    }
    grid = next(iter(maps.values()))
    crlb = {
        name: regrid_nearest(bound, grid.shape, grid.affine)
        for name, bound in study.crlb.items()
        if name in maps
    }
    return replace(study, maps=maps, crlb=crlb, noise={})
