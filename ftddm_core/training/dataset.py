"""Training examples: patients in memory, scanned, degraded and augmented for every batch.

Anatomy and metabolism come from files (`render` makes simulated ones, `own` converts measured
ones); point spread, noise, factor s, orientation, field of view and missing MRI are drawn here.
Needs only numpy and torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ftddm_core.conventions import CHANNELS, UPSCALE_BOUNDS, channel_slice
from ftddm_core.errors import FormatError
from ftddm_core.imaging.degrade import coarse_matrix
from ftddm_core.imaging.fourier import truncate
from ftddm_core.imaging.volume import Outside
from ftddm_core.phantom.scan import Sampling, measure, scan_again
from ftddm_core.sampling.condition import (
    MULTIPLE,
    cells,
    form_condition,
    trusted_cells,
)

FloatArray = NDArray[np.floating[Any]]
Grid = tuple[int, int]

"""Range of the drawn factors s; a test compares it with the bounds in `settings`."""

GRIDS = (
    (64, 64), (64, 64), (64, 64), (56, 56), (64, 48), (48, 64), (56, 64), (48, 56), (72, 64),
    (64, 80), (16, 16), (16, 24), (24, 16), (24, 24), (24, 32), (32, 24), (32, 32), (32, 40),
    (40, 32), (40, 40), (40, 48), (48, 40),
)  # fmt: skip
"""Grids of the batches, drawn with equal probability from those that suit a patient. A matrix fills
its grid or is 2, 4 or 6 voxels smaller and padded, as in `form_condition`: every even one
occurs."""

SUITS = (0.65, 1.6)
"""Smallest and largest ratio of a grid to a patient's matrix, on each axis: a smaller grid cuts off
too much of the head, a larger one contains mostly air."""

LEAST_COARSE = 5
"""Smallest number of samples of a coarse matrix on each axis, if s = 2 leaves as many."""

TRIES = 1000
"""Largest number of volumes drawn for a batch."""

MISSING = {"t1": 0.12, "flair": 0.2}
"""Share of volumes in which an existing MRI is withheld."""


@dataclass(frozen=True)
class Batch:
    """Training examples on one grid.

    Parameters
    ----------
    x0
        Noisy truth (B, 1, H, W), divided by `scale`, 0 outside the mask.
    condition
        Channels (B, 5, H, W).
    upscale
        Factors s (B,).
    """

    x0: Tensor
    condition: Tensor
    upscale: Tensor

    @property
    def mask(self) -> Tensor:
        """Trusted voxels (B, 1, H, W)."""
        return self.condition[:, channel_slice("mask")]

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch(self.x0.to(device), self.condition.to(device), self.upscale.to(device))


class Pool:
    """Patients in memory, and the batches drawn from them.

    Parameters
    ----------
    paths
        One .npz per patient: `truth` (M, X, Y, Z), maps without noise and point spread in their own
        unit; `noise` (M,), the standard deviation of their noise, 0 for measured maps, which are
        used unchanged; `mask` (X, Y, Z) or (M, X, Y, Z); `t1` and `flair` (X, Y, Z) scaled to 0..1,
        left out where the patient has none; `lipid` (X, Y, Z) and `lipid_amount` (M,), left out for
        measured maps.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.patients = [dict(np.load(path)) for path in paths]
        self.suited: dict[Grid, list[int]] = {}
        self.grids = [_grids_of(patient["mask"].shape[-3:-1]) for patient in self.patients]
        for number, grids in enumerate(self.grids):
            for grid in set(grids):
                self.suited.setdefault(grid, []).append(number)

    def draw(self, rng: np.random.Generator, size: int, per_volume: int = 2) -> Batch:
        """Draw a batch of `size` slices, `per_volume` from each volume drawn.

        All are from patients that suit the grid of the first one drawn.
        """
        grids = self.grids[rng.integers(len(self.patients))]
        grid = grids[rng.integers(len(grids))]
        x0: list[FloatArray] = []
        condition: list[FloatArray] = []
        upscale: list[float] = []
        tries = 0
        while len(x0) < size:
            if (tries := tries + 1) > TRIES:
                raise FormatError(
                    f"In {TRIES} draws, the patients had too few trusted voxels for {size} "
                    "slices. Are their masks complete?"
                )
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
        """Return x0 (H, W, Z), channels (5, H, W, Z) and s of one metabolite of one patient."""
        suited = self.suited[grid]
        patient = self.patients[suited[rng.integers(len(suited))]]
        which = rng.integers(len(patient["noise"]))
        mask = patient["mask"] if patient["mask"].ndim == 3 else patient["mask"][which]
        view = View.draw(rng, mask.shape[:2], grid)
        deviation = float(patient["noise"][which])
        signal = noise_free = view(patient["truth"][which].astype(np.float32))
        if "lipid" in patient:
            lipid = view(patient["lipid"].astype(np.float32))
            signal = noise_free + patient["lipid_amount"][which] * lipid
        mask = view(mask)
        least, most = (float(bound) for bound in UPSCALE_BOUNDS)
        most = float(np.clip(min(view.matrix) / LEAST_COARSE, least, most))
        factor = float(np.exp(rng.uniform(*np.log((least, most)))))
        matrix = coarse_matrix(view.matrix, factor)
        retrospective = deviation == 0 or rng.random() < 0.5
        if not retrospective and rng.random() < 0.4:
            mask = _coarse_mask(mask, matrix)
        measured = signal
        if deviation > 0:
            sampling = Sampling.draw(rng)
            measured = measure(sampling.blur(signal), deviation, rng, sampling)
        measured = measured * mask
        pad = [(0, -n % MULTIPLE) for n in view.matrix]
        if not measured.any():
            measured = np.pad(measured, [*pad, (0, 0)])
            return measured, np.zeros((len(CHANNELS), *measured.shape)), factor
        if retrospective:
            acquired = truncate(measured, matrix)
        else:
            acquired = scan_again(signal, matrix, deviation, rng, Sampling.draw(rng))
            acquired = _failing_fits(acquired, rng)
        images = []
        for name, absent in MISSING.items():
            gamma, missing = np.exp(rng.normal(0, 0.15)), rng.random() < absent
            held = None if missing else patient.get(name)
            images.append(None if held is None else view(held.astype(np.float32)) ** gamma)
        if not acquired[trusted_cells(mask, matrix)].any():
            measured = np.pad(measured, [*pad, (0, 0)])
            return measured, np.zeros((len(CHANNELS), *measured.shape)), factor
        outside = Outside.EMPTY if retrospective else Outside.SEEN
        condition = form_condition(
            "simulated", acquired, mask, images[0], images[1], np.eye(4), outside=outside
        )
        x0 = np.pad(measured / condition.scale, [*pad, (0, 0)])
        return x0, condition.channels, condition.upscale


