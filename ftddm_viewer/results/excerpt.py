"""A few figures of an evaluation for another page: a table between two marks in a Markdown file."""

from __future__ import annotations

from pathlib import Path

from ftddm_core.errors import FormatError
from ftddm_core.evaluation.checks import Roles
from ftddm_core.evaluation.outcome import Outcome
from ftddm_viewer.results.words import HEADS, cell, counts, grid

BEGIN, END = "<!-- figures of `ftddm evaluate` -->", "<!-- end of the figures -->"
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


def with_excerpt(path: Path, text: str) -> str:
    """Return the content of a file with other text between its marks.

    Raises
    ------
    FormatError
        If the file cannot be read, or lacks the marks.
    """
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} cannot be read: {error}.") from None
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise FormatError(f"{path} lacks the lines '{BEGIN}' and '{END}' that enclose the figures.")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"
