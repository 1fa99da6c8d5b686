"""Files that are written all or none."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from os.path import lexists
from pathlib import Path

from ftddm_core.errors import FormatError
from ftddm_core.saving.exchange import PREFIX, Exchange, recover
from ftddm_core.saving.turns import alone_in

PathLike = Path | str

CHOOSE_ANOTHER = "choose another folder, or allow it to be replaced"
"""Advice for a file that exists; front ends have their own wording."""


def save_files(
    files: Mapping[str, bytes],
    folder: Path,
    *,
    overwrite: bool = False,
    stale: Collection[str] = (),
    inputs: Iterable[PathLike] = (),
) -> list[Path]:
    """Write files into a folder: either all of them appear, or none, whatever ends the program.

    Of two programs that write the same names, the second one finds them there. What a program that
    was killed left behind is put in order first; see `exchange`.

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
    inputs
        Files that are never replaced, whatever is allowed.

    Raises
    ------
    FormatError
        If a file exists already, or the folder cannot be written to.
    """
    stale = [name for name in stale if name not in files]
    names, inputs = [*files, *stale], list(inputs)
    check_writable(folder, names, overwrite=overwrite, inputs=inputs)
    parents = {parent for name in files for parent in (folder / name).parents}
    made = sorted((p for p in parents if not p.exists()), key=lambda p: len(p.parts))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with alone_in(folder) as alone:
            if alone:
                recover(folder)
            check_writable(folder, names, overwrite=overwrite, inputs=inputs)
            # Inside the folder, which may be on another file system: files are renamed, not copied.
            with tempfile.TemporaryDirectory(prefix=PREFIX, dir=folder) as staging:
                Exchange(Path(staging), folder).run(files.items(), stale)
    except BaseException as error:
        for parent in reversed(made):
            with suppress(OSError):  # not empty: something else was put there in the meantime
                parent.rmdir()
        if not isinstance(error, OSError):
            raise
        reason = error.strerror or error
        raise FormatError(f"Cannot write to {folder}: {reason}. Choose another folder.") from None
    return [folder / name for name in files]


def check_writable(
    folder: Path,
    names: Iterable[str],
    *,
    overwrite: bool = False,
    inputs: Iterable[PathLike] = (),
) -> None:
    """Raise a FormatError if files of these names cannot be written, before any work is done;
    `inputs` as for `save_files`."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise FormatError(f"{nearest} is a file, not a folder; choose another.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        reason = "its disk is read-only" if _read_only(nearest) else "permission denied"
        raise FormatError(f"Cannot write to {folder}: {reason}. Choose another folder.")
    # A symbolic link whose target is not here counts too: git-annex leaves them for files.
    existing = [folder / name for name in names if lexists(folder / name)]
    if blocked := [path for path in existing if path.is_dir()]:
        raise FormatError(f"{blocked[0]} is a folder, but a file of this name is needed; move it.")
    if own := _same(existing, inputs):
        raise FormatError(
            f"{own} is one of the files that were read, which are never replaced. Choose another "
            "folder."
        )
    if existing and not overwrite:
        raise FormatError(f"{existing[0]} exists already; {CHOOSE_ANOTHER}.")


def _read_only(folder: Path) -> bool:
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except (AttributeError, OSError):  # Windows cannot tell
        return False


def _same(paths: Iterable[Path], inputs: Iterable[PathLike]) -> Path | None:
    """Return the first of some existing paths that leads to an input, whatever its name."""
    known = {_identity(Path(path)) for path in inputs} - {None}
    return next((path for path in paths if _identity(path) in known), None)


def _identity(path: Path) -> tuple[int, int] | str | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return (about.st_dev, about.st_ino) if about.st_ino else str(path.resolve())
