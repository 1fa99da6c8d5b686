"""What the project promised, each promise beside what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from ftddm_core.evaluation.bootstrap import Estimate
from ftddm_core.evaluation.measure import CALIBRATION_SAMPLES, name_of_mean
from ftddm_core.evaluation.protocol import DEFAULT, MethodPlan, Protocol, temperatures_of
from ftddm_core.evaluation.summary import GAIN_AT_DEFAULT, Figures
from ftddm_core.evaluation.tables import Table
from ftddm_core.samplers import FEW_STEPS_SAMPLER, FULL_SAMPLER

GAIN_AT_ZERO = {2.0: 2.3, 4.0: 4.3, 8.0: 4.3}
"""Factor -> dB over zero-filling that temperature 0 must reach."""
FASTER = 9.2
"""What the paper claims over the full chain."""
LIVE_FASTER = 60.0
"""How much faster than the full chain a live picture must be."""
LIVE_LOSS = {"psnr": 0.15, "ssim": 0.003, "sharpness": 0.05}
"""What a live picture may lose to the chain of all its steps; of sharpness, or gain."""
INF = np.inf


@dataclass(frozen=True)
class Roles:
    """Which of a protocol's methods plays which part; None where none does."""

    zero_filling: str | None
    guided_tv: str | None
    regression: str | None
    flow: str | None
    at_zero: str | None
    at_one: str | None
    at_default: str | None
    full_chain: str | None
    full_at_default: str | None
    mean: str | None
    many: str | None

    @classmethod
    def of(cls, protocol: Protocol) -> Roles:
        """Find them by what they do, not by their names."""
        plans = [m for m in protocol.methods if not m.drop]

        def kind(name: str) -> str | None:
            return next((m.name for m in plans if m.kind == name), None)

        def sampler(t_trunc: int, tau: float | str) -> MethodPlan | None:
            found = (m for m in plans if m.is_sampler(t_trunc, tau=tau))
            held = [m for m in found if m.samples == 1]
            return _most_run(held) if held else None

        drawn = [m for m in plans if m.samples > 1 and m.settings]
        many = [m for m in drawn if m.settings and m.is_sampler(100, tau=1, steps=m.settings.steps)]
        several = _most_run(many) if many else None
        names = [
            found.name if (found := sampler(*how)) else None
            for how in ((0, 1), (100, 0), (100, 1), (100, DEFAULT), (1000, 1), (1000, DEFAULT))
        ]
        flow, at_zero, at_one, at_default, full_chain, full_at_default = names
        return cls(
            zero_filling=kind("zero-filling"),
            guided_tv=kind("guided-tv"),
            regression=kind("regression"),
            flow=flow,
            at_zero=at_zero,
            at_one=at_one,
            at_default=at_default,
            full_chain=full_chain,
            full_at_default=full_at_default,
            mean=name_of_mean(several) if several else None,
            many=several.name if several else None,
        )

    def pairs(self) -> list[tuple[str, str]]:
        """Return the methods whose difference is of interest."""
        wanted = (
            (self.at_one, self.full_chain),
            (self.at_default, self.full_chain),
            (self.at_default, self.full_at_default),
            (self.at_default, self.zero_filling),
            (self.at_default, self.guided_tv),
            (self.at_default, self.regression),
            (self.at_zero, self.zero_filling),
            (self.at_zero, self.regression),
            (self.mean, self.regression),
        )
        return [(one, two) for one, two in wanted if one and two]


@dataclass
class Checks:
    """The list, filled promise by promise.

    Parameters
    ----------
    table
        One line each: `item`, `what`, `upscale` (0 for all), `value`, `low`, `high`, `bar` in
        words, `passed`.
    """

    table: Table = field(default_factory=list)

    def add(
        self,
        item: str,
        what: str,
        factor: float,
        found: Estimate | float,
        least: float = -INF,
        most: float = INF,
    ) -> None:
        """Add one line: whether least <= found <= most."""
        known = found if isinstance(found, Estimate) else Estimate(found, np.nan, np.nan, 0, 0)
        if np.isnan(known.value):
            return
        bars = [f"≥ {least:g}"] if least > -INF else []
        bars += [f"≤ {most:g}"] if most < INF else []
        self.table.append(
            {
                "item": item, "what": what, "upscale": factor, "value": known.value,
                "low": known.low, "high": known.high, "slices": known.slices,
                "bar": " and ".join(bars), "passed": bool(least <= known.value <= most),
            }
        )  # fmt: skip


