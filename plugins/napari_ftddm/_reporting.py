"""The report of the image on the screen, in the colours in which it is displayed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QFileDialog, QWidget

from ftddm_core.errors import FormatError
from napari_ftddm._display import managed

if TYPE_CHECKING:
    from napari import Viewer

    from ftddm_viewer.session.session import Session

FILTER = "PDF (*.pdf);;PNG (*.png)"


def ask_for_report(parent: QWidget, session: Session) -> Path | None:
    """Return the file that the user chooses for a report, None for none."""
    state = session.state
    if state.case is None:
        return None
    name = f"{state.case.label}-{state.metabolite}-slice-{state.slice_index + 1}.pdf"
    chosen, kind = QFileDialog.getSaveFileName(
        parent, "Write the report to", name.replace("/", "-"), FILTER
    )
    if not chosen:
        return None
    path = Path(chosen)
    return path if path.suffix else path.with_suffix(".png" if "png" in kind else ".pdf")


def write_report(viewer: Viewer, session: Session, path: Path) -> str:
    """Write the report of what is shown, and return what was done.

    Raises
    ------
    FormatError
        If nothing was computed yet, or the file cannot be written.
    """
    from ftddm_viewer.drawing.report_content import page_of_state
    from ftddm_viewer.drawing.report_page import save_report
    from ftddm_viewer.drawing.style import known_colours

    output: Any = managed(viewer).get("output")
    if output is None:
        raise FormatError("Nothing to report: the layer with the output was removed.")
    low, high = output.contrast_limits
    colours = known_colours(str(output.colormap.name))
    page = page_of_state(session.state, session.model, (float(low), float(high)), colours)
    return f"The report is in {save_report([page], path, overwrite=True)}."
