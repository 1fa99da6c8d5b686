"""Training on measured patients: their studies, one folder each, converted to files of a `Pool`.

The measured maps of a patient are used unchanged, including noise: the task is to restore them from
their own truncated k-space. Patients are split by folder, never by slice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import FormatError, FtddmError, SettingsError
from ftddm_core.imaging.degrade import acquired_matrix
from ftddm_core.imaging.geometry import regrid_mean, regrid_nearest
from ftddm_core.imaging.io import open_study
from ftddm_core.imaging.volume import Study, finite_or_zero
from ftddm_core.sampling.guides import default_mask, scale_mri
from ftddm_core.training.pools import keep_record, pool_folder

SMALLEST = 16
"""Smallest matrix with useful information at s = 2."""

LARGEST = (64, 80)
"""Largest extent of the trusted voxels, in either order: the largest grid of the batches; smaller
grids show a part."""

FEWEST = 64
"""Smallest number of trusted voxels in the best slice of a map: `Pool` draws no slice with 20 or
fewer."""


def convert_pools(
    patients: Path,
    validation: Path,
    folder: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Convert two folders of patients into `folder`/pool-training and `folder`/pool-validation.

    Recorded are their number, their voxel, and digests of their maps. Names are not, since weights
    may be shared more widely than patients' names.

    Parameters
    ----------
    patients, validation
        Folders with one folder per patient, in any format of `open_study`; high resolution, with a
        mask or 0 in untrusted voxels.
    folder
        Folder of the run.
    progress
        Callback with the numbers of patients done and in total.

    Raises
    ------
    FormatError, GeometryError
        If there are no patients, or one cannot be read; the message names the folder.
    SettingsError
        If a patient is on both sides, or the run's folder holds other patients.
    """
    sources = {"training": _patients(patients), "validation": _patients(validation)}
    shared = {p.name for p in sources["training"]} & {p.name for p in sources["validation"]}
    if shared:
        raise SettingsError(
            f"The patient '{min(shared)}' is in {patients} and in {validation}: keep the patients "
            "apart, or the validation would use training data."
        )
    total = sum(map(len, sources.values()))
    converted: dict[str, list[_Converted]] = {side: [] for side in sources}
    for side, found in sources.items():
        for source in found:
            converted[side].append(_Converted.of(source))
            progress(sum(map(len, converted.values())), total)
    one, other = ({p.digest: p.source for p in side} for side in converted.values())
    for digest in one.keys() & other.keys():
        raise SettingsError(
            f"{one[digest]} and {other[digest]} hold the same maps: keep the patients apart."
        )
    for side, done in converted.items():
        record = {
            "measured": len(done),
            "voxel": round(float(np.median([p.voxel for p in done])), 3),
            "digests": [p.digest for p in done],
        }
        pool = pool_folder(folder, side)
        pool.mkdir(parents=True, exist_ok=True)
        keep_record(pool, record)
        for i, patient in enumerate(done):
            part = pool / f"patient-{i:04d}.part.npz"
            np.savez(part, **patient.arrays)  # type: ignore[arg-type]
            part.rename(pool / f"patient-{i:04d}.npz")


@dataclass(frozen=True, eq=False)
class _Converted:
    """A patient's folder, arrays, the digest of the maps, and the in-plane voxel in mm."""

    source: Path
    arrays: dict[str, NDArray[Any]]
    digest: str
    voxel: float

    @classmethod
    def of(cls, source: Path) -> _Converted:
        """Read and convert a patient; errors name the folder."""
        try:
            study = open_study(source)
            arrays = convert(study)
        except FtddmError as error:
            if str(source) in str(error):
                raise
            raise type(error)(f"{source}: {error}") from None
        digest = hashlib.sha256(arrays["truth"].tobytes()).hexdigest()
        return cls(source, arrays, digest, float(np.sqrt(np.prod(study.grid.voxel_size[:2]))))


