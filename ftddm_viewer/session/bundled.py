"""The cases that come with the program: simulated, and said to be in every name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ftddm_core.assets import asset_folder
from ftddm_core.errors import SettingsError
from ftddm_viewer import CASE_LABEL


@dataclass(frozen=True)
class Bundled:
    """A bundled case.

    Parameters
    ----------
    name
        In links and kept sessions.
    label
        On every image.
    words
        What it is, in a sentence.
    asset
        Name of its folder among the bundled files.
    """

    name: str
    label: str
    words: str
    asset: str

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return asset_folder(self.asset)


BUNDLED = (
    Bundled("patient", CASE_LABEL, "A simulated patient with a glioma: nobody's data.", "case"),
    Bundled(
        "volunteer",
        "Simulated volunteer",
        "A simulated volunteer, healthy: what the model draws where there is no lesion.",
        "volunteer",
    ),
)
"""Every bundled case, that which is opened first at the front."""

LABELS = frozenset(each.label for each in BUNDLED)


def bundled(name: str) -> Bundled:
    """Return the bundled case of a name.

    Raises
    ------
    SettingsError
        If there is none.
    """
    found = next((each for each in BUNDLED if each.name == name), None)
    if found is None:
        names = " or ".join(each.name for each in BUNDLED)
        raise SettingsError(f"There is no bundled case '{name:.40}': choose {names}.")
    return found


def bundled_at(*paths: Path) -> Bundled | None:
    """Return the bundled case that lies in a folder, if one does."""
    return next((each for each in BUNDLED if paths == (each.folder.absolute(),)), None)
