"""Simulated patients for training, rendered once into a folder: one file per patient.

A pool mixes two kinds: literature patients, and randomised ones (`phantom.randomised`).

Rendering a patient takes a second or two; properties that can be drawn in milliseconds (point
spread, noise, factor s, orientation) are left to `dataset.Pool`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.conventions import TRAINED_MATRICES, TRAINED_SLICES_MM, TRAINED_VOXELS_MM
from ftddm_core.errors import SettingsError
from ftddm_core.imaging.geometry import regrid_mean
from ftddm_core.phantom.anatomy import Anatomy, brain_of
from ftddm_core.phantom.patient import Patient, lay_slab
from ftddm_core.phantom.randomised import MIXTURE, RandomisedPatient
from ftddm_core.sampling.guides import scale_mri
from ftddm_core.training.pools import keep_record

FloatArray = NDArray[np.floating[Any]]

VOXELS, RANDOM_VOXELS = (2.5, 5.0), TRAINED_VOXELS_MM
"""Ranges of the in-plane voxel in mm for literature patients and for randomised ones; four in ten
patients of either kind have `COMMON_VOXEL`."""
COMMON_VOXEL = 3.4
MATRICES, RANDOM_MATRICES = (48, 80), TRAINED_MATRICES
"""Smallest and largest matrix, in voxels per axis."""
FIELDS_OF_VIEW = (190.0, 240.0)
"""Field of view from front to back in mm; from left to right it is 3/4 to 1 times that."""

NARROW = 0.25
"""Share of the randomised patients with a field of view half as large."""

BOXES = 0.25
"""Share of the patients with a box excitation."""


@dataclass(frozen=True)
class PoolConfig:
    """Parameters of a pool.

    Parameters
    ----------
    patients
        Number of patients, taken in turn from the anatomies.
    slices
        Slices of each patient's slab.
    seed
        Seed of the whole pool; patient i uses (seed, i).
    randomised
        Probability of each patient to be a randomised one, 0..1.
    """

    patients: int = 240
    slices: int = 12
    seed: int = 1
    randomised: float = MIXTURE

    def __post_init__(self) -> None:
        if not 0 <= self.randomised <= 1:
            raise SettingsError(f"randomised is {self.randomised}: give a share from 0 to 1.")

    def is_randomised(self, number: int) -> bool:
        """Return whether the patient of that number, from 0, is a randomised one."""
        return bool(np.random.default_rng([self.seed, number, 1]).random() < self.randomised)


def draw_grid(rng: np.random.Generator, randomised: bool = False) -> tuple[tuple[int, int], float]:
    """Draw an even matrix (nx, ny) and its voxel in mm.

    They cover the whole head if possible or, for some randomised patients, its middle.
    """
    common = rng.random() < 0.4
    voxels, matrices = (VOXELS, MATRICES) if not randomised else (RANDOM_VOXELS, RANDOM_MATRICES)
    voxel = COMMON_VOXEL if common else float(np.exp(rng.uniform(*np.log(voxels))))
    length = rng.uniform(*FIELDS_OF_VIEW)
    width = length * rng.uniform(0.75, 1)
    if randomised and rng.random() < NARROW:
        length, width = length / 2, width / 2
    nx, ny = (int(np.clip(2 * round(mm / voxel / 2), *matrices)) for mm in (width, length))
    return (nx, ny), voxel


def render(
    anatomy: Anatomy, rng: np.random.Generator, slices: int, randomised: bool = False
) -> dict[str, NDArray[Any]]:
    """Render one patient's slab on a grid of random matrix and voxel.

    Parameters
    ----------
    anatomy
        Of the head.
    rng
        Of patient, grid and scan.
    slices
        Of the slab.
    randomised
        Whether to draw a `RandomisedPatient`.

    Returns
    -------
    dict
        The pool's format, see `dataset.Pool`; half of the patients are skull-stripped.
    """
    patient = (RandomisedPatient if randomised else Patient).draw(anatomy, rng)
    matrix, in_plane = draw_grid(rng, randomised)
    thickness = COMMON_VOXEL if rng.random() < 0.5 else rng.uniform(*TRAINED_SLICES_MM)
    height = rng.uniform(-45, 50)
    if patient.glioma is not None and rng.random() < 0.7:
        height = float(patient.glioma.centre[2]) + rng.normal(0, 8)
    slab = lay_slab(
        patient,
        rng,
        matrix=matrix,
        n_slices=slices,
        voxel=(in_plane, in_plane, thickness),
        height=height,
        mri_voxel=min(in_plane, 2.6),
        box=patient.draw_box(rng) if rng.random() < BOXES else None,
    )
    brain = brain_of(slab.fractions) > 0.5
    keep = brain if rng.random() < 0.5 else np.ones_like(brain)
    images = {
        name: scale_mri(regrid_mean(image, brain.shape, slab.affine).data * keep, slab.mask)
        for name, image in (("t1", slab.t1), ("flair", slab.flair))
    }
    return {
        "truth": slab.truth.astype(np.float16),
        "noise": slab.deviation,
        "lipid": slab.lipid.astype(np.float16),
        "lipid_amount": slab.lipid_amount,
        "mask": slab.mask,
        **{name: image.astype(np.float16) for name, image in images.items()},
    }


def render_pool(
    anatomies: Sequence[Path],
    config: PoolConfig,
    folder: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Render the patients missing from the folder; return all files in order.

    `pool.json` in the folder records their origin.

    Raises
    ------
    SettingsError
        If the folder holds patients of other anatomies or another configuration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keep_record(folder, pool_record(anatomies, config))
    paths = [folder / f"patient-{config.seed}-{i:04d}.npz" for i in range(config.patients)]
    loaded: dict[Path, Anatomy] = {}
    for i, path in enumerate(paths):
        if not path.exists():
            source = anatomies[i % len(anatomies)]
            if source not in loaded:
                loaded[source] = Anatomy.load(source)
            rng = np.random.default_rng([config.seed, i])
            part = path.with_suffix(".part.npz")
            drawn = render(loaded[source], rng, config.slices, config.is_randomised(i))
            np.savez(part, **drawn)  # type: ignore[arg-type]
            part.rename(path)
        progress(i + 1, len(paths))
    return paths


def pool_record(anatomies: Sequence[Path], config: PoolConfig) -> dict[str, Any]:
    """Return the record of a pool: its configuration and the label maps' names and SHA-256."""
    maps = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in anatomies}
    return {"anatomies": maps, **asdict(config)}
