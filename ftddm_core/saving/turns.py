"""One writer at a time in a folder, among all programs and machines that share it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

LOCK = ".ftddm-lock"
"""Hidden file that the writer holds; it is gone afterwards, and means nothing unless it is held."""


@contextmanager
def alone_in(folder: Path, *, wait: bool = True, name: str = LOCK) -> Iterator[bool | None]:
    """Hold a folder's lock; the system lets go of it however the program ends.

    Parameters
    ----------
    folder
        An existing one.
    wait
        Whether to wait for another writer.
    name
        Of the lock's file.

    Yields
    ------
    bool or None
        Whether no other writer is in the folder; None where the file system has no locks, so that
        nobody knows.

    Raises
    ------
    OSError
        If the folder cannot be written to.
    """
    if fcntl is None:
        yield None
        return
    path = folder / name
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            held = _take(handle, wait)
            # A writer that ended in the meantime has removed the file that it held.
            if held and not _is(path, handle):
                continue
            try:
                yield held
            finally:
                if held is not False:
                    with suppress(OSError):
                        path.unlink()
            return
        finally:
            os.close(handle)


def _take(handle: int, wait: bool) -> bool | None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is(path: Path, handle: int) -> bool:
    """Return whether a path still leads to an open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
