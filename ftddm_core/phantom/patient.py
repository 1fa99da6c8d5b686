"""A simulated patient: a function of world coordinates that can be evaluated on any grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.imaging.fourier import Matrix
from ftddm_core.imaging.geometry import refined_affine
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.phantom.acquisition import lipid_rim, quality_mask, wild_fits
from ftddm_core.phantom.anatomy import BRAIN, TISSUES, Anatomy, Warp, world_points
from ftddm_core.phantom.contrast import Contrast
from ftddm_core.phantom.excitation import Excitation
from ftddm_core.phantom.fields import RandomField
from ftddm_core.phantom.lesion import Glioma, LesionMap
from ftddm_core.phantom.metabolites import METABOLITES, Metabolism, concentrations
from ftddm_core.phantom.scan import Sampling, measure, scan_again

FloatArray = NDArray[np.float32]

UNIT = "mM"


@dataclass(frozen=True, eq=False)
class Patient:
    """All random properties of one patient, drawn once.

    Parameters
    ----------
    anatomy, warp
        The head, and this patient's deformation of it.
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
    misregistration
        4x4 rigid motion in mm between the maps and the MRI (T1w and FLAIR are registered to each
        other).
    """

    anatomy: Anatomy
    warp: Warp
    metabolism: Metabolism
    region: RandomField
    hot_spots: RandomField
    contrast: Contrast
    glioma: Glioma | None
    misregistration: NDArray[np.float64]

    @classmethod
    def draw(
        cls, anatomy: Anatomy, rng: np.random.Generator, glioma: bool | None = None
    ) -> Patient:
        """Draw a patient; for `glioma` None, 3 in 4 have a tumour."""
        warp = Warp.draw(rng, anatomy.centre_of_brain())
        has_glioma = rng.random() < 0.75
        centre = site(anatomy, warp, rng)
        tumour = Glioma.draw(rng, centre)
        return cls(
            anatomy=anatomy,
            warp=warp,
            metabolism=Metabolism.draw(rng),
            region=RandomField.draw(rng, 22.0, 1 + len(METABOLITES)),
            hot_spots=RandomField.draw(rng, 8.0, len(METABOLITES)),
            contrast=Contrast.draw(rng),
            glioma=tumour if (has_glioma if glioma is None else glioma) else None,
            misregistration=rigid_motion(rng),
        )

    def draw_box(self, rng: np.random.Generator) -> Excitation:
        """Draw an excited box that contains the tumour's centre."""
        tumour = None if self.glioma is None else self.glioma.centre
        return Excitation.draw(rng, None if tumour is None else (tumour[0], tumour[1]))

    def fractions(self, shape: tuple[int, int, int], affine: NDArray[Any]) -> FloatArray:
        """Return the tissue shares (tissues, X, Y, Z) on a grid in this patient's world."""
        return self.anatomy.fractions(shape, affine, self.warp)

    def concentrations(self, fractions: FloatArray, points: FloatArray) -> FloatArray:
        """Return noise-free concentrations (metabolites, X, Y, Z) in mM."""
        return concentrations(
            self.metabolism,
            fractions,
            self.region(points),
            self.hot_spots(points),
            self.glioma(points) if self.glioma else None,
        )

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

    def trusted(
        self, fractions: FloatArray, affine: NDArray[Any], points: FloatArray,
        rng: np.random.Generator,
    ) -> NDArray[np.bool_]:  # fmt: skip
        """Return the voxels (X, Y, Z) whose fit passes quality control."""
        return quality_mask(fractions, affine, rng)


def rigid_motion(
    rng: np.random.Generator, degrees: float = 0.5, mm: float = 0.5
) -> NDArray[np.float64]:
    """Draw a rigid motion (4, 4) about the origin.

    Parameters
    ----------
    rng
        Random generator.
    degrees, mm
        Standard deviation of each rotation and of each shift.
    """
    x, y, z = np.deg2rad(rng.normal(0, degrees, 3))
    # A rotation to first order; the QR decomposition makes it exact.
    turned, upper = np.linalg.qr(np.array([[1, -z, y], [z, 1, -x], [-y, x, 1]]))
    motion = np.eye(4)
    motion[:3, :3] = turned * np.sign(np.diag(upper))
    motion[:3, 3] = rng.normal(0, mm, 3)
    return motion


def site(anatomy: Anatomy, warp: Warp, rng: np.random.Generator) -> FloatArray:
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


@dataclass(frozen=True, eq=False)
class Slab:
    """The content of a slab of a patient, before the scan.

    Parameters
    ----------
    affine
        4x4 voxel-to-world matrix of the maps in mm.
    fractions
        Tissue shares (tissues, X, Y, Z).
    truth
        Concentrations in mM, averaged over each voxel, times the share that is excited
        (metabolites, X, Y, Z).
    lipid
        Signal of the scalp's fat (X, Y, Z); `lipid_amount` (metabolites,) is its contribution in mM
        to each fitted map.
    deviation
        Standard deviation of the noise in mM, (metabolites,).
    mask
        Voxels (X, Y, Z) whose fit passes quality control.
    t1, flair
        MRI on a grid of their own.
    """

    affine: NDArray[np.float64]
    fractions: FloatArray
    truth: FloatArray
    lipid: FloatArray
    lipid_amount: FloatArray
    deviation: FloatArray
    mask: NDArray[np.bool_]
    t1: Volume
    flair: Volume