@dataclass(frozen=True)
class View:
    """Augmentation of a patient: flipped, rotated, then cropped or padded with air.

    Parameters
    ----------
    flip
        Whether the first axis is reversed.
    turn
        Quarter turns after that.
    matrix
        Resulting even matrix.
    start
        First voxel on each axis of the rotated image; negative where air is added.
    """

    flip: bool
    turn: int
    matrix: tuple[int, int]
    start: tuple[int, int]

    @classmethod
    def draw(cls, rng: np.random.Generator, shape: tuple[int, ...], grid: tuple[int, int]) -> View:
        """Draw a view of images of a shape whose matrix is padded to `grid`."""
        turn = int(rng.integers(4))
        turned = shape[:2][::-1] if turn % 2 else shape[:2]
        nx, ny = (n - 2 * int(rng.integers(MULTIPLE // 2)) * (rng.random() < 0.5) for n in grid)
        starts = [(have - n) // 2 for have, n in zip(turned, (nx, ny), strict=True)]
        x, y = (start + int(rng.integers(-4, 5)) for start in starts)
        return cls(bool(rng.random() < 0.5), turn, (nx, ny), (x, y))

    def __call__(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return the view (nx, ny, Z) of an image (X, Y, Z)."""
        turned = np.rot90(image[::-1] if self.flip else image, self.turn)
        shown = np.zeros((*self.matrix, image.shape[2]), image.dtype)
        ours, theirs = [], []
        for start, n, have in zip(self.start, self.matrix, turned.shape, strict=False):
            first, last = max(start, 0), min(start + n, have)
            theirs.append(slice(first, last))
            ours.append(slice(first - start, last - start))
        shown[tuple(ours)] = turned[tuple(theirs)]
        return shown


def _grids_of(shape: Sequence[int]) -> list[Grid]:
    """Return the grids that suit a patient's matrix or its transpose; all if none does."""
    low, high = SUITS

    def suits(grid: Grid) -> bool:
        return any(
            all(low <= n / have <= high for n, have in zip(grid, matrix, strict=True))
            for matrix in (shape, shape[::-1])
        )

    return [grid for grid in GRIDS if suits(grid)] or list(GRIDS)


def _failing_fits(acquired: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return a coarse map in which, in three of ten cases, some trusted fits are 0 and a few
    outliers."""
    if rng.random() > 0.3:
        return acquired
    chance = rng.random(acquired.shape)
    wild = np.exp(rng.uniform(np.log(1.5), np.log(6), acquired.shape))
    spoilt = np.where(chance < 0.002, wild * acquired, acquired)
    return np.asarray(np.where(chance > 1 - rng.uniform(0, 0.04), 0, spoilt), np.float32)


def _coarse_mask(mask: NDArray[np.bool_], matrix: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask of a coarse scan: its cells that are mostly trusted."""
    trusted, size = mask.astype(int), np.ones(mask.shape, int)
    for axis in (0, 1):
        cell = cells(matrix[axis], mask.shape[axis])
        starts = np.searchsorted(cell, np.arange(matrix[axis]))
        trusted, size = (np.add.reduceat(a, starts, axis).take(cell, axis) for a in (trusted, size))
    return np.asarray(trusted > size / 2)
