r"""Simulated metabolites on a real examination: MRI and tumour are real, concentrations simulated.

Tissue comes from T1w and FLAIR of a skull-stripped head, see `tissue_classes`: fluid, grey and
white matter by intensity, after a correction of the slow shading, with the typical share of white
matter. This is approximate: deep nuclei and cerebellum count as cortex and cerebral white matter,
and tissue under the tumour as white matter. There is no scalp, so the maps have no lipid rim, and
fits do not fail near it.

The tumour comes from a segmentation with the labels of the BraTS challenge: 1 necrosis and
non-enhancing core, 2 oedema, 4 (or 3) enhancing tumour. Label 1 counts as necrosis if there is
enhancing tumour, otherwise as solid tumour. With d the distance in mm to the solid tumour and
necrosis, made uneven by a smooth random field, the density of tumour cells is

    cells = activity (1 + rim exp(-d^2 / 9)) (1 + 0.25 texture) exp(-max(d, 0) / reach),

as `ftddm_core.phantom.lesion` has it: it extends through the oedema and beyond its edge.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ftddm_core.errors import FormatError, GeometryError
from ftddm_core.imaging.geometry import regrid_mean
from ftddm_core.imaging.io.nifti import read_volume
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.phantom.acquisition import quality_mask, wild_fits
from ftddm_core.phantom.anatomy import TISSUES, world_points
from ftddm_core.phantom.fields import RandomField
from ftddm_core.phantom.lesion import ACTIVITY, REACH, LesionMap
from ftddm_core.phantom.metabolites import METABOLITES, Metabolism, concentrations
from ftddm_core.phantom.patient import UNIT, axial_affine
from ftddm_core.phantom.scan import Sampling, measure
from ftddm_core.phantom.segmentation import CLASSES, tissue_classes

FloatArray = NDArray[np.float32]
Mask = NDArray[np.bool_]

FILES = {
    "T1w": "T1w.nii*",
    "FLAIR": "FLAIR.nii*",
    "segmentation": "tumour_segmentation*.nii*",
}
"""Images read from a folder, and their file names."""

LABELS = (0, 1, 2, 3, 4)
SOFTNESS = 1.0
"""Standard deviation in mm of the Gaussian that blurs the labels' edges."""


def study_from_mri(
    folder: Path,
    rng: np.random.Generator,
    *,
    matrix: tuple[int, int] = (64, 64),
    n_slices: int = 39,
    voxel: tuple[float, float, float] = (3.4, 3.4, 3.4),
    sampling: Sampling | None = None,
) -> tuple[Study, Study, Volume]:
    """Simulate the maps of a real patient with a segmented tumour.

    Parameters
    ----------
    folder
        With T1w, FLAIR and a tumour segmentation, co-registered and skull-stripped; see `FILES`.
    rng
        Of metabolism, cells and noise.
    matrix, n_slices, voxel
        In-plane matrix, slices and voxel in mm of the axial maps. They are centred on the brain in
        the plane, and on the tumour in height as far as the slab still covers brain.
    sampling
        How k-space is sampled; None draws it.

    Returns
    -------
    measured
        Maps in mM with noise and outliers, quality mask, and the real T1w and FLAIR, clipped at 0.
    noise_free
        The same maps with nothing but the point spread.
    tumour
        Share of solid tumour in each voxel of the maps.

    Raises
    ------
    FormatError
        If a file is missing, the segmentation holds other labels, or the T1w shows no brain.
    GeometryError
        If the files do not share one grid.
    """
    images = {role: _find(Path(folder), role) for role in FILES}
    _check(images)
    whole = _head(images["T1w"].data)
    if not whole.any():
        raise FormatError(f"{folder}: the T1w is empty, it shows no brain.")
    t1w, flair, labels = (_cropped(image, whole) for image in images.values())
    head = _cropped(images["T1w"].with_data(whole.astype(np.float32)), whole).data > 0
    affine = _slab(t1w, head, labels.data > 0, matrix, n_slices, voxel)
    shape = (*matrix, n_slices)
    classes = tissue_classes(t1w, flair, head, labels.data > 0)
    fractions = np.zeros((len(TISSUES), *shape), np.float32)
    for number, name in enumerate(CLASSES):
        share = t1w.with_data((head & (classes == number)).astype(np.float32))
        fractions[TISSUES.index(name)] = regrid_mean(share, shape, affine).data
    fractions[TISSUES.index("air")] = np.clip(1 - fractions.sum(0), 0, 1)

    lesion = lesion_from_labels(labels, shape, affine, rng)
    metabolism = Metabolism.draw(rng)
    points = world_points(shape, affine)
    region = RandomField.draw(rng, 22.0, 1 + len(METABOLITES))(points)
    hot_spots = RandomField.draw(rng, 8.0, len(METABOLITES))(points)
    truth = concentrations(metabolism, fractions, region, hot_spots, lesion)
    passing = quality_mask(fractions, affine, rng)
    sampling = Sampling.draw(rng) if sampling is None else sampling
    failing = ~passing & (fractions[TISSUES.index("air")] < 0.5)
    noisy, exact = {}, {}
    for name, true_map, deviation in zip(METABOLITES, truth, metabolism.noise, strict=True):
        seen = sampling.blur(true_map)
        measured = wild_fits(measure(seen, deviation, rng, sampling), failing, rng)
        noisy[name] = Volume(measured, affine, UNIT)
        exact[name] = Volume(np.maximum(seen, 0), affine, UNIT)
    mask = Volume(passing.astype(np.float32), affine)
    real = (_clipped(images["T1w"]), _clipped(images["FLAIR"]))
    return Study(noisy, mask, *real), Study(exact, mask), Volume(lesion.solid, affine)


