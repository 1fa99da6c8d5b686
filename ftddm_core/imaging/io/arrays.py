"""Studies from NumPy arrays, whose world coordinates are stated beside them.

In the layout of Dong et al. 2025, ``Met_filtered/<metabolite>.npy`` is (Z, X, Y) and
``MRI_sliced/T1_sliced.npy`` and ``flair_sliced.npy`` have three times the slices and the matrix of
the maps, (3 Z, 3 X, 3 Y). Elsewhere ``<metabolite>.npy`` is (X, Y, Z), CRLB and masks are on that
grid, T1 and FLAIR over the same field of view, on that grid or a finer one.

``study.json`` beside the maps, or above `Met_filtered`, states ``{"VoxelSize": [x, y, z]}`` of the
maps in mm, and where known their 4x4 ``"Affine"`` and their ``"Unit"``; without an affine, the
array's axes are taken as world axes, and left and right are unknown. The layout of Dong et al.
defaults to the 3.4 mm of the paper. An MRI fills the field of view of the maps: their edges
coincide.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ftddm_core.errors import FormatError, GeometryError
from ftddm_core.imaging.arrays import affine_over
from ftddm_core.imaging.io.array_file import load_array
from ftddm_core.imaging.io.layouts.research import MAPS
from ftddm_core.imaging.io.roles import Role
from ftddm_core.imaging.io.statement import read_statement, stated_affine
from ftddm_core.imaging.io.surveyed import Entry, Survey
from ftddm_core.imaging.space import SIDES
from ftddm_core.imaging.volume import FloatArray, Volume, finite_or_zero

PUBLISHED_VOXEL = (3.4, 3.4, 3.4)
"""Voxel size in mm of the maps of Dong et al. 2025."""

MOST_SLICES = 1.5
"""Number of slices, relative to the voxels across one, from which the order of axes is doubted."""

SQUARE = 1.5
"""Largest ratio between the refinements of an MRI along the two axes of a slice."""

NO_AFFINE = f"arrays without an affine: {SIDES} unknown."


class Arrays:
    """The arrays of one survey.

    Parameters
    ----------
    survey
        Of arrays alone.

    Raises
    ------
    FormatError
        If the voxel size is unknown, or `study.json` cannot be read.
    GeometryError
        If it states an invalid affine.
    """

    def __init__(self, survey: Survey) -> None:
        maps = survey.of(Role.MAP)
        folder = maps[0].path.parent
        self.slices_first = folder.name == MAPS
        if self.slices_first:
            folder = folder.parent
        self._stated = read_statement(folder)
        default = PUBLISHED_VOXEL if self.slices_first else None
        self._affine = stated_affine(self._stated, folder, default)
        self.notes: tuple[str, ...] = () if "Affine" in self._stated else (NO_AFFINE,)
        self._shape = self._array(maps[0].path).shape
        if self.slices_first and self._shape[2] > MOST_SLICES * min(self._shape[:2]):
            stored = (self._shape[2], *self._shape[:2])
            self.notes += (
                f"{maps[0].path.name} is read as (Z, X, Y), by which it has {stored[0]} slices of "
                f"{stored[1]} x {stored[2]} voxels: were its axes stored in another order?",
            )

    def maps(self, entry: Entry, *, allow_empty: bool = False) -> dict[str, Volume]:
        """Return the map or CRLB of a file, by its metabolite."""
        return {entry.own: self._on_grid(entry, allow_empty)}

    def image(self, entry: Entry, *, allow_empty: bool = False) -> Volume:
        """Return a mask or an MRI."""
        if entry.role not in (Role.T1, Role.FLAIR):
            return self._on_grid(entry, allow_empty)
        data = self._array(entry.path, allow_empty)
        along_x, along_y = (data.shape[i] / self._shape[i] for i in (0, 1))
        if not SQUARE > along_x / along_y > 1 / SQUARE:
            raise GeometryError(
                f"{entry.path} has the matrix {data.shape}, the maps have {self._shape}: they do "
                "not cover the same field of view, or their axes differ in order."
            )
        return Volume(data, affine_over(self._affine, self._shape, data.shape))

    def _on_grid(self, entry: Entry, allow_empty: bool) -> Volume:
        data = self._array(entry.path, allow_empty)
        if data.shape != self._shape:
            raise GeometryError(
                f"{entry.path} has the matrix {data.shape}, the maps have {self._shape}: they must "
                "share one grid."
            )
        unit = self._stated.get("Unit")
        of_map = entry.role is Role.MAP and isinstance(unit, str)
        return Volume(data, self._affine, str(unit).strip() if of_map else "")

    def _array(self, path: Path, allow_empty: bool = False) -> FloatArray:
        """Return an array as (X, Y, Z), float32."""
        array = load_array(path)
        moved = np.moveaxis(array, 0, -1) if self.slices_first else array
        with np.errstate(all="ignore"):  # values beyond float32 become infinite
            data = np.ascontiguousarray(moved, np.float32)
        if not allow_empty and not np.any(finite_or_zero(data)):
            raise FormatError(f"{path} is empty: every voxel is 0 or not a number. Leave it out.")
        return data
