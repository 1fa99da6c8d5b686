"""Uploaded files on their way to a study: moved out of the served folder, and zip files unpacked.

A list of uploaded files has no folders; a zip file keeps those it was made with.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io.archive import unpack

STUDY = "study"
"""Folder of an upload; names the results if the files' own names do not."""

TELL_APART = "rename one, or upload the folder that holds them as one .zip."


def take(paths: Sequence[Path], place: Path) -> list[Path]:
    """Move uploaded files into a folder `STUDY` of an empty folder, and return what to open there.

    Zip files are unpacked, each into a folder of its name, and removed. Files that are left where
    they were uploaded, because this raised, are for the caller to remove.

    Raises
    ------
    FormatError
        If two of the files have one name, or a zip file cannot be unpacked.
    OSError
        If a file cannot be moved.
    """
    folder = place / STUDY
    folder.mkdir()
    found = []
    for path in sorted(paths, key=lambda path: path.name):
        target = folder / path.name
        if target.exists():
            raise FormatError(f"Two of the files are called {path.name}: {TELL_APART}")
        shutil.move(path, target)
        found.append(target)
    return [_unpacked(path) if path.suffix.lower() == ".zip" else path for path in found]


def _unpacked(path: Path) -> Path:
    """Unpack a zip file beside itself, and return the folder of its study."""
    into = path.with_name(path.name[: -len(path.suffix)].strip(". ") or "archive")
    if into.exists():
        raise FormatError(f"Two of the files are called {into.name}: {TELL_APART}")
    study = unpack(path, into)
    path.unlink()
    return study


def as_uploaded(words: str, private: Path) -> str:
    """Return a text with uploads under the names that the user gave them.

    Parameters
    ----------
    words
        Any text, with paths or without.
    private
        The folder that holds the folders given to `take`.
    """
    slash = r"[/\\]"
    return re.sub(rf"{re.escape(str(private))}{slash}[^/\\ ]+{slash}{STUDY}{slash}", "", words)
