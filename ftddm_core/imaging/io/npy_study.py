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
from ftddm_core.imaging.volume import FloatArray, Study, Volume

MAPS, MRI = "Met_filtered", "MRI_sliced"
PUBLISHED_VOXEL = (3.4, 3.4, 3.4)
"""Voxel size in mm of the maps of Dong et al. 2025."""
GUIDES = ("mask", "t1", "flair")


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
        If the maps do not share one matrix, or the mask has another.
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
    unit = str(stated.get("Unit", ""))
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
    return sorted(p for p in folder.iterdir() if p.suffix == ".npy" and p.name[0] != ".")


def _array(path: Path, layout: _Layout) -> FloatArray:
    """Return an array as (X, Y, Z), float32."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise FormatError(f"{path} cannot be read as an array: {error}.") from None
    if not isinstance(array, np.ndarray) or array.ndim != 3 or array.dtype.kind not in "biuf":
        found = f"{getattr(array, 'shape', '')} of {getattr(array, 'dtype', type(array).__name__)}"
        raise FormatError(f"{path} holds {found}; expected three dimensions of real numbers.")
    if not np.any(np.nan_to_num(array)):
        raise FormatError(f"{path} is empty: every voxel is 0 or not a number. Leave it out.")
    moved = np.moveaxis(array, 0, -1) if layout.slices_first else array
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(moved, np.float32)


def _stated(folder: Path) -> dict[str, Any]:
    path = folder / "study.json"
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} cannot be read: {error}.") from None
    if not isinstance(content, dict):
        raise FormatError(f'{path} should hold {{"VoxelSize": [x, y, z]}}, found {content!r:.80}.')
    return content


def _affine(layout: _Layout, stated: dict[str, Any]) -> FloatArray:
    """Return the affine of the maps, as stated or from their voxel size."""
    where = layout.folder / "study.json"
    default = PUBLISHED_VOXEL if layout.slices_first else None
    try:
        if "Affine" in stated:
            affine = np.asarray(stated["Affine"], float)
            if affine.shape != (4, 4):
                raise ValueError(f"Affine has the shape {affine.shape}")
            return affine
        size = stated.get("VoxelSize", default)
        if size is None:
            raise FormatError(
                f"Arrays do not state their voxel size: write {where} with "
                '{"VoxelSize": [x, y, z]} in mm, as in {"VoxelSize": [3.4, 3.4, 3.4]}.'
            )
        voxel = np.asarray(size, float)
        if voxel.shape != (3,) or not (voxel > 0).all() or not np.isfinite(voxel).all():
            raise ValueError(f"VoxelSize is {size}")
    except (TypeError, ValueError) as error:
        raise FormatError(f"{where} does not state three lengths in mm ({error}).") from None
    return np.diag([*voxel, 1.0])


def _over(affine: FloatArray, shape: tuple[int, int, int], finer: tuple[int, ...]) -> FloatArray:
    """Return the affine of an array that fills the field of view of another: edges coincide."""
    ratio = np.asarray(shape) / np.asarray(finer)
    result = np.array(affine, float)
    result[:3, :3] = affine[:3, :3] * ratio
    result[:3, 3] = affine[:3, 3] + affine[:3, :3] @ (ratio / 2 - 0.5)
    return result
