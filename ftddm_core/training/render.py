"""Simulated patients for training, rendered once into a folder: a file a patient.

Rendering a patient takes a second or two; what can be drawn anew in milliseconds (point spread,
noise, factor s, orientation) is left to `dataset.Pool`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.imaging.geometry import regrid_mean
from ftddm_core.phantom.anatomy import BRAIN, TISSUES, Anatomy
from ftddm_core.phantom.patient import Patient, lay_slab
from ftddm_core.sampling.guides import scale_mri
from ftddm_core.training.pools import keep_record

FloatArray = NDArray[np.floating[Any]]

VOXELS = (2.5, 5.0)
"""In-plane voxels in mm that are drawn, and `COMMON_VOXEL` for four patients in ten."""
COMMON_VOXEL = 3.4
MATRICES = (48, 80)
"""Smallest and largest matrix, in voxels an axis."""
FIELDS_OF_VIEW = (190.0, 240.0)
"""From front to back in mm; from left to right it is 3/4 to all of that."""

BOXES = 0.25
"""Share of the patients whose scan excites a box only."""


@dataclass(frozen=True)
class PoolConfig:
    """What is rendered.

    Parameters
    ----------
    patients
        How many, taken in turn from the anatomies.
    slices
        Slices of each patient's slab.
    seed
        Of the whole pool; patient i draws from (seed, i).
    """

    patients: int = 240
    slices: int = 12
    seed: int = 1


def draw_grid(rng: np.random.Generator) -> tuple[tuple[int, int], float]:
    """Draw an even matrix (nx, ny) and its voxel in mm, that show a whole head where they can."""
    common = rng.random() < 0.4
    voxel = COMMON_VOXEL if common else float(np.exp(rng.uniform(*np.log(VOXELS))))
    length = rng.uniform(*FIELDS_OF_VIEW)
    width = length * rng.uniform(0.75, 1)
    nx, ny = (int(np.clip(2 * round(mm / voxel / 2), *MATRICES)) for mm in (width, length))
    return (nx, ny), voxel


def render(anatomy: Anatomy, rng: np.random.Generator, slices: int) -> dict[str, NDArray[Any]]:
    """Render one patient's slab on a grid of random matrix and voxel.

    Returns
    -------
    dict
        The pool's format, see `dataset.Pool`; half of the patients are skull-stripped.
    """
    patient = Patient.draw(anatomy, rng)
    matrix, in_plane = draw_grid(rng)
    thickness = COMMON_VOXEL if rng.random() < 0.5 else rng.uniform(3.0, 12.0)
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
    inside_skull = [TISSUES.index(tissue) for tissue in (*BRAIN, "csf")]
    brain = slab.fractions[inside_skull].sum(0) > 0.5
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
    """Render the patients that the folder does not hold yet; return all of their files in order.

    `pool.json` in the folder says what they were rendered from.

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
            np.savez(part, **render(loaded[source], rng, config.slices))  # type: ignore[arg-type]
            part.rename(path)
        progress(i + 1, len(paths))
    return paths


def pool_record(anatomies: Sequence[Path], config: PoolConfig) -> dict[str, Any]:
    """Return what decides a pool: its configuration and the label maps' names and SHA-256."""
    maps = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in anatomies}
    return {"anatomies": maps, **asdict(config)}
