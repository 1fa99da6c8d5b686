"""Number of processor cores available to this process."""

from __future__ import annotations

import os
from pathlib import Path


def usable_cores(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the number of processor cores that this process may use.

    This is fewer than the machine has if the process is limited to some cores or to a share of
    their time.

    Parameters
    ----------
    root
        Folder of ``cpu.max``, where Linux states the share as ``<microseconds> <of how many>``.
    """
    given = getattr(os, "sched_getaffinity", None)  # on systems with CPU affinity
    cores = len(given(0)) if given else os.cpu_count() or 1
    try:
        time, period = (root / "cpu.max").read_text(encoding="ascii").split()
        share = int(time) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # no such file, or "max": no limit
        return cores
    return max(1, min(cores, round(share)))
