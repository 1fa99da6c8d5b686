"""Which studies a batch has: the folders that were named, and those of a tree of subjects."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ftddm_core.errors import FormatError, FtddmError
from ftddm_core.imaging.io import Choices, survey_study

DEEPEST = 4
"""How many folders below a named one studies are looked for."""


@dataclass(frozen=True)
class Item:
    """One study of a batch.

    Parameters
    ----------
    key
        Name of the folder of its results, its own in the batch.
    path
        Folder or file that it is opened from.
    session
        Which session of that folder, "" where there is one.
    """

    key: str
    path: str
    session: str = ""

    def choices(self, given: Choices) -> Choices:
        """Return the decisions about its files: those of the batch, and its session."""
        return replace(given, session=self.session) if self.session else given

    def to_dict(self) -> dict[str, Any]:
        """Return it for a JSON file."""
        return {"Path": self.path} | ({"Session": self.session} if self.session else {})


def studies_in(
    paths: Iterable[Path], choices: Choices, out: Path, known: Iterable[Item] = ()
) -> list[Item]:
    """Return the studies of some paths, in order, each once.

    A folder that opens as one study is one; a subject's folder (`sub-`) has one for each session;
    any other folder is looked into.

    Parameters
    ----------
    paths
        Folders and files.
    choices
        Decisions about the files of all studies; those of subject and session select studies.
    out
        Folder of the results, which is not looked into.
    known
        Studies of an earlier call, which keep their keys.

    Raises
    ------
    FormatError
        If a path does not exist, or there is no study at all.
    """
    kept = {(item.path, item.session): item.key for item in known}
    taken = set(kept.values())
    found: dict[tuple[str, str], Item] = {}
    for path in paths:
        if not path.exists():
            raise FormatError(f"{path} does not exist. Check the path.")
        for place, session in _studies(path.absolute(), choices, out, 0):
            about = (str(place), session)
            if about in found:
                continue
            key = kept.get(about) or _free(_key(place, session), place, taken)
            taken.add(key)
            found[about] = Item(key, *about)
    if not found:
        raise FormatError(
            "There is no study in these folders: give folders of fitted maps, or a folder of them."
        )
    return list(found.values())


def _studies(path: Path, choices: Choices, out: Path, depth: int) -> Iterator[tuple[Path, str]]:
    if path.is_file():
        yield path, ""
        return
    if path.absolute() == out.absolute():
        return
    below = sorted(child for child in path.iterdir() if child.is_dir() and child.name[0] != ".")
    subjects = [child for child in below if child.name.startswith("sub-")]
    if subjects:
        for child in subjects:
            if choices.subject in ("", child.name.removeprefix("sub-")):
                yield from _sessions(child, choices)
        return
    if path.name.startswith("sub-"):
        yield from _sessions(path, choices)
        return
    if _is_study(path, choices) or not below or depth == DEEPEST:
        # At the top, what is no study is one that fails: its reason is told.
        if depth == 0 or _has_images(path):
            yield path, ""
        return
    for child in below:
        yield from _studies(child, choices, out, depth + 1)


def _sessions(subject: Path, choices: Choices) -> Iterator[tuple[Path, str]]:
    """Yield the sessions of a subject's folder; images beside them are common to all."""
    names = sorted(child.name for child in subject.glob("ses-*") if child.is_dir())
    sessions = [name.removeprefix("ses-") for name in names]
    if choices.session:
        sessions = [name for name in sessions if name == choices.session] or sessions[:0]
        if names and not sessions:
            return
    if not sessions:
        yield subject, ""
    for session in sessions:
        yield subject, session


def _is_study(path: Path, choices: Choices) -> bool:
    try:
        return not survey_study(path, choices=choices).questions
    except FtddmError:
        return False


def _has_images(path: Path) -> bool:
    try:
        return bool(survey_study(path).entries)
    except FtddmError:
        return False


def _key(path: Path, session: str) -> str:
    name = path.absolute().name
    if path.is_file():
        name = name.split(".")[0]
    return _safe(f"{name}_ses-{session}" if session else name)


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_") or "study"


def _free(key: str, path: Path, taken: set[str]) -> str:
    """Return a key that is not taken: with the names of folders above, then with a number."""
    lower = {name.casefold() for name in taken}
    parents = list(path.absolute().parents)
    wanted = key
    for parent in parents[:2]:
        if wanted.casefold() not in lower:
            return wanted
        wanted = _safe(f"{parent.name}_{wanted}")
    number = 2
    while wanted.casefold() in lower:
        wanted, number = f"{key}-{number}", number + 1
    return wanted
