"""Brains from label maps: tissue fractions with partial volume, on any grid, with any warp."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io.nifti import read_volume
from ftddm_core.phantom.fields import RandomField

FloatArray = NDArray[np.float32]

TISSUES = (
    "air",
    "white",
    "cortex",
    "deep_grey",
    "cerebellar_white",
    "cerebellar_grey",
    "brainstem",
    "csf",
    "soft_tissue",
    "fat",
    "bone",
)
"""Order of every array that has a tissue axis."""

BRAIN = ("white", "cortex", "deep_grey", "cerebellar_white", "cerebellar_grey", "brainstem")

LABELS: dict[str, tuple[int, ...]] = {
    "air": (0,),
    # 25, 57, 77 and 80 are lesions, 85 is the optic chiasm, 251-255 are the corpus callosum.
    "white": (2, 41, 25, 57, 77, 80, 85, 251, 252, 253, 254, 255),
    "cortex": (3, 42),
    "deep_grey": (10, 11, 12, 13, 17, 18, 26, 28, 49, 50, 51, 52, 53, 54, 58, 60),
    "cerebellar_white": (7, 46),
    "cerebellar_grey": (8, 47),
    "brainstem": (16,),
    # 30 and 62 are vessels; 31, 63, 136, 137, 163 and 164 are the choroid plexus.
    "csf": (4, 5, 14, 15, 24, 30, 31, 43, 44, 62, 63, 72, 136, 137, 163, 164),
    "soft_tissue": (502, 506, 507, 508, 512, 514, 530),
    "fat": (509, 511, 516),
    "bone": (515,),
}
"""FreeSurfer numbers (500 and above: scalp and skull) of every tissue."""


@dataclass(frozen=True, eq=False)
class Warp:
    """Mapping from a patient's world to the anatomy's: r -> linear (r + u(r)) + centre.

    Parameters
    ----------
    linear
        3x3 matrix: head tilt, scaling and shear.
    centre
        Point of the anatomy, in mm, that lies at the patient's origin.
    field
        Elastic displacement u, three fields; None for none.
    amplitude
        Standard deviation of each component of u in mm.
    """

    linear: NDArray[np.float64]
    centre: NDArray[np.float64]
    field: RandomField | None = None
    amplitude: float = 0.0

    @classmethod
    def draw(cls, rng: np.random.Generator, centre: NDArray[np.float64]) -> Warp:
        """Draw a head of random size, tilt and shape."""
        tilt = np.deg2rad(rng.normal(0, (7, 3, 4)))
        rotation = np.eye(3)
        for axis, angle in enumerate(tilt):
            i, j = [a for a in range(3) if a != axis]
            turn = np.eye(3)
            turn[i, i] = turn[j, j] = np.cos(angle)
            turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
            rotation = rotation @ turn
        shape = np.diag(rng.normal(1, 0.05, 3)) + rng.normal(0, 0.02, (3, 3))
        return cls(rotation @ shape, centre, RandomField.draw(rng, 30.0, 3), rng.uniform(0.5, 2.5))

    def displacement(self, points: FloatArray) -> FloatArray:
        """Return u in mm, of shape (..., 3), at the patient's points (..., 3)."""
        if self.field is None:
            return np.zeros_like(points)
        return np.float32(self.amplitude) * self.field(points)

    def __call__(self, points: FloatArray, displacement: FloatArray) -> FloatArray:
        """Return the anatomy's points for patient points and their displacements (..., 3)."""
        moved = (points + displacement) @ self.linear.T.astype(np.float32)
        return moved + self.centre.astype(np.float32)


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A hard tissue map of one head.

    Parameters
    ----------
    name
        Its source, for records.
    tissue
        Index into `TISSUES`, of shape (X, Y, Z).
    affine
        4x4 voxel-to-world matrix in mm.
    """

    name: str
    tissue: NDArray[np.uint8]
    affine: NDArray[Any]

    @classmethod
    def load(cls, path: str | Path) -> Anatomy:
        """Read a FreeSurfer label map.

        Raises
        ------
        FormatError
            If the file cannot be read, holds a label that is not in `LABELS`, or has no cerebral
            white matter.
        """
        volume = read_volume(Path(path))
        labels = np.rint(volume.data).astype(np.int64)
        table = np.full(1024, 255, np.uint8)
        for index, tissue in enumerate(TISSUES):
            table[list(LABELS[tissue])] = index
        found = np.unique(labels)
        unknown = [int(n) for n in found if not 0 <= n < 1024 or table[n] == 255]
        if unknown:
            raise FormatError(
                f"{path}: labels {unknown} are unknown. "
                "Use a FreeSurfer label map, or add them to LABELS in ftddm_core.phantom.anatomy."
            )
        tissues = table[labels]
        if not (tissues == TISSUES.index("white")).any():
            raise FormatError(
                f"{path} has no cerebral white matter (labels 2 and 41). Is it a label "
                "map of a whole head?"
            )
        return cls(Path(path).name.split(".")[0], tissues, volume.affine)

    def centre_of_brain(self) -> NDArray[np.float64]:
        """Return the mean world position of the brain's voxels in mm, shape (3,)."""
        inside = np.isin(self.tissue, [TISSUES.index(t) for t in BRAIN])
        mean = np.append(np.argwhere(inside).mean(0), 1)
        result: NDArray[np.float64] = (self.affine @ mean)[:3]
        return result

    def fractions(
        self, shape: tuple[int, int, int], affine: NDArray[Any], warp: Warp
    ) -> FloatArray:
        """Return each tissue's share of each voxel of a grid in the patient's world.

        The labels are sampled on a lattice of points about 1.2 mm apart in every voxel; their
        shares are the partial volumes.

        Returns
        -------
        array
            Shares in 0..1 that sum to 1, of shape (tissues, X, Y, Z).
        """
        centres = world_points(shape, affine)
        displacement = warp.displacement(centres)
        to_index = np.linalg.inv(self.affine).astype(np.float32)
        top = np.array(self.tissue.shape) - 1
        share = np.zeros((len(TISSUES), *shape), np.float32)
        offsets = list(sub_points(affine))
        for offset in offsets:
            points = warp(centres + offset, displacement)
            index = np.rint(points @ to_index[:3, :3].T + to_index[:3, 3]).astype(np.int32)
            inside = ((index >= 0) & (index <= top)).all(-1)
            i, j, k = np.moveaxis(np.clip(index, 0, top), -1, 0)
            tissue = np.where(inside, self.tissue[i, j, k], 0)
            for number in range(len(TISSUES)):
                share[number] += tissue == number
        return share / np.float32(len(offsets))


