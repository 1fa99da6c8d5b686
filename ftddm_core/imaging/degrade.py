"""Studies on a coarser matrix: degraded on purpose, or with earlier zero-filling undone."""

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
"""Outlier limit: larger values, in multiples of the trusted voxels' 99th percentile, are
ignored."""


def coarse_matrix(matrix: Matrix, upscale: float) -> Matrix:
    """Return the acquired matrix n = round(N / s) that a map of `matrix` comes from."""
    nx, ny = (max(2, round(n / upscale)) for n in matrix)
    return nx, ny


def degrade(study: Study, upscale: float, *, whole: bool = False) -> Study:
    """Return a high-resolution study with its maps on a coarser matrix; the original is the truth.

    Untrusted and non-finite voxels are set to 0 and the centred n x n samples of k-space are kept,
    so the coarse maps contain no signal from outside the mask (`Outside.EMPTY`). Mask, T1 and FLAIR
    are unchanged; noise of independent voxels is propagated: var' = T diag(var) T'. The coarse maps
    have no window: that of the study's own scan is part of their truth.

    Parameters
    ----------
    study
        High-resolution maps (Nx, Ny, Z), with a mask.
    upscale
        Factor s by which they are degraded.
    whole
        Keep the signal outside the mask, as in a coarse scan of the whole field of view
        (`Outside.SEEN`). Voxels without a measurement take the mean of their neighbours.

    Raises
    ------
    GeometryError
        If the study has no mask: signal from outside the brain would ring into it.
    """
    matrix = study.grid.shape[:2]
    coarse = coarse_matrix(matrix, upscale)
    affine = refined_affine(study.grid.affine, matrix, coarse)
    maps, noise, placed = {}, {}, {}
    for name, volume in study.maps.items():
        mask = study.mask_of(name)
        if mask is None:
            raise GeometryError(f"{name} has no mask; a study is degraded inside its mask only.")
        key = (mask, volume.affine.tobytes())  # maps share their grid up to rounding
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
    """Return the voxels (nx, ny, Z) of a scan that hold a measurement.

    Excluded are values that are not finite, 0 (a failed fit, or no signal), beyond `WILD`, or whose
    CRLB marks the fit as failed.
    """
    finite = np.isfinite(data)
    top = top_of(data, trusted) or np.inf
    with np.errstate(invalid="ignore"):
        sane = finite & (np.abs(data) <= WILD * top) & (data != 0)
    return np.asarray(sane & np.isfinite(noise.deviation))


def filled(data: FloatArray, held: NDArray[np.bool_]) -> FloatArray:
    """Return a map (nx, ny, Z) with the voxels that are not held replaced by their neighbours'
    mean.

    The mean has Gaussian weights, one voxel wide, within a slice; 0 without near neighbours.
    """
    from scipy.ndimage import gaussian_filter

    values = np.where(held, data, 0).astype(np.float64)
    total = gaussian_filter(values, (1, 1, 0), mode="constant")
    weight = gaussian_filter(held.astype(np.float64), (1, 1, 0), mode="constant")
    mean = np.divide(total, weight, out=np.zeros_like(total), where=weight > 1e-3)
    return np.where(held, data, mean)


def _truncated_variance(variance: FloatArray, coarse: Matrix) -> FloatArray:
    """Return the variances (nx, ny, Z) after `truncate`, for independent noise."""
    rows, columns = (
        np.square(zero_fill_matrix(n, n_out).T * (n / n_out))
        for n, n_out in zip(coarse, variance.shape[:2], strict=True)
    )
    found: FloatArray = np.einsum("xX,XYz,yY->xyz", rows, variance, columns, optimize=True)
    return np.ascontiguousarray(found)  # in the same order in every process


def acquired_matrix(study: Study) -> Matrix:
    """Return the matrix that the maps' k-space fills: the maps' own unless they were zero-filled.

    It is read from the maps alone, so a mask applied after zero-filling hides it.
    """
    found = [k_space_support(volume.data) for volume in study.maps.values()]
    return max(nx for nx, _ in found), max(ny for _, ny in found)


def undo_zero_filling(study: Study) -> Study:
    """Return a zero-filled study with its maps on the acquired matrix; the rest is unchanged.

    Zero-filling interpolates the noise without adding any, so a CRLB map is sampled at the acquired
    voxels.

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
