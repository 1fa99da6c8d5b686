"""Memory that this process may still take, and what it took and does not need any more."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from pathlib import Path

SHARE = 0.8
"""Share of the free memory that one study may be planned to take."""


def free_memory(root: Path = Path("/")) -> int:
    """Return the bytes that this process may still take; 0 if unknown.

    This is less than the machine has free if the process is limited to a part of it.

    Parameters
    ----------
    root
        Folder of ``proc`` and ``sys``, where Linux states both.
    """
    free = 0
    try:
        for line in (root / "proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        return 0
    group = root / "sys/fs/cgroup"
    try:
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        used = int((group / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):  # no such files, or "max": no limit
        return free
    return min(free, max(0, limit - used))


def plannable() -> float:
    """Return the bytes that a study may be planned to take; infinite where nothing is known."""
    free = free_memory()
    return SHARE * free if free else float("inf")


def in_words(count: float) -> str:
    """Return a number of bytes in words.

    >>> in_words(2_000_000_000), in_words(350_000)
    ('2 GB', '0.35 MB')
    """
    return f"{count / 1e9:.3g} GB" if count >= 1e8 else f"{count / 1e6:.2g} MB"


def give_back() -> None:
    """Give the system back what was freed: glibc keeps it, in a pool for every few threads."""
    with suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
