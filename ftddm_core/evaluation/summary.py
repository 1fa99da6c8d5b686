"""Tables of an evaluation: means with their intervals, and paired differences, from slices."""

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

FIGURES = ("psnr", "ssim", "nrmse", "psnr_in_mask", "ssim_in_mask", *POOLED)
GAIN_AT_DEFAULT = {2.0: 1.5, 4.0: 3.5, 8.0: 3.5}
"""Factor -> dB over zero-filling that the default temperatures must reach."""


class Figures:
    """Figures of slices, ready to be averaged and paired.

    Parameters
    ----------
    rows
        Of all methods.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows: dict[tuple[str, float], dict[Key, Mapping[str, float]]] = {}
        for row in rows:
            held = self._rows.setdefault((row.method, row.upscale), {})
            held[row.case, row.metabolite, row.slice_index] = row.values

    def factors(self, method: str) -> list[float]:
        """Return the factors that a method was run at, rising."""
        return sorted(factor for name, factor in self._rows if name == method)

    def keys(
        self, methods: Iterable[str], factor: float, metabolites: Collection[str] | None = None
    ) -> list[Key]:
        """Return the slices that all of these methods have, of some metabolites or all."""
        sets = [set(self._rows.get((method, factor), ())) for method in methods]
        common = set.intersection(*sets) if sets else set()
        return sorted(key for key in common if metabolites is None or key[1] in metabolites)

    def figure(
        self, method: str, figure: str, factor: float, keys: Sequence[Key] | None = None
    ) -> Estimate:
        """Return the mean (or pooled ratio) of a figure over slices; None takes all it has."""
        held = self._rows.get((method, factor), {})
        chosen = sorted(held) if keys is None else keys
        columns = _columns(held, figure, chosen)
        return estimate([key[0] for key in chosen], columns, ratio)

    def difference(
        self,
        method: str,
        other: str,
        figure: str,
        factor: float,
        metabolites: Collection[str] | None = None,
    ) -> Estimate:
        """Return method minus other, paired on the slices that both have."""
        keys = self.keys((method, other), factor, metabolites)
        one, two = (
            _columns(self._rows.get((name, factor), {}), figure, keys) for name in (method, other)
        )
        patients = [key[0] for key in keys]
        if figure in POOLED:
            return estimate(patients, np.concatenate([one, two], 1), ratio_difference)
        return mean(patients, one[:, 0] - two[:, 0])


def _columns(held: Mapping[Key, Mapping[str, float]], figure: str, keys: Sequence[Key]) -> Any:
    """Return (rows, 2): numerator and denominator of a figure at every slice."""
    if figure in POOLED:
        parts = POOLED[figure]
        pairs = [tuple(held[key].get(part, np.nan) for part in parts) for key in keys]
    else:
        pairs = [(held[key].get(figure, np.nan), 1.0) for key in keys]
    return np.array(pairs, np.float64).reshape(-1, 2)


def labels(methods: Iterable[MethodPlan]) -> dict[str, MethodPlan]:
    """Return every method by its name in the tables: several draws appear as their mean."""
    return {name_of_mean(m) if m.samples > 1 else m.name: m for m in methods}


def line_of(figures: Mapping[str, Estimate]) -> dict[str, Any]:
    """Return estimates as columns: `psnr`, `psnr_low`, `psnr_high`, ..., `slices`, `patients`."""
    line: dict[str, Any] = {}
    for name, found in figures.items():
        line |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    counts = [(found.slices, found.patients) for found in figures.values()]
    slices, patients = max(counts, default=(0, 0))
    return line | {"slices": slices, "patients": patients}


def method_table(
    figures: Figures, protocol: Protocol, metabolites: Collection[str], contrast: Figures
) -> Table:
    """Return every method that has these metabolites, on the slices of these, by factor."""
    table = []
    for factor in protocol.factors:
        for name, method in labels(protocol.methods).items():
            if factor not in method.factors or not set(metabolites) <= set(method.metabolites):
                continue
            keys = figures.keys((name,), factor, metabolites)
            if not keys:
                continue
            found = {figure: figures.figure(name, figure, factor, keys) for figure in FIGURES}
            line = {"upscale": factor, "method": name} | line_of(found)
            error = contrast.figure(name, "contrast_error", factor)
            line |= {"contrast_error": error.value}
            table.append(line)
    return table


def paired_table(figures: Figures, protocol: Protocol, pairs: Iterable[tuple[str, str]]) -> Table:
    """Return PSNR, SSIM and sharpness of a method minus another's, on the slices of both."""
    table = []
    for method, other in pairs:
        for factor in protocol.factors:
            found = {
                figure: figures.difference(method, other, figure, factor)
                for figure in ("psnr", "ssim", "sharpness")
            }
            if found["psnr"].slices:
                head = {"method": method, "other": other, "upscale": factor}
                table.append(head | line_of(found))
    return table


def metabolite_table(figures: Figures, protocol: Protocol, methods: Sequence[str]) -> Table:
    """Return PSNR, SSIM and sharpness of some methods by metabolite and factor."""
    table = []
    for metabolite in protocol.metabolites:
        for factor in protocol.factors:
            for name in methods:
                if keys := figures.keys((name,), factor, (metabolite,)):
                    found = {
                        figure: figures.figure(name, figure, factor, keys)
                        for figure in ("psnr", "ssim", "sharpness")
                    }
                    head = {"metabolite": metabolite, "upscale": factor, "method": name}
                    table.append(head | line_of(found))
    return table


