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

import json
from pathlib import Path
from typing import Any

import numpy as np

from ftddm_core.errors import FormatError, GeometryError
from ftddm_core.imaging.io.array_file import load_array
from ftddm_core.imaging.io.image_file import FARTHEST_MM
from ftddm_core.imaging.io.layouts.research import MAPS
from ftddm_core.imaging.io.roles import Role
from ftddm_core.imaging.io.surveyed import Entry, Survey
from ftddm_core.imaging.volume import FloatArray, Volume, finite_or_zero

PUBLISHED_VOXEL = (3.4, 3.4, 3.4)
"""Voxel size in mm of the maps of Dong et al. 2025."""
STATEMENT = '{"VoxelSize": [x, y, z]}'
LONGEST_STATEMENT = 1_000_000
"""Limit of the size of `study.json` in bytes."""
SMALLEST_VOXEL_MM3 = 1e-9
"""As of a `Volume`."""


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
        self._stated = _stated(folder)
        self._affine = _affine(folder, self._stated, slices_first=self.slices_first)
        self._shape = self._array(maps[0].path).shape

    def maps(self, entry: Entry, *, allow_empty: bool = False) -> dict[str, Volume]:
        """Return the map or CRLB of a file, by its metabolite."""
        return {entry.own: self._on_grid(entry, allow_empty)}

    def image(self, entry: Entry, *, allow_empty: bool = False) -> Volume:
        """Return a mask or an MRI."""
        if entry.role not in (Role.T1, Role.FLAIR):
            return self._on_grid(entry, allow_empty)
        data = self._array(entry.path, allow_empty)
        return Volume(data, _over(self._affine, self._shape, data.shape))

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


def _stated(folder: Path) -> dict[str, Any]:
    path = folder / "study.json"
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > LONGEST_STATEMENT:
            raise FormatError(
                f"{path} has {path.stat().st_size} bytes, expected a few lines. "
                f"Write {STATEMENT} into it."
            )
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} cannot be read: {error}.") from None
    except RecursionError:
        raise FormatError(f"{path} is nested too deeply. Write {STATEMENT} into it.") from None
    if not isinstance(content, dict):
        raise FormatError(
            f"{path} should hold {STATEMENT}, found a {type(content).__name__} instead."
        )
    return content


def _affine(folder: Path, stated: dict[str, Any], *, slices_first: bool) -> FloatArray:
    """Return the affine of the maps, as stated or from their voxel size."""
    where = folder / "study.json"
    default = list(PUBLISHED_VOXEL) if slices_first else None
    if "Affine" in stated:
        affine = _numbers(stated["Affine"], (4, 4))
        if affine is None:
            raise FormatError(
                f"{where} does not state an Affine of four rows of four numbers, as in "
                '{"Affine": [[3, 0, 0, -90], [0, 3, 0, -90], [0, 0, 3, -60], [0, 0, 0, 1]]}.'
            )
    else:
        size = stated.get("VoxelSize", default)
        if size is None:
            raise FormatError(
                f"Arrays do not state their voxel size: write {where} with "
                f'{STATEMENT} in mm, as in {{"VoxelSize": [3.4, 3.4, 3.4]}}.'
            )
        voxel = _numbers(size, (3,))
        if voxel is None or not (voxel > 0).all():
            raise FormatError(
                f"{where} does not state three lengths in mm under VoxelSize, as in "
                '{"VoxelSize": [3.4, 3.4, 3.4]}.'
            )
        affine = np.diag([*voxel, 1.0])
    far = not (np.abs(affine) < FARTHEST_MM).all()
    if far or not np.array_equal(affine[3], (0, 0, 0, 1)):
        raise GeometryError(
            f"{where} states an invalid affine: {affine.tolist()}. Give positions in mm, and "
            "0, 0, 0, 1 in the last row."
        )
    if abs(np.linalg.det(affine[:3, :3])) < SMALLEST_VOXEL_MM3:
        raise GeometryError(
            f"{where} states voxels without a volume: {affine.tolist()}. Give their lengths in mm "
            "and independent axes."
        )
    return affine


def _numbers(value: Any, shape: tuple[int, ...]) -> FloatArray | None:
    """Return nested lists of finite numbers as an array of this shape, None if they are not."""
    rows = value if len(shape) == 2 else [value]
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        return None
    if [len(row) for row in rows] != [shape[-1]] * (shape[0] if len(shape) == 2 else 1):
        return None
    # A bool is an int, too.
    if not all(type(number) in (int, float) for row in rows for number in row):
        return None
    try:
        array = np.array([[float(number) for number in row] for row in rows]).reshape(shape)
    except OverflowError:  # an int of hundreds of digits
        return None
    return array if np.isfinite(array).all() else None


def _over(affine: FloatArray, shape: tuple[int, int, int], finer: tuple[int, ...]) -> FloatArray:
    """Return the affine of an array that fills the field of view of another: edges coincide."""
    ratio = np.asarray(shape) / np.asarray(finer)
    result = np.array(affine, float)
    result[:3, :3] = affine[:3, :3] * ratio
    result[:3, 3] = affine[:3, 3] + affine[:3, :3] @ (ratio / 2 - 0.5)
    return result
