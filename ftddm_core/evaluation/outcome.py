"""A whole evaluation: cases and methods in, tables out."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ftddm_core.evaluation.cache import key_of
from ftddm_core.evaluation.cases import Case, record_of, scanned
from ftddm_core.evaluation.checks import Roles, check, check_flow, check_real
from ftddm_core.evaluation.kinds import KindCase
from ftddm_core.evaluation.measure import Measured, measure
from ftddm_core.evaluation.protocol import MRI, MethodPlan, Protocol, choice_methods
from ftddm_core.evaluation.real import REAL_FACTOR
from ftddm_core.evaluation.robust_checks import check_comparisons, check_robust
from ftddm_core.evaluation.robust_tables import (
    check_rows,
    lesion_table,
    robust_calibration,
    robustness_table,
    self_check_table,
    share_table,
    sharpness_table,
)
from ftddm_core.evaluation.robustness import Robust, calls_of, robust_calls, run_robust
from ftddm_core.evaluation.runner import Runner
from ftddm_core.evaluation.summary import (
    Metrics,
    ablation_table,
    calibration_table,
    choice_table,
    chosen_tau,
    comparison_table,
    curve,
    metabolite_table,
    method_table,
    paired_table,
    temperature_methods,
    truncation_methods,
)
from ftddm_core.evaluation.tables import Table
from ftddm_core.model.record import steps_before

if TYPE_CHECKING:
    from ftddm_core.evaluation.likelihood import Case as Batch

FLOW_BATCH = 16
"""Batch size in slices for the likelihood."""

Progress = Callable[[str, float], None]
"""Callback with the name of a stage and the share of it that is done."""


@dataclass
class Outcome:
    """Result of an evaluation.

    Parameters
    ----------
    protocol
        The protocol that was run.
    record
        Weights, device, numbers of patients, anatomies and slices.
    tables
        Name -> table; tables that were not run are absent.
    chosen
        The highest temperature that meets the margins on the validation subjects; None if none
        does.
    timing
        Result of `Runner.time`; empty if nothing was timed.
    """

    protocol: Protocol
    record: dict[str, Any]
    tables: dict[str, Table] = field(default_factory=dict)
    chosen: float | None = None
    timing: dict[str, Any] = field(default_factory=dict)


def slice_calls(
    protocol: Protocol, kinds: Sequence[KindCase] | None = None, extras: Sequence[Case] = ()
) -> int:
    """Return the number of denoiser calls for single slices, with all anatomies.

    This is an upper bound: automatic MRI weights may need two calls where one is enough,
    self-checks of small slices are left out, and maps shared by two methods count once.

    Parameters
    ----------
    protocol
        What to run.
    kinds
        See `robust_calls`.
    extras
        Further single cases, restored in addition to the protocol's.
    """
    patients = len(protocol.anatomies) * protocol.patients
    total = calls_of(protocol.methods) * patients * protocol.slices
    total += calls_of(scan_plans(protocol)) * patients * protocol.slices
    if protocol.choice:
        others = len(protocol.choice.anatomies) * protocol.choice.patients
        total += calls_of(choice_methods(protocol.choice)) * others * protocol.slices
    for case in extras:
        total += calls_of(extra_plans(protocol, case)) * case.study.grid.shape[2]
    return total + robust_calls(protocol, kinds)


def evaluate(
    protocol: Protocol,
    cases: Sequence[Case],
    others: Sequence[Case],
    runner: Runner,
    *,
    real: Case | None = None,
    glioma: Case | None = None,
    kinds: Sequence[KindCase] = (),
    progress: Progress = lambda what, done: None,
) -> Outcome:
    """Run missing maps, measure, and make all tables.

    Parameters
    ----------
    protocol
        What to run.
    cases
        Cases of the test.
    others
        Cases for choosing the temperatures, and for fitting the Gaussian that the flow is compared
        with; without any, both are left out.
    runner
        Networks and cache.
    real
        A measured low-resolution study, degraded and restored against its own measurement.
    glioma
        Case with simulated maps on real MRI of a tumour.
    kinds
        Cases of all kinds, for robustness; see `kinds`.
    progress
        Progress callback.

    Raises
    ------
    Cancelled
        If the runner is asked to stop; finished maps are kept.
    """
    extras = [case for case in (real, glioma) if case is not None]
    outcome = Outcome(protocol, _record(protocol, cases, others, runner))
    outcome.record["slice_calls"] = slice_calls(protocol, kinds, extras)
    tables = outcome.tables
    if protocol.choice and others:
        plans = choice_methods(protocol.choice)
        runner.run(runner.entries(plans, others), lambda done: progress("choosing τ", done))
        metrics = Metrics(measure(runner, plans, others).rows)
        tables["choice"] = choice_table(metrics, protocol.choice)
        outcome.chosen = chosen_tau(tables["choice"])
    measured = Measured()
    if cases:
        runner.run(
            runner.entries(protocol.methods, cases), lambda done: progress("running methods", done)
        )
        measured = measure(
            runner, protocol.methods, cases, lambda done: progress("measuring", done)
        )
    metrics = Metrics(measured.rows)
    _fill(tables, protocol, metrics, measured)
    if protocol.timing and cases:
        factor, metabolites = protocol.timing
        held = [name for name in metabolites if name in cases[0].study.maps]
        if held:
            outcome.timing = runner.time(
                protocol.methods, cases[0], factor, held, lambda done: progress("timing", done)
            )
    tables["checks"] = check(
        protocol,
        metrics,
        seconds=outcome.timing.get("seconds", {}),
        calibration=tables["calibration"],
        tradeoff=tables["tradeoff"],
        chosen=outcome.chosen,
        choice_made="choice" in tables,
    )
    if protocol.flow_levels and cases:
        progress("likelihood", 0)
        found = flow_tables(protocol, cases, others, runner)
        tables["flow"] = found["flow"]
        tables["checks"] += check_flow(found["flow"], found["spread"])
    for name, case in (("real", real), ("glioma", glioma)):
        if case is not None:
            tables[name] = extra_case(protocol, case, name, runner, progress)
            tables["checks"] += check_real(name, tables[name], Roles.of(protocol))
    if cases and all(case.scans for case in cases):
        tables["scans"] = scan_table(protocol, cases, runner, progress)
    if kinds:
        robust = run_robust(protocol, kinds, runner, progress)
        fill_robust(tables, robust)
        tables["checks"] += check_robust(robust) + check_comparisons(metrics, Roles.of(protocol))
    tables["checks"].sort(key=lambda line: line["item"])
    return outcome


def _fill(
    tables: dict[str, Table], protocol: Protocol, metrics: Metrics, measured: Measured
) -> None:
    contrast = Metrics(measured.contrast)
    roles = Roles.of(protocol)
    plain = [m for m in protocol.methods if not m.drop]
    complete = replace(protocol, methods=tuple(plain))
    tables["methods"] = method_table(metrics, complete, protocol.metabolites, contrast)
    parts = {m.metabolites for m in plain if m.metabolites != protocol.metabolites}
    tables["part"] = [
        {"metabolites": list(part)} | line
        for part in sorted(parts, key=len, reverse=True)
        for line in method_table(metrics, complete, part, contrast)
    ]
    shown = (roles.zero_filling, roles.guided_tv, roles.regression, roles.at_zero, roles.at_default)
    tables["metabolites"] = metabolite_table(metrics, protocol, [name for name in shown if name])
    tables["paired"] = paired_table(metrics, protocol, roles.pairs())
    tables["tradeoff"] = curve(metrics, temperature_methods(plain), protocol.factors, "tau")
    others = (roles.zero_filling, roles.guided_tv, roles.regression, roles.full_chain, roles.mean)
    tables["comparisons"] = comparison_table(
        metrics,
        temperature_methods(plain),
        [name for name in others if name],
        protocol.factors,
    )
    tables["truncation"] = curve(metrics, truncation_methods(plain), protocol.factors, "t_trunc")
    tables["ablation"] = ablation_table(metrics, protocol.methods)
    tables["calibration"] = calibration_table(measured)


def scan_table(
    protocol: Protocol, cases: Sequence[Case], runner: Runner, progress: Progress
) -> Table:
    """Run the main methods on coarse scans of the patients, for the full chain's metabolites."""
    plans = scan_plans(protocol)
    part = plans[0].metabolites if plans else protocol.metabolites
    scans = [scanned(case) for case in cases]
    runner.run(runner.entries(plans, scans), lambda done: progress("coarse scans", done))
    measured = measure(runner, plans, scans)
    shown = replace(protocol, methods=tuple(plans))
    return method_table(Metrics(measured.rows), shown, part, Metrics(measured.contrast))


