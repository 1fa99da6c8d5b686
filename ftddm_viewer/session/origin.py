"""Where an open study came from: its files, and the decisions about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io import Choices
from ftddm_core.imaging.io.choices import names
from ftddm_viewer.session.case import Case
from ftddm_viewer.session.inspection import Inspection
from ftddm_viewer.session.state import State

MRI_AND_MASK = ("t1", "flair", "mask")
"""Keys of `Study.source` that are roles of a file."""


@dataclass(frozen=True)
class Origin:
    """What opens a study again.

    Parameters
    ----------
    paths
        Absolute: a folder, or files and folders.
    choices
        Decisions about the files, which they name by absolute paths.
    label
        Name shown.
    unfilled
        Whether earlier zero-filling was undone.
    """

    paths: tuple[Path, ...]
    choices: Choices
    label: str
    unfilled: bool


def origin_of(state: State) -> Origin:
    """Return the origin of the open study.

    Raises
    ------
    FormatError
        If no study is open, or it was not read from files.
    """
    case, found = state.case, state.inspection
    if case is None:
        raise FormatError("No study is open: open its folder first.")
    if not case.study.source:
        raise FormatError(
            "This study was not read from files, so it cannot be opened again: save its maps as "
            "files first, and open those."
        )
    if found is not None and found.study is not None and _same_files(case, found):
        paths = tuple(path.absolute() for path in found.paths)
        choices = _with_whole_paths(found.choices, [e.path for e in found.survey.entries])
    else:  # the study was read by another program, or other files were inspected since
        paths = tuple(dict.fromkeys(Path(p).absolute() for p in case.study.source.values()))
        roles = {case.study.source.get(role): role for role in MRI_AND_MASK}
        choices = Choices(
            roles={str(Path(path).absolute()): role for path, role in roles.items() if path}
        )
    return Origin(paths, choices, case.label, case.unfilled)


def _same_files(case: Case, found: Inspection) -> bool:
    return found.study is not None and dict(found.study.source) == dict(case.study.source)


def _with_whole_paths(choices: Choices, files: Iterable[Path]) -> Choices:
    """Return choices that name files by their absolute paths, as far as one is meant."""
    files = list(files)

    def whole(file: str) -> str:
        meant = [path for path in files if names(file, path)]
        return str(meant[0].absolute()) if len(meant) == 1 else file

    roles = {whole(file): role for file, role in choices.roles.items()}
    return replace(choices, roles=roles, exclude=tuple(whole(file) for file in choices.exclude))
