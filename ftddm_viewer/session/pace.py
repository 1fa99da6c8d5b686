"""How long an image will take, from how long earlier ones took."""

from __future__ import annotations

import math
from collections import deque
from threading import Lock

from ftddm_core.settings import SamplerSettings

FIRST = {"cpu": 5e-6, "cuda": 2e-7, "mps": 5e-7}
"""Kind of device -> seconds of a step for each voxel of a slice, until one was measured."""

MEASURED = 9
"""Number of recent images that count, each by its work: small ones hardly tell."""


class Pace:
    """Seconds of a step for each voxel of a slice. Thread-safe."""

    def __init__(self) -> None:
        self._found: deque[tuple[float, float]] = deque(maxlen=MEASURED)
        self._warm = False
        self._lock = Lock()

    def measured(self, seconds: float, work: float) -> None:
        """Take up how long an amount of work took; not the first, for which all is set up."""
        with self._lock:
            if self._warm and work > 0:
                self._found.append((seconds, work))
            self._warm = True

    def seconds(self, work: float, device: str = "cpu") -> float:
        """Return how long an amount of work will take on a device."""
        with self._lock:
            spent = sum(seconds for seconds, _ in self._found)
            done = sum(amount for _, amount in self._found)
        each = spent / done if done else FIRST.get(device.partition(":")[0], FIRST["cpu"])
        return each * work


def work_of(settings: SamplerSettings, plane: tuple[int, int], slices: int = 1) -> float:
    """Return the amount of work of slices (Nx, Ny): voxels x steps x samples."""
    steps = settings.t_trunc if settings.steps is None else settings.steps
    return float(max(1, steps) * settings.samples * slices * plane[0] * plane[1])


def in_words(seconds: float) -> str:
    """Return a time in words.

    >>> in_words(42.4), in_words(2820), in_words(9000)
    ('about 42 s', 'about 47 min', 'about 2.5 h')
    """
    if seconds < 100:
        return f"about {math.ceil(seconds - 0.5)} s"
    if seconds < 6000:
        return f"about {math.ceil(seconds / 60)} min"
    return f"about {seconds / 3600:.2g} h"
