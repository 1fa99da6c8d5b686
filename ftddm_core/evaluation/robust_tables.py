"""Tables of every kind of case: gains, sharpness, self-check, lesions, calibration."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ftddm_core.evaluation.bootstrap import Estimate, mean
from ftddm_core.evaluation.kinds import MEASURED, SIMULATED
from ftddm_core.evaluation.measure import Measured
from ftddm_core.evaluation.robustness import (
    ALONE,
    AT_DEFAULT,
    AT_ONE,
    AT_ZERO,
    AUTOMATIC,
    EXACT,
    INSIDE,
    LESION_METHODS,
    MANY,
    MEAN,
    OFF,
    OFF_AT_ZERO,
    UNGUIDED,
    ZERO_FILLING,
    Checked,
    Lesion,
    Robust,
)
from ftddm_core.evaluation.summary import Metrics, calibration_table, line_of
from ftddm_core.evaluation.tables import Table

KINDS = (MEASURED, *SIMULATED)
"""In the order of the tables: measured data first."""

GAINS = {
    "zero": AT_ZERO, "default": AT_DEFAULT, "one": AT_ONE,
    "zero_unguided": AT_ZERO + UNGUIDED, "default_unguided": AT_DEFAULT + UNGUIDED,
    "one_unguided": AT_ONE + UNGUIDED,
    "alone": ALONE, "inside": INSIDE, "off": OFF, "off_zero": OFF_AT_ZERO, "exact": EXACT,
    "automatic": AUTOMATIC, "mean": MEAN, "mean_unguided": MEAN + UNGUIDED,
}  # fmt: skip
"""Column -> method whose gain in PSNR over zero-filling inside the mask is shown, in dB."""

SHARP = ("zero", "default", "one", "alone", "off", "exact", "automatic")
"""Columns whose sharpness is shown."""

LOSS = -0.5
"""True gain in dB below which the self-check should warn."""


def robustness_table(robust: Robust) -> Table:
    """Return one line per kind, acquisition and factor: the gains of `GAINS`, measured cases first.

    Also `detail` and `mri_weight`, the medians of the automatic weights.
    """
    return [
        head
        | line_of(
            {
                column: metrics.difference(name, ZERO_FILLING, "psnr_in_mask", factor)
                for column, name in GAINS.items()
            }
        )
        | _weights(robust.checks, head)
        for head, metrics, factor in _lines(robust)
    ]


def sharpness_table(robust: Robust) -> Table:
    """Return the sharpness of the columns of `SHARP` in the same form."""
    return [
        head | line_of({c: metrics.mean(GAINS[c], "sharpness", factor) for c in SHARP})
        for head, metrics, factor in _lines(robust)
    ]


def over(
    robust: Robust, kind: str, acquisition: str, factor: float, one: str, two: str
) -> Estimate:
    """Return the gain in PSNR inside the mask of a method over another, in dB, on a kind of
    case."""
    measured = robust.measured.get((kind, acquisition), Measured())
    return Metrics(measured.rows).difference(one, two, "psnr_in_mask", factor)


def self_check_table(checks: Sequence[Checked]) -> Table:
    """Return for each kind how well the self-check's gain predicts the true gain.

    Rank `correlation` over the maps that could be checked; number of `maps`; number of maps that
    lose more than `LOSS` and that gain (`losing`, `gaining`), and the shares of these with a
    warning (`warned_losing`, `warned_gaining`).
    """
    table = []
    for kind in KINDS:
        held = [c for c in checks if c.kind == kind and c.checkable]
        if not held:
            continue
        losing = [c for c in held if c.true < LOSS]
        gaining = [c for c in held if c.true > 0]
        table.append(
            {
                "kind": kind, "maps": len(held),
                "correlation": rank_correlation([c.found for c in held], [c.true for c in held]),
                "losing": len(losing), "warned_losing": _warned(losing),
                "gaining": len(gaining), "warned_gaining": _warned(gaining),
            }
        )  # fmt: skip
    return table


def share_table(checks: Sequence[Checked]) -> Table:
    """Return the median `share` of the detail that is shown, by kind and factor.

    Also `right`, the median share that the truth supports; `mri_weight`, the mean of the chosen
    weights; `within`, the mean share of voxels within the check's own samples; and whether such
    maps could be `checked`.
    """
    table = []
    for kind in KINDS:
        for factor in sorted({c.upscale for c in checks if c.kind == kind}):
            held = [c for c in checks if (c.kind, c.upscale) == (kind, factor)]
            within = [c.within for c in held if np.isfinite(c.within)]
            table.append(
                {
                    "kind": kind, "upscale": factor, "maps": len(held),
                    "checked": all(c.checkable for c in held),
                    "share": float(np.median([c.share for c in held])),
                    "right": float(np.median([c.right for c in held])),
                    "mri_weight": float(np.mean([c.mri_weight for c in held])),
                    "within": float(np.mean(within)) if within else np.nan,
                    "found": float(np.mean([c.found for c in held])),
                    "true": float(np.mean([c.true for c in held])),
                }
            )  # fmt: skip
    return table


def lesion_table(lesions: Sequence[Lesion]) -> Table:
    """Return the errors of lesions by kind, acquisition, factor and method.

    `mean_error` and `ratio_error` are means over patients (and metabolites) of the errors of the
    region's mean and of its Cho/NAA, `worst_mean` and `worst_ratio` the largest; `mean_excess` and
    `ratio_excess` are the means of their differences from zero-filling's.
    """
    known = {(e.case, e.upscale, e.metabolite, e.method): e for e in lesions}
    groups: dict[tuple[str, str, float, str], list[Lesion]] = {}
    for entry in lesions:
        key = (entry.kind, entry.acquisition, entry.upscale, entry.method)
        groups.setdefault(key, []).append(entry)
    table = []
    for (kind, acquisition, factor, method), held in sorted(groups.items(), key=_lesion_order):
        line: dict[str, Any] = {
            "kind": kind, "acquisition": acquisition, "upscale": factor, "method": method
        }  # fmt: skip
        for name, ratio in (("mean", False), ("ratio", True)):
            part = [e for e in held if ("/" in e.metabolite) == ratio]
            plain = [known[e.case, e.upscale, e.metabolite, ZERO_FILLING].error for e in part]
            errors = [e.error for e in part]
            excess = [own - zero for own, zero in zip(errors, plain, strict=True)]
            found = mean([e.case for e in part], excess)
            line |= {
                f"{name}_error": float(np.mean(errors)) if errors else np.nan,
                f"worst_{name}": max(errors, default=np.nan),
                f"{name}_excess": found.value,
                f"{name}_excess_low": found.low,
                f"{name}_excess_high": found.high,
            }
        table.append(line | {"patients": len({e.case for e in held})})
    return table


def robust_calibration(robust: Robust) -> Table:
    """Return coverage, CRPS and spread over error by kind, acquisition, factor and MRI weight."""
    return [
        {"kind": kind, "acquisition": acquisition, "mri_weight": 0 if UNGUIDED in name else 1}
        | line
        for (kind, acquisition), measured in _ordered(robust)
        for line in calibration_table(measured)
        if (name := line["method"]).startswith(MANY)
    ]


def rank_correlation(one: Sequence[float], two: Sequence[float]) -> float:
    """Return the correlation of ranks (Spearman 1904), ties sharing their mean rank.

    NaN for fewer than three pairs, and if all values of one sequence are equal.
    """
    from scipy.stats import rankdata

    if len(one) < 3:
        return np.nan
    ranks = [rankdata(values) for values in (one, two)]
    if any(np.ptp(values) == 0 for values in ranks):
        return np.nan
    return float(np.corrcoef(ranks)[0, 1])


def check_rows(checks: Iterable[Checked]) -> Table:
    """Return every self-check as a row for the record and for plots."""
    return [
        {
            "kind": c.kind, "acquisition": c.acquisition, "case": c.case, "upscale": c.upscale,
            "metabolite": c.metabolite, "checked": c.checkable, "share": c.share,
            "mri_weight": c.mri_weight, "warned": c.warned, "found": c.found, "true": c.true,
        }
        for c in checks
    ]  # fmt: skip


def _lines(robust: Robust) -> list[tuple[dict[str, Any], Metrics, float]]:
    """Return kind, acquisition and factor of every line, and its metrics."""
    found = []
    for (kind, acquisition), measured in _ordered(robust):
        metrics = Metrics(measured.rows)
        for factor in metrics.factors(ZERO_FILLING):
            head = {"kind": kind, "acquisition": acquisition, "upscale": factor}
            found.append((head, metrics, factor))
    return found


def _ordered(robust: Robust) -> list[tuple[tuple[str, str], Measured]]:
    return sorted(robust.measured.items(), key=lambda item: KINDS.index(item[0][0]))


def _lesion_order(item: tuple[tuple[str, str, float, str], Any]) -> tuple[Any, ...]:
    kind, acquisition, factor, method = item[0]
    return KINDS.index(kind), acquisition, factor, LESION_METHODS.index(method)


def _weights(checks: Sequence[Checked], head: dict[str, Any]) -> dict[str, float]:
    held = [c for c in checks if all(getattr(c, name) == head[name] for name in head)]
    if not held:
        return {"detail": np.nan, "mri_weight": np.nan}
    return {
        "detail": float(np.median([c.share for c in held])),
        "mri_weight": float(np.mean([c.mri_weight for c in held])),
    }


def _warned(checks: Sequence[Checked]) -> float:
    """Return the share of maps with a warning, NaN without maps."""
    return float(np.mean([c.warned for c in checks])) if checks else np.nan
