"""What concerns the browser alone and still belongs to a link: which tab of images is open, what
lies below the maps, and how voxels are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ftddm_core.errors import SettingsError
from ftddm_viewer.web.plain import plain

TABS = (
    "Side by side",
    "Swipe",
    "A|B",
    "Deviation",
    "Difference",
    "Drawn detail",
    "Flow's image",
    "First estimate",
    "Three planes",
    "Ratio",
    "Reliability",
    "Trade-off",
    "Regions",
)
"""The tabs of images; some are there only while there is something to show."""

BACKGROUNDS = ("T1", "FLAIR", "None")
YES_OR_NO = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True)
class Appearance:
    """How a browser shows the images.

    Parameters
    ----------
    tab
        The tab that is open, one of `TABS`.
    background
        What lies below the maps, one of `BACKGROUNDS`.
    overlay
        Opacity of the maps over it, in per cent.
    smooth
        Whether voxels are interpolated linearly.
    neurological
        Whether the patient's right is at the right.
    """

    tab: str = TABS[0]
    background: str = BACKGROUNDS[0]
    overlay: int = 100
    smooth: bool = False
    neurological: bool = False

    def parameters(self) -> dict[str, str]:
        """Return what differs from the initial appearance, as parameters of a link."""
        values = {name: getattr(self, name) for name in NAMES}
        return {
            name: value if isinstance(value, str) else str(int(value))
            for name, value in values.items()
            if value != getattr(USUAL, name)
        }

    def told(self, changes: object) -> Appearance:
        """Return the appearance that a browser tells of; what makes no sense stays as it is."""
        known: Mapping[Any, Any] = changes if isinstance(changes, dict) else {}
        made = self
        for name in NAMES:
            if name in known:
                try:
                    value: Any = appearance_value(name, _text(known[name]))
                    made = replace(made, **{name: value})
                except SettingsError:  # e.g. a tab's name in a browser that translates the page
                    continue
        return made


USUAL = Appearance()
"""How every page begins."""

NAMES = tuple(each.name for each in fields(Appearance))
"""The parameters of a link."""


def appearance_value(name: str, text: str) -> str | int | bool:
    """Return the value of a parameter.

    Raises
    ------
    SettingsError
        If it makes no sense, with what does.
    """
    said = plain(text, 24)
    if name in ("tab", "background"):
        known = TABS if name == "tab" else BACKGROUNDS
        if text not in known:
            raise SettingsError(f"There is no {name} '{said}': choose {', '.join(known)}.")
        return text
    if name == "overlay":
        if not (text.isascii() and text.isdigit() and len(text) < 4 and int(text) <= 100):
            raise SettingsError(f"overlay is '{said}': give per cent, from 0 to 100.")
        return int(text)
    return yes_or_no(name, text)


def yes_or_no(name: str, text: str) -> bool:
    """Return what 1 or 0 means.

    Raises
    ------
    SettingsError
        If it is neither.
    """
    if text.lower() not in YES_OR_NO:
        raise SettingsError(f"{name} is '{plain(text, 24)}': give 1 or 0.")
    return YES_OR_NO[text.lower()]


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(value).partition(".")[0]
