"""Methods on every kind of case, and the self-check compared with the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ftddm_core.evaluation.cases import Case
from ftddm_core.evaluation.kinds import (
    ACQUISITIONS,
    HIDDEN,
    LITERATURE,
    MEASURED,
    NULL,
    RANDOMISED,
    SILENT,
    SIMULATED,
    SWAPPED,
    WHOLE,
    KindCase,
)
from ftddm_core.evaluation.measure import ASPARTATE, CHOLINE, Measured, measure, name_of_mean
from ftddm_core.evaluation.protocol import (
    DEFAULT,
    MethodPlan,
    Protocol,
    Robustness,
    denoiser_calls,
    temperatures_of,
)
from ftddm_core.evaluation.runner import Entry, Runner, passes
from ftddm_core.sampling.self_check import (
    CHECK_FACTOR,
    FIXED,
    LEAST_MATRIX,
    MRI_WEIGHTS,
    SAMPLES,
    share_of,
)
from ftddm_core.settings import SamplerSettings

T_TRUNC = 100

ZERO_FILLING, ALONE, INSIDE = "zero-filling", "measurement alone", "inside"
AT_ZERO, AT_DEFAULT, AT_ONE = "τ 0", "default τ", "τ 1"
UNGUIDED = ", MRI weight 0"
"""Suffix of the methods with MRI weight 0; all others have weight 1."""
OFF_AT_ZERO, OFF, EXACT = "off, τ 0", "off, default τ", "exact, default τ"
AUTOMATIC = "automatic, default τ"
CHECKED = "τ 0, automatic MRI weight"
"""The run that the self-check predicts: its own settings, at the MRI weight that it chose."""
MANY = "τ 1, many"
MEAN = "mean of many, τ 1"
"""Names in the tables of several draws, and of the mean of the first 16."""

MEANS_GUIDED = (MEASURED, LITERATURE, RANDOMISED, NULL, SWAPPED)
MEANS_UNGUIDED = (MEASURED, LITERATURE, NULL)
"""Kinds with many samples, for acquisitions other than `WHOLE`. Without MRI, a swapped patient
equals the literature patient."""

CALIBRATED = (LITERATURE, RANDOMISED, NULL)
"""Kinds on which the spread of the samples is chosen and tested; see `sampling.widening`."""

LESIONS = (LITERATURE, HIDDEN, SILENT)
"""Kinds whose lesions are measured."""


@dataclass(frozen=True)
class Checked:
    """A map's self-check and the corresponding true values.

    Parameters
    ----------
    kind, acquisition, case, upscale, metabolite
        Identity of the map.
    checkable
        Whether its matrix can be halved.
    share
        Automatic share of the detail shown.
    right
        Share of the drawn detail that the truth supports on average, from 0 to 1, with the check's
        settings and the MRI weight that it chose.
    mri_weight
        Weight that the check chose.
    within
        Share of voxels within the check's samples; NaN without a check.
    warned
        Whether there is a warning for the map; see `SelfCheck.warns_of`.
    found, true
        Gain over zero-filling in dB inside the mask: by the check, and against the truth with the
        same settings at the study's own matrix.
    """

    kind: str
    acquisition: str
    case: str
    upscale: float
    metabolite: str
    checkable: bool
    share: float
    right: float
    mri_weight: float
    within: float
    warned: bool
    found: float
    true: float


@dataclass(frozen=True)
class Lesion:
    """Relative error of a lesion's mean, or of its Cho/NAA, against the noise-free truth.

    Parameters
    ----------
    kind, acquisition, case, upscale, method
        Identity of the measurement.
    metabolite
        Metabolite, or `tCho/tNAA` for the ratio of the means.
    error
        |found - true| / true.
    """

    kind: str
    acquisition: str
    case: str
    upscale: float
    method: str
    metabolite: str
    error: float


@dataclass
class Robust:
    """Results on every kind of case.

    Parameters
    ----------
    measured
        (kind, acquisition) -> metrics of all methods; several draws are named `MANY`, their mean
        `MEAN`.
    checks, lesions
        One entry per map.
    """

    measured: dict[tuple[str, str], Measured] = field(default_factory=dict)
    checks: list[Checked] = field(default_factory=list)
    lesions: list[Lesion] = field(default_factory=list)


def robust_plans(
    plan: Robustness,
    kind: str,
    acquisition: str,
    metabolites: Sequence[str],
    factors: Sequence[float],
) -> tuple[MethodPlan, ...]:
    """Return the methods that run on a kind of case; none if the plan leaves the kind out."""

    def of(name: str, kind: str, settings: SamplerSettings | None, samples: int = 1) -> MethodPlan:
        return MethodPlan(name, kind, settings, tuple(factors), tuple(metabolites), samples)

    def drawn(
        name: str, tau: float | str, samples: int = 1, **changes: float | str | None
    ) -> MethodPlan:
        flow, diffusion = temperatures_of(tau)
        whole = SamplerSettings(
            tau_flow=flow, tau_diffusion=diffusion, t_trunc=T_TRUNC, steps=plan.steps,
            mri_weight=1, detail=1,
        )  # fmt: skip
        return of(name, "ftddm", whole.replace(**changes), samples)

    if plan.calibration_only:
        left_out = kind not in CALIBRATED or acquisition == WHOLE
        return () if left_out else (drawn(MANY, 1, plan.samples),)
    found = [
        of(ZERO_FILLING, "zero-filling", None),
        of(ALONE, "measurement", None),
        of(INSIDE, "inside", None),
    ]
    taus: dict[str, float | str] = {AT_ZERO: 0, AT_DEFAULT: DEFAULT, AT_ONE: 1}
    found += [drawn(name, tau) for name, tau in taus.items()]
    found += [drawn(name + UNGUIDED, tau, mri_weight=0) for name, tau in taus.items()]
    found += [
        drawn(OFF_AT_ZERO, 0, consistency="off"),
        drawn(OFF, DEFAULT, consistency="off"),
        drawn(EXACT, DEFAULT, consistency="exact"),
        drawn(AUTOMATIC, DEFAULT, mri_weight=None, detail=None),
        drawn(CHECKED, 0, mri_weight=None),
    ]
    if acquisition != WHOLE and kind in MEANS_GUIDED:
        found.append(drawn(MANY, 1, plan.samples))
    if acquisition != WHOLE and kind in MEANS_UNGUIDED:
        found.append(drawn(MANY + UNGUIDED, 1, plan.samples, mri_weight=0))
    return tuple(found)


def plans_of(protocol: Protocol, item: KindCase) -> tuple[MethodPlan, ...]:
    """Return the methods that run on a case; none where the protocol leaves robustness out."""
    plan = protocol.robustness
    if plan is None:
        return ()
    names = tuple(item.case.study.maps)
    return robust_plans(plan, item.kind, item.acquisition, names, item.factors)


def run_robust(
    protocol: Protocol,
    items: Sequence[KindCase],
    runner: Runner,
    progress: Callable[[str, float], None] = lambda what, done: None,
) -> Robust:
    """Run missing maps on every kind of case, and measure all.

    Parameters
    ----------
    protocol
        Its `robustness` sets what to run.
    items
        See `kinds`.
    runner
        Networks and cache.
    progress
        Progress callback.

    Raises
    ------
    Cancelled
        If the runner is asked to stop; finished maps are kept.
    """
    found = Robust()
    items = [item for item in items if plans_of(protocol, item)]
    checked = [item for item in items if _is_checked(plans_of(protocol, item))]
    checks = [(item, factor) for item in checked for factor in item.factors]
    for number, (item, factor) in enumerate(checks):
        runner.check(
            item.case,
            factor,
            progress=lambda done, start=number: progress(  # type: ignore[misc]
                "self-checks", (start + done) / len(checks)
            ),
        )
    entries: list[Entry] = []
    groups: dict[tuple[str, str], list[KindCase]] = {}
    for item in items:
        groups.setdefault((item.kind, item.acquisition), []).append(item)
    for group in groups.values():
        plans = plans_of(protocol, group[0])
        entries += runner.entries(plans, [item.case for item in group])
    # Equal settings together across kinds: larger batches.
    entries.sort(key=lambda entry: (entry.method.name, entry.draw, entry.factor))
    runner.run(entries, lambda done: progress("other kinds of patients", done))
    for (kind, acquisition), group in groups.items():
        plans = plans_of(protocol, group[0])
        cases = [item.case for item in group]
        measured = measure(runner, plans, cases)
        found.measured[kind, acquisition] = _renamed(measured, plans)
        for item in group:
            if _is_checked(plans):
                found.checks += _checked(runner, item, plans, found.measured[kind, acquisition])
            if kind in LESIONS:
                found.lesions += _lesions(runner, item, plans)
    return found


def _is_checked(plans: Iterable[MethodPlan]) -> bool:
    """Return whether the self-check is among what is tested."""
    return any(method.name == AUTOMATIC for method in plans)


def _renamed(measured: Measured, plans: Iterable[MethodPlan]) -> Measured:
    """Give the mean of several draws the same name for any number of draws."""
    names = {name_of_mean(m): m.name.replace(MANY, MEAN) for m in plans if m.samples > 1}
    rows = [replace(row, method=names.get(row.method, row.method)) for row in measured.rows]
    return replace(measured, rows=rows)


def _checked(
    runner: Runner, item: KindCase, plans: Sequence[MethodPlan], measured: Measured
) -> list[Checked]:
    """Return a case's self-checks with its true gains, pooled over slices like the check's."""
    gains: dict[tuple[float, str], list[float]] = {}
    rows = {(r.method, r.upscale, r.case, r.metabolite, r.slice_index): r for r in measured.rows}
    for (method, factor, case, name, k), row in rows.items():
        if method == CHECKED and case == item.case.name:
            plain = rows[ZERO_FILLING, factor, case, name, k]
            gain = row.values["psnr_in_mask"] - plain.values["psnr_in_mask"]
            gains.setdefault((factor, name), []).append(gain)
    plan = next(m for m in plans if m.name == AUTOMATIC)
    found = []
    for (factor, name), values in gains.items():
        check = runner.check(item.case, factor)
        weighting = runner.weighting(Entry(plan, 0, item.case, factor, name))
        right = _right(runner, item.case, plans, factor, name)
        gain = check.gain(name)
        found.append(
            Checked(
                item.kind, item.acquisition, item.case.name, factor, name, np.isfinite(gain),
                weighting.detail, right, weighting.mri_weight, check.within, check.warns_of(name),
                gain, float(np.mean(values)),
            )
        )  # fmt: skip
    return found


def _right(
    runner: Runner, case: Case, plans: Sequence[MethodPlan], factor: float, name: str
) -> float:
    """Return the share of a map's drawn detail that the truth supports, computed as in the
    check."""
    images = (next(m for m in plans if m.name == method) for method in (CHECKED, ALONE))
    held = case.mask(name)
    x, z = (runner.images(m, case, factor, name)[0][held].astype(np.float64) for m in images)
    return share_of(x - z, case.truth(name)[held] - z)


LESION_METHODS = (ZERO_FILLING, ALONE, AT_ZERO, AT_DEFAULT, AT_DEFAULT + UNGUIDED, OFF, AUTOMATIC)
"""Methods whose lesions are measured."""


def _lesions(runner: Runner, item: KindCase, plans: Sequence[MethodPlan]) -> list[Lesion]:
    """Return the errors of the lesion's means, empty if it has too few trusted voxels."""
    case, found = item.case, []
    if case.tumour is None or case.noise_free is None:
        return []
    names = tuple(case.study.maps)
    for method in (m for m in plans if m.name in LESION_METHODS):
        for factor in item.factors:
            images = {name: runner.images(method, case, factor, name)[0] for name in names}
            for name, error in lesion_errors(case, images).items():
                found.append(
                    Lesion(item.kind, item.acquisition, case.name, factor, method.name, name, error)
                )
    return found


