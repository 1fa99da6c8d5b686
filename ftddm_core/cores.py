"""How many processor cores there are to use."""

from __future__ import annotations

import os
from pathlib import Path


def usable_cores(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how many processor cores this process may keep busy.

    Fewer than the machine has where it was given only some of them, or a share of their time.

    Parameters
    ----------
    root
        Where Linux tells the share, as ``<microseconds> <of how many>`` in ``cpu.max``.
    """
    given = getattr(os, "sched_getaffinity", None)  # where a process can be kept to some of them
    cores = len(given(0)) if given else os.cpu_count() or 1
    try:
        time, period = (root / "cpu.max").read_text(encoding="ascii").split()
        share = int(time) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # no such file, or "max": no limit
        return cores
    return max(1, min(cores, round(share)))
