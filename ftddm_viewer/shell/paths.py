"""Paths from the command line, of which some no file system can hold, and some no reader can read.

They are refused at once, since a long computation would end at them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ftddm_core.errors import SettingsError

LONGEST_NAME, LONGEST_PATH = 255, 4095
"""In bytes, on all common file systems; the path without its end mark."""

STAGING = ".ftddm-12345678/new"
"""Room for the names that files have until all of them are written."""

IMAGES = (
    "input", "t1", "flair", "mask", "study", "real", "glioma_mri", "anatomy", "anatomies",
    "validation", "patients", "validation_patients", "inputs", "sidecar", "folder",
    "file", "key", "dicom_of",
)  # fmt: skip
"""Options that are images or folders of them."""

KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_paths(options: Mapping[str, Any]) -> None:
    """Raise a SettingsError if a text or path among some options is impossible.

    What does not exist is left to its reader, which names what is missing. A pipe or a device in
    place of an image is refused: reading from it may wait for ever.
    """
    for name, value in options.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str | Path):
                _check_possible(Path(each))
            if isinstance(each, Path) and name in IMAGES:
                _check_kind(each)


def _check_possible(path: Path) -> None:
    if "\0" in str(path):
        shown = _short(str(path).replace("\0", "\\0"))
        raise SettingsError(f"'{shown}' holds a NUL character, which no path can: leave it out.")
    if words := _too_long(path):
        raise SettingsError(f"{words[0].upper()}{words[1:]}: give a shorter one.")


def _check_kind(path: Path) -> None:
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except OSError:
        return
    if kind in KINDS:
        raise SettingsError(
            f"{path} is {KINDS[kind]}, from which no image can be read: give a file or a folder."
        )


def check_names(folder: Path, names: Iterable[str]) -> None:
    """Raise a SettingsError if files of these names would be too long in a folder."""
    for name in names:
        if words := _too_long(Path(folder.absolute(), STAGING, name)):
            raise SettingsError(
                f"Cannot write to {_short(str(folder))}: {words}; rename the study, or choose "
                "another folder."
            )


def _too_long(path: Path) -> str:
    """Return what of a path is too long, "" if nothing is."""
    longest = max(path.parts, key=_bytes, default="")
    if _bytes(longest) > LONGEST_NAME:
        size = _bytes(longest)
        return (
            f"the file name '{_short(longest)}' is too long, {size} bytes of at most {LONGEST_NAME}"
        )
    if (size := _bytes(str(path.absolute()))) > LONGEST_PATH:
        return f"the path '{_short(str(path))}' is too long, {size} bytes of at most {LONGEST_PATH}"
    return ""


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape")) if os.name == "posix" else len(text)


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:40]}...{text[-12:]}"
