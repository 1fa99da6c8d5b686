"""Targets of the evaluation, each compared with the measured value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from ftddm_core.evaluation.bootstrap import Estimate
from ftddm_core.evaluation.measure import CALIBRATION_SAMPLES, name_of_mean
from ftddm_core.evaluation.protocol import DEFAULT, MethodPlan, Protocol, temperatures_of
from ftddm_core.evaluation.summary import GAIN_AT_DEFAULT, Metrics
from ftddm_core.evaluation.tables import Table
from ftddm_core.samplers import FEW_STEPS_SAMPLER, FULL_SAMPLER

GAIN_AT_ZERO = {2.0: 2.3, 4.0: 4.3, 8.0: 4.3}
"""Factor -> gain over zero-filling in dB that temperature 0 must reach."""
FASTER = 9.2
"""Speed-up over the full chain that the paper reports."""
LIVE_FASTER = 60.0
"""Speed-up over the full chain that a live image must reach."""
LIVE_LOSS = {"psnr": 0.15, "ssim": 0.003, "sharpness": 0.05}
"""Largest loss of a live image against the chain of all steps; of sharpness, gain too."""
INF = np.inf


@dataclass(frozen=True)
class Roles:
    """Which of a protocol's methods has which role; None where none has it."""

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
        """Assign the roles by the methods' settings, not by their names."""
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
        """Return the pairs of methods whose differences are reported."""
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
    """The list of targets, filled one by one.

    Parameters
    ----------
    table
        One line each: `item`, `what`, `upscale` (0 for all), `value`, `low`, `high`, `target` in
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
        targets = [f"≥ {least:g}"] if least > -INF else []
        targets += [f"≤ {most:g}"] if most < INF else []
        self.table.append(
            {
                "item": item, "what": what, "upscale": factor, "value": known.value,
                "low": known.low, "high": known.high, "slices": known.slices,
                "target": " and ".join(targets), "passed": bool(least <= known.value <= most),
            }
        )  # fmt: skip


def check(
    protocol: Protocol,
    metrics: Metrics,
    *,
    seconds: Mapping[str, float],
    calibration: Table,
    tradeoff: Table,
    chosen: float | None,
    choice_made: bool,
) -> Table:
    """Return the targets of what was run; what was not run has no line.

    Parameters
    ----------
    protocol, metrics
        What was run.
    seconds
        Method -> seconds a slice, from one run.
    calibration, tradeoff
        See `summary`.
    chosen, choice_made
        The highest temperature that passed, where it was looked for.
    """
    roles, checks = Roles.of(protocol), Checks()
    _chain(checks, protocol, metrics, roles, seconds)
    _live(checks, protocol, metrics, roles, seconds)
    _regression(checks, protocol, metrics, roles)
    _baselines(checks, protocol, metrics, roles)
    if choice_made:
        default = max(temperatures_of(DEFAULT))
        highest = -INF if chosen is None else chosen
        what = "default τ minus the highest τ that passes on the validation subjects"
        checks.add("3", what, 0, default - highest, 0, 0)
    for line in calibration:
        if line["method"] == roles.many and len(line["ranks"]) == CALIBRATION_SAMPLES + 1:
            low, high = line["coverage_low"], line["coverage_high"]
            found = Estimate(line["coverage"], low, high, line["slices"], line["patients"])
            what = f"share of voxels within the range of {CALIBRATION_SAMPLES} samples"
            checks.add("4", what, line["upscale"], found, 0.85, 0.95)
    _trade(checks, protocol.factors, tradeoff)
    if roles.flow:
        for factor in protocol.factors:
            found = metrics.mean(roles.flow, "sharpness", factor)
            checks.add("6", "sharpness of the flow alone, τ 1", factor, found, 0.6)
    return checks.table


def _chain(
    checks: Checks,
    protocol: Protocol,
    metrics: Metrics,
    roles: Roles,
    seconds: Mapping[str, float],
) -> None:
    full = roles.full_chain
    for factor in protocol.factors if full else ():
        if full and (one := roles.at_one):
            what = f"{one} over {full}"
            for metric, unit, least in (("psnr", "PSNR (dB)", -0.1), ("ssim", "SSIM", -0.003)):
                found = metrics.difference(one, full, metric, factor)
                checks.add("1", f"{what}, {unit}", factor, found, least)
        if full and (default := roles.at_default):
            found = metrics.difference(default, full, "psnr", factor)
            checks.add("1", f"{default} over {full}, PSNR (dB)", factor, found, 0.5)
    if full and roles.at_one and {full, roles.at_one} <= set(seconds):
        faster = seconds[full] / seconds[roles.at_one]
        checks.add("1", f"{roles.at_one} faster than {full}, times", 0, faster, FASTER)


def live_pairs(protocol: Protocol) -> list[tuple[str, str]]:
    """Return each method of few steps with the full chain of otherwise equal settings."""
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
    """Return the method that runs on most maps, where a temperature is listed twice."""
    return max(methods, key=lambda m: len(m.factors) * len(m.metabolites))


def _live(
    checks: Checks,
    protocol: Protocol,
    metrics: Metrics,
    roles: Roles,
    seconds: Mapping[str, float],
) -> None:
    pairs = live_pairs(protocol)
    for few, every in pairs:
        for metric, unit in (("psnr", "PSNR (dB)"), ("ssim", "SSIM"), ("sharpness", "sharpness")):
            for factor in protocol.factors:
                found = metrics.difference(few, every, metric, factor)
                most = LIVE_LOSS[metric] if metric == "sharpness" else INF
                what = f"{few} over {every}, {unit}"
                checks.add("8", what, factor, found, -LIVE_LOSS[metric], most)
    for few, _ in pairs[:1]:  # the time does not depend on temperatures
        if roles.full_chain and {few, roles.full_chain} <= set(seconds):
            faster = seconds[roles.full_chain] / seconds[few]
            checks.add("8", f"{few} faster than {roles.full_chain}, times", 0, faster, LIVE_FASTER)


def _regression(checks: Checks, protocol: Protocol, metrics: Metrics, roles: Roles) -> None:
    other = roles.regression
    for factor in protocol.factors:
        if other and roles.mean:
            found = metrics.difference(roles.mean, other, "psnr", factor)
            checks.add("2", f"{roles.mean} over regression, PSNR (dB)", factor, found, -0.6)
        if roles.at_one and factor in (4, 8):
            found = metrics.mean(roles.at_one, "sharpness", factor)
            checks.add("2", f"sharpness of {roles.at_one}", factor, found, 0.8, 1.2)
            if other:
                found = metrics.difference(roles.at_one, other, "sharpness", factor)
                what = f"sharpness of {roles.at_one} over regression's"
                checks.add("2", what, factor, found, 0.2)


def _baselines(checks: Checks, protocol: Protocol, metrics: Metrics, roles: Roles) -> None:
    for name, targets in ((roles.at_default, GAIN_AT_DEFAULT), (roles.at_zero, GAIN_AT_ZERO)):
        for factor in protocol.factors if name else ():
            if name and (zero := roles.zero_filling) and factor in targets:
                found = metrics.difference(name, zero, "psnr", factor)
                what = f"{name} over zero-filling"
                checks.add("3", f"{what}, PSNR (dB)", factor, found, targets[factor])
                found = metrics.difference(name, zero, "ssim", factor)
                checks.add("3", f"{what}, SSIM", factor, found, 1e-9)
            if name and roles.guided_tv:
                found = metrics.difference(name, roles.guided_tv, "psnr", factor)
                checks.add("3", f"{name} over guided TV, PSNR (dB)", factor, found, 1e-9)


def _trade(checks: Checks, factors: Sequence[float], tradeoff: Table) -> None:
    for factor in factors:
        lines = [line for line in tradeoff if line["upscale"] == factor]
        if len(lines) < 2:
            continue
        for metric, sign, what in (
            ("sharpness", 1, "smallest rise of sharpness from one τ to the next"),
            ("psnr", -1, "smallest fall of PSNR (dB) from one τ to the next"),
        ):
            steps = [sign * (b[metric] - a[metric]) for a, b in pairwise(lines)]
            checks.add("5", what, factor, min(steps), 0)


def check_flow(table: Table, spread: float) -> Table:
    """Return the flow's own targets: its likelihood, and its spread over its error."""
    checks = Checks()
    names = {
        "wrong_level": "a wrong level", "wrong_s": "a wrong s", "shuffled_y": "another slice's map",
    }  # fmt: skip
    for line in table:
        at = f"at t = {line['level']}"
        if "gaussian_bits" in line:
            margin = line["gaussian_bits"] - line["flow_bits"]
            checks.add("6", f"NLL {at} below a Gaussian's (bits per voxel)", 0, margin, 1e-9)
        for metric, what in (("flow_bits", "NLL"), ("denoiser_loss", "denoiser's loss")):
            for wrong, words in names.items():
                change = line[f"{metric}_{wrong}"] - line[metric]
                checks.add("6", f"increase of the {what} {at} with {words}", 0, change, 1e-9)
    checks.add("6", "spread / error of the flow alone, τ 1", 0, spread, 0.7, 1.3)
    return checks.table


def check_real(name: str, table: Table, roles: Roles) -> Table:
    """Return the targets of a case in addition to the protocol's, "real" or "glioma"."""
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
    """Return one line per target, with its values at all factors."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for line in table:
        groups.setdefault((line["item"], line["what"], line["target"]), []).append(line)
    return [
        {
            "item": item,
            "what": what,
            "target": target,
            "values": [(line["upscale"], line["value"], line["passed"]) for line in lines],
            "passed": all(line["passed"] for line in lines),
        }
        for (item, what, target), lines in groups.items()
    ]