def check(
    protocol: Protocol,
    figures: Figures,
    *,
    seconds: Mapping[str, float],
    calibration: Table,
    tradeoff: Table,
    chosen: float | None,
    choice_made: bool,
) -> Table:
    """Return the list for what was run; what was not has no line.

    Parameters
    ----------
    protocol, figures
        What was run.
    seconds
        Method -> seconds a slice, from one run.
    calibration, tradeoff
        See `summary`.
    chosen, choice_made
        The highest temperature that passed, where it was looked for.
    """
    roles, checks = Roles.of(protocol), Checks()
    _chain(checks, protocol, figures, roles, seconds)
    _live(checks, protocol, figures, roles, seconds)
    _regression(checks, protocol, figures, roles)
    _peers(checks, protocol, figures, roles)
    if choice_made:
        default = max(temperatures_of(DEFAULT))
        highest = -INF if chosen is None else chosen
        checks.add("3", "default τ minus the highest that passes on the other subjects", 0,
                   default - highest, 0, 0)  # fmt: skip
    for line in calibration:
        if line["method"] == roles.many and len(line["ranks"]) == CALIBRATION_SAMPLES + 1:
            low, high = line["coverage_low"], line["coverage_high"]
            found = Estimate(line["coverage"], low, high, line["slices"], line["patients"])
            checks.add("4", "share of voxels within 19 samples", line["upscale"], found, 0.85, 0.95)
    _trade(checks, protocol.factors, tradeoff)
    if roles.flow:
        for factor in protocol.factors:
            found = figures.figure(roles.flow, "sharpness", factor)
            checks.add("6", "sharpness of the flow alone, τ 1", factor, found, 0.6)
    return checks.table


def _chain(
    checks: Checks,
    protocol: Protocol,
    figures: Figures,
    roles: Roles,
    seconds: Mapping[str, float],
) -> None:
    full = roles.full_chain
    for factor in protocol.factors if full else ():
        if full and (one := roles.at_one):
            what = f"{one} over {full}"
            for figure, unit, least in (("psnr", "PSNR (dB)", -0.1), ("ssim", "SSIM", -0.003)):
                found = figures.difference(one, full, figure, factor)
                checks.add("1", f"{what}, {unit}", factor, found, least)
        if full and (default := roles.at_default):
            found = figures.difference(default, full, "psnr", factor)
            checks.add("1", f"{default} over {full}, PSNR (dB)", factor, found, 0.5)
    if full and roles.at_one and {full, roles.at_one} <= set(seconds):
        faster = seconds[full] / seconds[roles.at_one]
        checks.add("1", f"{roles.at_one} faster than {full}, times", 0, faster, FASTER)


def live_pairs(protocol: Protocol) -> list[tuple[str, str]]:
    """Return each method of few steps beside the full chain of the same other settings."""
    plain = [m for m in protocol.methods if m.settings and m.samples == 1 and not m.drop]
    found = []
    for few in plain:
        chosen = few.settings
        if chosen is None or chosen.sampler_used != FEW_STEPS_SAMPLER:
            continue
        whole = chosen.replace(steps=None, sampler=FULL_SAMPLER)
        known = [m for m in plain if m.settings and m.settings.exact(None) == whole]
        if known:
            found.append((few.name, _most_run(known).name))
    return found


def _most_run(methods: Sequence[MethodPlan]) -> MethodPlan:
    """Return the one that runs on most, where a temperature is listed twice."""
    return max(methods, key=lambda m: len(m.factors) * len(m.metabolites))


def _live(
    checks: Checks,
    protocol: Protocol,
    figures: Figures,
    roles: Roles,
    seconds: Mapping[str, float],
) -> None:
    pairs = live_pairs(protocol)
    for few, every in pairs:
        for figure, unit in (("psnr", "PSNR (dB)"), ("ssim", "SSIM"), ("sharpness", "sharpness")):
            for factor in protocol.factors:
                found = figures.difference(few, every, figure, factor)
                most = LIVE_LOSS[figure] if figure == "sharpness" else INF
                what = f"{few} over {every}, {unit}"
                checks.add("8", what, factor, found, -LIVE_LOSS[figure], most)
    for few, _ in pairs[:1]:  # temperatures do not change the time
        if roles.full_chain and {few, roles.full_chain} <= set(seconds):
            faster = seconds[roles.full_chain] / seconds[few]
            checks.add("8", f"{few} faster than {roles.full_chain}, times", 0, faster, LIVE_FASTER)


