r"""Randomised patients, at least as varied as measured ones: domain randomisation.

After SynthSeg (Billot et al. 2023, doi 10.1016/j.media.2023.102789): a network for any scanner is
trained on synthetic images with such wide variation that real images fall within it. Here the
anatomy remains that of a head; drawn at random are

tissue
    the contrast between any two tissues, of either sign; fluid from nearly 0 to the tissue's level,
    as in normalised and partial-volume-corrected fits;
fields
    a lognormal factor with several length scales and a random spread, partly shared by all
    metabolites and partly individual: the residual that tissue does not explain in measured maps;
edge
    a bright or a dark rim of the brain;
lesions
    the tumour of the MRI, which the maps may not show, and others that the MRI does not show;
MRI
    of a real sequence or of any contrast, displaced from the maps by some millimetres;
mask
    the voxels that pass quality control, the whole brain, or either with holes;
noise
    from 1.5 to 15 % of the level.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ftddm_core.phantom.anatomy import BRAIN, TISSUES, Anatomy, brain_of, voxel_size
from ftddm_core.phantom.contrast import RELAXATION, Contrast
from ftddm_core.phantom.fields import MixedField, RandomField, correlated_fields, lognormal
from ftddm_core.phantom.lesion import Glioma
from ftddm_core.phantom.metabolites import METABOLITES, Metabolism
from ftddm_core.phantom.patient import Patient, rigid_motion, site

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]

MIXTURE = 0.7
"""Default share of randomised patients in the training; the others follow the literature."""

LENGTHS, SHARES = (3.5, 8.0, 16.0, 30.0), (0.36, 0.17, 0.22, 0.25)
"""Length scales in mm of the residual that tissue does not explain, and their shares of the
variance: inside a mask close to the autocorrelation of measured maps, 0.6, 0.35 and 0.27 at 5, 10
and 15 mm."""
SHARES_SPREAD, LENGTH_SPREAD = 8.0, 0.25
"""Concentration of the shares' Dirichlet distribution, deviation of the log of the lengths."""

FASTER_ACROSS = 1.5
"""Ratio of the rates of change of fields across slices and in the plane: measured maps of 5 mm have
a correlation of 0.6 in the plane and 0.4 across it."""

VARIATION = (0.2, 0.75)
"""Smallest and largest coefficient of variation of the fields' factor."""
CORRELATION = (0.45, 0.98)
"""Smallest and largest share of a field's variance common to all metabolites."""

TISSUE_CONTRAST = 0.5
"""Largest standard deviation of the log level of a tissue; half of its variance is shared by all
metabolites."""
FLUID = (0.05, 1.0)
"""Smallest and largest level of fluid, relative to the mean of the tissues."""

EDGE, EDGE_WIDTH, EDGE_PATCHES = (-0.15, 0.5), (3.0, 9.0), 0.3
"""Mean and standard deviation of the log level of the rim, its widths in mm, and the standard
deviation of the log along the rim."""

HIDDEN_LESIONS, SHOWN = 0.7, 0.5
"""Mean number of lesions not visible in the MRI; share of the MRI's tumours visible in the maps."""
LESION_SPREAD = 0.5
"""Standard deviation of the log level of a metabolite in a lesion; a shared part of the same size
is added."""

NOISE = (0.015, 0.15)
"""Smallest and largest standard deviation of the noise relative to the level."""

MOTION = (1.5, 2.0)
"""Standard deviations in degrees and mm of the rotations and shifts between MRI and maps."""

ANY_CONTRAST = 0.5
"""Share of the patients with MRI of arbitrary contrast."""
SIGNALS = (0.05, 1.6)
"""Smallest and largest signal of a substance in such an MRI, relative to white matter."""

WHOLE, HOLES = 0.3, 0.4
"""Share of patients whose mask is the whole brain, and of those whose mask has holes."""
HOLE_LENGTH, HOLE_SHARE = (5.0, 12.0), (0.03, 0.25)
"""Length scale in mm of the holes, and the share of the mask that they remove."""


