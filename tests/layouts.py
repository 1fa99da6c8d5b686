"""Small studies as producers arrange them, whose files need a decision."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ftddm_core.imaging.io import write_volume
from ftddm_core.imaging.volume import Volume

SHAPE = (12, 14, 4)
AFFINE = np.diag([-8.0, 8, 10, 1])
AFFINE[:3, 3] = 44, -52, -15
PLACE = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
BRAIN = (((PLACE[..., :2] - [5.5, 6.5]) / [4.6, 5.6]) ** 2).sum(axis=-1) < 1
LABELS = BRAIN * (1 + (PLACE[..., 2] > 1))
"""1 in the lower two slices, 2 in the upper two."""


def put(path: Path, values: object) -> Path:
    """Write an image on the grid of these studies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(path, Volume(np.asarray(values, np.float32), AFFINE))
    return path


def metabolite(level: float) -> np.ndarray:
    """Return a map of a mean level."""
    return level * BRAIN * (1 + 0.2 * np.sin(PLACE[..., 0]) * np.cos(PLACE[..., 1] / 2))


def two_sessions(folder: Path) -> Path:
    """Write a tree of one subject with the sessions V1 and V2, of levels 9 and 6."""
    for session, level in (("V1", 9), ("V2", 6)):
        name = f"sub-03_ses-{session}_met-NAANAAG_desc-signal_mrsi.nii.gz"
        put(folder / "sub-03" / f"ses-{session}" / "mrsi" / name, metabolite(level))
    return folder


def with_labels(folder: Path) -> Path:
    """Write a map and a mask of two labels."""
    put(folder / "tNAA.nii.gz", metabolite(9))
    put(folder / "mask.nii.gz", LABELS)
    return folder


def of_vienna(folder: Path) -> Path:
    """Write two maps with CRLB, a mask, a ratio, and an image that no name tells of."""
    for name, level in (("NAA+NAAG", 9), ("Cr+PCr", 6)):
        put(folder / f"{name}_amp_map.nii", metabolite(level))
        put(folder / f"{name}_sd_map.nii", 7 * BRAIN)
    put(folder / "cho2naa.nii", metabolite(0.17))
    put(folder / "magnitude.nii", metabolite(900))
    put(folder / "mask.nii", BRAIN)
    return folder
