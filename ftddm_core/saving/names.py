"""Names of the files that are written from a study."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from ftddm_core.errors import FormatError
from ftddm_core.imaging.volume import Study

MAP_ENDING = ".nii.gz"
ENDINGS = (".json", MAP_ENDING)
"""A sidecar is written before its map, so that a map never appears without its record."""

SHOWN = "ftddm"
"""Description of the map itself."""

OF_SEVERAL = ("ftddmSd", "ftddmError")
"""Descriptions of what only a result of several samples has."""


IN_T1 = "ftddmT1"
"""Description of the map in T1 space."""

DICOM_ENDING = ".dcm"


def study_label(study: Study) -> str:
    """Return a short name for a study: its label, else the part of its files' names before `_met-`,
    else the subject and session with which they start (`sub-01_ses-V1_tNAA`), else their folder's
    name.

    Paths are taken as given: the target of a symbolic link may have any name.
    """
    if study.label:
        return _safe(study.label)
    for name in study.maps:
        if name in study.source:
            path = Path(os.path.abspath(study.source[name]))
            before, found, _ = path.name.partition("_met-")
            whose = re.match(r"sub-[^_.]+(?:_ses-[^_.]+)?(?=_)", path.name, re.IGNORECASE)
            return _safe(before if found else whose[0] if whose else path.parent.name)
    return _safe("")


def _safe(label: str) -> str:
    """Return a label as the beginning of a file's name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", label).strip("-_") or "study"


def result_stem(label: str, metabolite: str, description: str = SHOWN) -> str:
    """Return a map's file name without its ending: `<label>_met-<name>_desc-<what>_mrsi`."""
    short = re.sub(r"[^A-Za-z0-9]+", "", metabolite) or "unnamed"
    return f"{label}_met-{short}_desc-{description}_mrsi"


def result_names(study: Study, samples: int) -> list[str]:
    """Return the names of the files that `result_files` will make.

    Raises
    ------
    FormatError
        If two maps would have the same file name.
    """
    label = study_label(study)
    check_apart(label, study.maps)
    descriptions = (SHOWN, *OF_SEVERAL) if samples > 1 else (SHOWN,)
    stems = [result_stem(label, name, what) for name in study.maps for what in descriptions]
    return [f"{stem}{ending}" for stem in stems for ending in ENDINGS]


def check_apart(label: str, metabolites: Iterable[str]) -> None:
    """Raise a FormatError if two maps would have the same file name."""
    owner: dict[str, str] = {}
    for name in metabolites:
        stem = result_stem(label, name)
        other = owner.setdefault(stem.casefold(), name)
        if other != name:
            raise FormatError(
                f"The maps '{other}' and '{name}' would both be written as {stem}{MAP_ENDING}: "
                "rename one, with letters and digits."
            )


def further_names(names: Iterable[str], kinds: Iterable[str]) -> list[str]:
    """Return the names of a result's further files: "t1" for T1 space, "dicom"."""
    stems = [
        name.removesuffix(f"_desc-{SHOWN}_mrsi{MAP_ENDING}")
        for name in names
        if name.endswith(f"_desc-{SHOWN}_mrsi{MAP_ENDING}")
    ]
    kinds = set(kinds)
    found = [f"{stem}_desc-{IN_T1}_mrsi{end}" for stem in stems for end in ENDINGS if "t1" in kinds]
    return found + [f"{stem}_desc-{SHOWN}_mrsi{DICOM_ENDING}" for stem in stems if "dicom" in kinds]


def stale_names(names: Iterable[str]) -> list[str]:
    """Return the names of files that an earlier result may have left beside those of a new one.

    A result of one sample has neither standard deviation nor error, and not every result is written
    in T1 space and as DICOM: those of an earlier one would be taken for its own.
    """
    new = list(names)
    left = [
        f"{name.removesuffix(end)}_desc-{description}_mrsi{ending}"
        for name in new
        for ending in ENDINGS
        if name.endswith(end := f"_desc-{SHOWN}_mrsi{ending}")
        for description in (*OF_SEVERAL, IN_T1)
    ]
    left += [
        f"{name.removesuffix(MAP_ENDING)}{DICOM_ENDING}"
        for name in new
        if name.endswith(f"_desc-{SHOWN}_mrsi{MAP_ENDING}")
    ]
    return [name for name in left if name not in new]
