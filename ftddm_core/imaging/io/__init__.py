"""Studies from files: `survey` says what each is taken for, `open_study` reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io.archive import is_archive, unpacked_until_exit
from ftddm_core.imaging.io.choices import Choices
from ftddm_core.imaging.io.found import PathLike
from ftddm_core.imaging.io.limits import Limits
from ftddm_core.imaging.io.nifti import encode_volume, read_maps, read_volume, write_volume
from ftddm_core.imaging.io.study import read_study, read_surveyed
from ftddm_core.imaging.io.survey import survey
from ftddm_core.imaging.io.surveyed import ChoiceNeeded, Question, Survey
from ftddm_core.imaging.volume import Study

__all__ = [
    "ChoiceNeeded",
    "Choices",
    "Limits",
    "PathLike",
    "Question",
    "Survey",
    "encode_volume",
    "open_study",
    "read_maps",
    "read_study",
    "read_surveyed",
    "read_volume",
    "survey",
    "survey_study",
    "write_volume",
]


def open_study(
    paths: PathLike | Sequence[PathLike],
    t1: PathLike | None = None,
    flair: PathLike | None = None,
    mask: PathLike | None = None,
    choices: Choices | None = None,
) -> Study:
    """Open one examination: a folder, a list of files, or a folder tree of one of the layouts.

    Parameters
    ----------
    paths
        What to open; see docs/inputs.md for the layouts and names. A zip file stands for the folder
        in it.
    t1, flair, mask
        Files that take these roles, before those of the same role in `paths`.
    choices
        Decisions about the files.

    Raises
    ------
    ChoiceNeeded
        A FormatError: the user has to decide something first; `question` says what.
    FormatError
        If a path does not exist, there is no map, or a file that is needed cannot be read.
    GeometryError
        If the maps do not share one grid.
    """
    return read_study(survey_study(paths, t1=t1, flair=flair, mask=mask, choices=choices))


def survey_study(
    paths: PathLike | Sequence[PathLike],
    t1: PathLike | None = None,
    flair: PathLike | None = None,
    mask: PathLike | None = None,
    choices: Choices | None = None,
) -> Survey:
    """Return the survey that `open_study` reads; arguments and errors as there."""
    given_paths = [paths] if isinstance(paths, str | Path) else list(paths)
    listed = [
        unpacked_until_exit(path) if is_archive(path) and path.is_file() else path
        for path in map(Path, given_paths)
    ]
    if not listed:
        raise FormatError("There is nothing to open: give a folder or image files.")
    given = {"t1": t1, "flair": flair, "mask": mask}
    roles = {str(path): role for role, path in given.items() if path is not None}
    if folder := next((path for path in roles if Path(path).is_dir()), None):
        raise FormatError(f"{folder} is a folder, not an image: give one file as {roles[folder]}.")
    choices = choices or Choices()
    together = replace(choices, roles={**choices.roles, **roles})
    return survey([*listed, *roles], together)
