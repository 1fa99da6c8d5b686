"""The key of a reader study: which image is of which method. Readers must not see it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftddm_core.errors import FormatError


def key_path(folder: Path) -> Path:
    """Return the usual place of the key: beside the study's folder, and not in it.

    >>> key_path(Path("reading/one")).as_posix()
    'reading/one-key.json'
    """
    place = folder.absolute() if folder.name in ("", "..") else folder
    return place.with_name(f"{place.name}-key.json")


@dataclass(frozen=True)
class Key:
    """The key.

    Parameters
    ----------
    study
        Identity of the study.
    methods
        Name -> what it is, in the order given.
    cases
        Number -> Study, Metabolite and Slice.
    images
        Code -> number of the case and name of the method.
    """

    study: str
    methods: Mapping[str, Mapping[str, Any]]
    cases: Mapping[int, Mapping[str, Any]]
    images: Mapping[str, tuple[int, str]]

    @classmethod
    def read(cls, path: Path, study: str) -> Key:
        """Return the key in a file.

        Raises
        ------
        FormatError
            If it cannot be read, or belongs to another study.
        """
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            key = cls(
                found["StudyId"],
                {method["Name"]: method for method in found["Methods"]},
                {case["Number"]: case for case in found["Cases"]},
                {
                    code: (int(image["Case"]), str(image["Method"]))
                    for code, image in found["Images"].items()
                },
            )
        except OSError as error:
            raise FormatError(f"The key {path} could not be read: {error.strerror}.") from None
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise FormatError(f"{path} is not the key of a reader study.") from None
        if key.study != study:
            raise FormatError(f"{path} is the key of another study: find the one of this one.")
        return key
