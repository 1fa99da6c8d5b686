"""Studies on a coarser matrix: degraded on purpose, or freed of zero-filling done before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ftddm_core.errors import GeometryError
from ftddm_core.imaging.fourier import Matrix, k_space_support, truncate, unfill
from ftddm_core.imaging.geometry import refined_affine, regrid_nearest
from ftddm_core.imaging.volume import Study


def coarse_matrix(matrix: Matrix, upscale: float) -> Matrix:
    """Return the acquired matrix n = round(N / s) that a map of `matrix` comes from."""
    nx, ny = (max(2, round(n / upscale)) for n in matrix)
    return nx, ny


def degrade(study: Study, upscale: float) -> Study:
    """Return a high-resolution study's maps at their own coarse matrix; the original is the truth.

    Untrusted and non-finite voxels are set to 0 and the centred n x n samples of k-space are kept,
    so the coarse maps see no more than the mask lets them. Mask, T1 and FLAIR stay as they are.

    Parameters
    ----------
    study
        High-resolution maps (Nx, Ny, Z), with a mask.
    upscale
        Factor s by which they are degraded.

    Raises
    ------
    GeometryError
        If the study has no mask: what lies outside the brain would ring into it.
    """
    matrix = study.grid.shape[:2]
    coarse = coarse_matrix(matrix, upscale)
    affine = refined_affine(study.grid.affine, matrix, coarse)
    maps, placed = {}, {}
    for name, volume in study.maps.items():
        mask = study.mask_of(name)
        if mask is None:
            raise GeometryError(f"{name} has no mask; a study is degraded inside its mask only.")
        key = (mask, volume.affine.tobytes())  # maps share their grid to rounding only
        if key not in placed:
            placed[key] = regrid_nearest(mask, volume.shape, volume.affine).data > 0
        trusted = placed[key]
        held = np.where(trusted & np.isfinite(volume.data), volume.data, 0)
        maps[name] = replace(volume, data=truncate(held, coarse).astype(np.float32), affine=affine)
    return replace(study, maps=maps, crlb={})


def acquired_matrix(study: Study) -> Matrix:
    """Return the matrix that the maps' k-space fills: their own unless they were zero-filled.

    Read from the maps alone, so a mask that was applied after zero-filling hides it.
    """
    found = [k_space_support(volume.data) for volume in study.maps.values()]
    return max(nx for nx, _ in found), max(ny for _, ny in found)


def undo_zero_filling(study: Study) -> Study:
    """Return a zero-filled study's maps on their acquired matrix; everything else stays.

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
            data=unfill(np.nan_to_num(volume.data), acquired).astype(np.float32),
            affine=affine,
        )
        for name, volume in study.maps.items()
    }
    return replace(study, maps=maps, crlb={})
