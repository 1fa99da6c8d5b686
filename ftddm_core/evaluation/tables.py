"""Measurements as rows, their means as tables, and tables as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ftddm_core.evaluation.metrics import METRICS

Table = list[dict[str, Any]]
"""Rows of a summary: column -> value."""

NOISE_FREE = "sharpness_noise_free"
"""Key of the sharpness relative to the noise-free truth."""

DETAIL, DETAIL_TRUTH, DETAIL_NOISE_FREE = "detail", "detail_truth", "detail_noise_free"
"""Keys of the detail energies (`metrics.detail`) of output, truth and noise-free truth, as shares
of the truth's energy."""

POOLED = {"sharpness": (DETAIL, DETAIL_TRUTH), NOISE_FREE: (DETAIL, DETAIL_NOISE_FREE)}
"""Metrics that are ratios of sums over rows -> numerator and denominator; see `metrics`."""

PARTS = frozenset({DETAIL, DETAIL_TRUTH, DETAIL_NOISE_FREE})
"""Keys that rows carry only for their sums; tables do not show them."""


@dataclass(frozen=True)
class Row:
    """One slice of one metabolite, enlarged by one method.

    Parameters
    ----------
    case, method, metabolite
        Identity of the row.
    upscale
        Requested factor s.
    slice_index
        Slice of the original study.
    values
        Key of `METRICS` -> value, NaN where undefined; `sharpness_noise_free` where known; and the
        `PARTS` of both sharpnesses.
    seconds
        The method's time for the study, divided evenly over the measured slices.
    """

    case: str
    method: str
    upscale: float
    metabolite: str
    slice_index: int
    values: Mapping[str, float]
    seconds: float


def summarise(rows: Iterable[Row], by: Sequence[str] = ("method", "upscale")) -> Table:
    """Return every metric over the rows that agree in the fields `by`; see `metrics_over`.

    Parameters
    ----------
    rows
        Of one or many cases.
    by
        Fields of `Row`, for example ``("method", "upscale", "metabolite")``.

    Returns
    -------
    list of dict
        In the order of first appearance: the fields `by`, `slices` (the number of rows), every
        metric, and `seconds` per slice.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(getattr(row, name) for name in by), []).append(row)
    table = []
    for key, members in groups.items():
        metrics = metrics_over([row.values for row in members])
        seconds = _mean([row.seconds for row in members])
        line = dict(zip(by, key, strict=True)) | {"slices": len(members)}
        table.append(line | metrics | {"seconds": seconds})
    return table


def metrics_over(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return every metric over several slices: a mean, or for `POOLED` the ratio of two sums.

    Undefined metrics (NaN) are left out of a mean, and slices with an undefined part are left out
    of both sums; a mean without values is NaN, as is a ratio to a sum of 0. Slices with a pooled
    metric but without its parts get its mean.

    Parameters
    ----------
    values
        `Row.values` of every slice.
    """
    names = dict.fromkeys(name for slice_values in values for name in slice_values)
    for metric, parts in POOLED.items():
        if set(parts) <= names.keys():
            names.setdefault(metric)
    return {name: _over(name, values) for name in names if name not in PARTS}


def _over(name: str, values: Sequence[Mapping[str, float]]) -> float:
    if name in POOLED:
        above, below = POOLED[name]
        pairs = np.array([(v[above], v[below]) for v in values if above in v and below in v])
        if pairs.size:
            total = pairs[~np.isnan(pairs).any(axis=1)].sum(axis=0)
            return float(total[0] / total[1]) if total[1] > 0 else np.nan
    return _mean([v.get(name, np.nan) for v in values])


def side_by_side(table: Table, row: str, column: str, metrics: Sequence[str]) -> Table:
    """Return a table with one line per value of `row` and, for each metric, every `column`.

    >>> table = [
    ...     {"upscale": 2.0, "method": "bicubic", "psnr": 27.0},
    ...     {"upscale": 2.0, "method": "FTDDM", "psnr": 30.0},
    ... ]
    >>> side_by_side(table, "upscale", "method", ["psnr"])
    [{'upscale': 2.0, 'PSNR (dB) ↑ bicubic': 27.0, 'PSNR (dB) ↑ FTDDM': 30.0}]
    """
    lines: dict[Any, dict[str, Any]] = {}
    for metric in metrics:
        for entry in table:
            line = lines.setdefault(entry[row], {row: entry[row]})
            line[f"{_head(metric)} {entry[column]}"] = entry[metric]
    return list(lines.values())


def to_markdown(table: Table) -> str:
    """Return a table in Markdown, without `PARTS`; an arrow shows which way is better, 1 the ideal.

    >>> print(to_markdown([{"method": "bicubic", "upscale": 4.0, "psnr": 27.123}]))
    | method | upscale | PSNR (dB) ↑ |
    | --- | ---: | ---: |
    | bicubic | 4 | 27.12 |
    """
    if not table:
        return ""
    columns = [n for n in dict.fromkeys(name for line in table for name in line) if n not in PARTS]
    numeric = [all(not isinstance(line.get(name), str) for line in table) for name in columns]
    lines = [
        [_head(name) for name in columns],
        ["---:" if number else "---" for number in numeric],
        *([_cell(line.get(name)) for name in columns] for line in table),
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else np.nan


def _head(name: str) -> str:
    if name == NOISE_FREE:
        return "Sharpness, noise-free → 1"
    if name not in METRICS:
        return "seconds per slice" if name == "seconds" else name
    metric = METRICS[name]
    arrow = {"higher": "↑", "lower": "↓", "one": "→ 1"}[metric.better]
    return f"{metric.name} ({metric.unit}) {arrow}" if metric.unit else f"{metric.name} {arrow}"


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
