"""How producers arrange an examination: `LAYOUTS`, of which the first that claims it is used.

Add one by a module with its rules and an entry here; names that its rules do not match are read by
the plain layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ftddm_core.imaging.io.image_file import stem_of
from ftddm_core.imaging.io.layouts.bids import BIDS
from ftddm_core.imaging.io.layouts.fslmrs import FSLMRS
from ftddm_core.imaging.io.layouts.layout import Found, Layout, Reading, Rule, entity
from ftddm_core.imaging.io.layouts.lcmodel import LCMODEL
from ftddm_core.imaging.io.layouts.plain import PLAIN, read_plain
from ftddm_core.imaging.io.layouts.research import RESEARCH
from ftddm_core.imaging.io.layouts.vienna import VIENNA
from ftddm_core.imaging.io.roles import Role
from ftddm_core.imaging.metabolites import metabolite_in

__all__ = [
    "LAYOUTS",
    "Found",
    "Layout",
    "Reading",
    "Rule",
    "entity",
    "layout_of",
    "read_name",
    "role_of",
]

LAYOUTS: tuple[Layout, ...] = (RESEARCH, LCMODEL, FSLMRS, VIENNA, BIDS, PLAIN)


def layout_of(files: Sequence[Found]) -> Layout:
    """Return the layout in which files are arranged."""
    return next(layout for layout in LAYOUTS if layout.claims(files))


def role_of(path: Path) -> tuple[Role, str]:
    """Return the role of one file and its metabolite ("" without one), by its name alone."""
    file = Found(path, stem_of(path))
    reading = read_name(file, layout_of([file]))
    return reading.role, reading.name


def read_name(file: Found, layout: Layout) -> Reading:
    """Return what a file's name tells in a layout."""
    own = layout.read(file)
    reading = own or read_plain(file)
    if own is None and layout.own_maps and reading.role is Role.MAP and not file.listed:
        return Reading(Role.UNKNOWN, "", "its name is not like that of the other maps")
    if reading.role in (Role.T1, Role.FLAIR) and (name := metabolite_in(file.stem)):
        return Reading(Role.UNKNOWN, "", f"both {name} and {reading.role} stand in its name")
    return reading
