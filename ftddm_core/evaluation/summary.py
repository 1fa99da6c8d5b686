"""Tables of an evaluation: means with intervals, and paired differences, from slices."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ftddm_core.evaluation.bootstrap import Estimate, estimate, mean, ratio, ratio_difference
from ftddm_core.evaluation.measure import Measured, name_of_mean
from ftddm_core.evaluation.protocol import Choice, MethodPlan, Protocol, temperatures
from ftddm_core.evaluation.tables import POOLED, Row, Table

Key = tuple[str, str, int]
"""Case, metabolite, slice."""

TABULATED = ("psnr", "ssim", "nrmse", "psnr_in_mask", "ssim_in_mask", *POOLED)
GAIN_AT_DEFAULT = {2.0: 1.5, 4.0: 3.5, 8.0: 3.5}
"""Factor -> gain over zero-filling in dB that the default temperatures must reach."""


class Metrics:
    """Metrics of slices, for averaging and pairing.

    Parameters
    ----------
    rows
        Rows of all methods.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows: dict[tuple[str, float], dict[Key, Mapping[str, float]]] = {}
        for row in rows:
            held = self._rows.setdefault((row.method, row.upscale), {})
            held[row.case, row.metabolite, row.slice_index] = row.values

    def factors(self, method: str) -> list[float]:
        """Return the factors that a method was run at, in ascending order."""
        return sorted(factor for name, factor in self._rows if name == method)

    def keys(
        self, methods: Iterable[str], factor: float, metabolites: Collection[str] | None = None
    ) -> list[Key]:
        """Return the slices that all of these methods have, for some metabolites or all."""
        sets = [set(self._rows.get((method, factor), ())) for method in methods]
        common = set.intersection(*sets) if sets else set()
        return sorted(key for key in common if metabolites is None or key[1] in metabolites)

    def mean(
        self, method: str, metric: str, factor: float, keys: Sequence[Key] | None = None
    ) -> Estimate:
        """Return the mean (or pooled ratio) of a metric over slices; None takes all slices."""
        held = self._rows.get((method, factor), {})
        chosen = sorted(held) if keys is None else keys
        columns = _columns(held, metric, chosen)
        return estimate([key[0] for key in chosen], columns, ratio)

    def difference(
        self,
        method: str,
        other: str,
        metric: str,
        factor: float,
        metabolites: Collection[str] | None = None,
    ) -> Estimate:
        """Return the difference of two methods, paired on the slices that both have."""
        keys = self.keys((method, other), factor, metabolites)
        one, two = (
            _columns(self._rows.get((name, factor), {}), metric, keys) for name in (method, other)
        )
        patients = [key[0] for key in keys]
        if metric in POOLED:
            return estimate(patients, np.concatenate([one, two], 1), ratio_difference)
        return mean(patients, one[:, 0] - two[:, 0])


def _columns(held: Mapping[Key, Mapping[str, float]], metric: str, keys: Sequence[Key]) -> Any:
    """Return (rows, 2): numerator and denominator of a metric at every slice."""
    if metric in POOLED:
        parts = POOLED[metric]
        pairs = [tuple(held[key].get(part, np.nan) for part in parts) for key in keys]
    else:
        pairs = [(held[key].get(metric, np.nan), 1.0) for key in keys]
    return np.array(pairs, np.float64).reshape(-1, 2)


def labels(methods: Iterable[MethodPlan]) -> dict[str, MethodPlan]:
    """Return every method by its name in the tables; several draws appear as their mean."""
    return {name_of_mean(m) if m.samples > 1 else m.name: m for m in methods}


def line_of(metrics: Mapping[str, Estimate]) -> dict[str, Any]:
    """Return estimates as columns: `psnr`, `psnr_low`, `psnr_high`, ..., `slices`, `patients`."""
    line: dict[str, Any] = {}
    for name, found in metrics.items():
        line |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    counts = [(found.slices, found.patients) for found in metrics.values()]
    slices, patients = max(counts, default=(0, 0))
    return line | {"slices": slices, "patients": patients}


