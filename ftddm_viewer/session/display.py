"""What a user asks to see beside the images themselves: derived layers, and fading."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from ftddm_core.errors import SettingsError

DerivedRole = Literal["difference", "detail", "flow", "estimate"]

CRLB_LIMIT = 20.0
"""In per cent: fits with a larger Cramér-Rao lower bound are usually not reported."""

CRLB_BOUNDS = (5.0, 100.0)
"""Range of the limit, in per cent."""


@dataclass(frozen=True)
class Display:
    """What is shown beside the images; none of it changes a value.

    Parameters
    ----------
    layers
        Roles of the derived layers that were asked for.
    start
        Whether the images at T_trunc are computed, because one of them is visible.
    fade
        Whether unreliable voxels are faded.
    limit
        CRLB in per cent above which a voxel counts as unreliable.
    by_deviation
        Whether a voxel is also unreliable where the samples' deviation exceeds the same share of
        its value.
    """

    layers: frozenset[DerivedRole] = frozenset()
    start: bool = False
    fade: bool = False
    limit: float = CRLB_LIMIT
    by_deviation: bool = False

    def changed(self, **changes: Any) -> Display:
        """Return a display with changes.

        Raises
        ------
        SettingsError
            If the limit is out of range.
        """
        made = replace(self, **changes)
        low, high = CRLB_BOUNDS
        if not low <= made.limit <= high:
            raise SettingsError(
                f"The CRLB limit is {made.limit:g} %: choose one from {low:g} to {high:g} %."
            )
        return made
