"""Numbers and tables of the results page in Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ftddm_core.evaluation.tables import Table

Line = Mapping[str, Any]

DECIMALS = {"psnr": 2, "psnr_in_mask": 2, "psnr_gain": 2, "tv_gain": 2, "change": 2, "ssim": 3,
            "nrmse": 3, "ssim_in_mask": 3, "ssim_gain": 3, "sharpness": 2,
            "sharpness_noise_free": 2, "contrast_error": 2, "coverage": 3, "widened": 3, "crps": 4,
            "spread_error": 2}  # fmt: skip

HEADS = {"psnr": "PSNR (dB) ↑", "ssim": "SSIM ↑", "nrmse": "NRMSE ↓",
         "psnr_in_mask": "PSNR in mask (dB) ↑", "ssim_in_mask": "SSIM in mask ↑",
         "sharpness": "sharpness → 1", "sharpness_noise_free": "against noise-free → 1",
         "contrast_error": "Cho/NAA contrast error ↓"}  # fmt: skip


def number(value: Any, decimals: int = 2) -> str:
    """Return a number with a proper minus sign, or a dash if there is none."""
    if value is None or not np.isfinite(value):
        return "–"
    text = f"{value:.{decimals}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def known(line: Line, name: str) -> float:
    """Return a number of a line, NaN if it is missing."""
    value = line.get(name)
    return np.nan if value is None else float(value)


def cell(line: Line, metric: str, *, interval: bool = False) -> str:
    """Return a metric of a line, with its 95 % interval if wanted and known."""
    decimals = DECIMALS[metric]
    low, high = (known(line, f"{metric}_{end}") for end in ("low", "high"))
    text = number(line.get(metric), decimals)
    if interval and np.isfinite([low, high]).all():
        text += f" ({number(low, decimals)} to {number(high, decimals)})"
    return text


def grid(heads: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """Return a Markdown table; the first `words` columns are text, the others numbers."""
    marks = ["---" if i < words else "---:" for i in range(len(heads))]
    lines = [heads, marks, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plural(count: int, one: str, many: str = "") -> str:
    """Return a number and its noun."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def counts(lines: Table) -> str:
    """Return in words over how many slices and patients the lines of a table are averaged."""
    held = [(line["slices"], line["patients"]) for line in lines if line["slices"]]
    if not held:
        return "no slice"
    slices = sorted({n for n, _ in held})
    patients = max(p for _, p in held)
    shown = f"{slices[0]}" if len(slices) == 1 else f"{slices[0]} to {slices[-1]}"
    noun = "slice" if slices == [1] else "slices"
    return f"{shown} {noun} of {plural(patients, 'patient')}"


def factors_of(lines: Table) -> list[float]:
    """Return the factors of a table in ascending order."""
    return sorted({line["upscale"] for line in lines})


def by_factor(lines: Table, key: str, metric: str) -> str:
    """Return a table with one row for every value of `key`, and one column per factor."""
    factors = factors_of(lines)
    known = {(line[key], line["upscale"]): line for line in lines}
    rows = []
    for value in dict.fromkeys(line[key] for line in lines):
        name = value if isinstance(value, str) else f"{value:g}"
        cells = [cell(known.get((value, factor), {}), metric) for factor in factors]
        rows.append([name, *cells])
    return grid([f"{HEADS[metric]}", *(f"{factor:g}×" for factor in factors)], rows)


def wrapped(text: str) -> str:
    """Return a paragraph in lines of 100 characters; code is left unchanged."""
    if text.startswith("```"):
        return text
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)
