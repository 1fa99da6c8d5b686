"""The patients of a run on disk: pool-training and pool-validation, with their records.

They are filled by `render` (simulated patients) or `own` (measured ones), with a `pool.json` that
describes them; a folder with another record is refused, so that patients never mix.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftddm_core.errors import FormatError, SettingsError
from ftddm_core.training.dataset import Pool

SIDES = ("training", "validation")
RECORD = "pool.json"


def pool_folder(run: Path, side: str) -> Path:
    """Return the folder of the patients of one of `SIDES` in the folder of a run."""
    return run / f"pool-{side}"


def read_record(path: Path) -> dict[str, Any]:
    """Return a record from a JSON file.

    Raises
    ------
    FormatError
        If it cannot be read.
    """
    try:
        record: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} cannot be read: {error}.") from None
    return record


def keep_record(pool: Path, record: Mapping[str, Any]) -> None:
    """Write the record of the patients of a pool.

    Raises
    ------
    FormatError
        If there is a record that cannot be read.
    SettingsError
        If the folder holds other patients.
    """
    path = pool / RECORD
    if path.exists() and read_record(path) != record:
        raise SettingsError(
            f"{pool} holds other patients (see {RECORD}): choose another run folder, or remove "
            "this one."
        )
    path.write_text(json.dumps(record, indent=2) + "\n")


def read_pools(run: Path) -> tuple[Pool, Pool, dict[str, Any]]:
    """Return the patients of both sides of a run, and the record of each.

    Raises
    ------
    FormatError
        If a side is missing or incomplete.
    SettingsError
        If a subject is on both sides.
    """
    pools: list[Pool] = []
    records: dict[str, Any] = {}
    for side in SIDES:
        folder = pool_folder(run, side)
        try:
            records[side] = json.loads((folder / RECORD).read_text())
        except (OSError, ValueError) as error:
            raise FormatError(
                f"{folder} holds no patients ({error}): make them with `ftddm train pool`."
            ) from None
        paths = sorted(p for p in folder.glob("*.npz") if not p.name.endswith(".part.npz"))
        expected = records[side].get("patients", records[side].get("measured"))
        if not paths or len(paths) != expected:
            raise FormatError(
                f"{folder} holds {len(paths)} patients of {expected}: "
                "give the label maps or the patients again, to `ftddm train pool`."
            )
        pools.append(Pool(paths))
    sources = [_subjects(records[side]) for side in SIDES]
    if sources[0] & sources[1]:
        raise SettingsError(f"The pools in {run} share subjects: keep them apart.")
    return pools[0], pools[1], records


def _subjects(record: Mapping[str, Any]) -> set[str]:
    """Return the digests of the label maps or patients of a pool."""
    return {*record.get("anatomies", {}).values(), *record.get("digests", [])}
