"""Images for a reader study: all alike, and none with a word about how it was made."""

from __future__ import annotations

from io import BytesIO

from ftddm_core.imaging.volume import Volume
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_viewer.drawing.figures import draw_panel, save_figure
from ftddm_viewer.drawing.image_rows import Panel
from ftddm_viewer.drawing.orientation import radiological_slice
from ftddm_viewer.drawing.style import new_figure

INCHES, DPI = 4.4, 150
ROOM = (0.75, 0.9)
"""Inches for the colour bar and for the lines above and below."""

GROUND, LINES, NOTICE_COLOUR = "#101214", "#d7dbe0", "#ff8a80"
NOTICE = f"{RESEARCH_ONLY}. Some of these images are AI-generated."
"""On every image, whether it is one of those: saying it of some alone would name the method."""


def reader_image(volume: Volume, k: int, title: str, limits: tuple[float, float]) -> bytes:
    """Return one slice of a map as a PNG file, black where it is NaN."""
    return _drawn(Panel("", volume, "viridis", limits, bar=True), k, title)


def anatomy_image(volume: Volume, k: int) -> bytes:
    """Return one slice of a T1w image, scaled to 1, as a PNG file of the same size."""
    return _drawn(Panel("", volume, "gray", (0, 1), bar=False), k, "T1w")


def _drawn(panel: Panel, k: int, title: str) -> bytes:
    image, _, aspect = radiological_slice(panel.volume, k)
    rows, columns = image.shape[0] * aspect, image.shape[1]
    inches = INCHES / max(rows, columns)
    size = (columns * inches + ROOM[0], rows * inches + ROOM[1])
    figure, grid = new_figure(1, 1, size, "", dpi=DPI)
    figure.set_facecolor(GROUND)
    figure.suptitle(title, fontsize=10, color=LINES)
    shown = draw_panel(grid[0, 0], panel, k)
    if panel.bar:
        bar = figure.colorbar(shown, ax=grid[0, 0], fraction=0.05, pad=0.03)
        bar.set_label(panel.volume.unit or "a.u.", fontsize=8, color=LINES)
        bar.ax.tick_params(labelsize=7, colors=LINES)
    figure.supxlabel(
        NOTICE.replace(". ", ".\n"), fontsize=7.5, color=NOTICE_COLOUR, fontweight="bold"
    )
    drawn = BytesIO()
    save_figure(figure, drawn)
    return drawn.getvalue()