@dataclass(frozen=True, eq=False)
class AnyContrast(Contrast):
    """T1w and FLAIR with arbitrary signals of the tissues.

    Parameters
    ----------
    drawn
        Signals of the two images (2, substances), in the order of `RELAXATION`.
    """

    drawn: FloatArray

    @classmethod
    def draw(cls, rng: np.random.Generator) -> AnyContrast:
        """Draw an MRI; coil, noise and resolution are realistic."""
        signals = rng.uniform(*SIGNALS, (2, len(RELAXATION)))
        signals[:, TISSUES.index("white")] = 1
        signals[:, TISSUES.index("air")] = 0
        return cls(**_parts(Contrast.draw(rng)), drawn=signals.astype(np.float32))

    def signals(self) -> tuple[FloatArray, FloatArray]:
        """Return the T1w and FLAIR signals of pure substances, each (14,), 1 for white matter."""
        return self.drawn[0], self.drawn[1]


@dataclass(frozen=True, eq=False)
class Edge:
    """The rim of the brain, brighter or darker than its inside.

    Parameters
    ----------
    level
        Level of each metabolite at the edge, relative to the inside, (metabolites,).
    width
        Width in mm over which it fades.
    patches
        A field: variation of the log level along the rim.
    """

    level: FloatArray
    width: float
    patches: RandomField

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Edge:
        """Draw a rim; metabolites differ only slightly."""
        mean, deviation = EDGE
        level = np.exp(rng.normal(mean, deviation) + rng.normal(0, 0.15, len(METABOLITES)))
        width = float(rng.uniform(*EDGE_WIDTH))
        return cls(level.astype(np.float32), width, RandomField.draw(rng, 25.0))

    def __call__(self, brain: FloatArray, points: FloatArray) -> FloatArray:
        """Return factors (X, Y, Z, metabolites) for shares of brain (X, Y, Z) at world points."""
        sigmas = np.minimum(self.width / voxel_size(points), 6) * (1, 1, 0)
        smooth = ndimage.gaussian_filter(brain, sigmas, mode="constant")
        # A straight edge is smoothed to one half, the deep inside to 1.
        near = np.clip(2 - 2 * smooth, 0, 1)[..., None]
        change = np.log(self.level) + np.float32(EDGE_PATCHES) * self.patches(points)
        factors: FloatArray = np.exp(near * change)
        return factors


@dataclass(frozen=True, eq=False)
class MapLesion:
    """A lesion of the maps: a tumour's shape, with any level of any metabolite.

    Parameters
    ----------
    shape
        Position and shape.
    level
        Level of each metabolite at the highest cell density, relative to the tissue,
        (metabolites,).
    """

    shape: Glioma
    level: FloatArray

    @classmethod
    def draw(cls, rng: np.random.Generator, shape: Glioma) -> MapLesion:
        """Draw the levels in a lesion of that shape."""
        shared, own = rng.standard_normal(), rng.standard_normal(len(METABOLITES))
        return cls(shape, np.exp(LESION_SPREAD * (shared + own)).astype(np.float32))

    def __call__(self, points: FloatArray) -> FloatArray:
        """Return factors (X, Y, Z, metabolites) at world points (X, Y, Z, 3) in mm."""
        lesion = self.shape(points)
        cells = np.minimum(lesion.cells, 1)[..., None]
        alive = 1 - 0.95 * lesion.necrosis[..., None]
        return np.asarray((1 + cells * (self.level - 1)) * alive, np.float32)


