"""A study from NumPy arrays: one folder per patient, as in research code.

Two layouts are supported.

- That of Dong et al. 2025: ``Met_filtered/<metabolite>.npy`` (Z, X, Y), 0 where the fit failed, and
  ``MRI_sliced/T1_sliced.npy`` and ``flair_sliced.npy``, with three times the slices and the matrix
  of the maps: (3 Z, 3 X, 3 Y).
- Plain: ``<metabolite>.npy`` (X, Y, Z), and where there are any ``mask.npy`` on that grid,
  ``T1.npy`` and ``FLAIR.npy`` over the same field of view, on that grid or a finer one.

An array has no world coordinates. ``study.json`` beside the maps, or above `Met_filtered`, states
``{"VoxelSize": [x, y, z]}`` of the maps in mm, and where known their 4x4 ``"Affine"`` and their
``"Unit"``; without an affine, the array's axes are taken as world axes, and left and right are
unknown. The first layout defaults to the 3.4 mm of the paper. An MRI fills the field of view of the
maps: their edges coincide.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ftddm_core.errors import FormatError, GeometryError
from ftddm_core.imaging.io._nifti_file import FARTHEST_MM
from ftddm_core.imaging.io.array_file import load_array
from ftddm_core.imaging.volume import FloatArray, Study, Volume, finite_or_zero

MAPS, MRI = "Met_filtered", "MRI_sliced"
PUBLISHED_VOXEL = (3.4, 3.4, 3.4)
"""Voxel size in mm of the maps of Dong et al. 2025."""
GUIDES = ("mask", "t1", "flair")
STATEMENT = '{"VoxelSize": [x, y, z]}'
LONGEST_STATEMENT = 1_000_000
"""Limit of the size of `study.json` in bytes."""
SMALLEST_VOXEL_MM3 = 1e-9
"""As of a `Volume`."""


@dataclass(frozen=True)
class _Layout:
    """Location of a patient's arrays, and the order of their axes."""

    folder: Path
    maps: dict[str, Path]
    guides: dict[str, Path]
    slices_first: bool


def can_read(paths: Sequence[Path | str]) -> bool:
    """Return whether this is one folder with arrays of maps and no NIfTI file."""
    if len(paths) != 1:
        return False
    folder = Path(paths[0])
    try:
        if (folder / MAPS).is_dir():
            return True
        names = [path.name.lower() for path in folder.iterdir()]
    except OSError:  # no folder, or no permission to list it
        return False
    return any(n.endswith(".npy") for n in names) and not any(
        n.endswith((".nii", ".nii.gz")) for n in names
    )


def read_npy_study(
    paths: Path | str | Sequence[Path | str],
    t1: Path | str | None = None,
    flair: Path | str | None = None,
    mask: Path | str | None = None,
) -> Study:
    """Read one patient's folder of arrays.

    Parameters
    ----------
    paths
        The folder.
    t1, flair, mask
        Arrays that take these roles instead of the folder's, in the same layout.

    Raises
    ------
    FormatError
        If there is no map, an array cannot be read or is not 3D, or the voxel size is unknown.
    GeometryError
        If the maps do not share one matrix, the mask has another, or the affine is invalid.
    """
    listed = [paths] if isinstance(paths, str | Path) else list(paths)
    if len(listed) != 1:
        raise FormatError(
            f"Arrays are read from one folder per patient, found {len(listed)} paths."
        )
    given = {
        role: Path(p) for role, p in (("t1", t1), ("flair", flair), ("mask", mask)) if p is not None
    }
    layout = _layout(Path(listed[0]), given)
    stated = _stated(layout.folder)
    affine = _affine(layout, stated)
    unit = stated["Unit"].strip() if isinstance(stated.get("Unit"), str) else ""
    maps = {n: Volume(_array(p, layout), affine, unit) for n, p in layout.maps.items()}
    shape = next(iter(maps.values())).shape
    guides = {}
    for role, path in layout.guides.items():
        data = _array(path, layout)
        if role == "mask" and data.shape != shape:
            raise GeometryError(
                f"{path} has the matrix {data.shape}, the maps have {shape}: they must share one "
                "grid."
            )
        guides[role] = Volume(data, _over(affine, shape, data.shape))
    return Study(
        maps=maps,
        mask=guides.get("mask"),
        t1=guides.get("t1"),
        flair=guides.get("flair"),
        source={name: str(path) for name, path in (layout.maps | layout.guides).items()},
    )


def _layout(folder: Path, given: dict[str, Path]) -> _Layout:
    """Return the layout of a folder, by the names of its files."""
    research = (folder / MAPS).is_dir()
    inside = {p.stem: p for p in _arrays(folder / MAPS if research else folder)}
    guides = {role: inside.pop(name) for name in list(inside) if (role := name.lower()) in GUIDES}
    if research:
        beside = {p.stem.lower().removesuffix("_sliced"): p for p in _arrays(folder / MRI)}
        guides |= {role: beside[role] for role in GUIDES if role in beside}
    if not inside:
        raise FormatError(
            f"{folder} holds no map. Expected {MAPS}/<metabolite>.npy, or <metabolite>.npy."
        )
    return _Layout(folder, inside, guides | given, research)


def _arrays(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    try:
        return sorted(p for p in folder.iterdir() if p.suffix == ".npy" and p.name[0] != ".")
    except OSError as error:
        raise FormatError(f"{folder} could not be read: {error.strerror}.") from error


def _array(path: Path, layout: _Layout) -> FloatArray:
    """Return an array as (X, Y, Z), float32."""
    array = load_array(path)
    moved = np.moveaxis(array, 0, -1) if layout.slices_first else array
    with np.errstate(all="ignore"):  # values beyond float32 become infinite
        data = np.ascontiguousarray(moved, np.float32)
    if not np.any(finite_or_zero(data)):
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


def _affine(layout: _Layout, stated: dict[str, Any]) -> FloatArray:
    """Return the affine of the maps, as stated or from their voxel size."""
    where = layout.folder / "study.json"
    default = list(PUBLISHED_VOXEL) if layout.slices_first else None
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
