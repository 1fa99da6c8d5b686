"""Patients unlike the training data, with known truth: the cases for robustness.

Every kind is made from the same simulated patients, so that kinds differ in one property only:

- literature: the patients of the main test; tissue determines a map's contrast, and the MRI shows
  its edges;
- null: maps of smooth random fields that no MRI shows, with the strength, length scale and
  correlation between metabolites of the residual that tissue does not explain in measured maps
  (`null_truth`);
- randomised: any contrast, fields, rim, lesions, MRI, mask and noise (`phantom.randomised`);
- swapped MRI: the maps of the literature patient with the MRI of another one;
- hidden lesion: a tumour that the maps show and the MRI does not;
- silent lesion: a tumour that the MRI shows and the maps do not;
- measured: a measured study, restored from half of its own matrix.

A kind is acquired in up to three ways: truncated k-space of the masked truth, a coarse scan of the
whole head, and such a scan with a mask whose holes are filled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import FormatError
from ftddm_core.evaluation.cases import Case, Simulated, coarse_scans, simulate, slab_of
from ftddm_core.evaluation.protocol import Protocol, Robustness
from ftddm_core.evaluation.real import REAL_FACTOR, real_case
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.phantom.anatomy import Anatomy, brain_of, world_points
from ftddm_core.phantom.fields import MixedField, correlated_fields, lognormal
from ftddm_core.phantom.metabolites import METABOLITES
from ftddm_core.phantom.patient import Slab, scan_slab
from ftddm_core.phantom.randomised import LENGTHS, SHARES, RandomisedPatient

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]

MEASURED = "measured"
LITERATURE, RANDOMISED, NULL, SWAPPED = "literature", "randomised", "null", "swapped MRI"
HIDDEN, SILENT = "hidden lesion", "silent lesion"
SIMULATED = (LITERATURE, RANDOMISED, NULL, SWAPPED, HIDDEN, SILENT)
"""Kinds of simulated patients, in the order of the tables."""

MASKED, SCAN, WHOLE = "masked", "scan", "scan, whole mask"

ACQUISITIONS: Mapping[str, tuple[str, ...]] = {
    MEASURED: (MASKED, SCAN),
    **dict.fromkeys(SIMULATED, (MASKED, SCAN)),
    **dict.fromkeys((LITERATURE, NULL), (MASKED, SCAN, WHOLE)),
}
"""How each kind is acquired."""

VARIATION = 0.55
"""Coefficient of variation of a null patient's maps; inside a mask, which removes the longest
waves, about 0.45 as in measured maps (0.40 to 0.54)."""

SHARED = (0.66, 0.96)
"""Smallest and largest correlation of two metabolites' fields."""

CLOSING = 2
"""Radius in voxels of the closing of a mask before its holes are filled."""


@dataclass(frozen=True, eq=False)
class KindCase:
    """A case and its kind.

    Parameters
    ----------
    kind
        `MEASURED`, or one of `SIMULATED`.
    acquisition
        `MASKED`, `SCAN` or `WHOLE`.
    case
        The case, restricted to the maps to run on.
    factors
        Factors at which it is run.
    """

    kind: str
    acquisition: str
    case: Case
    factors: tuple[float, ...]


def null_truth(slab: Slab, rng: np.random.Generator) -> FloatArray:
    r"""Return maps (metabolites, X, Y, Z) whose detail the slab's MRI does not show.

    Inside the brain, fluid included, each is its own median in the mask times
    :math:`\exp(\sigma f - \sigma^2 / 2)` with :math:`f = \lambda g + \sqrt{1 - \lambda^2}\, h`, g a
    field that all share, h one's own, and lambda drawn so that two maps correlate by `SHARED`.

    Parameters
    ----------
    slab
        Provides grid, brain, mask and each metabolite's level.
    rng
        Random generator of the fields.
    """
    shape = slab.mask.shape
    points = world_points((shape[0], shape[1], shape[2]), slab.affine)
    count = len(METABOLITES)
    fields = MixedField.draw(rng, LENGTHS, SHARES, 1 + count)(points)
    relative = lognormal(correlated_fields(fields, rng.uniform(*SHARED, count)), VARIATION)
    level = np.array([np.median(truth[slab.mask]) for truth in slab.truth])
    maps = np.moveaxis(level * relative, -1, 0) * brain_of(slab.fractions)
    return np.asarray(maps, np.float32)


def whole_mask(slab: Slab) -> BoolArray:
    """Return a slab's mask (X, Y, Z) with its holes filled slice by slice, inside the brain."""
    from scipy.ndimage import binary_closing, binary_fill_holes

    brain = brain_of(slab.fractions) > 0.6
    filled = np.zeros_like(slab.mask)
    for k in range(slab.mask.shape[2]):
        padded = np.pad(slab.mask[..., k], CLOSING)
        closed = binary_fill_holes(binary_closing(padded, iterations=CLOSING))
        filled[..., k] = closed[CLOSING:-CLOSING, CLOSING:-CLOSING]
    return np.asarray(slab.mask | (filled & brain))


def simulated_kinds(protocol: Protocol, anatomies: Sequence[Path]) -> Iterator[KindCase]:
    """Yield every kind and acquisition of a protocol's first patients.

    Parameters
    ----------
    protocol
        Its `robustness` sets the number; None yields nothing.
    anatomies
        Label maps of the test subjects.

    Raises
    ------
    FormatError
        If a label map cannot be read, or no patient of it shows enough brain.
    """
    plan = protocol.robustness
    if plan is None:
        return
    for own, other in _pairs(protocol, plan, anatomies):
        for kind, acquisition, case in _kinds_of(protocol, plan, own, other):
            yield KindCase(kind, acquisition, _named(case, kind, acquisition, plan), plan.factors)


