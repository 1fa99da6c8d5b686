"""The trade-off of sharpness and fidelity as HTML: points that can be clicked, axes and legend.

Looks and words are those of the figure that is saved; only the axes are drawn here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from html import escape

import numpy as np
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator

from ftddm_core.settings import SamplerSettings
from ftddm_viewer.drawing.trade_off import (
    BASELINE,
    HERE,
    HERE_COLOUR,
    Look,
    key_of,
    look_of,
    position,
)
from ftddm_viewer.session.exploration import FIDELITY, SHARPNESS, Exploration, Point, words_of
from ftddm_viewer.web.panels import Box

WIDTH, HEIGHT = 400.0, 366.0
PLOT = Box(52.0, 10.0, WIDTH - 62.0, HEIGHT - 54.0)
"""Where the points lie in the drawing."""

PIXELS = 4 / 3
"""Of a point of type."""

REACH = 11.0
"""How far from its middle a click meets a point."""

MARGIN = 0.07
"""Room beside the outermost points, relative to their range."""

RING = f'fill="none" stroke="{HERE_COLOUR}" stroke-width="2.5"'

STEPS = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10])

MOST_DIGITS = 9
"""After the point, of a number of an axis."""

LETTERS = {
    Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C", Path.CLOSEPOLY: "Z",
}  # fmt: skip
"""Of matplotlib's paths, as SVG writes them."""


