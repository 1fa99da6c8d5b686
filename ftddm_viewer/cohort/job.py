"""What all studies of a batch have in common: settings, weights, device, decisions, and a folder.

It is written to `batch.json`, so that a batch is only resumed with what it was begun with, and it
is all that a worker gets besides the path of a study.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftddm_core.errors import FormatError, SettingsError
from ftddm_core.imaging.io import Choices
from ftddm_core.saving.files import save_files
from ftddm_core.saving.notice import NOTICE
from ftddm_core.saving.pair import encode_json
from ftddm_core.saving.software import version_of
from ftddm_core.settings import SamplerSettings
from ftddm_viewer.cohort.plan import Item
from ftddm_viewer.session.model import Model

MANIFEST = "batch.json"
SAME = ("Settings", "Weights", "Choices", "Unfilled", "Half", "Software")


@dataclass(frozen=True)
class Job:
    """A batch.

    Parameters
    ----------
    out
        Folder of the results, with a folder for each study.
    settings
        Of all studies.
    choices
        Decisions about the files of all studies.
    weights, digest
        Name or folder of the weights, and their SHA-256.
    device, half
        As for `Model`.
    unfill
        Whether earlier zero-filling is undone.
    """

    out: str
    settings: SamplerSettings
    choices: Choices
    weights: str
    digest: str
    device: str = "auto"
    half: bool = False
    unfill: bool = False

    @property
    def folder(self) -> Path:
        """Folder of the results."""
        return Path(self.out)

    def model(self, device: str = "") -> Model:
        """Return the networks, on a device if it is not the batch's own."""
        return Model(self.weights, device or self.device, half=self.half)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain texts and numbers, for a worker."""
        return {
            "out": self.out,
            "settings": self.settings.to_dict(),
            "choices": self.choices.to_dict(),
            "weights": self.weights,
            "digest": self.digest,
            "device": self.device,
            "half": self.half,
            "unfill": self.unfill,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Job:
        """Return the job of `to_dict`."""
        settings = SamplerSettings.from_dict(values["settings"])
        choices = Choices.from_dict(values["choices"])
        return cls(**{**values, "settings": settings, "choices": choices})

    def manifest(self, items: Iterable[Item]) -> dict[str, Any]:
        """Return what `batch.json` holds."""
        return {
            "Notice": NOTICE,
            "Settings": self.settings.to_dict(),
            "Weights": {"Name": Path(self.weights).absolute().name, "SHA256": self.digest},
            "Choices": self.choices.to_dict(),
            "Unfilled": self.unfill,
            "Half": self.half,
            "Software": {"ftddm-viewer": version_of("ftddm-viewer")},
            "Studies": {item.key: item.to_dict() for item in items},
        }

    def keep(self, items: Iterable[Item]) -> None:
        """Write `batch.json`; errors as for `save_files`."""
        content = encode_json(self.manifest(items))
        save_files({MANIFEST: content}, self.folder, overwrite=True)

    def check_same(self, before: Mapping[str, Any]) -> None:
        """Refuse to go on with a batch that was begun otherwise.

        Raises
        ------
        SettingsError
            Naming what differs.
        """
        now = self.manifest(())
        if other := [name.lower() for name in SAME if before.get(name) != now[name]]:
            raise SettingsError(
                f"{self.out} holds a batch with other {', '.join(other)}: its studies would be "
                "mixed with these. Choose another folder, or allow it to be replaced."
            )


def manifest_in(folder: Path) -> dict[str, Any] | None:
    """Return what `batch.json` in a folder holds, None without one.

    Raises
    ------
    FormatError
        If it is damaged.
    """
    path = folder / MANIFEST
    try:
        found = json.loads(path.read_bytes())
        known_items(found)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FormatError(f"{path} could not be read: {error.strerror}.") from None
    except (ValueError, RecursionError, AttributeError, LookupError, TypeError):
        raise FormatError(f"{path} is damaged: choose another folder.") from None
    return dict(found)


def known_items(manifest: Mapping[str, Any]) -> list[Item]:
    """Return the studies of a batch that was begun."""
    return [
        Item(key, about["Path"], about.get("Session", ""))
        for key, about in manifest["Studies"].items()
    ]
