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

COLORMAPS = ("viridis", "cividis", "plasma", "inferno", "magma", "gray")
"""Colours of the maps: even steps in value look even, in matplotlib and in napari."""

HIGHEST, NARROWEST = 200.0, 5.0
"""In per cent of the usual range of colours: its largest upper end, and its smallest width."""


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
    colormap
        Colours of the maps, one of `COLORMAPS`.
    low, high
        Where their colours begin and end, in per cent of their usual range.
    """

    layers: frozenset[DerivedRole] = frozenset()
    start: bool = False
    fade: bool = False
    limit: float = CRLB_LIMIT
    by_deviation: bool = False
    colormap: str = COLORMAPS[0]
    low: float = 0.0
    high: float = 100.0

    @property
    def contrast(self) -> tuple[str, float, float]:
        """The maps' colours, and where they begin and end."""
        return self.colormap, self.low, self.high

    def limits(self, usual: tuple[float, float]) -> tuple[float, float]:
        """Return the values of the first and the last colour, given the usual ones."""
        width = usual[1] - usual[0]
        return usual[0] + width * self.low / 100, usual[0] + width * self.high / 100

    def changed(self, **changes: Any) -> Display:
        """Return a display with changes.

        Raises
        ------
        SettingsError
            If the limit or the range of colours is not possible, or there are no such colours.
        """
        made = replace(self, **changes)
        low, high = CRLB_BOUNDS
        if not low <= made.limit <= high:
            raise SettingsError(
                f"The CRLB limit is {made.limit:g} %: choose one from {low:g} to {high:g} %."
            )
        if made.colormap not in COLORMAPS:
            raise SettingsError(
                f"There are no colours '{made.colormap:.24}': choose among {', '.join(COLORMAPS)}."
            )
        if not (0 <= made.low <= made.high - NARROWEST and made.high <= HIGHEST):
            raise SettingsError(
                f"Colours from {made.low:.4g} to {made.high:.4g} % are not possible: choose at "
                f"least {NARROWEST:g} % between 0 and {HIGHEST:g} %."
            )
        return made
