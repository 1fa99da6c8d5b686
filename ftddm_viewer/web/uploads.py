"""Uploaded files on their way to a study: copied out of the served folder, and zip files unpacked.

Gradio keeps an upload under the checksum of its content, so that two users who upload the same file
share one: it is never moved or removed here, only swept when it has not been used for some minutes.
A list of uploaded files has no folders; a zip file keeps those it was made with.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io.archive import unpack
from ftddm_core.imaging.io.limits import LARGEST

NO_ROOM = (
    "There is no room for these files at the moment: upload fewer or smaller ones, or try again in "
    "some minutes."
)

FOLDERS = re.compile(
    r"""(?<![\w:/\\.<])(?:[A-Za-z]:)?[/\\](?:[^/\\\s'"<>]+[/\\])+(?=[^/\\\s'"<>])"""
)
"""The folders of an absolute path: of no use to a visitor, and none of their business."""

STUDY = "study"
"""Folder of an upload; names the results if the files' own names do not."""

TELL_APART = "rename one, or upload the folder that holds them as one .zip."


def take(paths: Sequence[Path], place: Path, room: int | None = None) -> list[Path]:
    """Copy uploaded files into a folder `STUDY` of an empty folder, and return what to open there.

    Zip files are unpacked, each into a folder of its name, and not kept.

    Parameters
    ----------
    paths
        The files.
    place
        The empty folder.
    room
        How many bytes may be written; None for any number.

    Raises
    ------
    FormatError
        If two of the files have one name, a zip file cannot be unpacked, a file is not there any
        more, or there is no room for them.
    OSError
        If a file cannot be copied.
    """
    folder = place / STUDY
    folder.mkdir()
    found = []
    for path in sorted(paths, key=lambda path: path.name):
        target = folder / path.name
        if target.exists():
            raise FormatError(f"Two of the files are called {path.name}: {TELL_APART}")
        if not path.is_file():
            raise FormatError(f"{path.name} has not been used for too long: upload it again.")
        if path.suffix.lower() == ".zip":
            found.append(_unpacked(path, folder, _left(folder, room)))
            continue
        if path.stat().st_size > _left(folder, room):
            raise FormatError(NO_ROOM)
        _copy(path, target)
        found.append(target)
    return found


def _left(folder: Path, room: int | None) -> int:
    """Return how many more bytes may be written below a folder."""
    return LARGEST if room is None else max(0, min(LARGEST, room - size_below(folder)))


def size_below(folder: Path) -> int:
    """Return the total size in bytes of the files below a folder."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # it is removed at this moment
            total += path.stat().st_size if path.is_file() else 0
    return total


def _copy(path: Path, target: Path) -> None:
    """Copy a file that is never written to: a second name for it, where the disk has those."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)


def _unpacked(path: Path, folder: Path, room: int) -> Path:
    """Unpack a zip file into a folder, and return the folder of its study."""
    into = folder / (path.name[: -len(path.suffix)].strip(". ") or "archive")
    if into.exists():
        raise FormatError(f"Two of the files are called {into.name}: {TELL_APART}")
    return unpack(path, into, room)


def as_uploaded(words: str, private: Path) -> str:
    """Return a text with uploads under the names that the user gave them, and with no other path.

    Parameters
    ----------
    words
        Any text, with paths or without.
    private
        The folder that holds the folders given to `take`.
    """
    slash = r"[/\\]"
    found = re.sub(rf"{re.escape(str(private))}{slash}[^/\\ ]+{slash}{STUDY}{slash}", "", words)
    return FOLDERS.sub("", found)
