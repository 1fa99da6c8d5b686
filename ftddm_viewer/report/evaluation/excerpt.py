"""A few results of an evaluation for another page."""

from __future__ import annotations

from ftddm_core.evaluation.checks import Roles
from ftddm_core.evaluation.kinds import SCAN
from ftddm_core.evaluation.outcome import Outcome
from ftddm_viewer.report.evaluation.record import outcome_of
from ftddm_viewer.report.markdown import HEADS, cell, counts, grid, number
from ftddm_viewer.report.page import joined
from ftddm_viewer.report.records import Record

FACTORS = (2.0, 4.0, 8.0)
METRICS_SHOWN = ("psnr", "ssim", "psnr_in_mask", "sharpness")

KINDS = {"measured": "measured maps, from half of their matrix",
         "literature": "literature concentrations",
         "null": "detail that no MRI shows", "swapped MRI": "another head's MRI"}  # fmt: skip
"""Kinds of maps whose gain is shown -> their names in the table."""

GAINS = {"zero": "τ 0", "default": "default τ", "automatic": "automatic weights"}


def excerpt(found: Record) -> str:
    """Return a table of the main methods at 2x, 4x and 8x, and the number of slices and
    patients."""
    outcome = outcome_of(found)
    roles = Roles.of(outcome.protocol)
    names = (roles.zero_filling, roles.guided_tv, roles.regression, roles.at_default)
    lines = [
        line
        for line in outcome.tables["methods"]
        if line["method"] in names and line["upscale"] in FACTORS
    ]
    rows = [
        [f"{line['upscale']:g}", line["method"], *(cell(line, metric) for metric in METRICS_SHOWN)]
        for line in lines
    ]
    table = grid(["upscale", "method", *(HEADS[metric] for metric in METRICS_SHOWN)], rows, 2)
    parts = [table, f"Means over {counts(lines)} at each factor."]
    if gains := gain_table(outcome):
        text = (
            "Gain in PSNR over zero-filling inside the mask (dB), coarse scans of the whole head:"
        )
        parts += [text, gains]
    return joined(*parts)


def gain_table(outcome: Outcome) -> str:
    """Return the gain on coarse scans of the main kinds of maps, "" where they were not run."""
    rows = [
        [KINDS[line["kind"]], f"{line['upscale']:g}", *(number(line[c]) for c in GAINS)]
        for line in outcome.tables.get("robustness", [])
        if line["kind"] in KINDS and line["acquisition"] == SCAN
    ]
    return grid(["maps", "upscale", *GAINS.values()], rows, 2) if rows else ""
