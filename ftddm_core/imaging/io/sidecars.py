"""JSON files beside maps: the unit, the metabolites of a 4D file, the content outside the mask."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io.image_file import stem_of
from ftddm_core.imaging.volume import Outside

UNIT_KEYS = ("Unit", "Units", "unit", "units")
NO_UNITS = ("", "as the input")
"""Entries of a sidecar for an unknown unit; `ftddm run` writes the second."""

FIELD_KEYS = {
    "MagneticFieldStrength": 1.0,
    "SpectrometerFrequency": 1 / 42.577,
    "ImagingFrequency": 1 / 42.577,
}
"""Entry of a sidecar -> T for its unit; the last two are the frequency of protons in MHz."""

LEAST_FIELD_T, LARGEST_FIELD_T = 0.2, 25.0
"""Range of field strengths that are possible."""


def sidecars(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the content of the JSON files of a map and of its study, if they exist.

    That of the map has its name, that of the study the part of it before `_met-`. One that cannot
    be read is left out; see `damaged`.
    """
    for place in _places(path):
        with suppress(OSError, ValueError, RecursionError):
            yield _content(place)


def damaged(paths: Iterable[Path]) -> tuple[str, ...]:
    """Return a note for every sidecar of maps that is there and cannot be read."""
    found = {}
    for place in dict.fromkeys(place for path in paths for place in _places(path)):
        try:
            _content(place)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError) as error:
            why = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
            why = (isinstance(error, OSError) and error.strerror) or why  # without the path
            found[place] = (
                f"{place.name} could not be read ({why}): what it states of units, field strength "
                "and the voxels outside the mask is not used. Mend or remove it."
            )
    return tuple(found.values())


def _places(path: Path) -> list[Path]:
    """Return where the sidecars of a map are, if they exist."""
    stem = stem_of(path)
    study = re.match(r"(.+)_met-", stem, re.IGNORECASE)
    return [path.with_name(f"{name}.json") for name in ((stem, study[1]) if study else (stem,))]


def _content(place: Path) -> dict[str, Any]:
    content = json.loads(place.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError('it is not an object, as in {"Unit": "mM"}')
    return content


def metabolites_of(path: Path) -> list[Any]:
    """Return what the sidecar of a file lists as its metabolites; empty without one."""
    content = next(sidecars(path), {})
    listed = content.get("Metabolites", content.get("metabolites"))
    return listed if isinstance(listed, list) else []


def unit_of(path: Path | str) -> str:
    """Return the unit of a map's values from its sidecars, "" if none states it."""
    for content in sidecars(Path(path)):
        for key in UNIT_KEYS:
            unit = content.get(key)
            if isinstance(unit, str) and unit.strip().casefold() not in NO_UNITS:
                return unit.strip()
    return ""


def field_of(paths: Iterable[Path]) -> float | None:
    """Return the field strength in T that the sidecars of maps state; None if none does, or they
    disagree."""
    stated = {found for path in paths if (found := _field_of(path)) is not None}
    return stated.pop() if len(stated) == 1 else None


def _field_of(path: Path) -> float | None:
    for content in sidecars(path):
        for key, unit in FIELD_KEYS.items():
            stated = content.get(key)
            for value in stated[:1] if isinstance(stated, list) else [stated]:
                if isinstance(value, bool) or not isinstance(value, int | float):
                    continue
                if LEAST_FIELD_T <= value * unit <= LARGEST_FIELD_T:
                    return round(value * unit, 2)
    return None


def outside_of(paths: Iterable[Path]) -> Outside:
    """Return what maps hold outside their mask, from their sidecars' "OutsideMask"; default `SEEN`.

    Raises
    ------
    FormatError
        If an entry is unknown, or the sidecars disagree.
    """
    stated = {_outside_of(path): path for path in paths}
    if len(stated) > 1:
        found = ", ".join(f"{path.name}: {outside}" for outside, path in stated.items())
        raise FormatError(
            f"The maps' sidecars disagree about OutsideMask ({found}): open them one at a time."
        )
    return next(iter(stated), Outside.SEEN)


def _outside_of(path: Path) -> Outside:
    for content in sidecars(path):
        if "OutsideMask" in content:
            try:
                return Outside(content["OutsideMask"])
            except ValueError:
                found = str(content["OutsideMask"])[:40]
                raise FormatError(
                    f"The sidecar of {path} says OutsideMask {found!r}: give "
                    f"{' or '.join(Outside)}, or leave it out."
                ) from None
    return Outside.SEEN
