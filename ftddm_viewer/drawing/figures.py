"""Results as matplotlib figures, without pyplot and so without global state.

Slices are shown as radiologists see them; see `ftddm_viewer.drawing.orientation`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patheffects import withStroke

from ftddm_core.errors import FormatError
from ftddm_core.imaging.volume import Study
from ftddm_core.saving.files import save_files
from ftddm_viewer.drawing.image_rows import (
    ImageRow,
    Panel,
    heading,
    interesting_slice,
    panels,
    rows_of,
)
from ftddm_viewer.drawing.orientation import radiological_slice
from ftddm_viewer.drawing.style import add_notice, new_figure

if TYPE_CHECKING:  # the resolver imports torch, which a figure does not need
    from ftddm_core.sampling.result import Result

DPI = 150
"""Dots per inch, high enough for close inspection."""

PANEL = 2.1
"""Inches along the longer side of a panel."""


def result_figure(
    result: Result,
    truth: Study | None = None,
    *,
    metabolites: Sequence[str] | None = None,
    k: int | None = None,
) -> Figure:
    """Draw a few metabolites of a result; see `rows_of` and `draw_rows` for what is shown."""
    return draw_rows(rows_of(result, metabolites, truth), heading(result), k)


def draw_rows(
    rows: Sequence[ImageRow], title: str, k: int | None = None, *, dpi: float = DPI
) -> Figure:
    """Draw T1w, input, output, truth and difference of one slice, one row per metabolite.

    Input, output and truth share their colours; the difference is output minus truth, or minus the
    zero-filled input where no truth is known. Columns that are empty in all rows are left out.

    Parameters
    ----------
    rows
        At least one; see `rows_of`.
    title
        Above the panels; see `heading`.
    k
        Slice; None for the one with the largest variation.
    dpi
        Dots per inch.

    Returns
    -------
    Figure
        With an Agg canvas, ready for `save_figure`.

    Raises
    ------
    FormatError
        If there is no row.
    GeometryError
        If there is no such slice.
    """
    if not rows:
        raise FormatError("There is no metabolite to show: choose at least one.")
    k = interesting_slice(rows) if k is None else k
    columns = list(dict.fromkeys(panel.column for row in rows for panel in panels(row)))
    first = radiological_slice(rows[0].output, k)
    height = first.image.shape[0] * first.aspect
    inches = PANEL / max(first.image.shape[1], height)
    size = (
        max(first.image.shape[1] * inches * len(columns) + 1.7, 5.0),  # room for the title
        height * inches * len(rows) + 1.15,
    )
    words = f"{title}, slice {k}"
    figure, grid = new_figure(len(rows), len(columns), size, words, dpi=dpi, fontsize=10)
    for axes, row in zip(grid, rows, strict=True):
        _draw_row(figure, dict(zip(columns, axes, strict=True)), row, k)
    for axes, label in zip(grid[0], columns, strict=True):
        axes.set_title(label, fontsize=9)
    add_notice(figure)
    return figure


def save_figure(figure: Figure, path: str | Path | BinaryIO) -> None:
    """Write a figure as PNG, a file of this name being replaced; the same figure always gives the
    same bytes.

    Raises
    ------
    FormatError
        If the file cannot be written.
    """
    drawn = BytesIO() if isinstance(path, str | Path) else path
    # By default, Matplotlib records its version.
    figure.savefig(drawn, format="png", dpi="figure", metadata={"Software": None})
    if isinstance(path, str | Path):
        path = Path(path).absolute()
        if not path.parent.is_dir():
            raise FormatError(f"Cannot write {path}: {path.parent} does not exist.")
        save_files({path.name: cast(BytesIO, drawn).getvalue()}, path.parent, overwrite=True)


def _draw_row(figure: Figure, axes: Mapping[str, Axes], row: ImageRow, k: int) -> None:
    own = {panel.column: panel for panel in panels(row)}
    for column, place in axes.items():
        if column not in own:
            place.set(xticks=[], yticks=[], frame_on=False)
            continue
        panel = own[column]
        shown = draw_panel(place, panel, k)
        if panel.bar:
            bar = figure.colorbar(shown, ax=place, fraction=0.05, pad=0.03)
            bar.set_label(row.output.unit or "a.u.", fontsize=8)
            bar.ax.tick_params(labelsize=7)
    next(iter(axes.values())).set_ylabel(row.metabolite, fontsize=10, fontweight="bold")


def draw_panel(place: Axes, panel: Panel, k: int) -> AxesImage:
    """Draw one slice with its orientation letters, black where there is no value."""
    image, letters, aspect = radiological_slice(panel.volume, k)
    low, high = panel.limits
    shown = place.imshow(
        image, panel.colours, aspect=aspect, interpolation="nearest", vmin=low, vmax=high
    )
    place.set_facecolor("black")
    place.set_xticks([])
    place.set_yticks([])
    edges = ((0.03, 0.5), (0.97, 0.5), (0.5, 0.97), (0.5, 0.03))
    sides = (("left", "center"), ("right", "center"), ("center", "top"), ("center", "bottom"))
    for letter, (x, y), (across, upright) in zip(letters, edges, sides, strict=True):
        text = place.text(x, y, letter, ha=across, va=upright, transform=place.transAxes)
        text.set(
            color="white", fontsize=8, path_effects=[withStroke(linewidth=1.5, foreground="black")]
        )
    return shown
