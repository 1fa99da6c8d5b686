"""A session file as it was read, and what of it is not as it was any more."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftddm_core.errors import FormatError, FtddmError
from ftddm_core.imaging.io import Choices
from ftddm_core.imaging.io.archive import is_archive
from ftddm_core.imaging.io.choices import names
from ftddm_core.imaging.io.found import find_files
from ftddm_core.saving.software import version_of
from ftddm_core.settings import SamplerSettings, controls
from ftddm_viewer.session.bundled import BUNDLED, bundled
from ftddm_viewer.session.case import Case, Mode
from ftddm_viewer.session.opening import Files

if TYPE_CHECKING:
    from ftddm_viewer.session.model import Model

FORMAT, VERSION = "ftddm-session", 1
"""The version is raised by a change that earlier programs cannot read."""

PROGRAM = "ftddm-viewer"
LARGEST = 1_000_000
"""In bytes: a larger file is no session."""

_NOTHING = object()


@dataclass(frozen=True)
class Kept:
    """A session file as it was read.

    Parameters
    ----------
    path
        The file.
    record
        As `kept` returns it; what is missing takes its default.
    """

    path: Path
    record: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Kept:
        """Read a session file.

        Raises
        ------
        FormatError
            If it is not one, or cannot be read.
        """
        try:
            if path.stat().st_size > LARGEST:
                raise ValueError("it is too large")
            record = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(record, dict) or record.get("Format") != FORMAT:
                raise ValueError("it states another format")
            parts = ("Study", "Weights", "View", "Settings", "Display")
            if not all(isinstance(record.get(part, {}), dict) for part in parts):
                raise ValueError("a part of it is damaged")
        except (OSError, ValueError, RecursionError) as error:
            reason = getattr(error, "strerror", None) or error
            raise FormatError(f"{path} is not a session that can be reopened: {reason}.") from None
        return cls(path.absolute(), record)

    def part(self, name: str) -> Mapping[str, Any]:
        """Return a part of the record, which may be empty."""
        found: Mapping[str, Any] = self.record.get(name, {})
        return found

    @property
    def display(self) -> Mapping[str, Any]:
        """How the images were displayed."""
        return self.part("Display")

    # ---- the study

    def files(self) -> Files:
        """Return the study's files, as far as they are there.

        Raises
        ------
        FormatError
            If none is.
        """
        study = self.part("Study")
        label = str(study.get("Label", ""))
        if name := study.get("Bundled"):
            case = BUNDLED[0] if name is True else bundled(str(name))  # there was one alone
            return Files.of(case.folder, label)
        paths = [self._place(str(path)) for path in _list(study.get("Paths"))]
        there = [path for path in paths if path.exists()]
        if not there:
            missing = f"{paths[0]} is not there" if paths else "it names no files"
            raise FormatError(
                f"The study of {self.path.name} cannot be opened: {missing}. Put it back, or open "
                "it from where it is now."
            )
        return Files.of(there, label)

    def choices(self, files: Files) -> Choices:
        """Return the decisions about the files, without those about missing files."""
        found = self._choices()
        if found is None:
            return Choices()
        roles = {str(self._place(file)): role for file, role in found.roles.items()}
        exclude = tuple(str(self._place(file)) for file in found.exclude)
        if not any(is_archive(path) for path in files.paths):
            listed = [each.path for each in find_files(files.paths)]
            roles = {f: r for f, r in roles.items() if any(names(f, p) for p in listed)}
            exclude = tuple(f for f in exclude if any(names(f, p) for p in listed))
        return replace(found, roles=roles, exclude=exclude)

    def _choices(self) -> Choices | None:
        """Return the decisions as they were written, None where they are damaged."""
        try:
            return Choices.from_dict(self.part("Study").get("Choices", {}))
        except (FtddmError, TypeError, ValueError, AttributeError):
            return None

    def _place(self, file: str) -> Path:
        """Return the path that `_written` wrote; names that are no paths stay as they are."""
        if file.startswith(("./", "../")):
            return Path(os.path.normpath(self.path.parent / file))
        return Path(file)

    # ---- what to choose

    def settings(self) -> dict[str, Any]:
        """Return the settings, without those that this version does not know or allow."""
        held, known = self.part("Settings"), {c.name: c for c in controls()}
        found: dict[str, Any] = {}
        for name, control in known.items():
            if name in held:
                with suppress(FtddmError):
                    found[name] = control.check(held[name])
        with suppress(FtddmError):
            return SamplerSettings.from_dict(found).to_dict()
        found.pop("steps", None)  # the only ones that depend on each other are these two
        return SamplerSettings.from_dict(found).to_dict()

    def view(self, case: Case) -> dict[str, Any]:
        """Return what to choose of a case: mode, metabolite, slice and live, as far as possible."""
        held = self.part("View")
        found: dict[str, Any] = {}
        if held.get("Mode") in list(Mode):
            found["mode"] = Mode(held["Mode"])
        if held.get("Metabolite") in case.study.maps:
            found["metabolite"] = held["Metabolite"]
        k = held.get("Slice")
        if isinstance(k, int) and 0 <= k < case.study.grid.shape[2]:
            found["slice_index"] = k
        if isinstance(held.get("Live"), bool):
            found["live"] = held["Live"]
        return found

    # ---- what differs

    def adapted(self, case: Case, model: Model) -> Case:
        """Return a case as it was kept, with a note on each thing that differs."""
        notes = [*self._of_version(), *self._of_inputs(case), *self._of_weights(model)]
        if self._choices() is None:
            notes.append("the session's choices about the files are damaged and were left out.")
        if self.part("Study").get("Unfilled") is True:
            try:
                case = case.unfill()
            except FtddmError:
                notes.append(
                    "earlier zero-filling was undone in the session, which is not possible with "
                    "these files."
                )
        wanted, chosen = self.part("View"), self.view(case)
        for key, entry, what in (
            ("Metabolite", "metabolite", "the map"),
            ("Slice", "slice_index", "the slice"),
        ):
            if key in wanted and entry not in chosen:
                notes.append(f"{what} shown in the session, {wanted[key]}, is not in this study.")
        if not notes:
            return case
        study = replace(case.study, notes=tuple(dict.fromkeys((*notes, *case.study.notes))))
        return replace(case, study=study)

    def _of_version(self) -> list[str]:
        version, own = self.record.get("Version"), version_of(PROGRAM)
        before = self.part("Software").get(PROGRAM, own)
        held = self.part("Settings")
        lost = [
            name for name, value in held.items() if self.settings().get(name, _NOTHING) != value
        ]
        if (isinstance(version, int) and version > VERSION) or lost:
            which = f", but not {', '.join(lost)}" if lost else ""
            return [f"the session is of another version: what this one knows was restored{which}."]
        if before != own:
            return [
                f"the session was kept with version {before}, this is {own}: images may differ."
            ]
        return []

    def _of_inputs(self, case: Case) -> list[str]:
        held = {r: dict(i) for r, i in dict(self.part("Study").get("Inputs", {})).items()}
        now = case.inputs
        missing = _listed(held[role].get("Name", role) for role in held if role not in now)
        changed = _listed(
            now[role]["Name"]
            for role in held
            if role in now and held[role].get("SHA256") != now[role]["SHA256"]
        )
        new = _listed(now[role]["Name"] for role in now if role not in held)
        found = []
        if missing:
            found.append(f"missing since the session was kept, and left out: {missing}.")
        if changed:
            found.append(f"changed since the session was kept, so that images differ: {changed}.")
        if new and held:
            found.append(f"new since the session was kept, and used: {new}.")
        return found

    def _of_weights(self, model: Model) -> list[str]:
        held = self.part("Weights")
        found = []
        if held.get("SHA256", "") not in ("", model.digest):
            found.append(
                f"the session was kept with other weights, '{held.get('Name', '')}' of SHA-256 "
                f"{str(held['SHA256'])[:8]}…: images differ until those are used."
            )
        if held.get("Half", model.half) != model.half:
            used = "half" if held["Half"] else "single"
            found.append(f"the session was kept in {used} precision: images differ by about 1e-3.")
        return found


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _listed(files: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(map(str, files)))