@dataclass(frozen=True, eq=False)
class RandomisedPatient(Patient):
    """A patient of arbitrary contrast, with detail that tissue does not explain.

    Parameters
    ----------
    field
        1 + n_metabolites fields, the shared one first.
    variation, correlation
        Coefficient of variation and shared part of each metabolite's field, (metabolites,).
    edge
        The rim.
    lesions
        Lesions of the maps; the MRI shows `glioma` only.
    whole, holes
        Whether the mask is the whole brain; a field and the share of the mask that it removes.
    """

    field: MixedField
    variation: FloatArray
    correlation: FloatArray
    edge: Edge
    lesions: tuple[MapLesion, ...]
    whole: bool
    holes: tuple[RandomField, float]

    @classmethod
    def draw(
        cls, anatomy: Anatomy, rng: np.random.Generator, glioma: bool | None = None
    ) -> RandomisedPatient:
        """Draw a patient; `glioma` as for `Patient.draw`, for the MRI only."""
        usual = Patient.draw(anatomy, rng, glioma)
        if rng.random() < ANY_CONTRAST:
            usual = replace(usual, contrast=AnyContrast.draw(rng))
        count = len(METABOLITES)
        low = rng.uniform(*CORRELATION)
        lengths = LENGTHS * np.exp(rng.normal(0, LENGTH_SPREAD, len(LENGTHS)))
        shares = rng.dirichlet(SHARES_SPREAD * np.array(SHARES))
        spread = rng.uniform(*VARIATION) * np.exp(rng.normal(0, 0.15, count))
        shapes = [Glioma.draw(rng, site(anatomy, usual.warp, rng))
                  for _ in range(rng.poisson(HIDDEN_LESIONS))]  # fmt: skip
        if usual.glioma is not None and rng.random() < SHOWN:
            shapes.append(usual.glioma)
        with_holes = rng.random() < HOLES
        own = _parts(usual) | {
            "metabolism": _metabolism(rng),
            "misregistration": rigid_motion(rng, *MOTION),
        }
        return cls(
            **own,
            field=MixedField.draw(rng, list(lengths), list(shares), 1 + count),
            variation=spread.astype(np.float32),
            correlation=rng.uniform(low, CORRELATION[1], count).astype(np.float32),
            edge=Edge.draw(rng),
            lesions=tuple(MapLesion.draw(rng, shape) for shape in shapes),
            whole=bool(rng.random() < WHOLE),
            holes=(
                RandomField.draw(rng, rng.uniform(*HOLE_LENGTH)),
                float(rng.uniform(*HOLE_SHARE)) if with_holes else 0.0,
            ),
        )

    def concentrations(self, fractions: FloatArray, points: FloatArray) -> FloatArray:
        """Return noise-free concentrations (metabolites, X, Y, Z), nominally in mM."""
        maps = np.einsum("txyz,tm->xyzm", fractions, self.metabolism.healthy)
        stretched = points * np.array([1, 1, FASTER_ACROSS], np.float32)
        fields = correlated_fields(self.field(stretched), self.correlation)
        maps *= lognormal(fields, self.variation)
        maps *= self.edge(brain_of(fractions), points)
        for lesion in self.lesions:
            maps *= lesion(points)
        return np.asarray(np.moveaxis(maps, -1, 0), np.float32)

    def trusted(
        self, fractions: FloatArray, affine: NDArray[Any], points: FloatArray,
        rng: np.random.Generator,
    ) -> BoolArray:  # fmt: skip
        """Return the voxels (X, Y, Z) that the mask keeps."""
        mask = super().trusted(fractions, affine, points, rng)
        if self.whole:
            mask = brain_of(fractions) > 0.6
        field, share = self.holes
        if share and mask.any():
            height = field(points)[..., 0]
            mask = mask & (height <= np.quantile(height[mask], 1 - share))
        return np.asarray(mask)


def _metabolism(rng: np.random.Generator) -> Metabolism:
    """Draw the levels of all tissues and the noise; lesions have their own levels."""
    usual = Metabolism.draw(rng)
    spread = rng.uniform(0, TISSUE_CONTRAST)
    shape = (len(TISSUES), len(METABOLITES))
    log = rng.standard_normal((len(TISSUES), 1)) + rng.standard_normal(shape)
    factor = np.exp(spread / np.sqrt(2) * log)
    level = usual.healthy[TISSUES.index("white")]
    healthy = np.zeros(shape)
    for name in BRAIN:
        healthy[TISSUES.index(name)] = level * factor[TISSUES.index(name)]
    mean = healthy[[TISSUES.index(name) for name in ("white", "cortex")]].mean(0)
    fluid = rng.uniform(*FLUID) * np.exp(rng.normal(0, 0.15, len(METABOLITES)))
    healthy[TISSUES.index("csf")] = mean * np.minimum(fluid, FLUID[1])
    relative = np.exp(rng.uniform(*np.log(NOISE)) + rng.normal(0, 0.2, len(METABOLITES)))
    noise = mean * np.clip(relative, *NOISE)
    return replace(usual, healthy=healthy.astype(np.float32), noise=noise.astype(np.float32))


def _parts(thing: Any) -> dict[str, Any]:
    """Return the fields of a dataclass by name."""
    return {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)}
