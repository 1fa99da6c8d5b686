"""Whether a finished study is still the one that its results were made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from ftddm_core.errors import FtddmError
from ftddm_core.imaging.io import survey_study
from ftddm_core.saving.sidecar import fingerprints
from ftddm_viewer.cohort.job import Job
from ftddm_viewer.cohort.plan import Item
from ftddm_viewer.session.inspection import inspect

Files = dict[str, str]
"""Name of a file -> its SHA-256."""


def is_another(job: Job, item: Item, names: Iterable[str]) -> bool:
    """Return whether a finished study opens, but from other files than its results were made of.

    One that does not open at all keeps its results: nothing could be put in their place.

    Parameters
    ----------
    job, item
        The batch, and its study.
    names
        Of the files of its results.
    """
    before = _recorded(job.folder / item.key, names)
    if before is None:
        return False
    paths, choices = [Path(item.path)], item.choices(job.choices)
    try:
        taken = [
            entry.path for entry in survey_study(paths, choices=choices).entries if entry.taken
        ]
        if _digests(taken) == before:
            return False
        # What is taken at first need not be what is read in the end.
        study = inspect(paths, choices=choices).study
        return study is not None and _by_name(fingerprints(study)) != before
    except (FtddmError, OSError):
        return False


def _recorded(folder: Path, names: Iterable[str]) -> Files | None:
    """Return the inputs that the first sidecar names, None without one."""
    for name in names:
        if name.endswith(".json"):
            try:
                return _by_name(json.loads((folder / name).read_bytes())["Inputs"])
            except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
                return None
    return None


def _by_name(inputs: dict[str, dict[str, str]]) -> Files:
    return {about["Name"]: about["SHA256"] for about in inputs.values()}


def _digests(paths: Iterable[Path]) -> Files:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
