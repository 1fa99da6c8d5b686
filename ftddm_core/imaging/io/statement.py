"""What `study.json` states of a study whose files have no world coordinates of their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ftddm_core.errors import FormatError, GeometryError
from ftddm_core.imaging.space import FARTHEST_MM
from ftddm_core.imaging.volume import FloatArray

NAME = "study.json"
STATEMENT = '{"VoxelSize": [x, y, z]}'
LONGEST_STATEMENT = 1_000_000
"""Limit of the size of `study.json` in bytes."""
SMALLEST_VOXEL_MM3 = 1e-9
"""As of a `Volume`."""


def read_statement(folder: Path) -> dict[str, Any]:
    """Return the content of a folder's `study.json`, nothing if there is none.

    Raises
    ------
    FormatError
        If the file cannot be read, is not JSON, or does not hold names with values.
    """
    path = folder / NAME
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


def stated_affine(
    stated: dict[str, Any], folder: Path, default: Sequence[float] | None = None
) -> FloatArray:
    """Return the affine of the maps, as stated or from their voxel size.

    Parameters
    ----------
    stated
        Content of `study.json`: "Affine", a 4x4 matrix in mm, or "VoxelSize", three lengths in mm.
    folder
        Its folder, for messages.
    default
        Voxel size in mm if none is stated; None if there must be one.

    Raises
    ------
    FormatError
        If neither is stated, or what is stated is not of this form.
    GeometryError
        If the affine is out of bounds or singular.
    """
    where = folder / NAME
    if "Affine" in stated:
        affine = _numbers(stated["Affine"], (4, 4))
        if affine is None:
            raise FormatError(
                f"{where} does not state an Affine of four rows of four numbers, as in "
                '{"Affine": [[3, 0, 0, -90], [0, 3, 0, -90], [0, 0, 3, -60], [0, 0, 0, 1]]}.'
            )
    else:
        size = stated.get("VoxelSize", None if default is None else [*default])
        if size is None:
            raise FormatError(
                f"The maps do not state their voxel size: write {where} with "
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
