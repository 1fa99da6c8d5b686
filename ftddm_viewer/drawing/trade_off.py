"""The trade-off of sharpness and fidelity: the points of a sweep, and the images of its corners.

The first swept setting gives a point's colour, the second its shape, the third its size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from ftddm_core.imaging.volume import Volume
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_core.settings import Control
from ftddm_viewer.drawing.orientation import radiological_slice
from ftddm_viewer.drawing.style import NOTICE_COLOUR
from ftddm_viewer.session.exploration import FIDELITY, SHARPNESS, Exploration, Point, words_of

SHAPES = "osD^vP*X"
HERE_COLOUR = "#d55e00"
HERE, BASELINE = "settings of the sliders", "zero-filled: {:.3g}"
MOST_CORNERS = 8
SIZE, DPI = (11.0, 4.6), 130
"""Of a saved figure, in inches, and its dots per inch."""

LEAST_SIZE = (4.0, 1.9)
"""Of a figure with legend and contact sheet, in inches; a smaller one shows the points alone."""

NEAR = 15.0
"""Largest distance of a click from its point, in pixels."""


class Look(NamedTuple):
    """How a point is drawn.

    Parameters
    ----------
    colour
        As "#rrggbb"; "" where the colour says nothing.
    shape
        A marker of matplotlib.
    size
        In points.
    """

    colour: str
    shape: str
    size: float


def trade_off_figure(exploration: Exploration, measure: str = "") -> Figure:
    """Draw an exploration as a new figure, ready for `figures.save_figure`."""
    figure = Figure(SIZE, DPI, layout="constrained")
    FigureCanvasAgg(figure)
    draw_trade_off(figure, exploration, measure)
    return figure


def draw_trade_off(
    figure: Figure, exploration: Exploration, measure: str = "", *, here: bool = True
) -> Axes:
    """Draw an exploration onto a figure; return the axes of its points.

    Parameters
    ----------
    figure
        Cleared first.
    exploration
        The sweep, and its points so far.
    measure
        Measure of fidelity, one of `FIDELITY`; "" for the usual one.
    here
        Whether to mark the image at the settings that are chosen.
    """
    sweep = exploration.sweep
    measure = measure or sweep.measures[0]
    figure.clear()
    width, height = figure.get_size_inches()
    wide = width > 1.3 * height
    if width < LEAST_SIZE[0] or height < LEAST_SIZE[1]:
        figure.set_layout_engine("none")
        return _points_alone(
            figure, exploration if here else replace(exploration, here=None), measure
        )
    figure.set_layout_engine("constrained")
    shares: dict[str, Any] = {"width_ratios": (1.4, 1)} if wide else {}
    parts: Any = figure.subfigures(*((1, 2) if wide else (2, 1)), **shares)
    left, right = parts
    axes: Axes = left.subplots()
    _scatter(axes, exploration if here else replace(exploration, here=None), measure)
    _corners(right, exploration)
    figure.suptitle(_title(exploration), fontsize=8)
    figure.supxlabel(f"AI-generated. {RESEARCH_ONLY}.", fontsize=8, color=NOTICE_COLOUR)
    return axes


def _points_alone(figure: Figure, exploration: Exploration, measure: str) -> Axes:
    """Draw the points and the notice, where there is no room for more."""
    axes = figure.add_axes((0.2, 0.4, 0.75, 0.5))
    _scatter(axes, exploration, measure)
    if (legend := axes.get_legend()) is not None:
        legend.remove()
    axes.set(xlabel="", ylabel="")
    figure.supxlabel(f"AI-generated. {RESEARCH_ONLY}.", fontsize=6, color=NOTICE_COLOUR)
    return axes


def position(point: Point, measure: str) -> tuple[float, float]:
    """Return where a point lies: its sharpness and its fidelity."""
    return point.figures["sharpness"], point.figures.get(measure, np.nan)


def point_at(
    axes: Axes, exploration: Exploration, measure: str, x: float, y: float
) -> Point | None:
    """Return the point nearest to a place on the canvas, in pixels; None if all are far off."""
    shown = [p for p in exploration.points if np.isfinite(position(p, measure)).all()]
    if not shown:
        return None
    places = axes.transData.transform([position(point, measure) for point in shown])
    distances = np.linalg.norm(places - (x, y), axis=1)
    nearest = int(distances.argmin())
    return shown[nearest] if distances[nearest] <= NEAR else None


def _title(exploration: Exploration) -> str:
    sweep = exploration.sweep
    factor = sweep.prepared.conditions[sweep.metabolite].upscale
    what = "restored" if sweep.has_reference else "enlarged"
    n_slices = sweep.prepared.n_slices
    where = f"{sweep.metabolite}, slice {sweep.slice_index + 1} of {n_slices}"
    region = "" if sweep.region is None else ", in a region"
    size = "" if "upscale" in sweep.values else f" {factor:.3g}×"
    done = f"{len(exploration.points)} of {len(sweep.points)} points"
    return f"{sweep.prepared.case.label}: {where}{region}, {what}{size}. {done}"


def _scatter(axes: Axes, exploration: Exploration, measure: str) -> None:
    sweep = exploration.sweep
    axes.set_xlabel(SHARPNESS[sweep.has_reference], fontsize=8)
    axes.set_ylabel(FIDELITY[measure], fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.25)
    for point in exploration.points:
        colour, shape, size = look_of(exploration, point)
        at = position(point, measure)
        axes.plot(*at, color=colour, marker=shape, ms=size, mec="white", mew=0.5, ls="")
    if exploration.here is not None:
        at = position(exploration.here, measure)
        axes.plot(*at, "o", ms=15, mfc="none", mec=HERE_COLOUR, mew=2, zorder=4, clip_on=False)
    handles = [
        Line2D([], [], color=look.colour or "black", marker=look.shape, ms=look.size, ls="",
               label=words)
        for words, look in key_of(exploration)
    ]  # fmt: skip
    if np.isfinite(level := exploration.baseline.get(measure, np.nan)):
        axes.set_ylim(axes.get_ylim())  # a line far below must not squeeze the points
        axes.axhline(level, color="gray", ls="--", lw=1)
        words = BASELINE.format(level)
        handles.append(Line2D([], [], color="gray", ls="--", lw=1, label=words))
    if exploration.here is not None:
        ring = {"marker": "o", "mfc": "none", "mec": HERE_COLOUR, "mew": 2.0, "ms": 8.0}
        handles.append(Line2D([], [], ls="", label=HERE, **ring))  # type: ignore[arg-type]
    legend = axes.legend(
        handles=handles,
        fontsize=6,
        loc="upper left",
        bbox_to_anchor=(1, 1.03),
        frameon=False,
        handletextpad=0.1,
    )
    legend.set_in_layout(True)


def look_of(exploration: Exploration, point: Point) -> Look:
    """Return how a point is drawn."""
    ranks = [_rank(exploration, control, point) for control in exploration.sweep.axes[:3]]
    colour, shape, size = (*ranks, 0, 0, 0)[:3]
    return Look(_colour_of(exploration, colour), SHAPES[shape % len(SHAPES)], _size_of(size))


def key_of(exploration: Exploration) -> Iterator[tuple[str, Look]]:
    """Yield words and look of each value of the three axes that are shown."""
    for place, control in enumerate(exploration.sweep.axes[:3]):
        for rank, value in enumerate(exploration.sweep.values[control.name]):
            yield (
                f"{control.symbol} {value:.4g}",
                Look(
                    _colour_of(exploration, rank) if place == 0 else "",
                    SHAPES[rank % len(SHAPES)] if place == 1 else "o",
                    _size_of(rank) if place == 2 else 6.0,
                ),
            )


def _rank(exploration: Exploration, control: Control, point: Point) -> int:
    """Return the number of a point's value along an axis."""
    values = exploration.sweep.values[control.name]
    value = getattr(point.settings, control.name)
    return values.index(value) if value in values else 0