def convert(study: Study) -> dict[str, NDArray[Any]]:
    """Return a study in the format of a `Pool`'s file.

    Maps are divided by the 99th percentile of their trusted values, so that float16 can hold any
    unit; noise is 0, since the maps already contain it. T1 and FLAIR are resampled onto the maps'
    grid by world coordinates and scaled as in `condition`, by all trusted voxels. A matrix above
    `LARGEST` is cropped around the trusted voxels; an odd one is padded with zeros.

    Raises
    ------
    FormatError
        If a map has no signal inside its mask, no slice with 64 trusted voxels, a matrix smaller
        than 16 x 16, was zero-filled, or if the trusted voxels extend over more than `LARGEST`.
    GeometryError
        If a mask or an MRI does not overlap the maps.
    """
    grid = study.grid
    acquired = acquired_matrix(study)
    if any(n < have - 2 for n, have in zip(acquired, grid.shape[:2], strict=True)):
        raise FormatError(
            f"The {grid.shape[0]} x {grid.shape[1]} maps were zero-filled from {acquired[0]} x "
            f"{acquired[1]} samples: they are no truth at that matrix. Give the acquired maps."
        )
    if min(grid.shape[:2]) < SMALLEST:
        raise FormatError(
            f"The maps have {grid.shape[0]} x {grid.shape[1]} voxels: training needs high "
            f"resolution, {SMALLEST} x {SMALLEST} at least."
        )
    maps, masks = [], []
    for name, volume in study.maps.items():
        given = study.mask_of(name)
        placed = regrid_nearest(given or default_mask(volume), grid.shape, grid.affine).data
        finite = np.isfinite(volume.data)
        trusted = (finite_or_zero(placed) > 0) & finite
        held = np.where(trusted, volume.data, 0).astype(np.float32)
        scale = float(np.percentile(held[trusted], 99)) if trusted.any() else 0.0
        if not scale > 0:
            raise FormatError(f"{name} has no signal inside its mask. Leave it out.")
        if trusted.sum((0, 1)).max() < FEWEST:
            raise FormatError(f"{name} has no slice with {FEWEST} trusted voxels. Leave it out.")
        largest = float(np.finfo(np.float16).max)
        maps.append(np.clip(held / scale, -largest, largest))
        masks.append(trusted)
    brain = np.logical_or.reduce(masks)
    box = tuple(slice(0, n) for n in grid.shape[:2])
    if not _fits(box):
        box = tuple(_extent(brain.any(axis)) for axis in ((1, 2), (0, 2)))
    extent = [part.stop - part.start for part in box]
    if not _fits(box):
        raise FormatError(
            f"The trusted voxels extend over {extent[0]} x {extent[1]} voxels; training takes at "
            f"most {LARGEST[0]} x {LARGEST[1]}. Resample the maps to larger voxels."
        )
    pad = [(0, n % 2) for n in extent] + [(0, 0)]

    def even(image: NDArray[Any], kind: type) -> NDArray[Any]:
        return np.pad(image[box], pad).astype(kind)

    arrays: dict[str, NDArray[Any]] = {
        "truth": np.stack([even(image, np.float16) for image in maps]),
        "noise": np.zeros(len(maps), np.float32),
        "mask": np.stack([even(mask, np.bool_) for mask in masks]),
    }
    for role, image in (("t1", study.t1), ("flair", study.flair)):
        if image is not None:
            placed = regrid_mean(image, grid.shape, grid.affine).data
            arrays[role] = even(scale_mri(placed, brain), np.float16)
    return arrays


def _fits(box: tuple[slice, ...]) -> bool:
    extent = sorted(part.stop - part.start for part in box)
    return all(n <= most for n, most in zip(extent, LARGEST, strict=True))


def _extent(held: NDArray[np.bool_]) -> slice:
    """Return the range of true values, extended to at least `SMALLEST` where possible."""
    first, last = np.flatnonzero(held)[[0, -1]]
    first = max(0, min(first, len(held) - SMALLEST))
    return slice(int(first), int(max(last + 1, first + SMALLEST)))


def _patients(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FormatError(f"{folder} is not a folder: give one with a folder for each patient.")
    found = sorted(p for p in folder.iterdir() if p.is_dir() and p.name[0] != ".")
    if not found:
        raise FormatError(f"{folder} holds no patients: expected a folder for each.")
    return found
