"""Simulated patients for training: rendered once into a folder, degraded anew for every batch.

Rendering a patient takes a second; drawing noise, factor s, orientation and contrast takes
milliseconds. So anatomy and metabolism come from a pool on disk, and everything else is fresh.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ftddm_core.errors import SettingsError
from ftddm_core.imaging.degrade import coarse_matrix
from ftddm_core.imaging.fourier import truncate
from ftddm_core.imaging.geometry import regrid_mean
from ftddm_core.phantom.acquisition import measure, scan_again
from ftddm_core.phantom.anatomy import BRAIN, TISSUES, Anatomy
from ftddm_core.phantom.patient import Patient, simulate_study
from ftddm_core.sampling.condition import cells, form_condition, scale_mri

FloatArray = NDArray[np.floating[Any]]

UPSCALE_RANGE = (2.0, 8.0)
"""Factors s that are drawn; `settings` lets users ask for no others, which a test compares."""

GRIDS = ((64, 64), (64, 64), (64, 64), (56, 56), (64, 48), (48, 64), (56, 64))
"""In-plane grids of the batches, drawn with equal chance."""


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


@dataclass(frozen=True)
class Batch:
    """Training examples on one grid.

    Parameters
    ----------
    x0
        Noisy truth (B, 1, H, W), divided by `scale`, 0 outside the mask.
    condition
        Channels (B, 4, H, W).
    upscale
        Factors s (B,).
    """

    x0: Tensor
    condition: Tensor
    upscale: Tensor

    @property
    def mask(self) -> Tensor:
        """Trusted voxels (B, 1, H, W)."""
        return self.condition[:, 1:2]

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch(self.x0.to(device), self.condition.to(device), self.upscale.to(device))


def render(anatomy: Anatomy, rng: np.random.Generator, slices: int) -> dict[str, FloatArray]:
    """Render one patient's slab on a 64x64 grid of random voxel size.

    Returns
    -------
    dict
        `truth` (7, 64, 64, Z) noise-free in mM, `noise` (7,) in mM, `mask` (64, 64, Z), and `t1`,
        `flair` (64, 64, Z) scaled to 0..1; half of the patients are skull-stripped.
    """
    patient = Patient.draw(anatomy, rng)
    in_plane = 3.4 if rng.random() < 0.4 else rng.uniform(2.6, 4.0)
    thickness = 3.4 if rng.random() < 0.5 else rng.uniform(3.0, 12.0)
    height = rng.uniform(-45, 50)
    if patient.glioma is not None and rng.random() < 0.7:
        height = float(patient.glioma.centre[2]) + rng.normal(0, 8)
    measured, noise_free = simulate_study(
        patient,
        rng,
        n_slices=slices,
        voxel=(in_plane, in_plane, thickness),
        height=height,
        mri_voxel=min(in_plane, 2.6),
    )
    grid = measured.grid
    mask = np.asarray(measured.mask_of("tNAA").data > 0)  # type: ignore[union-attr]
    inside_skull = [TISSUES.index(tissue) for tissue in (*BRAIN, "csf")]
    brain = patient.fractions(grid.shape, grid.affine)[inside_skull].sum(0) > 0.5
    keep = brain if rng.random() < 0.5 else np.ones_like(brain)
    images = {
        name: scale_mri(regrid_mean(image, grid.shape, grid.affine).data * keep, mask)
        for name, image in (("t1", measured.t1), ("flair", measured.flair))
        if image is not None
    }
    truth = np.stack([volume.data for volume in noise_free.maps.values()])
    return {
        "truth": truth.astype(np.float16),
        "noise": patient.metabolism.noise,
        "mask": mask,
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
    record = pool_record(anatomies, config)
    record_path = folder / "pool.json"
    if record_path.exists() and json.loads(record_path.read_text()) != record:
        raise SettingsError(
            f"{folder} holds patients rendered from other label maps or settings (see pool.json): "
            "choose another --out, or remove that folder."
        )
    record_path.write_text(json.dumps(record, indent=2) + "\n")
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


class Pool:
    """Rendered patients in memory, and the batches drawn from them."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.patients = [dict(np.load(path)) for path in paths]

    def draw(self, rng: np.random.Generator, size: int, per_volume: int = 2) -> Batch:
        """Draw a batch of `size` slices, `per_volume` from each volume drawn."""
        grid = GRIDS[rng.integers(len(GRIDS))]
        x0: list[FloatArray] = []
        condition: list[FloatArray] = []
        upscale: list[float] = []
        while len(x0) < size:
            volume_x0, channels, factor = self._volume(rng, grid)
            filled = np.flatnonzero(channels[1].sum((0, 1)) > 20)
            if not filled.size:
                continue
            for k in rng.choice(filled, min(per_volume, size - len(x0))):
                x0.append(volume_x0[None, ..., k])
                condition.append(channels[..., k])
                upscale.append(factor)
        return Batch(
            torch.from_numpy(np.stack(x0).astype(np.float32)),
            torch.from_numpy(np.stack(condition).astype(np.float32)),
            torch.tensor(upscale, dtype=torch.float32),
        )

    def _volume(
        self, rng: np.random.Generator, grid: tuple[int, int]
    ) -> tuple[FloatArray, FloatArray, float]:
        """Return x0 (H, W, Z), channels (4, H, W, Z) and s of one metabolite of one patient."""
        patient = self.patients[rng.integers(len(self.patients))]
        turn, flip = int(rng.integers(4)), rng.random() < 0.5
        corner = [int(np.clip((64 - n) // 2 + rng.integers(-4, 5), 0, 64 - n)) for n in grid]

        def view(image: NDArray[Any]) -> NDArray[Any]:
            turned: NDArray[Any] = np.rot90(image[::-1] if flip else image, turn)
            return turned[corner[0] : corner[0] + grid[0], corner[1] : corner[1] + grid[1]]

        which = rng.integers(len(patient["noise"]))
        truth = view(patient["truth"][which]).astype(np.float32)
        deviation = float(patient["noise"][which])
        mask = view(patient["mask"])
        factor = float(np.exp(rng.uniform(*np.log(UPSCALE_RANGE))))
        matrix = coarse_matrix(grid, factor)
        retrospective = rng.random() < 0.5
        if not retrospective and rng.random() < 0.4:
            mask = _coarse_mask(mask, matrix)
        measured = measure(truth, deviation, rng) * mask
        if not measured.any():
            return measured, np.zeros((4, *measured.shape)), factor
        if retrospective:
            acquired = truncate(measured, matrix)
        else:
            acquired = scan_again(truth, matrix, deviation, rng)
            if rng.random() < 0.3:
                acquired = acquired * (rng.random(acquired.shape) > rng.uniform(0, 0.04))
        images = []
        for name, absent in (("t1", 0.12), ("flair", 0.2)):
            image = view(patient[name]).astype(np.float32) ** np.exp(rng.normal(0, 0.15))
            images.append(None if rng.random() < absent else image)
        condition = form_condition("simulated", acquired, mask, images[0], images[1], np.eye(4))
        return measured / condition.scale, condition.channels, condition.upscale


def _coarse_mask(mask: NDArray[np.bool_], matrix: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask a coarse scan comes with: its cells that are trusted for the larger part."""
    trusted, size = mask.astype(int), np.ones(mask.shape, int)
    for axis in (0, 1):
        cell = cells(matrix[axis], mask.shape[axis])
        starts = np.searchsorted(cell, np.arange(matrix[axis]))
        trusted, size = (np.add.reduceat(a, starts, axis).take(cell, axis) for a in (trusted, size))
    return np.asarray(trusted > size / 2)
