"""Statistics of a reader study: methods compared in pairs, and the agreement of readers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeVar

import numpy as np

from ftddm_viewer.readers.agreement import fleiss_kappa, holm, icc
from ftddm_viewer.readers.items import LEVELS, PREFERRED, SCALES

Table = list[dict[str, Any]]
T = TypeVar("T")
SLICE, STUDY = "slice", "study"
UNITS = (SLICE, STUDY)
ROUNDING = 9
"""Decimals of differences, so that equal ones are tied."""


@dataclass(frozen=True)
class Rated:
    """A rating that counts."""

    reader: str
    study: str
    case: int
    method: str
    scale: str
    value: int


@dataclass(frozen=True)
class Chosen:
    """A choice that counts: the method that was preferred to another one, and on which side."""

    reader: str
    study: str
    case: int
    trial: int
    preferred: str
    other: str
    left: bool


def summary(ratings: Sequence[Rated], methods: Sequence[str]) -> Table:
    """Return the ratings of every method on every scale."""
    rows: Table = []
    for scale in SCALES:
        for method in methods:
            values = [r.value for r in ratings if (r.scale, r.method) == (scale.name, method)]
            if values:
                rows.append(
                    {
                        "scale": scale.name,
                        "method": method,
                        "ratings": len(values),
                        "mean": float(np.mean(values)),
                        "SD": float(np.std(values, ddof=1)) if len(values) > 1 else np.nan,
                        "median": float(np.median(values)),
                    }
                )
    return rows


def comparisons(ratings: Sequence[Rated], methods: Sequence[str], unit: str = SLICE) -> Table:
    """Return Wilcoxon's signed-rank test of every two methods on every scale.

    The values are means over the readers (and, with the unit "study", over a study's slices); units
    where one of the two has no rating are left out. Zero differences are dropped, as by Wilcoxon;
    without any other p is 1. p is two-sided, and corrected by Holm over all tests of the table.
    """
    from scipy.stats import wilcoxon

    rows: Table = []
    for scale in SCALES:
        own = [r for r in ratings if r.scale == scale.name]
        means = {
            method: _means(
                (r for r in own if r.method == method),
                lambda r: r.case if unit == SLICE else r.study,
                lambda r: float(r.value),
            )
            for method in methods
        }
        for one, other in combinations(methods, 2):
            units = sorted(means[one].keys() & means[other].keys(), key=str)
            if not units:
                continue
            difference = np.round([means[one][u] - means[other][u] for u in units], ROUNDING)
            p = float(wilcoxon(difference).pvalue) if difference.any() else 1.0
            rows.append(
                {
                    "scale": scale.name,
                    "method": one,
                    "other": other,
                    "units": len(units),
                    "mean difference": float(difference.mean()),
                    "median difference": float(np.median(difference)),
                    "p": p,
                }
            )
    return _corrected(rows)


def preferences(choices: Sequence[Chosen], methods: Sequence[str], unit: str = SLICE) -> Table:
    """Return how often a method was preferred to another, with a sign test.

    A unit counts for the method that most of its answers prefer; ties are left out. p is two-sided,
    and corrected by Holm over all tests of the table.
    """
    from scipy.stats import binomtest

    rows: Table = []
    for one, other in combinations(methods, 2):
        own = [c for c in choices if {c.preferred, c.other} == {one, other}]
        if not own:
            continue
        shares = _shares(own, one, unit)
        won, lost = sum(share > 0.5 for share in shares), sum(share < 0.5 for share in shares)
        rows.append(
            {
                "method": one,
                "other": other,
                "answers": len(own),
                "preferred": float(np.mean([c.preferred == one for c in own])),
                "units for it": won,
                "units against it": lost,
                "p": float(binomtest(won, won + lost).pvalue) if won + lost else 1.0,
            }
        )
    return _corrected(rows)


def _shares(choices: Sequence[Chosen], method: str, unit: str) -> list[float]:
    """Return the share of every unit's answers that prefer a method."""
    found = _means(
        choices,
        lambda c: c.case if unit == SLICE else c.study,
        lambda c: float(c.preferred == method),
    )
    return list(found.values())


def agreement(ratings: Sequence[Rated], choices: Sequence[Chosen], readers: int) -> Table:
    """Return Fleiss' kappa on every scale and on the choices, and both ICC on every scale.

    Only images and pairs that all readers answered count. The categories of a rating are its five
    levels, those of a choice the two sides.
    """
    rows: Table = []
    for scale in SCALES:
        values = _complete(
            (r for r in ratings if r.scale == scale.name),
            lambda r: ((r.case, r.method), r.reader, r.value),
            readers,
        )
        counts = [[list(row).count(level) for level in LEVELS] for row in values]
        single, mean = icc(values) if values else icc(np.zeros((0, 0)))
        rows.append(_agreed(scale.name, readers, values, counts, single, mean))
    sides = _complete(choices, lambda c: (c.trial, c.reader, int(c.left)), readers)
    counts = [[row.count(0), row.count(1)] for row in sides]
    rows.append(_agreed(PREFERRED, readers, sides, counts))
    return rows


def _agreed(
    scale: str,
    readers: int,
    values: Sequence[Sequence[int]],
    counts: Sequence[Sequence[int]],
    single: float = np.nan,
    mean: float = np.nan,
) -> dict[str, Any]:
    kappa = fleiss_kappa(counts) if readers > 1 else np.nan
    return {
        "scale": scale,
        "readers": readers,
        "answered by all": len(values),
        "Fleiss' kappa": kappa,
        "ICC(2,1)": single,
        "ICC(2,k)": mean,
    }


def _complete(
    answers: Iterable[T], split: Callable[[T], tuple[Any, str, int]], readers: int
) -> list[list[int]]:
    """Return one row a subject that all readers answered, in the order of the readers' names."""
    table: dict[Any, dict[str, int]] = defaultdict(dict)
    for answer in answers:
        subject, reader, value = split(answer)
        table[subject][reader] = value
    full = (row for row in table.values() if len(row) == readers)
    return [[row[reader] for reader in sorted(row)] for row in full]


def _means(
    answers: Iterable[T], unit: Callable[[T], Any], value: Callable[[T], float]
) -> dict[Any, float]:
    found: dict[Any, list[float]] = defaultdict(list)
    for answer in answers:
        found[unit(answer)].append(value(answer))
    return {key: float(np.mean(values)) for key, values in found.items()}


def _corrected(rows: Table) -> Table:
    for row, corrected in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p (Holm)"] = corrected
    return rows
