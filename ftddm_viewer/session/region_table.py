"""What was read in a region, as a table to show, to copy and to save."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping

from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_viewer.session.regions import SOURCES, Line, Reading, Source, Statistics
from ftddm_viewer.session.scene import resolve
from ftddm_viewer.session.state import State

COLUMNS = ("", "Input", "Output", "Reference", "Mirror", "Lesion/normal")
"""Of the table that is shown; the last two are of the maps that are chosen for comparison."""

KEPT = {
    "mean": "mean",
    "spread": "SD",
    "deviation": "mean deviation of the samples",
    "voxels": "voxels",
}
"""Statistic -> its name in a file."""


def rows(reading: Reading, compared: Source) -> list[tuple[str, ...]]:
    """Return the table's rows in the order of `COLUMNS`; what is unknown is empty.

    Parameters
    ----------
    reading
        What was read.
    compared
        Of which maps the mirror image and lesion/normal are shown.
    """
    return [
        (
            f"{line.name} ({line.unit})" if line.unit else line.name,
            *(words_of(line.values.get(source)) for source in SOURCES),
            words_of(line.mirrored.get(compared)),
            _number(line.relative(compared), 3),
        )
        for line in reading.lines
    ]


def words_of(found: Statistics | None) -> str:
    """Return mean and standard deviation, and the samples' mean deviation in brackets.

    >>> words_of(Statistics(3285.5, 2890, 0.125, 12)), words_of(None)
    ('3286 ± 2890 (0.125), n 12', '')
    """
    if found is None:
        return ""
    words = _number(found.mean, 4)
    if not math.isnan(found.spread):
        words += f" ± {_number(found.spread, 3)}"
    if found.deviation is not None:
        words += f" ({_number(found.deviation, 3)})"
    return f"{words}, n {found.voxels}"


def about(reading: Reading, metabolite: str) -> str:
    """Return the region's size, what of it does not count, and what is doubtful."""
    words = [
        f"{reading.voxels} voxels, {reading.outside} of them outside the mask of {metabolite}; "
        f"mirror image across x = {reading.plane:.1f} mm: {reading.mirrored_voxels} voxels, "
        f"{reading.mirrored_outside} of them outside the mask."
    ]
    if reading.doubt:
        words.append(f"Which side is left is not certain ({reading.doubt.rstrip('.')}).")
    return " ".join(words)


def as_csv(reading: Reading, state: State, delimiter: str = ",") -> str:
    """Return every statistic with its unit, below lines that say what was read and how."""
    return csv_of({"": reading}, state, delimiter)


def csv_of(readings: Mapping[str, Reading], state: State, delimiter: str = ",") -> str:
    """Return the statistics of several regions below each other, as `as_csv` does of one.

    Parameters
    ----------
    readings
        Name of the region -> what was read; names are the first column, unless there are none.
    state
        What was read.
    delimiter
        Between two columns.
    """
    named = any(readings)
    view = state.view
    written = io.StringIO()
    writer = csv.writer(written, delimiter=delimiter, lineterminator="\n")
    if view is not None:
        scene = resolve(state)
        label, mode = view.prepared.case.label, view.prepared.mode
        for words in (
            f"Study: {label}; mode: {mode}",
            *(
                f"{name}: {about(each, state.metabolite)}".removeprefix(": ")
                for name, each in readings.items()
            ),
            scene.captions.get("output", f"{RESEARCH_ONLY}."),
            *([] if state.ratio is None else [scene.captions["ratio output"]]),
        ):
            writer.writerow([f"# {words}"])
    head = [*["region"][:named], "map", "unit"]
    for source in SOURCES:
        for where in ("", " mirror"):
            head += [f"{source}{where} {name}" for name in KEPT.values()]
        head.append(f"{source} lesion/normal")
    writer.writerow(head)
    for name, reading in readings.items():
        for line in reading.lines:
            writer.writerow([*[name][:named], line.name, line.unit, *_values(line)])
    return written.getvalue()


def _values(line: Line) -> list[str]:
    found = []
    for source in SOURCES:
        for statistics in (line.values.get(source), line.mirrored.get(source)):
            found += [_number(getattr(statistics, name, None), 6) for name in KEPT]
        found.append(_number(line.relative(source), 6))
    return found


def _number(value: float | None, digits: int) -> str:
    """Return a number in so many significant digits; "" where it is unknown."""
    if value is None or math.isnan(value):
        return ""
    return f"{value:.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"