def measured_kinds(
    protocol: Protocol, name: str, study: Study, trained_voxel: float
) -> Iterator[KindCase]:
    """Yield a measured study for restoration from half of its matrix, masked and as a whole scan.

    Parameters
    ----------
    protocol
        Its `robustness` sets the number of metabolites: those that it names, then others of the
        study.
    name, study, trained_voxel
        As for `real_case`.
    """
    plan = protocol.robustness
    if plan is None:
        return
    wanted = [m for m in plan.metabolites if m in study.maps]
    names = [*wanted, *(m for m in study.maps if m not in wanted)][: len(plan.metabolites)]
    part = replace(study, maps={m: study.maps[m] for m in names})
    for acquisition in ACQUISITIONS[MEASURED]:
        case = real_case(name, part, trained_voxel, whole=acquisition != MASKED)
        case = replace(case, name=f"{name}, {MEASURED}, {acquisition}")
        yield KindCase(MEASURED, acquisition, case, (REAL_FACTOR,))


def _pairs(
    protocol: Protocol, plan: Robustness, anatomies: Sequence[Path]
) -> Iterator[tuple[Simulated, Simulated]]:
    """Yield every patient with another one, from another anatomy if there are several."""
    loaded = [Anatomy.load(path) for path in anatomies]
    patients = [simulate(protocol, a, n) for a in loaded for n in range(plan.patients)]
    for place, own in enumerate(patients):
        other = patients[(place + plan.patients) % len(patients)]
        if other is own:  # only one anatomy
            other = simulate(protocol, loaded[0], place + 1)
        yield own, other


def _kinds_of(
    protocol: Protocol, plan: Robustness, own: Simulated, other: Simulated
) -> Iterator[tuple[str, str, Case]]:
    healthy_rng, null_rng, silent_rng, whole_rng, null_whole_rng, random_rng = (
        np.random.default_rng([*own.key, number]) for number in range(1, 7)
    )
    scans = coarse_scans(own.slab, protocol, own.key, plan.factors)
    literature = replace(own.case(), scans=scans)
    # The same head with other MRI noise; motion and fields are those of the anatomy.
    healthy = slab_of_healthy(protocol, own, healthy_rng)
    silent = replace(own.slab, truth=healthy.truth)
    null = replace(own.slab, truth=null_truth(own.slab, null_rng))
    randomised = randomised_slab(protocol, own, random_rng)

    def scanned(slab: Slab, rng: np.random.Generator, number: int) -> Case:
        study, noise_free = scan_slab(slab, rng)
        scans = coarse_scans(slab, protocol, (*own.key, number), plan.factors)
        return replace(literature, study=study, noise_free=noise_free, scans=scans)

    cases = {
        LITERATURE: literature,
        RANDOMISED: replace(scanned(randomised, random_rng, 6), tumour=None),
        NULL: replace(scanned(null, null_rng, 2), tumour=None),
        SWAPPED: with_mri(literature, _laid_on(own.slab, other.slab.t1, other.slab.flair)),
        HIDDEN: with_mri(literature, (healthy.t1, healthy.flair)),
        SILENT: scanned(silent, silent_rng, 3),
    }
    for kind, case in cases.items():
        yield kind, MASKED, case
        yield kind, SCAN, replace(case, from_scans=True)
    mask = whole_mask(own.slab)
    found = scanned(replace(own.slab, mask=mask), whole_rng, 4)
    yield LITERATURE, WHOLE, replace(found, from_scans=True)
    found = scanned(replace(null, mask=mask), null_whole_rng, 5)
    yield NULL, WHOLE, replace(found, tumour=None, from_scans=True)


def slab_of_healthy(protocol: Protocol, own: Simulated, rng: np.random.Generator) -> Slab:
    """Return the slab of a patient without the tumour."""
    if own.patient.glioma is None:
        raise FormatError(f"{own.name} has no tumour to leave out.")
    height = float(own.patient.glioma.centre[2])
    return slab_of(protocol, replace(own.patient, glioma=None), rng, height)


def randomised_slab(protocol: Protocol, own: Simulated, rng: np.random.Generator) -> Slab:
    """Return a slab of a randomised patient with the anatomy of another, at the same height."""
    patient = RandomisedPatient.draw(own.patient.anatomy, rng)
    height = float(own.patient.glioma.centre[2]) if own.patient.glioma else 0.0
    return slab_of(protocol, patient, rng, height)


def with_mri(case: Case, mri: tuple[Volume, Volume]) -> Case:
    """Return a case with other T1 and FLAIR but the same maps and scans."""
    images: dict[str, Any] = dict(zip(("t1", "flair"), mri, strict=True))
    scans = {factor: replace(scan, **images) for factor, scan in case.scans.items()}
    return replace(case, study=replace(case.study, **images), scans=scans)


def _laid_on(slab: Slab, t1: Volume, flair: Volume) -> tuple[Volume, Volume]:
    """Return another head's MRI moved to the position of this slab's own."""
    return replace(t1, affine=slab.t1.affine), replace(flair, affine=slab.flair.affine)


def _named(case: Case, kind: str, acquisition: str, plan: Robustness) -> Case:
    """Return a case restricted to the plan's maps, under its own name, on which noise depends."""

    def part(study: Study) -> Study:
        return replace(study, maps={name: study.maps[name] for name in plan.metabolites})

    return replace(
        case,
        name=f"{case.name}, {kind}, {acquisition}",
        study=part(case.study),
        noise_free=None if case.noise_free is None else part(case.noise_free),
        scans={factor: part(scan) for factor, scan in case.scans.items()},
    )
