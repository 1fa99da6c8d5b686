"""docs/administration.md states the limits and options as they are."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from types import ModuleType

import pytest

from ftddm_core.imaging.io import limits as of_files
from ftddm_viewer.shell.flags import add_serving
from ftddm_viewer.web import limits

TEXT = (Path(__file__).parents[2] / "docs" / "administration.md").read_text(encoding="utf-8")

TABLE = {
    "unpacked file": "LARGEST bytes",
    "unpacked to packed size, from 34 MB on": "MOST_EXPANSION",
    "matrix of a map in a slice": "MOST_ACROSS",
    "slices of a map": "MOST_SLICES",
    "maps in one file": "MOST_MAPS",
    "voxels of a map": "MOST_MAP_VOXELS",
    "voxels of an MRI": "MOST_MRI_VOXELS",
    "values of all maps from tables": "MOST_TABLED",
    "memory for a study, or for one slice": "SESSION_MEMORY bytes",
    "open pages": "MOST_TABS",
    "open pages of a login, or of an address": "MOST_TABS_EACH",
    "a page without its connection is kept": "GRACE s",
    "a new page needs its connection within": "SEEN_WITHIN s",
    "a page gives a sign of life every": "PULSE s",
    "idle page may be closed to make room after": "FORSAKEN s",
    "upload of one file": "LARGEST_UPLOAD bytes",
    "uploads as they arrived are kept": "UNTAKEN s",
    "uploads of an address": "UPLOADS_EACH bytes",
    "within": "UPLOADS_WITHIN s",
    "uploads of one page, unpacked": "STORED_EACH bytes",
    "all files of all pages": "STORED bytes",
    "left free on the disk": "SPARED bytes",
    "other request": "LONGEST_CALL bytes",
    "waiting events": "LONGEST_QUEUE",
    "regions on a study": "MOST_REGIONS",
    "points of a region": "MOST_POINTS",
    "work that starts without a click": "LONGEST_UNASKED s",
    "wrong passwords before a pause": "FREE_FAILURES",
    "longest pause": "LONGEST_WAIT s",
    "wrong password is forgotten after": "FORGOTTEN s",
}
"""Words in the document -> name of the limit and its unit."""

TECHNICAL = {
    *("EXPANSION_FROM", "BYTES_PER_MAP_VOXEL", "BYTES_PER_MRI_VOXEL", "OWN"),
    *("READ_FOR", "LONGEST_KEY", "MOST_TOLD", "FARTHEST", "TOGETHER"),
}
"""What no administrator needs."""


def value_of(words: str) -> str:
    """Return a limit as the document has it."""
    name, _, unit = words.partition(" ")
    value = getattr(limits, name, None) or getattr(of_files, name)
    if unit == "bytes":
        return f"{value / 1e9:g} GB" if value >= 1e9 else f"{value / 1e6:g} MB"
    return f"{value:g} {unit}".strip() if unit else str(value)


@pytest.mark.parametrize("words", TABLE)
def test_a_limit_is_stated_as_it_is(words: str) -> None:
    assert f"| {words} | {value_of(TABLE[words])} |\n" in TEXT


def test_every_limit_is_stated() -> None:
    def names(module: ModuleType) -> set[str]:
        return {name for name in vars(module) if re.fullmatch(r"[A-Z][A-Z_]+", name)}

    stated = {words.split()[0] for words in TABLE.values()}
    assert names(limits) | names(of_files) == stated | TECHNICAL
    assert len(re.findall(r"^\| .* \|$", TEXT.partition("| limit |")[2], re.MULTILINE)) >= len(
        TABLE
    )
    assert f"from {of_files.EXPANSION_FROM / 1e6:.0f} MB on" in TEXT
    assert f"slices of up to {limits.TOGETHER} visitors" in TEXT
    assert f"After {limits.FREE_FAILURES} wrong passwords" in TEXT
    assert f"lost for {limits.GRACE / 60:.0f} minutes" in TEXT
    assert f"{limits.UNTAKEN / 60:.0f} minutes after they arrived" in TEXT
    assert f"| {limits.FORGOTTEN / 60:.0f} minutes |" in TEXT


def test_every_option_is_named() -> None:
    parser = argparse.ArgumentParser()
    add_serving(parser)
    options = {word for action in parser._actions for word in action.option_strings}
    assert len(options) > 5
    for option in options - {"-h", "--help"}:
        assert f"`{option}" in TEXT
