"""Acceptance criteria of robustness, each compared with the measured value."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ftddm_core.evaluation.bootstrap import Estimate
from ftddm_core.evaluation.checks import Checks, Roles
from ftddm_core.evaluation.kinds import LITERATURE, MASKED, MEASURED, NULL, SWAPPED
from ftddm_core.evaluation.robust_tables import (
    lesion_table,
    over,
    robust_calibration,
    self_check_table,
    sharpness_table,
)
from ftddm_core.evaluation.robustness import (
    ALONE,
    AT_DEFAULT,
    AT_ZERO,
    AUTOMATIC,
    CALIBRATED,
    MEAN,
    OFF,
    OFF_AT_ZERO,
    UNGUIDED,
    ZERO_FILLING,
    Robust,
)
from ftddm_core.evaluation.summary import Metrics
from ftddm_core.evaluation.tables import Table

FOREIGN = (MEASURED, NULL, SWAPPED)
"""Kinds unlike the training data: on these, no map may get worse."""

BELOW = -0.3
"""Lowest gain in dB accepted over zero-filling or over the measurement alone."""

KEPT = 0.9
"""Smallest share of gain and sharpness to keep with automatic weights on literature patients."""

Bound = tuple[float, float]


def check_robust(robust: Robust) -> Table:
    """Return the targets of what was run on each kind of case; what was not run has no line."""
    checks = Checks()
    for kind, acquisition in robust.measured:
        factors = Metrics(robust.measured[kind, acquisition].rows).factors(ZERO_FILLING)
        where = f"{kind}, {acquisition}"

        def add(
            item: str, what: str, one: str, two: str, least: float,
            kind: str = kind, acquisition: str = acquisition,
            factors: list[float] = factors, where: str = where,
        ) -> None:  # fmt: skip
            for factor in factors:
                found = over(robust, kind, acquisition, factor, one, two)
                checks.add(item, f"{where}: {what}, PSNR in mask (dB)", factor, found, least)

        if kind in FOREIGN:
            _no_harm(add)
        if kind == LITERATURE:
            least = {MASKED: -0.2}.get(acquisition, 0.0)
            add("R3", "τ 0 over no consistency", AT_ZERO, OFF_AT_ZERO, least)
            add("R3", "default τ over no consistency", AT_DEFAULT, OFF, least)
            for factor in factors:
                _kept(checks, robust, where, acquisition, factor)
    _shares(checks, robust)
    _samples(checks, robust)
    _foretold(checks, robust)
    _lesions(checks, robust)
    return checks.table


def _no_harm(add: Callable[[str, str, str, str, float], None]) -> None:
    for weight, end in ((1, ""), (0, UNGUIDED)):
        at = f"MRI weight {weight}"
        add("R1", f"τ 0 over zero-filling, {at}", AT_ZERO + end, ZERO_FILLING, 0.0)
        add("R1", f"τ 0 over the measurement alone, {at}", AT_ZERO + end, ALONE, BELOW)
        add("R1", f"mean of 16 over the measurement alone, {at}", MEAN + end, ALONE, BELOW)
    add("R2", "automatic weights over zero-filling, default τ", AUTOMATIC, ZERO_FILLING, BELOW)


def _kept(checks: Checks, robust: Robust, where: str, acquisition: str, factor: float) -> None:
    """Add the gain and sharpness kept with automatic weights on a literature patient, if
    positive."""
    automatic, whole = (
        over(robust, LITERATURE, acquisition, factor, name, ZERO_FILLING).value
        for name in (AUTOMATIC, AT_DEFAULT)
    )
    if whole > 0:
        what = f"{where}: share of the gain kept with automatic weights"
        checks.add("R2", what, factor, automatic / whole, KEPT)
    for line in sharpness_table(robust):
        if (line["kind"], line["acquisition"], line["upscale"]) == (
            LITERATURE, acquisition, factor,
        ) and line["default"] > 0:  # fmt: skip
            what = f"{where}: share of the sharpness kept with automatic weights"
            checks.add("R2", what, factor, line["automatic"] / line["default"], KEPT)


def _shares(checks: Checks, robust: Robust) -> None:
    bounds: dict[str, Bound] = {LITERATURE: (0.8, np.inf), NULL: (-np.inf, 0.3)}
    for kind, (least, most) in bounds.items():
        held = [c.share for c in robust.checks if c.kind == kind and c.checkable]
        if held:
            what = f"{kind}: median share of the detail that is shown"
            checks.add("R2", what, 0, float(np.median(held)), least, most)


def _samples(checks: Checks, robust: Robust) -> None:
    for line in robust_calibration(robust):
        if line["kind"] not in CALIBRATED or line["mri_weight"] != 1:
            continue
        draws = len(line["ranks"]) - 1
        if draws != 19:
            continue
        found = Estimate(
            line["widened"], line["widened_low"], line["widened_high"], line["slices"],
            line["patients"],
        )  # fmt: skip
        where = f"{line['kind']}, {line['acquisition']}"
        what = f"{where}: share of voxels within the widened range of {draws} samples"
        checks.add("R4", what, line["upscale"], found, 0.85, 0.95)


def _foretold(checks: Checks, robust: Robust) -> None:
    for line in self_check_table(robust.checks):
        kind = line["kind"]
        what = f"{kind}: rank correlation of self-check and true gain"
        checks.add("R5", what, 0, line["correlation"], 0.6)
        what = f"{kind}: warnings, share of the maps that lose more than 0.5 dB"
        checks.add("R5", what, 0, line["warned_losing"], 1.0)
        what = f"{kind}: false warnings, share of the maps that gain"
        checks.add("R5", what, 0, line["warned_gaining"], -np.inf, 0.2)


def _lesions(checks: Checks, robust: Robust) -> None:
    words = {"mean": "error of the lesion's mean", "ratio": "error of the lesion's Cho/NAA"}
    for line in lesion_table(robust.lesions):
        if line["method"] not in (AT_DEFAULT, AUTOMATIC):
            continue
        for name, metric in words.items():
            found = Estimate(
                line[f"{name}_excess"], line[f"{name}_excess_low"], line[f"{name}_excess_high"],
                0, line["patients"],
            )  # fmt: skip
            what = f"{line['kind']}, {line['acquisition']}: {metric} minus zero-filling's, "
            checks.add("R6", what + line["method"], line["upscale"], found, most=0.05)


def check_comparisons(metrics: Metrics, roles: Roles) -> Table:
    """Return the criteria of robustness from the main part: the full chain, and guided TV at 2x."""
    checks = Checks()
    if roles.at_one and roles.full_chain:
        for factor in metrics.factors(roles.full_chain):
            found = metrics.difference(roles.at_one, roles.full_chain, "psnr", factor)
            # Where the interval includes 0, the two methods do not differ significantly.
            even = found.low <= 0 <= found.high
            what = f"{roles.at_one} over {roles.full_chain}, PSNR (dB); an interval around 0 passes"
            checks.add("R3", what, factor, found, -0.1)
            if even and checks.table:
                checks.table[-1]["passed"] = True
    if roles.at_zero and roles.guided_tv:
        found = metrics.difference(roles.at_zero, roles.guided_tv, "psnr", 2.0)
        checks.add("R3", f"{roles.at_zero} over {roles.guided_tv}, PSNR (dB)", 2.0, found, 0.0)
    return checks.table
