"""The record of an evaluation: a plain dict, ready for JSON, from which the page follows.

- `format`: `FORMAT`; `software`: version; `command`: the command that makes it again;
- `protocol`: the content of the protocol's TOML file;
- `run`, `tables`, `chosen`, `timing`: as `evaluation.outcome.Outcome` has them, with None for what
  is not known or not finite;
- `maps`: file names of the images of maps. They show what no table holds, so they cannot be drawn
  again from the record.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from ftddm_core.evaluation.outcome import Outcome
from ftddm_core.evaluation.protocol import parse
from ftddm_viewer.report.records import Record

FORMAT = 2
"""Version of the record; a change that an older page cannot show raises it."""


def record_of(outcome: Outcome, command: str, maps: Sequence[str]) -> Record:
    """Return the record of an outcome.

    Parameters
    ----------
    outcome
        What was found.
    command
        That makes it again.
    maps
        File names of the images of maps.
    """
    found: Record = _finite(
        {
            "format": FORMAT,
            "software": version("ftddm-viewer"),
            "command": command,
            "protocol": outcome.protocol.content,
            "run": outcome.record,
            "chosen": outcome.chosen,
            "timing": outcome.timing,
            "maps": list(maps),
            "tables": outcome.tables,
        }
    )
    return found


def outcome_of(record: Record) -> Outcome:
    """Return the outcome that a record is of.

    Raises
    ------
    KeyError, SettingsError
        If it lacks a part, or its protocol makes no sense.
    """
    return Outcome(
        parse(record["protocol"]),
        record["run"],
        record["tables"],
        record["chosen"],
        record["timing"],
    )


def _finite(value: Any) -> Any:
    """Return a tree of plain values, None where a number is not finite."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
