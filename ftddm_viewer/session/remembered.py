"""Decisions about studies, remembered between sessions beside the user's other settings.

They lie in one JSON file in the user's state folder, never beside the data. Studies and files are
known by the SHA-256 of their paths, so that no path can be read there.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from ftddm_core.errors import FtddmError
from ftddm_core.imaging.io import Choices
from ftddm_core.imaging.io.choices import role_key
from ftddm_core.imaging.io.found import find_files
from ftddm_viewer.session.inspection import Inspection
from ftddm_viewer.session.user_files import state_folder, write_private

MOST_STUDIES = 200
"""How many studies are remembered; the oldest go."""

LARGEST = 4_000_000
"""In bytes: a larger file is not this program's."""

logger = logging.getLogger(__name__)

_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "mask_threshold": (int, float),
    "mask_labels": list,
    "max_crlb": (int, float),
    "min_snr": (int, float),
    "max_fwhm": (int, float),
}
"""Field of `Choices` -> what a JSON file may hold there; a text for the others."""


def state_file() -> Path:
    """Return where decisions are remembered.

    Raises
    ------
    RuntimeError
        If the user has no home.
    """
    return state_folder() / "studies.json"


def recall(paths: Iterable[Path]) -> Choices | None:
    """Return the decisions about the files of these paths, None if there are none.

    Decisions about files that are not there any more are left out.

    Raises
    ------
    FormatError
        If a path does not exist.
    """
    paths = list(paths)
    stored = _read().get(_key(paths))
    if stored is None:
        return None
    files = {_key([file.path]): str(file.path.absolute()) for file in find_files(paths)}
    try:
        return _decoded(stored, files)
    except (FtddmError, TypeError, ValueError, AttributeError):
        return None  # damaged, or of another version


def remember(found: Inspection) -> None:
    """Keep the decisions of a study; forget it if there are none."""
    choices = found.choices.to_dict()
    roles, exclude = {}, []
    for entry in found.survey.entries:
        if found.choices.excludes(entry.path):
            exclude.append(_key([entry.path]))
        elif chosen := found.choices.role_of(entry.path):
            role, name = chosen
            roles[_key([entry.path])] = f"{role_key(role)}:{name}" if name else role_key(role)
    choices |= {"roles": roles, "exclude": exclude}
    _store(_key(found.paths), {key: value for key, value in choices.items() if value != []})


def forget(paths: Iterable[Path]) -> None:
    """Forget the decisions about the files of these paths."""
    _store(_key(paths), {})


def _key(paths: Iterable[Path]) -> str:
    resolved = sorted(str(path.resolve()) for path in paths)
    return sha256("\0".join(resolved).encode(errors="surrogatepass")).hexdigest()


def _decoded(stored: Mapping[str, Any], files: Mapping[str, str]) -> Choices:
    """Return decisions from a JSON file; `files`: hash -> path."""
    values = dict(stored)
    roles = {files[file]: role for file, role in values.pop("roles", {}).items() if file in files}
    exclude = tuple(files[file] for file in values.pop("exclude", []) if file in files)
    for key, value in values.items():
        if not isinstance(value, _KINDS.get(key, str)):
            raise TypeError(f"{key} is {value!r}")
    labels = tuple(int(label) for label in values.pop("mask_labels", []))
    return Choices.from_dict({**values, "mask_labels": labels, "roles": roles, "exclude": exclude})


def _read() -> dict[str, dict[str, Any]]:
    """Return study -> decisions, oldest first; nothing from a damaged file."""
    try:
        path = state_file()
        if path.stat().st_size > LARGEST:
            return {}
        studies = json.loads(path.read_text(encoding="utf-8"))["studies"]
        return {key: dict(choices) for key, choices in studies.items()}
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _store(study: str, choices: Mapping[str, Any]) -> None:
    """Put decisions at the end of the file, or remove the study if there are none."""
    before = _read()
    studies = {key: value for key, value in before.items() if key != study}
    if any(choices.values()):
        studies[study] = dict(choices)
    elif study not in before:
        return
    newest = dict(list(studies.items())[-MOST_STUDIES:])
    try:
        write_private(state_file(), json.dumps({"studies": newest}, indent=1))
    except (OSError, RuntimeError) as error:  # the study is open all the same
        logger.warning("The choices about the study could not be stored: %s", error)
