"""Versions of installed packages, and the commit of this program where it is known."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

_HASH = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def version_of(package: str) -> str:
    """Return a package's version, "not installed" without one."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


@cache
def commit() -> str:
    """Return the commit of the sources in use, "" where it is not known.

    A checkout states it, and so does an installation straight from a repository. Changes that were
    not committed are not seen.
    """
    found = commit_of(Path(__file__).resolve().parents[2])
    return found or _installed_from("ftddm-viewer")


def commit_of(checkout: Path) -> str:
    """Return the commit that a git checkout is at, "" if it is none; git itself is not needed."""
    place = checkout / ".git"
    try:
        if place.is_file():  # a further working tree of a repository
            place = checkout / place.read_text().partition("gitdir:")[2].strip()
        head = (place / "HEAD").read_text().strip()
        if not head.startswith("ref:"):
            return head if _HASH.fullmatch(head) else ""
        name = head.removeprefix("ref:").strip()
        home = place / "commondir"
        root = place / home.read_text().strip() if home.is_file() else place
        for held in (place / name, root / name):
            if held.is_file() and _HASH.fullmatch(held.read_text().strip()):
                return held.read_text().strip()
        for line in (root / "packed-refs").read_text().splitlines():
            found, _, ref = line.partition(" ")
            if ref == name and _HASH.fullmatch(found):
                return found
    except (OSError, ValueError):
        pass
    return ""


def _installed_from(package: str) -> str:
    try:
        stated = json.loads(distribution(package).read_text("direct_url.json") or "{}")
        found = str(stated.get("vcs_info", {}).get("commit_id", ""))
    except (PackageNotFoundError, ValueError, AttributeError, OSError):
        return ""
    return found if _HASH.fullmatch(found) else ""
