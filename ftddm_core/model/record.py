"""Training history of weights from their record, over all runs they are based on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def trained_on(record: Mapping[str, Any]) -> set[str]:
    """Return the SHA-256 of every label map used for training."""
    found: set[str] = set()
    for run in record.get("runs", {}).values():
        found |= set(run.get("training", {}).get("anatomies", {}).values())
        found |= trained_on((run.get("start_from") or {}).get("record", {}))
    return found


def steps_before(which: str, run: Mapping[str, Any]) -> int:
    """Return the optimiser steps of a network ("denoiser", "flow") before one of its runs."""
    start = run.get("start_from")
    if not start:
        return 0
    earlier = start["record"]
    before = earlier.get("runs", {}).get(which, {})
    return int(earlier.get("steps", {}).get(which, 0)) + steps_before(which, before)
