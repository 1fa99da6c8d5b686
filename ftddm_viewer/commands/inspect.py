"""`ftddm inspect`: what the files of a study were taken for, without computing anything."""

from __future__ import annotations

import sys
import textwrap
from argparse import Namespace
from pathlib import Path

from ftddm_core.errors import FormatError
from ftddm_core.evaluation.tables import to_markdown
from ftddm_core.imaging.volume import Study
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_viewer.commands.options import choices_from, in_flags
from ftddm_viewer.session.inspection import Inspection
from ftddm_viewer.session.inspection import inspect as look_at


def inspect(options: Namespace) -> None:
    """Print the study panel of the given paths, or the rules by which files are recognised."""
    if options.rules:
        from ftddm_viewer.report.inputs import inputs_page

        print(inputs_page(), end="")
        return
    found = inspected(options)
    print(panel(found))
    print(f"\n{RESEARCH_ONLY}.")
    if options.png is not None and found.study is not None:
        _draw(found.study, options.png)
    if found.problem:
        raise FormatError(found.problem)


def _draw(study: Study, path: Path) -> None:
    """Write a figure of where the T1, else the FLAIR, lies under the maps."""
    from ftddm_viewer.drawing.figures import save_figure
    from ftddm_viewer.drawing.placement import placement_figure

    save_figure(placement_figure(study, "flair" if study.t1 is None else "t1"), path)


def inspected(options: Namespace) -> Inspection:
    """Return the inspection of the paths and choices of a command line."""
    return look_at(
        options.input,
        t1=options.t1,
        flair=options.flair,
        mask=options.mask,
        choices=choices_from(options),
    )


def opened(options: Namespace) -> Study:
    """Return the study of a command line; print what its files were taken for to stderr.

    Raises
    ------
    FormatError
        If it does not open.
    """
    found = inspected(options)
    if found.study is None:
        raise FormatError(found.problem)
    for line in summary(found):
        print(f"study: {line}", file=sys.stderr)
    return found.study


def summary(found: Inspection) -> list[str]:
    """Return what was found in a study that opens, in a few lines: layout, grid, and files used."""
    facts = found.facts
    used = [f"{e.path.name}: {e.title}" for e in found.survey.entries if e.taken]
    return [
        f"{facts['Layout']}, {facts['Matrix']} voxels of {facts['Voxel']}.",
        *textwrap.wrap("; ".join(used) + ".", 100, break_on_hyphens=False),
    ]


def panel(found: Inspection) -> str:
    """Return the study panel as Markdown."""
    parts = [to_markdown([dict(row) for row in found.files()])] if found.survey.entries else []
    if found.facts:
        parts.append("\n".join(f"{name + ':':18} {words}" for name, words in found.facts.items()))
    for title, lines in (("Missing", found.missing), ("To know", found.warnings)):
        if lines:
            parts.append("\n".join([f"{title}:", *(f"- {in_flags(line)}" for line in lines)]))
    if found.question is not None and found.question.options:
        parts.append("Choices: " + ", ".join(found.question.options))
    return "\n\n".join(parts)