def world_points(shape: tuple[int, int, int], affine: NDArray[Any]) -> FloatArray:
    """Return the world positions (X, Y, Z, 3) in mm of a grid's voxel centres."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).astype(np.float32)
    points: FloatArray = index @ affine[:3, :3].T.astype(np.float32)
    return points + affine[:3, 3].astype(np.float32)


def brain_of(fractions: FloatArray) -> FloatArray:
    """Return the share (X, Y, Z) of brain and its fluid in each voxel."""
    return np.asarray(fractions[[TISSUES.index(name) for name in (*BRAIN, "csf")]].sum(0))


def voxel_size(points: FloatArray) -> NDArray[np.float64]:
    """Return the size (3,) in mm of voxels centred at `world_points` (X, Y, Z, 3).

    Along an axis of one voxel it is infinite.
    """
    size = np.full(3, np.inf)
    for axis in range(3):
        line = np.moveaxis(points, axis, 0)[:2, 0, 0]
        if len(line) == 2:
            size[axis] = np.linalg.norm(line[1] - line[0])
    return size


def sub_points(affine: NDArray[Any], spacing: float = 1.2) -> Iterator[FloatArray]:
    """Yield offsets in mm, shape (3,), that fill a voxel evenly about `spacing` mm apart."""
    size = np.linalg.norm(affine[:3, :3], axis=0)
    counts = np.maximum(1, np.rint(size / spacing)).astype(int)
    steps = [(np.arange(n) + 0.5) / n - 0.5 for n in counts]
    for fraction in product(*steps):
        yield (affine[:3, :3] @ np.array(fraction)).astype(np.float32)
