"""Files that are written all or none."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from os.path import lexists
from pathlib import Path

from ftddm_core.errors import FormatError

CHOOSE_ANOTHER = "choose another folder, or allow it to be replaced"
"""Advice for a file that exists; front ends have their own wording."""


def save_files(
    files: Mapping[str, bytes],
    folder: Path,
    *,
    overwrite: bool = False,
    stale: Collection[str] = (),
) -> list[Path]:
    """Write files into a folder: either all of them appear, or none.

    Parameters
    ----------
    files
        Name relative to the folder -> content.
    folder
        Created if it does not exist.
    overwrite
        Whether files of the same name may be replaced.
    stale
        Names of further files that belong to those replaced, and are removed with them.

    Raises
    ------
    FormatError
        If a file exists already, or the folder cannot be written to.
    """
    stale = [name for name in stale if name not in files]
    check_writable(folder, [*files, *stale], overwrite=overwrite)
    parents = {parent for name in files for parent in (folder / name).parents}
    made = sorted((p for p in parents if not p.exists()), key=lambda p: len(p.parts))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Inside the folder, which may be on another file system: files are renamed, not copied.
        with tempfile.TemporaryDirectory(prefix=".ftddm-", dir=folder) as staging:
            new, old = Path(staging, "new"), Path(staging, "old")
            for name in (*files, *stale):
                for root in (new, old):
                    (root / name).parent.mkdir(parents=True, exist_ok=True)
            for name, content in files.items():
                (new / name).write_bytes(content)
            _exchange(files, stale, folder, new, old)
    except BaseException as error:
        for parent in reversed(made):
            with suppress(OSError):  # not empty: something else was put there in the meantime
                parent.rmdir()
        if not isinstance(error, OSError):
            raise
        reason = error.strerror or error
        raise FormatError(f"Cannot write to {folder}: {reason}. Choose another folder.") from None
    return [folder / name for name in files]


def _exchange(
    names: Iterable[str], stale: Iterable[str], folder: Path, new: Path, old: Path
) -> None:
    """Move files from `new` into a folder, and replaced and stale files to `old`; undo everything
    if one fails."""
    moved: list[str] = []
    try:
        for name in stale:
            if lexists(folder / name):
                os.replace(folder / name, old / name)
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            moved.append(name)
            if lexists(folder / name):
                os.replace(folder / name, old / name)
            os.replace(new / name, folder / name)
    except BaseException:
        for name in moved:
            if not lexists(old / name) and not (new / name).exists():
                (folder / name).unlink()
        for name in (*moved, *stale):
            if lexists(old / name):
                os.replace(old / name, folder / name)
        raise


def check_writable(folder: Path, names: Iterable[str], *, overwrite: bool = False) -> None:
    """Raise a FormatError if files of these names cannot be written, before any work is done."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise FormatError(f"{nearest} is a file, not a folder; choose another.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise FormatError(f"Cannot write to {folder}: permission denied. Choose another folder.")
    # A symbolic link whose target is not here counts too: git-annex leaves them for files.
    existing = [folder / name for name in names if lexists(folder / name)]
    if blocked := [path for path in existing if path.is_dir()]:
        raise FormatError(f"{blocked[0]} is a folder, but a file of this name is needed; move it.")
    if existing and not overwrite:
        raise FormatError(f"{existing[0]} exists already; {CHOOSE_ANOTHER}.")