LEAST_LESION = 5
"""Smallest number of trusted voxels of a lesion for a mean."""


def lesion_errors(case: Case, images: dict[str, NDArray[np.float32]]) -> dict[str, float]:
    """Return |found - true| / true of the lesion's mean of every map, and of their Cho/NAA.

    The truth is noise-free. Empty if the lesion has fewer than `LEAST_LESION` trusted voxels.

    Parameters
    ----------
    case
        Case with lesion and noise-free truth.
    images
        Metabolite -> a method's map (Nx, Ny, Z).
    """
    means: dict[str, tuple[float, float]] = {}
    for name, image in images.items():
        region = case.mask(name) & np.asarray(case.tumour)
        if region.sum() < LEAST_LESION:
            return {}
        truth = case.truth(name, noise_free=True)
        means[name] = float(image[region].mean()), float(truth[region].mean())
    errors = {name: abs(ours - true) / true for name, (ours, true) in means.items()}
    if {CHOLINE, ASPARTATE} <= set(means):
        ours, true = (means[CHOLINE][i] / max(means[ASPARTATE][i], 1e-12) for i in (0, 1))
        errors[f"{CHOLINE}/{ASPARTATE}"] = abs(ours - true) / true
    return errors


# ---- amount of work


def check_calls(matrix: Sequence[int], factor: float, metabolites: int, slices: int) -> int:
    """Return the largest number of denoiser calls of a study's self-check; 0 if it is too
    coarse."""
    if min(round(round(n / factor) / CHECK_FACTOR) for n in matrix) < LEAST_MATRIX:
        return 0
    steps = FIXED.steps or FIXED.t_trunc
    tried = sum(passes(weight) for weight in MRI_WEIGHTS)
    return metabolites * slices * steps * (tried + 2 * SAMPLES)


