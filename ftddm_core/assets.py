"""Location of the bundled files: in the wheel, or next to the sources."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ftddm_core.errors import FormatError

PACKAGE = Path(__file__).resolve().parent
ROOTS = (PACKAGE / "assets", PACKAGE.parent / "assets")


@cache
def asset_folder(name: str) -> Path:
    """Return the folder of a bundled asset such as "weights" or "case".

    Raises
    ------
    FormatError
        If the installation lacks it.
    """
    for root in ROOTS:
        if (root / name).is_dir():
            return root / name
    raise FormatError(
        f"The bundled folder '{name}' is missing from {PACKAGE.parent}; reinstall ftddm-viewer."
    )