def _colour_of(exploration: Exploration, rank: int) -> str:
    count = len(exploration.sweep.values[exploration.sweep.axes[0].name])
    return to_hex(colormaps["viridis"](0.9 * rank / max(count - 1, 1)))


def _size_of(rank: int) -> float:
    return 5.0 + 2.5 * rank


def _corners(figure: SubFigure, exploration: Exploration) -> None:
    """Draw the images of the corners that are there; all share their colours."""
    sweep = exploration.sweep
    corners = sweep.corners[:MOST_CORNERS]
    found = {point.settings: point for point in exploration.corners}
    columns = -(-len(corners) // 2)
    rows = -(-len(corners) // columns)
    places: NDArray[Any] = figure.subplots(rows, columns, squeeze=False)
    for place in places.flat[len(corners) :]:
        place.set_axis_off()
    for place, settings in zip(places.flat, corners, strict=False):
        place.set(xticks=[], yticks=[], facecolor="black")
        place.set_title(words_of(settings, sweep.axes).replace(", ", "\n"), fontsize=5.5)
        if settings in found:
            _draw_image(place, exploration, found[settings])


def _draw_image(place: Axes, exploration: Exploration, point: Point) -> None:
    sweep = exploration.sweep
    affine = sweep.prepared.conditions[sweep.metabolite].affine
    own = point.image.shape
    if own != sweep.prepared.conditions[sweep.metabolite].shape[:2]:  # another factor: same place
        ratio = np.divide(sweep.prepared.conditions[sweep.metabolite].shape[:2], own)
        affine = affine * np.array([*ratio, 1, 1])
    image, letters, aspect = radiological_slice(Volume(point.image[..., None], affine), 0)
    inside = np.isfinite(image)
    rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    place.imshow(
        image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1],
        "viridis",
        aspect=aspect,
        interpolation="nearest",
        vmin=0,
        vmax=sweep.prepared.top(sweep.metabolite),
    )
    edges: Sequence[tuple[float, float]] = ((0.06, 0.5), (0.94, 0.5))
    for letter, (x, y) in zip(letters[:2], edges, strict=True):
        place.text(
            x, y, letter, color="white", fontsize=7, ha="center", va="center",
            transform=place.transAxes,
            path_effects=[withStroke(linewidth=1.5, foreground="black")],
        )  # fmt: skip