def method_table(
    metrics: Metrics, protocol: Protocol, metabolites: Collection[str], contrast: Metrics
) -> Table:
    """Return every method that has these metabolites, on their slices, by factor."""
    table = []
    for factor in protocol.factors:
        for name, method in labels(protocol.methods).items():
            if factor not in method.factors or not set(metabolites) <= set(method.metabolites):
                continue
            keys = metrics.keys((name,), factor, metabolites)
            if not keys:
                continue
            found = {metric: metrics.mean(name, metric, factor, keys) for metric in TABULATED}
            line = {"upscale": factor, "method": name} | line_of(found)
            error = contrast.mean(name, "contrast_error", factor)
            line |= {"contrast_error": error.value}
            table.append(line)
    return table


def paired_table(metrics: Metrics, protocol: Protocol, pairs: Iterable[tuple[str, str]]) -> Table:
    """Return the differences of PSNR, SSIM and sharpness of pairs of methods, on common slices."""
    table = []
    for method, other in pairs:
        for factor in protocol.factors:
            found = {
                metric: metrics.difference(method, other, metric, factor)
                for metric in ("psnr", "ssim", "sharpness")
            }
            if found["psnr"].slices:
                head = {"method": method, "other": other, "upscale": factor}
                table.append(head | line_of(found))
    return table


def metabolite_table(metrics: Metrics, protocol: Protocol, methods: Sequence[str]) -> Table:
    """Return PSNR, SSIM and sharpness of some methods by metabolite and factor."""
    table = []
    for metabolite in protocol.metabolites:
        for factor in protocol.factors:
            for name in methods:
                if keys := metrics.keys((name,), factor, (metabolite,)):
                    found = {
                        metric: metrics.mean(name, metric, factor, keys)
                        for metric in ("psnr", "ssim", "sharpness")
                    }
                    head = {"metabolite": metabolite, "upscale": factor, "method": name}
                    table.append(head | line_of(found))
    return table


def curve(
    metrics: Metrics, methods: Mapping[float, str], factors: Sequence[float], axis: str
) -> Table:
    """Return metrics along an axis: one line for each of its values, on common slices.

    Parameters
    ----------
    metrics
        Metrics of the slices.
    methods
        Value on the axis -> method.
    factors
        Factors of the curve.
    axis
        Name of the axis: a column.
    """
    table = []
    for factor in factors:
        keys = metrics.keys(methods.values(), factor)
        for value, name in sorted(methods.items()) if keys else ():
            found = {
                metric: metrics.mean(name, metric, factor, keys)
                for metric in ("psnr", "ssim", *POOLED)
            }
            table.append({"upscale": factor, axis: value, "method": name} | line_of(found))
    return table


def comparison_table(
    metrics: Metrics,
    curve_of: Mapping[float, str],
    others: Iterable[str],
    factors: Sequence[float],
) -> Table:
    """Return PSNR and sharpness of the other methods that have every slice of a curve."""
    table = []
    for factor in factors:
        keys = metrics.keys(curve_of.values(), factor)
        for name in others if keys else ():
            if metrics.keys((name, *curve_of.values()), factor) == keys:
                found = {f: metrics.mean(name, f, factor, keys) for f in ("psnr", "sharpness")}
                table.append({"upscale": factor, "method": name} | line_of(found))
    return table


def temperature_methods(methods: Iterable[MethodPlan]) -> dict[float, str]:
    """Return temperature -> method, for full chains from T_trunc 100 with equal temperatures."""
    found: dict[float, str] = {}
    for method in methods:
        if method.samples == 1 and method.is_sampler(100):
            flow, diffusion = temperatures(method)
            if flow == diffusion:
                found.setdefault(flow, method.name)
    return found


