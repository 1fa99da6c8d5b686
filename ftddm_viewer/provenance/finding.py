"""The inputs of a result, found again by their names and checked by their SHA-256."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from ftddm_core.errors import FormatError, FtddmError
from ftddm_core.imaging.io import Choices, open_study
from ftddm_core.imaging.io.archive import is_archive, unpacked_until_exit
from ftddm_core.imaging.io.found import MOST_FILES
from ftddm_core.imaging.volume import Study
from ftddm_core.saving.sidecar import fingerprints
from ftddm_viewer.session.bundled import BUNDLED

Inputs = Mapping[str, tuple[str, str]]
"""Role -> name and SHA-256."""

OF_BATCH = "study.json"
"""File of a batch that says where a study was opened from."""

UNCHANGED, CHANGED, NOT_FOUND = "unchanged", "changed", "not found"


class Files:
    """Files below some folders, by name; each is read once."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders = [_unpacked(folder) for folder in folders]
        self._paths: dict[str, list[Path]] = {}
        self._digests: dict[Path, str] = {}
        for folder in self.folders:
            if not folder.exists():
                raise FormatError(f"{folder} does not exist. Check the path.")
            for path in _below(folder):
                self._paths.setdefault(path.name, []).append(path)

    def find(self, name: str, digest: str) -> tuple[str, Path | None]:
        """Return whether a file is unchanged, changed or not found, and where it lies."""
        paths = self._paths.get(name, [])
        for path in paths:
            if self.digest(path) == digest:
                return UNCHANGED, path
        return (CHANGED, paths[0]) if paths else (NOT_FOUND, None)

    def digest(self, path: Path) -> str:
        """Return a file's SHA-256, "" if it cannot be read."""
        if path not in self._digests:
            self._digests[path] = ""
            with suppress(OSError):
                self._digests[path] = hashlib.sha256(path.read_bytes()).hexdigest()
        return self._digests[path]


def usual_places(sidecar: Path) -> list[Path]:
    """Return where inputs are looked for unless the user says: the bundled cases, the folder of the
    sidecar, and for a study of a batch where it was opened from."""
    found = [*(case.folder for case in BUNDLED), sidecar.parent]
    with suppress(OSError, ValueError, RecursionError, LookupError, TypeError):
        stated = Path(json.loads((sidecar.parent / OF_BATCH).read_bytes())["Path"])
        found += [stated] if stated.exists() else []
    return found


def opened_again(inputs: Inputs, choices: Choices, files: Files) -> Study:
    """Return the study that was read from some inputs, opened as it was then.

    Raises
    ------
    FormatError
        If an input is not found, was changed, or the files no longer make that study.
    """
    if not inputs:
        raise FormatError("The study did not come from files, so it cannot be opened again.")
    found = {role: files.find(*about) for role, about in inputs.items()}
    for state in (NOT_FOUND, CHANGED):
        if lost := [inputs[role][0] for role, (is_, _) in found.items() if is_ == state]:
            names = ", ".join(dict.fromkeys(lost))
            where = " or ".join(str(folder) for folder in files.folders)
            reason = "are not as they were" if state == CHANGED else "were not found"
            raise FormatError(
                f"Inputs {reason} in {where}: {names}. Give the folder that holds them."
            )
    paths = list(dict.fromkeys(path for _, path in found.values() if path is not None))
    for attempt in _attempts(paths, files.folders):
        with suppress(FtddmError):
            study = open_study(attempt, choices=choices)
            again = {role: (a["Name"], a["SHA256"]) for role, a in fingerprints(study).items()}
            if again == dict(inputs):
                return study
    raise FormatError(
        f"The files of {paths[0].parent} are there and unchanged, but they are not taken for the "
        "same study any more: open the folder as it was opened then."
    )


def _attempts(paths: list[Path], folders: Iterable[Path]) -> Iterator[list[Path]]:
    """Yield what may have been opened: a folder, or the files themselves."""
    common = Path(os.path.commonpath([path.parent for path in paths]))
    tried = []
    for folder in (common, *folders, *common.parents):
        if folder in tried or not any(folder == f or f in folder.parents for f in folders):
            continue
        tried.append(folder)
        yield [folder]
    yield paths


def _below(folder: Path) -> Iterator[Path]:
    if folder.is_file():
        yield folder
        return
    seen = 0
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        seen += len(names)
        if seen > MOST_FILES:
            raise FormatError(
                f"{folder} holds more than {MOST_FILES} files: give the folder of the inputs."
            )
        for name in sorted(names):
            yield Path(root, name)


def _unpacked(path: Path) -> Path:
    return unpacked_until_exit(path) if is_archive(path) and path.is_file() else path