def fill_robust(tables: dict[str, Table], robust: Robust) -> None:
    """Add the tables of the results on every kind of case."""
    tables["robustness"] = robustness_table(robust)
    tables["robust_sharpness"] = sharpness_table(robust)
    tables["self_check"] = self_check_table(robust.checks)
    tables["shares"] = share_table(robust.checks)
    tables["self_checks"] = check_rows(robust.checks)
    tables["lesions"] = lesion_table(robust.lesions)
    tables["robust_calibration"] = robust_calibration(robust)


def scan_plans(protocol: Protocol) -> list[MethodPlan]:
    """Return the main methods for coarse scans, restricted to the full chain's maps."""
    full = Roles.of(protocol).full_chain
    chain = next((m for m in protocol.methods if m.name == full), None)
    if chain is None:
        return main_plans(protocol)
    return [
        replace(m, metabolites=chain.metabolites, factors=chain.factors)
        for m in main_plans(protocol)
    ]


def main_plans(protocol: Protocol) -> list[MethodPlan]:
    """Return the comparison methods, and FTDDM-100 at temperature 0 and at the defaults."""
    roles = Roles.of(protocol)
    names = (roles.zero_filling, roles.guided_tv, roles.regression, roles.at_zero, roles.at_default)
    return [m for m in protocol.methods if m.name in names]


