"""The values of a survey's files: images, which carry their world coordinates, or arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io.arrays import Arrays
from ftddm_core.imaging.io.found import is_array
from ftddm_core.imaging.io.layouts.lcmodel import ENDINGS
from ftddm_core.imaging.io.lcmodel import read_folder
from ftddm_core.imaging.io.nifti import read_maps, read_volume
from ftddm_core.imaging.io.roles import Role
from ftddm_core.imaging.io.surveyed import Entry, Survey
from ftddm_core.imaging.volume import Volume


class Source(Protocol):
    """Reads the files of a survey; `notes` are findings about them."""

    notes: tuple[str, ...]

    def maps(self, entry: Entry, *, allow_empty: bool = False) -> dict[str, Volume]:
        """Return metabolite, as the file has it -> map or CRLB."""

    def image(self, entry: Entry, *, allow_empty: bool = False) -> Volume:
        """Return a mask, an MRI or a quality map."""


class Images:
    """The image files of one survey.

    Parameters
    ----------
    space
        "sform" or "qform" where a header has both; "" for the sform.
    """

    def __init__(self, space: str = "") -> None:
        self._space = space or None
        self.notes: tuple[str, ...] = ()

    def maps(self, entry: Entry, *, allow_empty: bool = False) -> dict[str, Volume]:
        """Return the maps of a file, several if it is 4D with a sidecar that names them."""
        return read_maps(
            entry.path, entry.own or entry.path.name, allow_empty=allow_empty, space=self._space
        )

    def image(self, entry: Entry, *, allow_empty: bool = False) -> Volume:
        """Return a mask, an MRI or a quality map."""
        return read_volume(entry.path, allow_empty=allow_empty, space=self._space)


class Tables:
    """The output of LCModel in one folder."""

    def __init__(self, folder: Path) -> None:
        self._found = read_folder(folder)
        self.notes = self._found.notes

    def maps(self, entry: Entry, *, allow_empty: bool = False) -> dict[str, Volume]:
        """Return the maps, or for the role CRLB their bounds."""
        return self._found.crlb if entry.role is Role.CRLB else self._found.maps

    def image(self, entry: Entry, *, allow_empty: bool = False) -> Volume:
        """Return the line widths, the signal-to-noise ratios, or an image beside the tables."""
        held = {Role.FWHM: self._found.fwhm, Role.SNR: self._found.snr}
        if entry.path.suffix.lower() not in ENDINGS:
            return read_volume(entry.path, allow_empty=allow_empty)
        if (image := held.get(entry.role)) is not None:
            return image
        raise FormatError(f"{entry.path.parent} has no {entry.role}: spreadsheets hold none.")


def source_of(survey: Survey) -> Source:
    """Return what reads the files of a survey.

    Raises
    ------
    FormatError
        If images and arrays are mixed.
    """
    used = [entry.path for entry in survey.entries if entry.taken]
    if tables := [path for path in used if path.suffix.lower() in ENDINGS]:
        return Tables(tables[0].parent)
    arrays = [path for path in used if is_array(path)]
    if not arrays:
        return Images(survey.choices.space)
    if len(arrays) < len(used):
        image = next(path for path in used if not is_array(path))
        raise FormatError(
            f"{arrays[0].name} is an array, {image.name} an image: open files of one kind, since "
            "an array does not state where it lies."
        )
    if not survey.of(Role.MAP):
        raise FormatError(f"{arrays[0].parent} holds no map.")
    return Arrays(survey)
