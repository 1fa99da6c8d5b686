"""Versions of installed packages."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def version_of(package: str) -> str:
    """Return a package's version, "not installed" without one."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
