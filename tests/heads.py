"""Geometric heads: anatomies of nested ellipsoids, known exactly at every point of the world."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ftddm_core.phantom.anatomy import TISSUES, Anatomy, world_points

VENTRICLE = np.array([14.0, -10.0, 8.0])
"""Centre in mm of the one, lateral, ventricle: no flip maps the head onto itself."""

SHELLS = (
    ("fat", 1.20),
    ("bone", 1.14),
    ("csf", 1.06),
    ("cortex", 1.00),
    ("white", 0.80),
)
"""Tissue inside a multiple of the brain's semi-axes (66, 80, 62) mm, from the outside in."""


def geometric(tissue_of: NDArray[np.uint8], voxel: float, name: str = "geometric") -> Anatomy:
    """Return an anatomy whose matrix is centred on the world's origin."""
    affine = np.diag([voxel, voxel, voxel, 1.0])
    affine[:3, 3] = -voxel * (np.array(tissue_of.shape) - 1) / 2
    return Anatomy(name, tissue_of, affine)


@lru_cache
def nested_head(voxel: float = 2.0) -> Anatomy:
    """Return a head of nested ellipsoids with a ventricle, deep grey and a brainstem."""
    shape = tuple(int(np.ceil(mm / voxel)) for mm in (164.0, 196.0, 156.0))
    head = geometric(np.zeros(shape, np.uint8), voxel, "nested")
    points = world_points(shape, head.affine)
    radius = np.linalg.norm(points / np.array([66.0, 80.0, 62.0], np.float32), axis=-1)
    for tissue, size in SHELLS:
        head.tissue[radius < size] = TISSUES.index(tissue)
    for tissue, centre, size in (
        ("deep_grey", (-18.0, 6.0, 4.0), 11.0),
        ("brainstem", (0.0, -20.0, -44.0), 11.0),
        ("csf", tuple(VENTRICLE), 13.0),
    ):
        head.tissue[np.linalg.norm(points - np.float32(centre), axis=-1) < size] = TISSUES.index(
            tissue
        )
    return head


def half_space(normal: NDArray[np.float64], voxel: float = 0.5, extent: float = 40.0) -> Anatomy:
    """Return white matter where normal . r < 0 and CSF beyond, in a cube of `extent` mm."""
    n = round(extent / voxel)
    head = geometric(np.zeros((n, n, n), np.uint8), voxel, "half-space")
    side = world_points((n, n, n), head.affine) @ normal.astype(np.float32)
    head.tissue[...] = np.where(side < 0, TISSUES.index("white"), TISSUES.index("csf"))
    return head


assert all(outer[1] > inner[1] for outer, inner in pairwise(SHELLS))