def _regression(checks: Checks, protocol: Protocol, figures: Figures, roles: Roles) -> None:
    other = roles.regression
    for factor in protocol.factors:
        if other and roles.mean:
            found = figures.difference(roles.mean, other, "psnr", factor)
            checks.add("2", f"{roles.mean} over regression, PSNR (dB)", factor, found, -0.6)
        if roles.at_one and factor in (4, 8):
            found = figures.figure(roles.at_one, "sharpness", factor)
            checks.add("2", f"sharpness of {roles.at_one}", factor, found, 0.8, 1.2)
            if other:
                found = figures.difference(roles.at_one, other, "sharpness", factor)
                what = f"sharpness of {roles.at_one} over regression's"
                checks.add("2", what, factor, found, 0.2)


def _peers(checks: Checks, protocol: Protocol, figures: Figures, roles: Roles) -> None:
    for name, bars in ((roles.at_default, GAIN_AT_DEFAULT), (roles.at_zero, GAIN_AT_ZERO)):
        for factor in protocol.factors if name else ():
            if name and (zero := roles.zero_filling) and factor in bars:
                found = figures.difference(name, zero, "psnr", factor)
                what = f"{name} over zero-filling"
                checks.add("3", f"{what}, PSNR (dB)", factor, found, bars[factor])
                found = figures.difference(name, zero, "ssim", factor)
                checks.add("3", f"{what}, SSIM", factor, found, 1e-9)
            if name and roles.guided_tv:
                found = figures.difference(name, roles.guided_tv, "psnr", factor)
                checks.add("3", f"{name} over guided TV, PSNR (dB)", factor, found, 1e-9)


def _trade(checks: Checks, factors: Sequence[float], tradeoff: Table) -> None:
    for factor in factors:
        lines = [line for line in tradeoff if line["upscale"] == factor]
        if len(lines) < 2:
            continue
        for figure, sign, what in (
            ("sharpness", 1, "least step of sharpness over τ"),
            ("psnr", -1, "least fall of PSNR (dB) over τ"),
        ):
            steps = [sign * (b[figure] - a[figure]) for a, b in pairwise(lines)]
            checks.add("5", what, factor, min(steps), 0)


def check_flow(table: Table, spread: float) -> Table:
    """Return the list for the flow's own figures: its likelihood, and its spread over error."""
    checks = Checks()
    names = {"wrong_level": "a wrong level", "wrong_s": "a wrong s", "shuffled_y": "another's y"}
    for line in table:
        at = f"at t = {line['level']}"
        if "gaussian_bits" in line:
            margin = line["gaussian_bits"] - line["flow_bits"]
            checks.add("6", f"NLL {at} below a Gaussian's, bits a voxel", 0, margin, 1e-9)
        for figure, what in (("flow_bits", "NLL"), ("denoiser_loss", "denoiser's loss")):
            for wrong, words in names.items():
                change = line[f"{figure}_{wrong}"] - line[figure]
                checks.add("6", f"{what} {at} given {words}, increase", 0, change, 1e-9)
    checks.add("6", "spread over error of the flow alone, τ 1", 0, spread, 0.7, 1.3)
    return checks.table


def check_real(name: str, table: Table, roles: Roles) -> Table:
    """Return the list for a case beside the protocol's, "real" or "glioma"."""
    checks = Checks()
    lines = {(line["method"], line["upscale"]): line for line in table}
    what = "real MRI" if name == "glioma" else "real measurement"
    for (method, factor), line in lines.items():
        plain = lines.get((roles.zero_filling or "", factor))
        others = (roles.zero_filling, roles.guided_tv, roles.regression, roles.at_zero)
        if plain is None or method in others:
            continue
        if name == "real":
            gain = line["psnr"] - plain["psnr"]
            checks.add("7", f"{what}: {method} over zero-filling, PSNR (dB)", factor, gain, 1e-9)
        else:
            gain = plain["contrast_error"] - line["contrast_error"]
            words = f"{what}: Cho/NAA contrast error of zero-filling minus that of {method}"
            checks.add("7", words, factor, gain, 1e-9)
    return checks.table


def worst(table: Table) -> list[dict[str, Any]]:
    """Return one line for each promise: its lines at all factors together."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for line in table:
        groups.setdefault((line["item"], line["what"], line["bar"]), []).append(line)
    return [
        {
            "item": item,
            "what": what,
            "bar": bar,
            "values": [(line["upscale"], line["value"], line["passed"]) for line in lines],
            "passed": all(line["passed"] for line in lines),
        }
        for (item, what, bar), lines in groups.items()
    ]
