"""The folder of a running server, and those that killed ones left behind.

A server holds a lock on a file in its folder for as long as it runs: the system lets go of it
however the server ends. What is not locked is a leftover.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from time import time
from typing import IO

try:
    import fcntl
except ModuleNotFoundError:  # Windows, where the files of a running program cannot be removed
    fcntl = None  # type: ignore[assignment]

PREFIX = "ftddm-web-"
LOCK = "running"

YOUNG = 86400.0
"""Seconds for which a folder without a lock is left alone: it may belong to a server of an earlier
version, which held none."""


class Folder:
    """A new temporary folder for one server, for its owner only.

    Attributes
    ----------
    path
        The folder.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock: IO[str] | None = (self.path / LOCK).open("w", encoding="ascii")
        _taken(self._lock)

    def remove(self) -> None:
        """Remove the folder with everything in it."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        shutil.rmtree(self.path, ignore_errors=True)


def sweep_leftovers() -> list[str]:
    """Remove the folders of this user's servers that were killed; return their names."""
    found = []
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            about = path.lstat()
            own = not hasattr(os, "getuid") or about.st_uid == os.getuid()
            if own and path.is_dir() and not path.is_symlink() and not _in_use(path):
                shutil.rmtree(path)
                found.append(path.name)
    return found


def _in_use(path: Path) -> bool:
    lock = path / LOCK
    if not lock.is_file():
        return time() - path.stat().st_mtime < YOUNG
    with lock.open("r+", encoding="ascii") as file:
        return not _taken(file)


def _taken(file: IO[str]) -> bool:
    """Return whether nobody else holds the lock of a file, which is then held until it is
    closed."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