def truncation_methods(methods: Iterable[MethodPlan]) -> dict[float, str]:
    """Return T_trunc -> method, for full chains at temperature 1."""
    return {
        float(m.settings.t_trunc): m.name
        for m in methods
        if m.settings and m.samples == 1 and m.is_sampler(m.settings.t_trunc, tau=1)
    }


def ablation_table(metrics: Metrics, methods: Iterable[MethodPlan]) -> Table:
    """Return methods without some MRI, compared with the same methods with all MRI, on common
    slices."""
    plans = [m for m in methods if m.samples == 1]
    table = []
    for bare in (m for m in plans if m.drop):
        whole = next((m for m in plans if m.settings == bare.settings and not m.drop), None)
        for factor in bare.factors if whole else ():
            if whole is None or not (keys := metrics.keys((bare.name, whole.name), factor)):
                continue
            for name, without in ((whole.name, "nothing"), (bare.name, " and ".join(bare.drop))):
                found = {
                    metric: metrics.mean(name, metric, factor, keys)
                    for metric in ("psnr", "ssim", "sharpness")
                }
                loss = metrics.difference(name, whole.name, "psnr", factor)
                line = {"upscale": factor, "without": without, "method": name} | line_of(found)
                line |= {"change": loss.value, "change_low": loss.low, "change_high": loss.high}
                if line not in table:
                    table.append(line)
    return table


def calibration_table(measured: Measured) -> Table:
    """Return coverage, CRPS and spread / error of methods with several draws, by factor.

    `widened` is the coverage of the samples after `sampling.widening`.
    """
    table = []
    groups: dict[tuple[float, str], list[Row]] = {}
    for row in measured.calibration:
        groups.setdefault((row.upscale, row.method), []).append(row)
    for (factor, name), rows in groups.items():
        patients = [row.case for row in rows]
        found = {
            metric: mean(patients, [row.values[metric] for row in rows])
            for metric in ("coverage", "widened", "crps")
        }
        parts = np.array([[row.values["spread"], row.values["error"]] for row in rows])
        found["spread_error"] = estimate(patients, parts, lambda sums: np.sqrt(ratio(sums)))
        ranks = measured.ranks[factor, name]
        shares = (ranks / max(ranks.sum(), 1)).tolist()
        table.append({"upscale": factor, "method": name} | line_of(found) | {"ranks": shares})
    return table


def choice_table(metrics: Metrics, choice: Choice) -> Table:
    """Return the gain over zero-filling by temperature, and whether all margins are met.

    Margins must be met by the lower end of the interval over patients. A temperature must also
    exceed guided TV at the factors where the lowest temperature does.
    """
    table: Table = []
    leads: dict[float, bool] = {}
    for tau in sorted(choice.taus):
        lines = []
        for factor in choice.factors:
            gain, similarity = (
                metrics.difference(f"τ {tau:g}", "zero-filling", metric, factor)
                for metric in ("psnr", "ssim")
            )
            over_tv = metrics.difference(f"τ {tau:g}", "guided TV", "psnr", factor)
            sharp = metrics.mean(f"τ {tau:g}", "sharpness", factor)
            target, least = GAIN_AT_DEFAULT.get(factor, -np.inf), _least(gain)
            leads.setdefault(factor, _least(over_tv) > 0)
            ahead = _least(over_tv) > 0 or not leads[factor]
            found = {"psnr_gain": gain, "ssim_gain": similarity, "tv_gain": over_tv}
            lines.append(
                {"tau": tau, "upscale": factor}
                | line_of(found | {"sharpness": sharp})
                | {
                    "target": target,
                    "passes": least >= target and _least(similarity) > 0 and ahead,
                }
            )
        table += lines
    return table


def _least(found: Estimate) -> float:
    """Return the lower end of an interval, or the value if there is none."""
    return found.low if np.isfinite(found.low) else found.value


def chosen_tau(table: Table) -> float | None:
    """Return the highest temperature that meets all margins at every factor; None if none does."""
    passing = {line["tau"] for line in table} - {
        line["tau"] for line in table if not line["passes"]
    }
    return max(passing, default=None)
