"""Numbers of the performance page: three significant digits, or a dash if there is none."""

from __future__ import annotations

import math

from ftddm_viewer.report.markdown import number


def short(value: float | None) -> str:
    """Return a number with three significant digits, whole ones as they are.

    >>> [short(x) for x in (0.012345, 12.345, 1234.5, 3, -0.5, None)]
    ['0.0123', '12.3', '1234', '3', '−0.500', '–']
    """
    if value is None or not math.isfinite(value):
        return "–"
    if isinstance(value, int) or not value:
        return number(value, 0)
    return number(value, max(0, 2 - math.floor(math.log10(abs(value)))))


def milliseconds(seconds: float) -> str:
    """Return seconds in ms.

    >>> milliseconds(0.0213)
    '21.3'
    """
    return short(1e3 * seconds)


def times(ratio: float | None) -> str:
    """Return a speed-up in words.

    >>> times(9.24)
    '9.24×'
    """
    return "–" if ratio is None else f"{short(ratio)}×"


def place(device: str) -> str:
    """Return the name of a device on the page."""
    kind = device.partition(":")[0]
    return {"cpu": "the CPU", "cuda": "the GPU"}.get(kind, kind)


def figure_name(device: str, name: str) -> str:
    """Return the file name of a device's figure."""
    return f"{device.partition(':')[0]}-{name}.png"
