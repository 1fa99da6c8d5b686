"""The report of `ftddm run`: a page for every map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ftddm_core.imaging.volume import Study
from ftddm_core.sampling.result import Result
from ftddm_core.saving.files import check_writable


def check_report(path: Path, maps: int, *, overwrite: bool) -> None:
    """Refuse a report that cannot be written, before any work is done; errors as on writing."""
    from ftddm_viewer.drawing.report_page import check_ending

    check_ending(path.suffix, maps)
    check_writable(path.absolute().parent, [path.name], overwrite=overwrite)


def write_report(
    path: Path, result: Result, study: Study, notes: Sequence[str], *, overwrite: bool
) -> None:
    """Write a page for every map of a result."""
    from ftddm_viewer.drawing.report_content import pages_of_result
    from ftddm_viewer.drawing.report_page import save_report

    pages = pages_of_result(result, study, notes)
    print(f"Report in {save_report(pages, path, overwrite=overwrite)}.")
