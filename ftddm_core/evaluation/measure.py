"""Metrics of stored maps, slice by slice: the source of all tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import Cancelled
from ftddm_core.evaluation.calibration import coverage, fair_crps, rank_histogram, spread_and_error
from ftddm_core.evaluation.cases import Case
from ftddm_core.evaluation.compare import MIN_VOXELS, slice_metrics
from ftddm_core.evaluation.contrast import tumour_contrast_error
from ftddm_core.evaluation.protocol import MethodPlan
from ftddm_core.evaluation.runner import Entry, Runner
from ftddm_core.evaluation.tables import Row
from ftddm_core.imaging.degrade import coarse_matrix
from ftddm_core.sampling.widening import widened, widening

CHOLINE, ASPARTATE = "tCho", "tNAA"

SAMPLES_OF_MEAN = 16
"""Number of draws whose mean is compared with the regression; more are used for calibration
only."""

CALIBRATION_SAMPLES = 19
"""Number of draws whose range contains the truth in exactly 90 % of the voxels, if calibrated."""


@dataclass
class Measured:
    """Metrics of all methods.

    Parameters
    ----------
    rows
        Of every slice of every metabolite; see `slice_metrics`.
    contrast
        Of every case: `contrast_error`, of the tumour's choline to NAA ratio.
    calibration
        Of every slice of methods with several draws: `coverage`; `widened`, the coverage of the
        samples after `sampling.widening`; `crps`; and the mean squares `spread` and `error`,
        relative to the truth's range.
    ranks
        (factor, method) -> number of voxels with each rank of the truth among the draws.
    """

    rows: list[Row] = field(default_factory=list)
    contrast: list[Row] = field(default_factory=list)
    calibration: list[Row] = field(default_factory=list)
    ranks: dict[tuple[float, str], NDArray[np.float64]] = field(default_factory=dict)


def name_of_mean(method: MethodPlan) -> str:
    """Return the name of the mean of a method's draws in the tables."""
    name = method.name.removesuffix(f", {method.samples} samples")
    return f"mean of {min(method.samples, SAMPLES_OF_MEAN)}, {name}"


def measure(
    runner: Runner,
    methods: Sequence[MethodPlan],
    cases: Sequence[Case],
    progress: Callable[[float], None] = lambda done: None,
) -> Measured:
    """Measure every map that was run.

    Parameters
    ----------
    runner
        Provides the maps; methods that it cannot run are left out.
    methods, cases
        Methods and cases that were run.
    progress
        Callback with the share that is done, 0..1.

    Raises
    ------
    Cancelled
        If the runner is asked to stop.
    CheckpointError
        If a map was not run.
    """
    found = Measured()
    todo = [(m, factor) for m in methods if runner.runs(m) for factor in m.factors]
    for number, (method, factor) in enumerate(todo):
        for case in cases:
            if runner.cancelled():
                raise Cancelled("The evaluation was stopped; what was finished is kept.")
            _measure_case(found, runner, method, factor, case)
        progress((number + 1) / len(todo))
    return found


def _measure_case(
    found: Measured, runner: Runner, method: MethodPlan, factor: float, case: Case
) -> None:
    names = [name for name in method.metabolites if name in case.study.maps]
    drawn = {name: runner.images(method, case, factor, name) for name in names}
    acquired = coarse_matrix(case.matrix, factor)
    label = method.name if method.samples == 1 else name_of_mean(method)
    shown = {name: images[:SAMPLES_OF_MEAN].mean(0) for name, images in drawn.items()}
    for name, image in shown.items():
        mask, truth = case.mask(name), case.truth(name)
        exact = case.truth(name, noise_free=True) if case.noise_free is not None else None
        for k in _slices(mask):
            reference = truth[..., k]
            values = slice_metrics(
                image[..., k].astype(np.float64),
                reference,
                mask[..., k],
                acquired,
                None if exact is None else exact[..., k],
            )
            found.rows.append(Row(case.name, label, factor, name, k, values, 0.0))
            if method.samples >= 2:
                condition = runner.condition(Entry(method, 0, case, factor, name))
                _calibrate(found, method, factor, case.name, name, k, drawn[name][..., k],
                           widening(condition), reference, mask[..., k])  # fmt: skip
    if error := _contrast_error(case, shown):
        found.contrast.append(
            Row(case.name, label, factor, "tCho/tNAA", 0, {"contrast_error": error[0]}, 0.0)
        )


def _calibrate(
    found: Measured,
    method: MethodPlan,
    factor: float,
    case: str,
    metabolite: str,
    k: int,
    samples: NDArray[np.float32],
    factor_of_spread: float,
    truth: NDArray[np.float64],
    mask: NDArray[np.bool_],
) -> None:
    span = float(np.ptp(truth)) or np.nan
    spread, error = spread_and_error(samples, truth, mask)
    values = {
        "coverage": coverage(samples, truth, mask),
        "widened": coverage(widened(samples, factor_of_spread), truth, mask),
        "crps": fair_crps(samples, truth, mask) / span,
        "spread": spread / span**2,
        "error": error / span**2,
    }
    found.calibration.append(Row(case, method.name, factor, metabolite, k, values, 0.0))
    ranks = rank_histogram(samples, truth, mask) * mask.sum()
    key = (factor, method.name)
    found.ranks[key] = found.ranks.get(key, np.zeros_like(ranks)) + ranks


def _contrast_error(case: Case, shown: dict[str, NDArray[np.float32]]) -> list[float]:
    """Return the error of the tumour's contrast, empty if undefined."""
    if case.tumour is None or case.noise_free is None or not {CHOLINE, ASPARTATE} <= set(shown):
        return []
    mask = case.mask(CHOLINE) & case.mask(ASPARTATE)
    cho, naa = (case.truth(name, noise_free=True) for name in (CHOLINE, ASPARTATE))
    given = (shown[CHOLINE], shown[ASPARTATE], cho, naa)
    return [tumour_contrast_error(*given, case.tumour, mask)]


def _slices(mask: NDArray[np.bool_]) -> Iterator[int]:
    """Yield the slices with enough trusted voxels for reliable metrics."""
    yield from (int(k) for k in np.flatnonzero(mask.sum((0, 1)) >= MIN_VOXELS))
