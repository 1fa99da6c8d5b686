"""A session as a file: a small JSON that opens the same study with the same image.

It holds where the study's files are and the SHA-256 of each, the decisions about them, mode,
metabolite, slice and settings, the digest of the weights, and how the images were displayed. It
holds no image: `reopen` computes it again. What is not as it was when the session was kept becomes
a note on the study, and the rest is opened.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftddm_core.saving.files import save_files
from ftddm_core.saving.notice import NOTICE
from ftddm_core.saving.software import version_of
from ftddm_viewer.session.bundled import bundled_at
from ftddm_viewer.session.kept_file import FORMAT, PROGRAM, VERSION, Kept
from ftddm_viewer.session.origin import origin_of
from ftddm_viewer.session.state import State

if TYPE_CHECKING:
    from ftddm_viewer.session.model import Model
    from ftddm_viewer.session.session import Session

ENDING = ".ftddm.json"


def is_session(path: Path | str) -> bool:
    """Return whether a name is that of a session file."""
    return str(path).lower().endswith(ENDING)


def named(path: Path) -> Path:
    """Return a path with the ending of a session file.

    >>> named(Path("a.json")).name, named(Path("a")).name
    ('a.ftddm.json', 'a.ftddm.json')
    """
    if is_session(path):
        return path
    return path.with_name(path.name.removesuffix(".json") + ENDING)


def kept(
    state: State, model: Model, display: Mapping[str, Any] | None = None, beside: Path | None = None
) -> dict[str, Any]:
    """Return what a session file holds.

    Parameters
    ----------
    state
        With an open study.
    model
        The networks in use.
    display
        How the images are displayed, as the front end needs it; ready for JSON.
    beside
        Folder of the file: paths are relative to it where possible; None for absolute ones.

    Raises
    ------
    FormatError
        If no study is open, or it was not read from files.
    CheckpointError
        If the weights cannot be read.
    """
    origin = origin_of(state)
    case = state.case
    choices = origin.choices
    chosen = replace(
        choices,
        roles={_written(file, beside): role for file, role in choices.roles.items()},
        exclude=tuple(_written(file, beside) for file in choices.exclude),
    )
    bundled = bundled_at(*origin.paths)
    paths = [] if bundled else [_written(str(path), beside) for path in origin.paths]
    return {
        "Format": FORMAT,
        "Version": VERSION,
        "Notice": NOTICE,
        "Software": {PROGRAM: version_of(PROGRAM)},
        "Study": {
            "Bundled": "" if bundled is None else bundled.name,
            "Paths": paths,
            "Label": origin.label,
            "Choices": chosen.to_dict(),
            "Unfilled": origin.unfilled,
            "Inputs": {} if case is None else dict(case.inputs),
        },
        "Weights": {"Name": model.name, "SHA256": model.digest, "Half": model.half},
        "View": {
            "Mode": str(state.mode),
            "Metabolite": state.metabolite,
            "Slice": state.slice_index,
            "Live": state.live,
        },
        "Settings": state.settings.to_dict(),
        "Display": dict(display or {}),
    }


def keep(session: Session, path: Path, display: Mapping[str, Any] | None = None) -> Path:
    """Write the session to a file, which gets the ending of a session; return its path.

    An existing file of this name is replaced. Errors as for `kept`, and

    Raises
    ------
    FormatError
        If the file cannot be written.
    """
    path = named(path.absolute())
    record = kept(session.state, session.model, display, path.parent)
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    save_files({path.name: text.encode()}, path.parent, overwrite=True)
    return path


def _written(file: str, beside: Path | None) -> str:
    """Return an absolute path relative to a folder, beginning with a dot; other names as given."""
    if beside is None or not Path(file).is_absolute():
        return file
    with suppress(ValueError):  # on another drive
        shorter = Path(os.path.relpath(file, beside)).as_posix()
        return shorter if shorter.startswith("..") else f"./{shorter}"
    return file


def reopen(session: Session, path: Path) -> Kept:
    """Open a kept session in the background; return what the file holds.

    Raises
    ------
    FormatError
        If it is no session file, or none of the study's files is there.
    SettingsError
        While a whole volume is computed.
    """
    found = Kept.read(Path(path))
    files = found.files()
    choices = found.choices(files)
    settings = found.settings()

    def opened() -> None:
        case = session.state.case
        if case is not None:
            session.update(**settings)
            session.choose(**found.view(case))

    session.resume(files, choices, lambda case: found.adapted(case, session.model), opened)
    return found
