"""Images whose values are known at every point of the world, and grids to sample them on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ftddm_core.imaging.volume import FloatArray, Volume
from ftddm_core.settings import SamplerSettings, controls

Shape = tuple[int, int, int]


def oblique_affine(
    shape: Shape,
    voxel_size: tuple[float, float, float] = (2.0, 2.5, 4.0),
    angles: tuple[float, float, float] = (10.0, -15.0, 20.0),
    centre: tuple[float, float, float] = (3.0, -12.0, 25.0),
    flip: tuple[int, int, int] = (1, 1, 1),
) -> FloatArray:
    """Return an affine in mm: turned by Euler angles in degrees, the matrix centred in the world.

    `flip` holds -1 for each voxel axis that runs backwards; an odd number of them gives a
    left-handed grid, as most scanners export.
    """
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * voxel_size
    affine[:3, :3] *= flip
    affine[:3, 3] = np.array(centre) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def world_of(shape: Shape, affine: FloatArray) -> FloatArray:
    """Return the world coordinates in mm (X, Y, Z, 3) of the voxel centres."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return index @ affine[:3, :3].T + affine[:3, 3]


def linear(shape: Shape, affine: FloatArray) -> Volume:
    """Sample f(x, y, z) = 100 + x - 2 y + 3 z: trilinear interpolation reproduces it."""
    return Volume(100 + world_of(shape, affine) @ np.array([1.0, -2.0, 3.0]), affine)


def head(shape: Shape, affine: FloatArray) -> Volume:
    """Sample a smooth head that no flip or exchange of axes maps onto itself.

    A ball around (3, -12, 25) mm, with a bright spot on the right, a weaker one in front and a dark
    one on top.
    """
    world = world_of(shape, affine) - np.array([3.0, -12.0, 25.0])

    def spot(centre: tuple[float, float, float], width: float) -> FloatArray:
        return np.exp(-np.sum((world - centre) ** 2, axis=-1) / (2 * width**2))

    data = spot((0, 0, 0), 25) + spot((20, 0, 0), 8) + 0.5 * spot((0, 20, 0), 8)
    return Volume(data - 0.5 * spot((0, 0, 20), 8), affine)


def relative_error(found: FloatArray, expected: FloatArray) -> float:
    """Return |found - expected| / |expected|, euclidean."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def save_nifti(
    path: Path,
    data: NDArray[Any],
    affine: FloatArray,
    image: type[nib.Nifti1Image] = nib.Nifti1Image,
    **header: Any,
) -> Path:
    """Write an image of any kind with nibabel, not with this project's own writer."""
    made = image(data, affine, dtype=None if data.dtype.names else data.dtype)
    for key, value in header.items():
        made.header[key] = value
    nib.save(made, path)
    return path


@st.composite
def grids(draw: st.DrawFn, max_size: int = 12) -> tuple[Shape, FloatArray]:
    """Draw a small grid, turned and flipped any way, with voxels of 0.8 to 12 mm."""
    x, y, z = (draw(st.integers(1, max_size)) for _ in range(3))
    sizes = (draw(st.floats(0.8, 5)), draw(st.floats(0.8, 5)), draw(st.floats(0.8, 12)))
    angles = (draw(st.floats(-180, 180)), draw(st.floats(-90, 90)), draw(st.floats(-180, 180)))
    flip = (draw(st.sampled_from((-1, 1))), 1, 1)
    return (x, y, z), oblique_affine((x, y, z), sizes, angles, flip=flip)


@st.composite
def any_settings(draw: st.DrawFn) -> SamplerSettings:
    """Draw valid settings: every control within its bounds, or empty where it may be."""
    values: dict[str, Any] = {}
    for control in controls():
        value: st.SearchStrategy[Any] = st.sampled_from(control.choices or (None,))
        if control.bounds is not None and control.type is int:
            value = st.integers(*map(int, control.bounds))
        elif control.bounds is not None:
            value = st.floats(*control.bounds)
        values[control.name] = draw(st.none() | value if control.optional else value)
    if values["steps"] is not None:
        values["steps"] = min(values["steps"], values["t_trunc"]) or None
    return SamplerSettings(**values)