def curve(
    figures: Figures, methods: Mapping[float, str], factors: Sequence[float], axis: str
) -> Table:
    """Return a figure's way along an axis: one line for each value of it, on common slices.

    Parameters
    ----------
    figures
        Of the slices.
    methods
        Value on the axis -> method.
    factors
        At which to draw it.
    axis
        Its name: a column.
    """
    table = []
    for factor in factors:
        keys = figures.keys(methods.values(), factor)
        for value, name in sorted(methods.items()) if keys else ():
            found = {
                figure: figures.figure(name, figure, factor, keys)
                for figure in ("psnr", "ssim", *POOLED)
            }
            table.append({"upscale": factor, axis: value, "method": name} | line_of(found))
    return table


def peer_table(
    figures: Figures, curve_of: Mapping[float, str], peers: Iterable[str], factors: Sequence[float]
) -> Table:
    """Return PSNR and sharpness of peers on the slices of a curve; those that lack some are out."""
    table = []
    for factor in factors:
        keys = figures.keys(curve_of.values(), factor)
        for name in peers if keys else ():
            if figures.keys((name, *curve_of.values()), factor) == keys:
                found = {f: figures.figure(name, f, factor, keys) for f in ("psnr", "sharpness")}
                table.append({"upscale": factor, "method": name} | line_of(found))
    return table


def temperature_methods(methods: Iterable[MethodPlan]) -> dict[float, str]:
    """Return temperature -> method, of full chains from T_trunc 100 with both the same."""
    found: dict[float, str] = {}
    for method in methods:
        if method.samples == 1 and method.is_sampler(100):
            flow, diffusion = temperatures(method)
            if flow == diffusion:
                found.setdefault(flow, method.name)
    return found


def truncation_methods(methods: Iterable[MethodPlan]) -> dict[float, str]:
    """Return T_trunc -> method, of full chains at temperature 1."""
    return {
        float(m.settings.t_trunc): m.name
        for m in methods
        if m.settings and m.samples == 1 and m.is_sampler(m.settings.t_trunc, tau=1)
    }


def ablation_table(figures: Figures, methods: Iterable[MethodPlan]) -> Table:
    """Return methods without some MRI beside the same with all, on the slices of both."""
    plans = [m for m in methods if m.samples == 1]
    table = []
    for bare in (m for m in plans if m.drop):
        whole = next((m for m in plans if m.settings == bare.settings and not m.drop), None)
        for factor in bare.factors if whole else ():
            if whole is None or not (keys := figures.keys((bare.name, whole.name), factor)):
                continue
            for name, without in ((whole.name, "nothing"), (bare.name, " and ".join(bare.drop))):
                found = {
                    figure: figures.figure(name, figure, factor, keys)
                    for figure in ("psnr", "ssim", "sharpness")
                }
                loss = figures.difference(name, whole.name, "psnr", factor)
                line = {"upscale": factor, "without": without, "method": name} | line_of(found)
                line |= {"change": loss.value, "change_low": loss.low, "change_high": loss.high}
                if line not in table:
                    table.append(line)
    return table


def calibration_table(measured: Measured) -> Table:
    """Return coverage, CRPS and spread over error of methods with several draws, by factor."""
    table = []
    groups: dict[tuple[float, str], list[Row]] = {}
    for row in measured.calibration:
        groups.setdefault((row.upscale, row.method), []).append(row)
    for (factor, name), rows in groups.items():
        patients = [row.case for row in rows]
        found = {
            figure: mean(patients, [row.values[figure] for row in rows])
            for figure in ("coverage", "crps")
        }
        parts = np.array([[row.values["spread"], row.values["error"]] for row in rows])
        found["spread_error"] = estimate(patients, parts, lambda sums: np.sqrt(ratio(sums)))
        ranks = measured.ranks[factor, name]
        shares = (ranks / max(ranks.sum(), 1)).tolist()
        table.append({"upscale": factor, "method": name} | line_of(found) | {"ranks": shares})
    return table


def choice_table(figures: Figures, choice: Choice) -> Table:
    """Return PSNR and SSIM over zero-filling by temperature, and whether all margins are kept.

    They are kept clearly: by the lower end of the interval over patients. A temperature must be
    ahead of guided TV too, at the factors where the lowest one is.
    """
    table: Table = []
    leads: dict[float, bool] = {}
    for tau in sorted(choice.taus):
        lines = []
        for factor in choice.factors:
            gain, similarity = (
                figures.difference(f"τ {tau:g}", "zero-filling", figure, factor)
                for figure in ("psnr", "ssim")
            )
            over_tv = figures.difference(f"τ {tau:g}", "guided TV", "psnr", factor)
            sharp = figures.figure(f"τ {tau:g}", "sharpness", factor)
            bar = GAIN_AT_DEFAULT.get(factor, -np.inf)
            leads.setdefault(factor, _least(over_tv) > 0)
            ahead = _least(over_tv) > 0 or not leads[factor]
            found = {"psnr_gain": gain, "ssim_gain": similarity, "tv_gain": over_tv}
            lines.append(
                {"tau": tau, "upscale": factor}
                | line_of(found | {"sharpness": sharp})
                | {"bar": bar, "passes": _least(gain) >= bar and _least(similarity) > 0 and ahead}
            )
        table += lines
    return table


def _least(found: Estimate) -> float:
    """Return the lower end of an interval, or the value where there is none."""
    return found.low if np.isfinite(found.low) else found.value


def chosen_tau(table: Table) -> float | None:
    """Return the highest temperature that keeps all margins at every factor; None if none does."""
    passing = {line["tau"] for line in table} - {
        line["tau"] for line in table if not line["passes"]
    }
    return max(passing, default=None)