def lesion_from_labels(
    labels: Volume, shape: tuple[int, int, int], affine: NDArray[Any], rng: np.random.Generator
) -> LesionMap:
    """Return a segmented tumour's parts on a grid; see the module's text.

    Parameters
    ----------
    labels
        0 to 4 as `LABELS`.
    shape, affine
        Matrix (X, Y, Z) and 4x4 affine in mm of the grid.
    rng
        Of the cells.
    """
    data = np.rint(labels.data)
    enhancing = (data == 3) | (data == 4)
    core = enhancing | (data == 1)
    necrosis = (data == 1) & enhancing.any()
    size = np.array(labels.voxel_size)

    def part(mask: Mask) -> FloatArray:
        soft = ndimage.gaussian_filter(mask.astype(np.float32), SOFTNESS / size)
        return np.asarray(regrid_mean(labels.with_data(soft), shape, affine).data, np.float32)

    activity, rim = rng.uniform(*ACTIVITY), rng.uniform(0, 0.4)
    reach, unevenness = rng.uniform(*REACH), RandomField.draw(rng, rng.uniform(7, 12))
    texture = RandomField.draw(rng, rng.uniform(4, 9))
    if not core.any():
        core = data == 2  # a tumour visible as oedema only
        activity *= 0.6
    if not core.any():
        none = np.zeros(shape, np.float32)
        return LesionMap(none, none, none, none)
    distance = ndimage.distance_transform_edt(~core, sampling=size)
    depth = ndimage.distance_transform_edt(core, sampling=size)
    signed = labels.with_data((distance - depth).astype(np.float32))
    points = world_points(shape, affine)
    beyond = _everywhere(signed, shape, affine) + 2 * unevenness(points)[..., 0]
    ring = 1 + rim * np.exp(-((beyond / 3) ** 2))
    density = activity * ring * (1 + 0.25 * texture(points)[..., 0])
    cells = np.clip(density * np.exp(-np.maximum(beyond, 0) / reach), 0, 1.15)
    dead = part(necrosis)
    return LesionMap(
        necrosis=dead,
        cells=(cells * (1 - dead)).astype(np.float32),
        solid=part(core & ~necrosis & (data != 2)),
        oedema=part(data == 2),
    )


def _find(folder: Path, role: str) -> Volume:
    found = sorted(folder.glob(FILES[role]))
    if len(found) != 1:
        raise FormatError(
            f"{folder} holds {len(found)} files named {FILES[role]}; one is needed as the {role}."
        )
    return read_volume(found[0])


def _check(images: dict[str, Volume]) -> None:
    """Refuse images that do not share one grid, and unknown labels."""
    t1w = images["T1w"]
    for role, image in images.items():
        if image.shape != t1w.shape or not np.allclose(image.affine, t1w.affine, atol=1e-2):
            raise GeometryError(
                f"The {role} has matrix {image.shape} and the T1w {t1w.shape}, or another affine: "
                "bring all images onto one grid first."
            )
    found = np.unique(np.rint(images["segmentation"].data)).astype(int).tolist()
    if other := sorted(set(found) - set(LABELS)):
        raise FormatError(f"The segmentation holds the labels {other}; known are {list(LABELS)}.")


def _head(t1w: NDArray[Any]) -> Mask:
    """Return the largest connected region above 0, with holes filled."""
    parts, count = ndimage.label(ndimage.binary_opening(t1w > 0))
    if not count:
        return np.zeros(t1w.shape, bool)
    largest = 1 + int(np.bincount(parts.ravel())[1:].argmax())
    filled: Mask = ndimage.binary_fill_holes(parts == largest)
    return filled


def _slab(
    t1w: Volume,
    head: Mask,
    lesion: Mask,
    matrix: tuple[int, int],
    n_slices: int,
    voxel: tuple[float, float, float],
) -> NDArray[np.float64]:
    """Return the affine in mm of the maps."""
    brain = world_points(t1w.shape, t1w.affine)[head]
    low, high = brain.min(0), brain.max(0)
    centre = (low + high) / 2
    if lesion.any():
        tumour = float((t1w.affine @ np.append(np.argwhere(lesion).mean(0), 1))[2])
        room = max(0.0, float(high[2] - low[2]) - n_slices * voxel[2]) / 2
        centre[2] = np.clip(tumour, centre[2] - room, centre[2] + room)
    affine = axial_affine(matrix, n_slices, voxel)
    affine[:3, 3] += centre
    return affine


def _everywhere(image: Volume, shape: tuple[int, int, int], affine: NDArray[Any]) -> FloatArray:
    """Return an image at a grid's voxel centres, extrapolated by its outermost values."""
    to_index = np.linalg.inv(image.affine)
    index = world_points(shape, affine) @ to_index[:3, :3].T + to_index[:3, 3]
    found = ndimage.map_coordinates(image.data, np.moveaxis(index, -1, 0), order=1, mode="nearest")
    return np.asarray(found, np.float32)


def _clipped(image: Volume) -> Volume:
    """Return an image without the slightly negative values from resampling."""
    return image.with_data(np.maximum(image.data, 0))


def _cropped(image: Volume, head: Mask) -> Volume:
    """Return the image cropped to a head with a margin of two voxels."""
    found = np.argwhere(head)
    low, high = np.maximum(found.min(0) - 2, 0), found.max(0) + 3
    box = tuple(slice(*ends) for ends in zip(low, high, strict=True))
    affine = image.affine.copy()
    affine[:3, 3] += image.affine[:3, :3] @ low
    return Volume(image.data[box], affine)
