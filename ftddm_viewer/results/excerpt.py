"""A few figures of an evaluation for another page."""

from __future__ import annotations

from ftddm_core.evaluation.checks import Roles
from ftddm_core.evaluation.outcome import Outcome
from ftddm_viewer.results.words import HEADS, cell, counts, grid

FACTORS = (2.0, 4.0, 8.0)
FIGURES = ("psnr", "ssim", "nrmse", "sharpness")


def excerpt(outcome: Outcome) -> str:
    """Return the main methods at 2, 4 and 8 times as a table, and what it is a mean of."""
    roles = Roles.of(outcome.protocol)
    names = (roles.zero_filling, roles.guided_tv, roles.regression, roles.at_default)
    lines = [
        line
        for line in outcome.tables["methods"]
        if line["method"] in names and line["upscale"] in FACTORS
    ]
    rows = [
        [f"{line['upscale']:g}", line["method"], *(cell(line, figure) for figure in FIGURES)]
        for line in lines
    ]
    table = grid(["upscale", "method", *(HEADS[figure] for figure in FIGURES)], rows, 2)
    return f"{table}\n\nMeans over {counts(lines)} at each factor."