def trade_off(
    exploration: Exploration, measure: str, chosen: SamplerSettings, *, here: bool
) -> str:
    """Return an exploration as HTML.

    Every point holds its number among the sweep's, and its settings and figures in words.

    Parameters
    ----------
    exploration
        The sweep, and its points so far.
    measure
        Measure of fidelity, one of its own.
    chosen
        The settings of the sliders.
    here
        Whether to mark the image at them.
    """
    points = [p for p in exploration.points if np.isfinite(position(p, measure)).all()]
    points.sort(key=lambda point: position(point, measure))
    mark = exploration.here if here else None
    if mark is not None and not np.isfinite(position(mark, measure)).all():
        mark = None
    shown = [position(point, measure) for point in (*points, *([] if mark is None else [mark]))]
    across = _range([x for x, _ in shown])
    upright = _range([y for _, y in shown])
    parts = [*_axes(exploration, measure, across, upright)]
    level = exploration.baseline.get(measure, np.nan)
    if upright[0] <= level <= upright[1]:
        y = _down(level, upright)
        parts.append(
            f'<line class="level" x1="{PLOT.x}" x2="{_right()}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
    numbers = {settings: n for n, settings in enumerate(exploration.sweep.points)}
    pressed = next((p for p in points if here and p.settings == chosen), None)
    for point in points:
        x, y = position(point, measure)
        words = _words(exploration, measure, point)
        parts.append(
            f'<g class="point" data-n="{numbers[point.settings]}" role="button" '
            f'tabindex="{0 if point is (pressed or points[0]) else -1}" '
            f'aria-pressed="{str(point is pressed).lower()}" aria-label="{escape(words)}" '
            f'transform="translate({_along(x, across):.1f} {_down(y, upright):.1f})">'
            f'<title>{escape(words)}</title><circle class="reach" r="{REACH:g}"/>'
            f"{_marker(look_of(exploration, point))}</g>"
        )
    if mark is not None:
        x, y = position(mark, measure)
        middle = f'cx="{_along(x, across):.1f}" cy="{_down(y, upright):.1f}"'
        parts.append(f'<circle class="here" {middle} r="10" {RING}/>')
    words = f"{FIDELITY[measure]} against {SHARPNESS[exploration.sweep.has_reference]}"
    return (
        f'<svg class="trade-off" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="group" '
        f'aria-label="{escape(words)}; arrow keys lead from point to point">{"".join(parts)}</svg>'
        f'<p class="key">{"".join(_key(exploration, level, mark is not None))}</p>'
    )


def _words(exploration: Exploration, measure: str, point: Point) -> str:
    sweep = exploration.sweep
    names = (SHARPNESS[sweep.has_reference], FIDELITY[measure])
    sharp, faithful = (name.partition(" (")[0] for name in names)
    x, y = position(point, measure)
    return f"{words_of(point.settings, sweep.axes)}: {sharp} {x:.3g}, {faithful} {y:.4g}"


def _marker(look: Look) -> str:
    path = _outline(look.shape, look.size * PIXELS)
    return f'<path d="{path}" fill="{look.colour or "currentColor"}"/>'


@cache
def _outline(shape: str, size: float) -> str:
    """Return a marker of matplotlib as the path of an SVG."""
    marker = MarkerStyle(shape)
    path = marker.get_path().transformed(marker.get_transform())
    words = []
    for corners, code in path.iter_segments(simplify=False):
        numbers = np.reshape(corners, (-1, 2)) * (size, -size)
        letter = LETTERS[code]
        words.append(
            letter if letter == "Z" else letter + " ".join(f"{v:.2f}" for v in numbers.flat)
        )
    return "".join(words)


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of an axis that holds values with room beside them."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = MARGIN * (high - low) or 0.02 * abs(high) or 0.5
    return low - room, high + room


def _along(x: float, ends: tuple[float, float]) -> float:
    return PLOT.x + (x - ends[0]) / (ends[1] - ends[0]) * PLOT.width


def _down(y: float, ends: tuple[float, float]) -> float:
    return PLOT.y + (ends[1] - y) / (ends[1] - ends[0]) * PLOT.height


def _right() -> float:
    return PLOT.x + PLOT.width


def _axes(
    exploration: Exploration,
    measure: str,
    across: tuple[float, float],
    upright: tuple[float, float],
) -> Iterator[str]:
    """Yield the frame, grid lines with their numbers, and the names of both axes."""
    floor = PLOT.y + PLOT.height
    yield f'<rect class="frame" {PLOT.svg()}/>'
    for value, words in _ticks(across):
        x = _along(value, across)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{PLOT.y}" y2="{floor}"/>'
        yield f'<text x="{x:.1f}" y="{floor + 15}" text-anchor="middle">{words}</text>'
    for value, words in _ticks(upright):
        y = _down(value, upright)
        yield f'<line class="grid" x1="{PLOT.x}" x2="{_right()}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{PLOT.x - 5}" y="{y + 4:.1f}" text-anchor="end">{words}</text>'
    middle = PLOT.y + PLOT.height / 2
    sharpness = escape(SHARPNESS[exploration.sweep.has_reference])
    yield (
        f'<text x="{PLOT.x + PLOT.width / 2}" y="{HEIGHT - 8}" text-anchor="middle">{sharpness}'
        f'</text><text x="12" y="{middle}" text-anchor="middle" '
        f'transform="rotate(-90 12 {middle})">{escape(FIDELITY[measure])}</text>'
    )


def _ticks(ends: tuple[float, float]) -> Iterator[tuple[float, str]]:
    low, high = ends
    values = [
        v
        for v in MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        if low <= v <= high
    ]
    near = 1e-6 * (high - low)
    digits = (d for d in range(MOST_DIGITS) if np.allclose(values, np.round(values, d), 0, near))
    fewest = next(digits, MOST_DIGITS)
    for value in values:
        yield value, f"{value:.{fewest}f}"


def _key(exploration: Exploration, level: float, marked: bool) -> Iterator[str]:
    """Yield the legend, one entry for each value of the axes."""
    for words, look in key_of(exploration):
        yield _entry(_marker(look), words)
    if np.isfinite(level):
        yield _entry('<line class="level" x1="-9" x2="9" y1="0" y2="0"/>', BASELINE.format(level))
    if marked:
        yield _entry(f'<circle r="7" {RING}/>', HERE)


def _entry(mark: str, words: str) -> str:
    return (
        f'<span><svg viewBox="-10 -10 20 20" width="18" height="18" aria-hidden="true">{mark}</svg>'
        f"{escape(words)}</span>"
    )
