"""Images in world coordinates: voxels, affine and unit together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import FormatError, GeometryError
from ftddm_core.imaging.window import Window

FloatArray = NDArray[np.floating[Any]]

SAME_PLACE_MM = 0.01
"""Rounding of the position of a grid, in mm."""
SAME_STEP_MM = 1e-3
"""Rounding of the step from voxel to voxel, in mm."""


def finite_or_zero(data: FloatArray) -> FloatArray:
    """Return an array of any shape with NaN and infinity replaced by 0.

    `numpy.nan_to_num` would replace infinity by the largest number, which dominates any sum.
    """
    return np.where(np.isfinite(data), data, 0)


class Outside(StrEnum):
    """Content of an acquired map outside its mask; known from its origin, never from the map
    itself."""

    SEEN = "seen"
    """A scan of the whole field of view: signal, but exact zeros are not measurements."""
    EMPTY = "empty"
    """The map was set to 0 there before its k-space was truncated: no signal."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3D image in world coordinates.

    Parameters
    ----------
    data
        Voxel values of shape (X, Y, Z), in `unit`.
    affine
        4x4 matrix from voxel indices to world coordinates in mm (right, anterior, superior
        positive, as NIfTI has them); index (0, 0, 0) is the CENTRE of the first voxel.
    unit
        Unit of the values, "" where unknown (institutional units of a fit).
    header
        The original header, kept for writing files.
    stored
        File axis of each array axis: slices are the last axis here, but not in every file.

    Raises
    ------
    GeometryError
        If the data are not 3D or the affine is not an invertible 4x4 matrix.
    """

    data: FloatArray
    affine: FloatArray
    unit: str = ""
    header: Any = field(default=None, repr=False)
    stored: tuple[int, int, int] = (0, 1, 2)

    def __post_init__(self) -> None:
        if self.data.ndim != 3:
            raise GeometryError(f"A volume needs 3 dimensions, found shape {self.data.shape}.")
        affine = np.asarray(self.affine, dtype=float)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise GeometryError(f"An affine must be a finite 4x4 matrix, found {affine.tolist()}.")
        if abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise GeometryError(
                f"The affine's voxel axes are not independent (determinant 0): {affine.tolist()}."
            )
        object.__setattr__(self, "affine", affine)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Matrix (X, Y, Z)."""
        x, y, z = self.data.shape
        return x, y, z

    @cached_property
    def voxel_size(self) -> tuple[float, float, float]:
        """Lengths of the voxel edges in mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    def with_data(self, data: FloatArray) -> Volume:
        """Return a volume with the same grid and unit and other values."""
        return replace(self, data=data)

    def in_order(self, stored: tuple[int, int, int]) -> Volume:
        """Return the same image with its axes in the order of these file axes."""
        if stored == self.stored:
            return self
        axes = [self.stored.index(axis) for axis in stored]
        affine = self.affine[:, [*axes, 3]]
        return replace(self, data=self.data.transpose(axes), affine=affine, stored=stored)

    def on_grid_of(self, other: Volume) -> bool:
        """Return whether both have the same matrix and, up to rounding, the same affine."""
        turned, moved = np.abs(self.affine - other.affine)[:3, :3], self.affine - other.affine
        return (
            self.shape == other.shape
            and bool((turned <= SAME_STEP_MM).all())
            and bool((np.abs(moved[:3, 3]) <= SAME_PLACE_MM).all())
        )

    def slab(self, start: int, stop: int) -> Volume:
        """Return slices start..stop-1 at their position in the world."""
        affine = self.affine.copy()
        affine[:3, 3] += start * self.affine[:3, 2]
        return replace(self, data=self.data[..., start:stop], affine=affine)


@dataclass(frozen=True, eq=False)
class Noise:
    """The noise of one acquired map.

    Parameters
    ----------
    deviation
        Standard deviation of every voxel, shape and unit as the map's; NaN where the fit failed.
    source
        Its origin: "CRLB" or "estimate".
    """

    deviation: FloatArray
    source: str


@dataclass(frozen=True, eq=False)
class Study:
    """One examination: metabolite maps on one grid, with mask and MRI.

    Parameters
    ----------
    maps
        Metabolite name -> map; all maps share matrix and affine.
    mask
        Trusted voxels (non-zero), one mask for the study or one per metabolite, on any grid; None
        without a mask.
    t1, flair
        MRI on their own grids; None if absent.
    crlb
        Metabolite name -> Cramer-Rao lower bound of the fit in per cent; may be empty.
    noise
        Metabolite name -> noise known from a source other than `crlb`; see `fit_quality.noise_of`.
    outside
        Content of the maps outside the mask.
    window
        Weighting of k-space by the scan; None if unknown, treated as uniform.
    source
        Role ("t1", "tNAA", ...) -> path of the file it came from; empty for a simulation.
    label
        Name of the examination, "" to take it from the names of the files.
    notes
        Findings on opening that the user should know, one sentence each.

    Raises
    ------
    FormatError
        If there is no map.
    GeometryError
        If the maps do not share one grid.
    """

    maps: Mapping[str, Volume]
    mask: Volume | Mapping[str, Volume] | None = None
    t1: Volume | None = None
    flair: Volume | None = None
    crlb: Mapping[str, Volume] = field(default_factory=dict)
    noise: Mapping[str, Noise] = field(default_factory=dict)
    outside: Outside = Outside.SEEN
    window: Window | None = None
    source: Mapping[str, str] = field(default_factory=dict)
    label: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.maps:
            raise FormatError("The study holds no metabolite map.")
        first_name, first = next(iter(self.maps.items()))
        # A file may state its slice axis where another of the same grid does not.
        if any(volume.stored != first.stored for volume in self.maps.values()):
            ordered = {name: volume.in_order(first.stored) for name, volume in self.maps.items()}
            object.__setattr__(self, "maps", ordered)
        for name, volume in self.maps.items():
            if not volume.on_grid_of(first):
                raise GeometryError(
                    f"The maps must share one grid: {first_name} has matrix {first.shape}, "
                    f"{name} has matrix {volume.shape} or another affine. "
                    "Resample them, or open them one at a time."
                )

    @property
    def grid(self) -> Volume:
        """Any of the maps, for its matrix and affine."""
        return next(iter(self.maps.values()))

    def mask_of(self, metabolite: str) -> Volume | None:
        """Return the mask of one metabolite, None if there is none."""
        if isinstance(self.mask, Mapping):
            return self.mask.get(metabolite)
        return self.mask

    def slab(self, start: int, stop: int) -> Study:
        """Return a study with the maps' slices start..stop-1; mask and MRI are unchanged."""
        return replace(
            self,
            maps={name: volume.slab(start, stop) for name, volume in self.maps.items()},
            crlb={name: volume.slab(start, stop) for name, volume in self.crlb.items()},
            noise={
                name: replace(found, deviation=found.deviation[..., start:stop])
                for name, found in self.noise.items()
            },
        )
