"""The one home of the page's limits; docs/administration.md states them, and a test compares.

Limits of the files themselves are in `ftddm_core.imaging.io.limits`: here they are strict.
"""

from __future__ import annotations

from threading import Lock

from ftddm_core.imaging.io import Limits
from ftddm_core.imaging.memory import plannable

SESSION_MEMORY = 4_000_000_000
"""In bytes: what one study may be planned to take, and one slice of any; less where less is
free."""


def memory() -> float:
    """Return the bytes that a study, or a slice, may be planned to take now."""
    return min(float(SESSION_MEMORY), plannable())


def of_studies() -> Limits:
    """Return the limits that the sessions of one server share."""
    return Limits(strict=True, memory=memory, turn=Lock())