def robust_calls(protocol: Protocol, items: Sequence[KindCase] | None = None) -> int:
    """Return the largest number of denoiser calls for single slices of all kinds.

    Parameters
    ----------
    protocol
        What to run.
    items
        The cases; None for all of the protocol itself, without a measured study.
    """
    plan = protocol.robustness
    if plan is None:
        return 0
    patients = plan.patients * len(protocol.anatomies)
    shapes = (
        [
            (kind, acquisition, plan.metabolites, plan.factors, protocol.slices, protocol.matrix)
            for kind in SIMULATED
            for acquisition in ACQUISITIONS[kind]
            for _ in range(patients)
        ]
        if items is None
        else [
            (item.kind, item.acquisition, tuple(item.case.study.maps), item.factors,
             item.case.study.grid.shape[2], item.case.matrix)
            for item in items
        ]
    )  # fmt: skip
    total = 0
    for kind, acquisition, names, factors, slices, matrix in shapes:
        plans = robust_plans(plan, kind, acquisition, names, factors)
        total += slices * calls_of(plans)
        if _is_checked(plans):
            total += sum(check_calls(matrix, factor, len(names), slices) for factor in factors)
    return total


def calls_of(methods: Sequence[MethodPlan]) -> int:
    """Return the calls for one slice of every metabolite: draws that methods share count once."""
    seen: dict[object, int] = {}
    for m in methods:
        if m.settings is None:
            continue
        drawn = m.settings.replace(detail=1)
        calls = denoiser_calls(m) * passes(drawn.mri_weight)
        for draw in range(m.samples):
            for factor in m.factors:
                for metabolite in m.metabolites:
                    seen[drawn, draw, factor, metabolite, m.drop] = calls
    return sum(seen.values())
