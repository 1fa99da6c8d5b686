"""Metabolite concentrations of healthy tissue and of glioma, per patient.

Means are close to those of Pouwels & Frahm 1998 (doi 10.1002/mrm.1910390110) and, for Gly, doi
10.1002/mrm.24368, so that the grey/white ratios are those at 7 T (PMC10246065) and the ratios in
high-grade glioma near those at 7 T (Cancers 2024 16:943); see `phantom.report`. Deep grey,
cerebellum and brainstem are set between white matter and cortex, cerebellum with more creatine and
choline.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ftddm_core.conventions import TRAINED_METABOLITES
from ftddm_core.phantom.anatomy import BRAIN, TISSUES
from ftddm_core.phantom.fields import correlated_fields
from ftddm_core.phantom.lesion import LesionMap

FloatArray = NDArray[np.float32]

METABOLITES = TRAINED_METABOLITES
"""Names and order of the simulated maps."""

# mM:               tNAA   tCr   tCho   Glu   Gln   Ins   Gly
CONCENTRATIONS: dict[str, tuple[float, ...]] = {
    "white":            (9.0, 5.6, 1.45, 6.6, 1.5, 4.6, 0.45),
    "cortex":           (10.1, 6.7, 1.39, 8.8, 2.9, 4.6, 1.00),
    "deep_grey":        (9.4, 7.2, 1.60, 7.9, 2.7, 4.2, 0.80),
    "cerebellar_white": (8.0, 6.4, 1.75, 6.4, 1.8, 4.9, 0.50),
    "cerebellar_grey":  (8.6, 8.6, 1.95, 8.4, 3.1, 5.6, 0.90),
    "brainstem":        (9.6, 5.4, 2.05, 6.3, 1.7, 5.2, 0.60),
    "csf":              (0.25, 0.3, 0.06, 0.3, 0.3, 0.4, 0.04),
}  # fmt: skip

# Concentration in cellular tumour relative to white matter, and its spread (deviation of the log).
TUMOUR_RATIO = (0.30, 0.72, 2.00, 0.75, 3.00, 1.55, 3.20)
TUMOUR_SPREAD = (0.30, 0.20, 0.25, 0.25, 0.40, 0.35, 0.45)

# Deviation of the log between subjects, and within a tissue of one subject.
SUBJECT_SPREAD = (0.05, 0.05, 0.09, 0.06, 0.12, 0.10, 0.20)
TISSUE_SPREAD = (0.04, 0.04, 0.07, 0.05, 0.09, 0.08, 0.12)
REGIONAL_SPREAD = (0.05, 0.05, 0.08, 0.05, 0.10, 0.09, 0.12)
AGE_TREND = (-0.0015, 0.0010, 0.0030, -0.0020, 0.0010, 0.0035, 0.0)
"""Relative change per year from the age of 50: NAA and Glu fall, choline and inositol rise. Only
the directions are well established; the sizes are set to some per cent per decade."""
AGES = (20.0, 80.0)
SHARED_VARIATION = 0.5
"""Correlation between any two metabolites' variation, caused by cell density."""

NOISE = (0.035, 0.035, 0.045, 0.045, 0.07, 0.055, 0.08)
"""Standard deviation of the noise relative to the mean of white matter and cortex (the CRLB), for
any voxel: smaller voxels are assumed to be scanned for longer."""


@dataclass(frozen=True, eq=False)
class Metabolism:
    """One patient's concentrations.

    Parameters
    ----------
    healthy
        Concentration in mM, of shape (tissues, metabolites).
    tumour
        Concentration in mM in purely cellular tumour, of shape (metabolites,).
    noise
        Standard deviation in mM of a high-resolution map's noise, of shape (metabolites,).
    """

    healthy: FloatArray
    tumour: FloatArray
    noise: FloatArray

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Metabolism:
        """Draw a patient: subject, age and tissue factors, tumour ratios and noise level."""
        mean = np.zeros((len(TISSUES), len(METABOLITES)))
        for tissue, values in CONCENTRATIONS.items():
            mean[TISSUES.index(tissue)] = values
        subject = np.exp(correlated(rng.standard_normal(len(METABOLITES)), rng) * SUBJECT_SPREAD)
        within = np.exp(rng.standard_normal(mean.shape) * TISSUE_SPREAD)
        ageing = 1 + (rng.uniform(*AGES) - 50) * np.array(AGE_TREND)
        healthy = mean * subject * within * ageing
        white, cortex = healthy[TISSUES.index("white")], healthy[TISSUES.index("cortex")]
        ratio = TUMOUR_RATIO * np.exp(rng.standard_normal(len(METABOLITES)) * TUMOUR_SPREAD)
        noise = np.array(NOISE) * rng.uniform(0.5, 1.25) * (white + cortex) / 2
        return cls(
            healthy.astype(np.float32),
            (white * ratio).astype(np.float32),
            noise.astype(np.float32),
        )


def correlated(independent: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Mix a shared factor into independent unit normals (metabolites,)."""
    shared = rng.standard_normal()
    mixed: NDArray[np.float64] = (
        np.sqrt(SHARED_VARIATION) * shared + np.sqrt(1 - SHARED_VARIATION) * independent
    )
    return mixed


def regional_variation(fields: FloatArray) -> FloatArray:
    """Turn 1 + n_metabolites smooth unit fields (..., 1 + n) into factors (..., n) around 1."""
    mixed = correlated_fields(fields, SHARED_VARIATION)
    factors: FloatArray = np.exp(mixed * np.array(REGIONAL_SPREAD, np.float32))
    return factors


def concentrations(
    metabolism: Metabolism,
    fractions: FloatArray,
    region: FloatArray,
    hot_spots: FloatArray,
    lesion: LesionMap | None,
) -> FloatArray:
    """Return noise-free concentrations (metabolites, X, Y, Z) in mM.

    Parameters
    ----------
    metabolism
        The patient's.
    fractions
        Tissue shares (tissues, X, Y, Z).
    region
        1 + n_metabolites smooth unit fields (X, Y, Z, 1 + n): variation within tissues.
    hot_spots
        n_metabolites unit fields (X, Y, Z, n): heterogeneity of each metabolite inside a tumour.
    lesion
        The tumour's parts; None without one.
    """
    mixed = np.einsum("txyz,tm->xyzm", fractions, metabolism.healthy) * regional_variation(region)
    if lesion is not None:
        brain = np.asarray(sum(fractions[TISSUES.index(name)] for name in BRAIN))
        spots = np.clip(1 + 0.2 * hot_spots, 0.4, 1.6)
        tumour = metabolism.tumour * spots * brain[..., None]
        cells = lesion.cells[..., None]
        mixed = (1 - np.minimum(cells, 1)) * mixed + cells * tumour
        mixed = mixed * (1 - 0.95 * lesion.necrosis[..., None])
    return np.asarray(np.moveaxis(mixed, -1, 0), np.float32)
