"""The page's scripts: what happens in the browser, without the server."""

from __future__ import annotations

from importlib.resources import files


def script(name: str) -> str:
    """Return a script of the page, as it is run once when its element appears."""
    return files(__name__).joinpath(f"{name}.js").read_text(encoding="utf-8")
