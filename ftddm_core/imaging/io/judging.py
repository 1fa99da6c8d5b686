"""Judges the files of a survey by their headers, before any of their values is read."""

from __future__ import annotations

from contextlib import suppress

from ftddm_core.errors import FtddmError
from ftddm_core.imaging.io.array_file import array_extent
from ftddm_core.imaging.io.found import is_array
from ftddm_core.imaging.io.image_file import extent_of, is_image
from ftddm_core.imaging.io.limits import Extent, Limits
from ftddm_core.imaging.io.roles import Role
from ftddm_core.imaging.io.surveyed import Entry, Survey

ON_THE_GRID = (Role.MAP, Role.CRLB, Role.SNR, Role.FWHM)
"""Roles of files on the grid of the maps; others may be as fine as an MRI."""


def judge(survey: Survey, limits: Limits) -> tuple[str, ...]:
    """Return a note for every unusually large file that a study needs.

    Raises
    ------
    FormatError
        If a file is too large for the limits, or all of them are together.
    """
    maps: dict[object, Extent] = {}
    images: dict[object, Extent] = {}
    for entry in survey.entries:
        if entry.taken and (found := _extent(entry)) is not None:
            (maps if entry.role in ON_THE_GRID else images)[entry.role, entry.path] = found
    return limits.judge(maps.values(), images.values())


def _extent(entry: Entry) -> Extent | None:
    """Return what a file announces; None where its header cannot be read, which is told later, or
    where it is a table."""
    with suppress(FtddmError):
        if is_array(entry.path):
            return array_extent(entry.path)
        if is_image(entry.path):
            return extent_of(entry.path)
    return None
