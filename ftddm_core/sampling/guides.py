"""Guides of the maps: mask, T1 and FLAIR, resampled onto the output grid once for all maps."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ftddm_core.conventions import UPSCALE_BOUNDS
from ftddm_core.errors import GeometryError
from ftddm_core.imaging.fourier import Matrix
from ftddm_core.imaging.geometry import (
    check_overlap,
    output_matrix,
    refined_affine,
    regrid_mean,
    regrid_nearest,
)
from ftddm_core.imaging.volume import Study, Volume, finite_or_zero

FloatArray = NDArray[np.floating[Any]]
BoolArray = NDArray[np.bool_]
Shape = tuple[int, int, int]
T = TypeVar("T")

MRI_PERCENTILE = 99.5

LARGEST_MATRIX = 512
"""Largest output matrix per axis: the networks' memory grows with it."""

MIN_COVER = 0.2
"""Smallest share of the trusted voxels that an MRI must cover: below, it does not belong to the
maps."""


def scale_mri(image: FloatArray, mask: BoolArray) -> FloatArray:
    """Scale an MRI to 0..1: 0 stays 0, the 99.5th percentile inside the mask becomes 1."""
    positive = np.maximum(finite_or_zero(image), 0)
    top = float(np.percentile(positive[mask], MRI_PERCENTILE)) if mask.any() else 0.0
    if not top > 0:
        return np.zeros_like(positive, dtype=np.float32)
    return np.minimum(positive / top, 1).astype(np.float32)


def default_mask(volume: Volume) -> Volume:
    """Return the voxels of an acquired map with a value: finite and not 0."""
    held = np.isfinite(volume.data) & (volume.data != 0)
    return volume.with_data(held.astype(np.float32))


def usual_upscale(grid: Volume, trained_voxel: float) -> float:
    """Return the factor whose voxel is nearest to the training data's, in mm, and whose output is
    not larger than `LARGEST_MATRIX`, if there is any."""
    voxel = float(np.sqrt(grid.voxel_size[0] * grid.voxel_size[1]))
    low, high = UPSCALE_BOUNDS
    largest = max(low, min(high, LARGEST_MATRIX / max(grid.shape[:2])))
    return float(np.clip(voxel / trained_voxel, low, largest))


def output_grid(
    grid: Volume, upscale: float, matrix: Matrix | None = None
) -> tuple[Shape, FloatArray]:
    """Return matrix (Nx, Ny, Z) and affine of the output at a factor s.

    Parameters
    ----------
    grid
        Any of the acquired maps.
    upscale
        Factor s.
    matrix
        Output matrix if known, as for a degraded study; None to compute it from s.

    Raises
    ------
    GeometryError
        If the output would be larger than `LARGEST_MATRIX`.
    """
    acquired = (grid.shape[0], grid.shape[1])
    matrix = matrix or output_matrix(acquired, upscale)
    if max(matrix) > LARGEST_MATRIX:
        raise GeometryError(
            f"An output matrix of {matrix[0]} x {matrix[1]} voxels is more than the "
            f"{LARGEST_MATRIX} x {LARGEST_MATRIX} that are supported: lower the upscaling, or crop "
            "the maps."
        )
    return (*matrix, grid.shape[2]), refined_affine(grid.affine, acquired, matrix)


class Guide(NamedTuple):
    """Guides of one map on the output grid: trusted voxels, and MRI scaled to 0..1 or None."""

    mask: BoolArray
    t1: NDArray[np.float32] | None
    flair: NDArray[np.float32] | None


class Guides:
    """Guides of a study's maps on one output grid, each image resampled once.

    T1 and FLAIR are resampled on construction, a mask on first access. Conditions with the same
    output grid may share one instance, also those of a study and of its degraded version.
    Thread-safe.

    Parameters
    ----------
    study
        Masks, T1 and FLAIR. Without a mask, every voxel of a map with a value is trusted.
    shape, affine
        Output matrix (Nx, Ny, Z) and affine in mm.

    Raises
    ------
    GeometryError
        If a mask or an MRI (named in the message) does not overlap the output grid.
    """

    def __init__(self, study: Study, shape: Shape, affine: FloatArray) -> None:
        self.shape = shape
        self.affine = affine
        self._study = study
        self._mri = {
            role: self._placed(role, volume, regrid_mean).data
            for role, volume in (("T1", study.t1), ("FLAIR", study.flair))
            if volume is not None
        }
        checked: set[Volume] = set()  # checked now, with the MRI; resampled later
        for name in study.maps:
            mask = study.mask_of(name)
            if mask is not None and mask not in checked:
                self._placed(f"mask of {name}", mask, check_overlap)
                checked.add(mask)
        self._made: dict[Volume | str, Guide] = {}
        self._lock = Lock()

    def of(self, metabolite: str) -> Guide:
        """Return the guides of one map; maps with the same mask share them.

        Raises
        ------
        GeometryError
            If an MRI shows too few of the trusted voxels.
        """
        key = self._study.mask_of(metabolite) or metabolite
        with self._lock:
            if key not in self._made:
                self._made[key] = self._make(metabolite)
            return self._made[key]

    def _make(self, metabolite: str) -> Guide:
        source = self._study.mask_of(metabolite) or default_mask(self._study.maps[metabolite])
        placed = self._placed(f"mask of {metabolite}", source, regrid_nearest).data
        mask = np.asarray(finite_or_zero(placed) > 0)
        return Guide(mask, self._scaled("T1", mask), self._scaled("FLAIR", mask))

    def _placed(
        self, role: str, volume: Volume, place: Callable[[Volume, Shape, FloatArray], T]
    ) -> T:
        try:
            return place(volume, self.shape, self.affine)
        except GeometryError as error:
            raise GeometryError(f"{role}: {error}") from None

    def _scaled(self, role: str, mask: BoolArray) -> NDArray[np.float32] | None:
        image = self._mri.get(role)
        if image is None:
            return None
        share = float(np.mean(image[mask] > 0)) if mask.any() else 1.0
        if share < MIN_COVER:
            raise GeometryError(
                f"{role} shows only {share:.0%} of the trusted voxels of the maps. "
                "Check that both belong to the same examination and are registered."
            )
        return scale_mri(image, mask)
