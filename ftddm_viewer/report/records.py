"""Records of runs: plain dicts in JSON, from which pages and excerpts are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ftddm_core.errors import FormatError

Record = dict[str, Any]
"""`command` makes it again, `format` is the version of its layout: a change that an older page
cannot show raises it."""


def encode_record(record: Record) -> bytes:
    """Return a record as JSON; it holds no NaN or infinity, which JSON does not know."""
    return (json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_record(path: Path, command: str, version: int) -> Record:
    """Return a record from a file.

    Parameters
    ----------
    path
        A JSON file.
    command
        That writes such records, such as "bench".
    version
        Of the layout that can be shown.

    Raises
    ------
    FormatError
        If it cannot be read, or holds no record of this version.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} cannot be read: {error}.") from None
    known = isinstance(record, dict) and f"{record.get('command')} ".startswith(f"ftddm {command} ")
    if not known or record.get("format") != version:
        raise FormatError(
            f"{path} is no record of `ftddm {command}` that this program knows: make it again with "
            f"ftddm {command} --json {path.name}."
        )
    return dict(record)
