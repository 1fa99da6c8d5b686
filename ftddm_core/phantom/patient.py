"""A simulated patient: a function of world coordinates, read on any grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.phantom.acquisition import measure, quality_mask
from ftddm_core.phantom.anatomy import BRAIN, TISSUES, Anatomy, Warp, world_points
from ftddm_core.phantom.contrast import Contrast
from ftddm_core.phantom.fields import RandomField
from ftddm_core.phantom.lesion import Glioma, LesionMap
from ftddm_core.phantom.metabolites import METABOLITES, Metabolism, regional_variation

FloatArray = NDArray[np.float32]

UNIT = "mM"


@dataclass(frozen=True, eq=False)
class Patient:
    """Everything that is random about one patient, drawn once.

    Parameters
    ----------
    anatomy, warp
        The head, and how this patient's differs from it.
    metabolism
        Concentrations of tissues and tumour, and the noise level.
    region
        1 + n_metabolites smooth fields: variation within tissues.
    hot_spots
        n_metabolites fields: each metabolite's own heterogeneity inside the tumour.
    contrast
        The MRI.
    glioma
        The tumour; None for a healthy volunteer.
    """

    anatomy: Anatomy
    warp: Warp
    metabolism: Metabolism
    region: RandomField
    hot_spots: RandomField
    contrast: Contrast
    glioma: Glioma | None

    @classmethod
    def draw(
        cls, anatomy: Anatomy, rng: np.random.Generator, glioma: bool | None = None
    ) -> Patient:
        """Draw a patient; `glioma` None leaves it to chance (3 in 4)."""
        warp = Warp.draw(rng, anatomy.centre_of_brain())
        has_glioma = rng.random() < 0.75
        centre = _site(anatomy, warp, rng)
        tumour = Glioma.draw(rng, centre)
        return cls(
            anatomy=anatomy,
            warp=warp,
            metabolism=Metabolism.draw(rng),
            region=RandomField.draw(rng, 22.0, 1 + len(METABOLITES)),
            hot_spots=RandomField.draw(rng, 8.0, len(METABOLITES)),
            contrast=Contrast.draw(rng),
            glioma=tumour if (has_glioma if glioma is None else glioma) else None,
        )

    def fractions(self, shape: tuple[int, int, int], affine: NDArray[Any]) -> FloatArray:
        """Return the tissue shares (tissues, X, Y, Z) on a grid in this patient's world."""
        return self.anatomy.fractions(shape, affine, self.warp)

    def concentrations(self, fractions: FloatArray, points: FloatArray) -> FloatArray:
        """Return noise-free concentrations (metabolites, X, Y, Z) in mM."""
        factor = regional_variation(self.region(points))
        healthy = np.einsum("txyz,tm->xyzm", fractions, self.metabolism.healthy) * factor
        if self.glioma is None:
            return np.moveaxis(healthy, -1, 0)
        lesion = self.glioma(points)
        brain = sum(fractions[TISSUES.index(t)] for t in BRAIN)
        spots = np.clip(1 + 0.2 * self.hot_spots(points), 0.4, 1.6)
        tumour = self.metabolism.tumour * spots * np.asarray(brain)[..., None]
        cells = np.minimum(lesion.cells, 1)[..., None]
        mixed = (1 - cells) * healthy + lesion.cells[..., None] * tumour
        return np.moveaxis(mixed * (1 - 0.95 * lesion.necrosis[..., None]), -1, 0)

    def mri(
        self, fractions: FloatArray, points: FloatArray, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        """Return T1w and FLAIR (X, Y, Z) on the grid of the given fractions and points."""
        zero = np.zeros(points.shape[:-1], np.float32)
        lesion = self.glioma(points) if self.glioma else LesionMap(zero, zero, zero, zero)
        parts = np.stack([lesion.solid, lesion.oedema, lesion.necrosis])
        brain = np.asarray(sum(fractions[TISSUES.index(t)] for t in BRAIN))
        parts = parts * brain
        remaining = 1 - parts.sum(0) / np.maximum(brain, 1e-6)
        composition = np.concatenate([fractions, parts])
        for name in BRAIN:
            composition[TISSUES.index(name)] *= np.clip(remaining, 0, 1)
        return self.contrast.images(composition, points, rng)


def _site(anatomy: Anatomy, warp: Warp, rng: np.random.Generator) -> FloatArray:
    """Return a random point of cerebral white matter in the patient's world, in mm."""
    white = np.argwhere(anatomy.tissue == TISSUES.index("white"))
    index = np.append(white[rng.integers(len(white))], 1)
    offset = (anatomy.affine @ index)[:3] - warp.centre
    point: FloatArray = np.linalg.solve(warp.linear, offset).astype(np.float32)
    return point


def axial_affine(
    matrix: tuple[int, int], n_slices: int, voxel: tuple[float, float, float], height: float = 0.0
) -> NDArray[np.float64]:
    """Return the affine in mm of an axial slab around the patient's origin, `height` mm above."""
    affine = np.diag([*voxel, 1.0])
    extent = np.array([matrix[0], matrix[1], n_slices]) - 1
    affine[:3, 3] = -extent / 2 * np.array(voxel) + [0, 0, height]
    return affine


def simulate_study(
    patient: Patient,
    rng: np.random.Generator,
    *,
    matrix: tuple[int, int] = (64, 64),
    n_slices: int = 39,
    voxel: tuple[float, float, float] = (3.4, 3.4, 3.4),
    height: float = 0.0,
    mri_voxel: float = 1.7,
) -> tuple[Study, Study]:
    """Scan a patient at high resolution.

    Parameters
    ----------
    patient
        Who is scanned.
    rng
        Of the noise and of the failing voxels.
    matrix, n_slices, voxel, height
        In-plane matrix, slices, voxel in mm, and height in mm of the slab's middle above the
        brain's.
    mri_voxel
        Isotropic voxel of T1w and FLAIR in mm, on a grid of their own that covers the slab.

    Returns
    -------
    measured
        Noisy maps in mM, quality mask, T1w, FLAIR.
    noise_free
        The same maps without noise.
    """
    shape = (*matrix, n_slices)
    affine = axial_affine(matrix, n_slices, voxel, height)
    points = world_points(shape, affine)
    fractions = patient.fractions(shape, affine)
    truth = patient.concentrations(fractions, points)
    mask = quality_mask(fractions, affine, rng)
    deviation = patient.metabolism.noise
    noisy = [measure(c, d, rng) for c, d in zip(truth, deviation, strict=True)]

    extent = np.array(shape) * np.array(voxel)
    fine = np.ceil(extent / mri_voxel).astype(int)
    mri_shape = (int(fine[0]), int(fine[1]), int(fine[2]))
    mri_affine = axial_affine(mri_shape[:2], mri_shape[2], (mri_voxel,) * 3, height)
    mri_points = world_points(mri_shape, mri_affine)
    t1w, flair = patient.mri(patient.fractions(mri_shape, mri_affine), mri_points, rng)

    def maps(values: list[FloatArray]) -> dict[str, Volume]:
        return {
            name: Volume(value, affine, UNIT)
            for name, value in zip(METABOLITES, values, strict=True)
        }

    measured = Study(
        maps(noisy),
        mask=Volume(mask.astype(np.float32), affine),
        t1=Volume(t1w, mri_affine),
        flair=Volume(flair, mri_affine),
    )
    return measured, Study(maps(list(truth)), mask=measured.mask)
