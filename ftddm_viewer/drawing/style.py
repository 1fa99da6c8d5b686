"""Common parts of all figures: canvas, colours, resolution, title and notice."""

from __future__ import annotations

from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ftddm_core.saving.notice import RESEARCH_ONLY

DPI = 100
"""Default dots per inch."""

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Colours of curves, distinguishable for colour-blind readers (Okabe and Ito 2008)."""

NOTICE_COLOUR = "#b00020"

METRIC_LABELS = {"psnr": "PSNR (dB)", "ssim": "SSIM", "sharpness": "sharpness (1: as the truth)"}
"""Axis labels of metrics."""


def new_figure(
    rows: int,
    columns: int,
    size: tuple[float, float],
    title: str,
    *,
    dpi: float = DPI,
    fontsize: float = 9,
) -> tuple[Figure, NDArray[Any]]:
    """Return a figure with empty axes (rows, columns) and a title, without pyplot's global state.

    Parameters
    ----------
    rows, columns
        Of the axes.
    size
        Width and height in inches.
    title
        Above the axes.
    dpi
        Dots per inch.
    fontsize
        Of the title, in points.

    Returns
    -------
    tuple
        The figure, with an Agg canvas, and its axes.
    """
    figure = Figure(size, dpi, layout="constrained")
    FigureCanvasAgg(figure)
    axes: NDArray[Any] = figure.subplots(rows, columns, squeeze=False)
    figure.suptitle(title, fontsize=fontsize)
    return figure, axes


def known_colours(name: str, otherwise: str = "viridis") -> str:
    """Return the name of a colour map if there is one of this name, else another.

    >>> known_colours("magma"), known_colours("bop blue")
    ('magma', 'viridis')
    """
    return name if name in colormaps else otherwise


def add_notice(figure: Figure, words: str = RESEARCH_ONLY, fontsize: float = 9) -> None:
    """Write the notice about permitted use below a figure."""
    figure.supxlabel(words, fontsize=fontsize, color=NOTICE_COLOUR, fontweight="bold")


def new_plots(
    rows: int, columns: int, title: str, panel: tuple[float, float] = (3.0, 2.9)
) -> tuple[Figure, list[Axes]]:
    """Return a figure for curves: empty axes with grid lines, a title, and the notice above.

    Parameters
    ----------
    rows, columns
        Of the axes.
    title
        Above the axes.
    panel
        Width and height in inches that each of them gets.

    Returns
    -------
    tuple
        The figure, and its axes row by row.
    """
    size = (max(panel[0] * columns + 0.5, 6.0), panel[1] * rows + 0.9)
    figure, axes = new_figure(rows, columns, size, title)
    figure.text(0.995, 0.995, RESEARCH_ONLY, ha="right", va="top", fontsize=7, color=NOTICE_COLOUR)
    for axis in axes.flat:
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.25)
    return figure, list(axes.flat)