def lay_slab(
    patient: Patient,
    rng: np.random.Generator,
    *,
    matrix: tuple[int, int] = (64, 64),
    n_slices: int = 39,
    voxel: tuple[float, float, float] = (3.4, 3.4, 3.4),
    height: float = 0.0,
    mri_voxel: float = 1.7,
    box: Excitation | None = None,
) -> Slab:
    """Lay a slab through a patient; parameters as for `simulate_study`."""
    shape = (*matrix, n_slices)
    affine = axial_affine(matrix, n_slices, voxel, height)
    fractions = patient.fractions(shape, affine)

    extent = np.array(shape) * np.array(voxel)
    fine = np.ceil(extent / mri_voxel).astype(int)
    mri_shape = (int(fine[0]), int(fine[1]), int(fine[2]))
    mri_affine = axial_affine(mri_shape[:2], mri_shape[2], (mri_voxel,) * 3, height)
    # The files state `mri_affine`, but the anatomy is slightly displaced from it.
    there = patient.misregistration @ mri_affine
    t1w, flair = patient.mri(
        patient.fractions(mri_shape, there), world_points(mri_shape, there), rng
    )
    white = patient.metabolism.healthy[TISSUES.index("white")]
    points = world_points(shape, affine)
    truth = patient.concentrations(fractions, points)
    lipid, amount = lipid_rim(fractions, affine, rng), _lipid_amount(white, rng)
    mask = patient.trusted(fractions, affine, points, rng)
    if box is not None:
        share = box(points)
        truth, lipid = truth * share, lipid * share.mean(0)
        mask &= box.passes(points)
    return Slab(
        affine=affine,
        fractions=fractions,
        truth=truth,
        lipid=lipid,
        lipid_amount=amount,
        deviation=patient.metabolism.noise,
        mask=mask,
        t1=Volume(t1w, mri_affine),
        flair=Volume(flair, mri_affine),
    )


def _lipid_amount(white: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return the lipid contamination of each fit: two in five have none."""
    amount = rng.uniform(0, 1, white.shape) * (rng.random(white.shape) < 0.6)
    return (white * amount).astype(np.float32)


def simulate_study(
    patient: Patient,
    rng: np.random.Generator,
    *,
    matrix: tuple[int, int] = (64, 64),
    n_slices: int = 39,
    voxel: tuple[float, float, float] = (3.4, 3.4, 3.4),
    height: float = 0.0,
    mri_voxel: float = 1.7,
    box: Excitation | None = None,
    sampling: Sampling | None = None,
) -> tuple[Study, Study]:
    """Scan a patient at high resolution.

    Parameters
    ----------
    patient
        The patient to scan.
    rng
        Random generator of noise, failing voxels and k-space sampling.
    matrix, n_slices, voxel, height
        In-plane matrix, slices, voxel in mm, and height in mm of the slab's middle above the
        brain's.
    mri_voxel
        Isotropic voxel of T1w and FLAIR in mm, on a grid of their own that covers the slab.
    box
        Excited box, see `Patient.draw_box`; None for the whole head.
    sampling
        How k-space is sampled; None draws it.

    Returns
    -------
    measured
        Fitted maps in mM with the scan's point spread, noise, lipids and, outside the mask,
        outliers; quality mask, T1w, FLAIR.
    noise_free
        The same maps with nothing but the point spread.
    """
    slab = lay_slab(
        patient,
        rng,
        matrix=matrix,
        n_slices=n_slices,
        voxel=voxel,
        height=height,
        mri_voxel=mri_voxel,
        box=box,
    )
    return scan_slab(slab, rng, sampling)


def scan_slab(
    slab: Slab, rng: np.random.Generator, sampling: Sampling | None = None
) -> tuple[Study, Study]:
    """Scan a slab at high resolution; returns the same as `simulate_study`."""
    sampling = Sampling.draw(rng) if sampling is None else sampling
    failing = ~slab.mask & (slab.fractions[TISSUES.index("air")] < 0.5)
    noisy, exact = {}, {}
    for name, truth, amount, deviation in zip(
        METABOLITES, slab.truth, slab.lipid_amount, slab.deviation, strict=True
    ):
        shown = measure(sampling.blur(truth + amount * slab.lipid), deviation, rng, sampling)
        noisy[name] = Volume(wild_fits(shown, failing, rng), slab.affine, UNIT)
        exact[name] = Volume(np.maximum(sampling.blur(truth), 0), slab.affine, UNIT)
    mask = Volume(slab.mask.astype(np.float32), slab.affine)
    return Study(noisy, mask=mask, t1=slab.t1, flair=slab.flair), Study(exact, mask=mask)


def scan_coarsely(slab: Slab, matrix: Matrix, rng: np.random.Generator) -> Study:
    """Scan a slab at a coarse in-plane matrix (nx, ny), as for a real patient.

    The maps share a known point spread, have their own noise, and include the signal outside the
    mask. Mask and MRI are those of the high-resolution scan.
    """
    sampling = Sampling.draw(rng)
    affine = refined_affine(slab.affine, slab.mask.shape[:2], matrix)
    maps = {}
    for name, truth, amount, deviation in zip(
        METABOLITES, slab.truth, slab.lipid_amount, slab.deviation, strict=True
    ):
        signal = truth + amount * slab.lipid
        seen = scan_again(signal, matrix, float(deviation), rng, sampling)
        maps[name] = Volume(np.asarray(seen, np.float32), affine, UNIT)
    mask = Volume(slab.mask.astype(np.float32), slab.affine)
    return Study(maps, mask=mask, t1=slab.t1, flair=slab.flair, window=sampling)
