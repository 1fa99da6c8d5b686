"""Sidecars of results as they lie in folders."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ftddm_core.errors import FormatError, FtddmError
from ftddm_core.imaging.io import Choices
from ftddm_core.imaging.io.image_file import stem_of
from ftddm_core.saving.names import MAP_ENDING
from ftddm_core.saving.pair import MAP
from ftddm_core.settings import SamplerSettings

NEEDED = ("Metabolite", "Settings", "Weights", "Inputs", "Device", "Scale")
"""What a sidecar must state for its map to be made again."""

OF_ONE_MAP = (
    "Statistic", "Metabolite", "Unit", "EffectiveUpscale", "Scale", "OutlierVoxels", "Weighting",
    "SelfCheck", "Noise", "Measurement", "KSpaceResidual", "Metrics", MAP,
)  # fmt: skip
"""What differs between the sidecars of one run."""

PLAIN_ENDING = ".nii"


@dataclass(frozen=True)
class Sidecar:
    """The sidecar of a result.

    Parameters
    ----------
    path
        Of the sidecar.
    record
        What it states.
    """

    path: Path
    record: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Sidecar:
        """Read the sidecar of a result, by its own path or that of its map.

        Raises
        ------
        FormatError
            If it cannot be read, or is not one that this program wrote beside a result.
        """
        path = path if path.suffix.lower() == ".json" else path.with_name(f"{stem_of(path)}.json")
        try:
            record = json.loads(path.read_bytes())
        except OSError as error:
            raise FormatError(f"{path} could not be read: {error.strerror}.") from None
        except (ValueError, RecursionError):
            raise FormatError(f"{path} is damaged: it is not JSON.") from None
        if not is_record(record):
            raise FormatError(
                f"{path} is not the sidecar of a result: give one that was written beside a map."
            )
        missing = [key for key in NEEDED if key not in record]
        if missing:
            raise FormatError(
                f"{path} does not state {', '.join(missing)}, so its map cannot be made again."
            )
        found = cls(path, record)
        found.check()
        return found

    def check(self) -> None:
        """Refuse a sidecar whose entries are not as they are written, before any work is done.

        Raises
        ------
        FormatError, SettingsError
            Naming the entry.
        """
        for name in ("Settings", "Weights", "Inputs", "Software", "Choices"):
            self.part(name)
        for name in ("Scale", "DegradedBy"):
            value = self.record.get(name, 1.0)
            if not isinstance(value, int | float) or not 0 < value < math.inf:
                raise self._damaged(name)
        self.settings  # noqa: B018
        self.choices  # noqa: B018

    @cached_property
    def choices(self) -> Choices:
        """The decisions about the study's files."""
        try:
            return Choices.from_dict(self.part("Choices"))
        except (AttributeError, TypeError, ValueError):
            raise self._damaged("Choices") from None

    @cached_property
    def settings(self) -> SamplerSettings:
        """The settings of the run."""
        return SamplerSettings.from_dict(self.part("Settings"))

    @property
    def map_path(self) -> Path:
        """The map beside it, compressed or not."""
        stem = self.path.name.removesuffix(self.path.suffix)
        plain = self.path.with_name(stem + PLAIN_ENDING)
        return plain if plain.is_file() else self.path.with_name(stem + MAP_ENDING)

    @property
    def inputs(self) -> dict[str, tuple[str, str]]:
        """Role -> name and SHA-256 of every file that the study was read from."""
        return {
            role: (str(about.get("Name", "")), str(about.get("SHA256", "")))
            for role, about in self.part("Inputs").items()
            if isinstance(about, dict)
        }

    @property
    def run(self) -> str:
        """What the sidecars of one run have in common."""
        common = {key: value for key, value in self.record.items() if key not in OF_ONE_MAP}
        return json.dumps(common, sort_keys=True)

    def part(self, name: str) -> dict[str, Any]:
        """Return an entry that has entries of its own.

        Raises
        ------
        FormatError
            If it is something else.
        """
        found = self.record.get(name, {})
        if not isinstance(found, dict):
            raise self._damaged(name)
        return found

    def _damaged(self, name: str) -> FormatError:
        return FormatError(f"{self.path} is damaged: its entry {name} is not as it was written.")


def is_record(record: object) -> bool:
    """Return whether the content of a JSON file is that of a result's sidecar."""
    return isinstance(record, dict) and isinstance(record.get(MAP), dict) and "Settings" in record


def sidecars_in(paths: list[Path]) -> list[Sidecar]:
    """Return the sidecars of results among paths, each once: those listed, and those of folders.

    Raises
    ------
    FormatError
        If a path does not exist, one that is listed is no sidecar, or there is none at all.
    """
    found: dict[Path, Sidecar] = {}
    for path in paths:
        if not path.exists():
            raise FormatError(f"{path} does not exist. Check the path.")
        for each in _candidates(path) if path.is_dir() else [Sidecar.read(path)]:
            found.setdefault(each.path.absolute(), each)
    if not found:
        raise FormatError(
            f"{paths[0]} holds no sidecar of a result: give a folder that results were written to."
        )
    return list(found.values())


def _candidates(folder: Path) -> Iterator[Sidecar]:
    for path in visible(folder, "*.json"):
        try:
            record = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            continue
        if is_record(record):
            try:
                yield Sidecar.read(path)
            except FtddmError as error:
                raise FormatError(f"{error}") from None


def visible(folder: Path, pattern: str) -> Iterator[Path]:
    """Yield the files of a folder and its subfolders, in order, without hidden ones."""
    for path in sorted(folder.rglob(pattern)):
        if path.is_file() and not any(part[0] == "." for part in path.relative_to(folder).parts):
            yield path
