"""Test whether a window can be opened: without a display, Qt ends the whole process."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

from ftddm_core.errors import FtddmError

TRY = "from qtpy.QtGui import QGuiApplication; QGuiApplication([])"


def can_open_window() -> bool:
    """Return whether napari is installed and a display is available."""
    return not _missing() and _has_display()


def check_window() -> None:
    """Raise an FtddmError that names what is missing, if no window can be opened."""
    if missing := _missing():
        raise FtddmError(
            f"The window needs {missing}, which is not installed: "
            "pip install 'ftddm-viewer[napari]', or open the page with: ftddm web"
        )
    if not _has_display():
        raise FtddmError(
            "There is no display to open a window on; open the page in a browser: ftddm web"
        )


def _missing() -> str:
    return next((name for name in ("napari", "qtpy", "superqt") if find_spec(name) is None), "")


def _has_display() -> bool:
    """Return whether Qt finds a display; on Linux, this is tried in a separate process."""
    if sys.platform in ("darwin", "win32"):
        return True
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    tried = subprocess.run([sys.executable, "-c", TRY], capture_output=True, check=False)
    return tried.returncode == 0
