"""Files that enter a folder together, whatever ends the program.

All are first written into a hidden folder inside it, `new/`. A journal, `forward`, then says that
they are complete: from there on they enter the folder, and what they replace goes to `old/`. A
program that is killed before leaves the folder as it was; one that is killed afterwards leaves an
exchange that the next writer completes (`recover`). An error turns it `back`.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from os.path import lexists
from pathlib import Path

PREFIX = ".ftddm-"
"""Start of the hidden folders' names: readers of studies skip them."""

FORWARD, BACK = "forward", "back"

CANNOT_TELL = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EROFS, errno.EACCES)
"""Why some network file systems, and Windows for files opened to read, refuse to wait."""


class Exchange:
    """Files on their way into a folder.

    Parameters
    ----------
    staging
        The hidden folder, empty or left by a program that was killed.
    folder
        Where the files belong.
    """

    def __init__(self, staging: Path, folder: Path) -> None:
        self.staging, self.folder = staging, folder
        self.new, self.old = staging / "new", staging / "old"

    def run(self, files: Collection[tuple[str, bytes]], stale: Collection[str]) -> None:
        """Write files, move them into the folder, and take `stale` ones out of it.

        Raises
        ------
        OSError
            If something cannot be written or moved; all is then as before.
        """
        names = [name for name, _ in files]
        for name in (*names, *stale):
            for root in (self.new, self.old):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
        for name, content in files:
            (self.new / name).write_bytes(content)
        for name in names:
            sync(self.new / name)
        self._note(FORWARD, names, stale)
        try:
            self.forward(names, stale)
        except BaseException:
            self._note(BACK, names, stale)
            (self.staging / FORWARD).unlink(missing_ok=True)
            self.back(names, stale)
            raise

    def forward(self, names: Collection[str], stale: Collection[str]) -> None:
        """Move the files into the folder; may be resumed at any point.

        Everything old leaves before anything new enters, each map before its sidecar, so that no
        map ever lies beside the sidecar of another.
        """
        for name in reversed([*names, *stale]):
            if lexists(self.folder / name) and not self._entered(name, names):
                os.replace(self.folder / name, self.old / name)
        for name in names:
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            if (self.new / name).exists():
                os.replace(self.new / name, self.folder / name)
        self._sync_folders(names)
        (self.staging / FORWARD).unlink(missing_ok=True)

    def back(self, names: Collection[str], stale: Collection[str]) -> None:
        """Move everything to where it was; may be resumed at any point."""
        for name in reversed(list(names)):
            if self._entered(name, names):
                (self.folder / name).unlink(missing_ok=True)
        for name in (*stale, *names):
            if lexists(self.old / name):
                os.replace(self.old / name, self.folder / name)
        self._sync_folders(names)
        (self.staging / BACK).unlink(missing_ok=True)

    def resume(self) -> None:
        """Complete an exchange that was interrupted; without a journal, nothing was moved."""
        for journal, move in ((BACK, self.back), (FORWARD, self.forward)):
            try:
                noted = json.loads((self.staging / journal).read_bytes())
            except (OSError, ValueError):
                continue
            move(noted["files"], noted["stale"])
            return

    def _entered(self, name: str, names: Collection[str]) -> bool:
        return name in names and not (self.new / name).exists()

    def _note(self, journal: str, names: Iterable[str], stale: Iterable[str]) -> None:
        part = self.staging / f"{journal}.part"
        part.write_text(json.dumps({"files": list(names), "stale": list(stale)}))
        sync(part)
        part.rename(self.staging / journal)
        sync(self.staging)

    def _sync_folders(self, names: Iterable[str]) -> None:
        for folder in {(self.folder / name).parent for name in names}:
            sync(folder)


def unfinished(folder: Path) -> Iterator[Exchange]:
    """Yield the exchanges that programs left in a folder when they were killed."""
    for staging in sorted(folder.glob(f"{PREFIX}*")):
        if staging.is_dir() and not staging.is_symlink():
            yield Exchange(staging, folder)


def recover(folder: Path) -> None:
    """Complete what programs that were killed left in a folder, and remove their hidden folders.

    Only for who is alone in the folder.
    """
    for left in unfinished(folder):
        left.resume()
        shutil.rmtree(left.staging, ignore_errors=True)


def sync(path: Path) -> None:
    """Wait until a file's or a folder's content, if any, is on the disk, where that can be told."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except (PermissionError, FileNotFoundError):  # Windows opens no folders
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in CANNOT_TELL:
            raise
    finally:
        os.close(handle)
