"""The user's own folder for what is remembered between sessions, and how files get there."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path


def state_folder() -> Path:
    """Return the folder: below XDG_STATE_HOME, else as the platform has it.

    Raises
    ------
    RuntimeError
        If the user has no home.
    """
    if (stated := Path(os.environ.get("XDG_STATE_HOME") or "")).is_absolute():
        folder = stated
    elif sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    else:
        folder = Path.home() / ".local" / "state"
    return folder / "ftddm"


def write_private(path: Path, text: str) -> None:
    """Write a file completely or not at all, for the user alone.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