def extra_plans(protocol: Protocol, case: Case) -> list[MethodPlan]:
    """Return the methods for a single case.

    A measured case is also restored without its MRI, which may not show the same structures as the
    maps.
    """
    names = tuple(case.study.maps)
    factors = protocol.factors if case.simulated else (REAL_FACTOR,)
    found = main_plans(protocol)
    roles = Roles.of(protocol)
    if not case.simulated:
        bare = [m for m in found if m.name == roles.at_default]
        found += [replace(m, name=f"{m.name}, no MRI", drop=MRI) for m in bare]
    return [replace(m, factors=tuple(factors), metabolites=names) for m in found]


def extra_case(
    protocol: Protocol, case: Case, name: str, runner: Runner, progress: Progress
) -> Table:
    """Run one additional case, "real" or "glioma"; return its table by factor."""
    plans = extra_plans(protocol, case)
    if not plans:
        return []
    runner.run(runner.entries(plans, [case]), lambda done: progress(f"{name} case", done))
    measured = measure(runner, plans, [case])
    part = replace(
        protocol, factors=plans[0].factors, methods=tuple(plans), metabolites=tuple(case.study.maps)
    )
    metrics, contrast = Metrics(measured.rows), Metrics(measured.contrast)
    return method_table(metrics, part, part.metabolites, contrast)


def flow_tables(
    protocol: Protocol, cases: Sequence[Case], others: Sequence[Case], runner: Runner
) -> dict[str, Any]:
    """Return `flow`, its likelihood by level, and `spread`, its spread over its error.

    The Gaussian for comparison is fitted on the validation subjects; without them, or without a
    regression, it is left out.
    """
    from ftddm_core.evaluation.likelihood import flow_metrics, flow_spread

    regression = runner.regression if others else None
    key = key_of(
        {
            "flow": [case.digest for case in cases],
            "fitted": [case.digest for case in others] if regression else [],
            "weights": runner.resolver.weights.digest,
            "regression": regression[1] if regression else "",
            "levels": list(protocol.flow_levels),
            "factors": list(protocol.factors),
            "metabolites": list(protocol.metabolites),
        }
    )
    found: dict[str, Any] | None = runner.cache.load_json(key)
    if found is None:
        network = regression[0].to(runner.resolver.device) if regression else None
        held = _batches(protocol, cases, runner)
        fitted = _batches(protocol, others, runner) if regression else ()
        weights = runner.resolver.weights
        found = {
            "flow": flow_metrics(weights, network, held, fitted, protocol.flow_levels),
            "spread": flow_spread(weights, held),
        }
        runner.cache.save_json(key, found)
    return found


def _batches(protocol: Protocol, cases: Sequence[Case], runner: Runner) -> list[Batch]:
    """Return truths, conditions and factors of every slice, `FLOW_BATCH` at a time."""
    import torch

    groups: dict[tuple[int, ...], list[tuple[Any, Any, float]]] = {}
    for factor in protocol.factors:
        for case in cases:
            for name, condition in runner.conditions(case, factor).items():
                if name not in protocol.metabolites:
                    continue
                truth = case.truth(name) / condition.scale
                pad = [(0, p - n) for p, n in zip(condition.channels.shape[1:3], truth.shape[:2],
                                                  strict=True)]  # fmt: skip
                padded = np.pad(truth, [*pad, (0, 0)]).astype(np.float32)
                for k in range(truth.shape[2]):
                    item = (padded[None, ..., k], condition.channels[..., k], condition.upscale)
                    groups.setdefault(padded.shape[:2], []).append(item)
    device = runner.resolver.device
    batches = []
    for items in groups.values():
        # Evenly, since no batch may have a single slice.
        count = max(1, -(-len(items) // FLOW_BATCH))
        for start in range(count):
            x0, channels, factors = zip(*items[start::count], strict=True)
            batches.append(
                (
                    torch.from_numpy(np.stack(x0)).to(device),
                    torch.from_numpy(np.stack(channels)).to(device),
                    torch.tensor(factors, dtype=torch.float32, device=device),
                )
            )
    return batches


def _record(
    protocol: Protocol, cases: Sequence[Case], others: Sequence[Case], runner: Runner
) -> dict[str, Any]:
    weights = runner.resolver.weights
    runs: Mapping[str, Any] = weights.record.get("runs", {})
    return {
        "protocol": protocol.name,
        "weights": {
            "name": weights.name,
            "sha256": weights.digest,
            "steps": dict(weights.record.get("steps", {})),
            "before": {which: steps_before(which, run) for which, run in runs.items()},
            "curves": {which: run.get("curve", []) for which, run in runs.items()},
        },
        "regression": {"sha256": runner.regression[1]} if runner.regression else None,
        "device": f"{platform.machine()} {runner.resolver.where}",
        "cases": record_of(cases),
        "others": record_of(others),
        "simulated": bool(cases) and all(case.simulated for case in cases),
    }
