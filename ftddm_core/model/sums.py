"""The SHA-256 of every file of weights, in a file beside them: read as `sha256sum --check` does.

It is apart from config.json, which is part of the weights' digest: the digest of weights that were
exported before stays that of their results.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from ftddm_core.errors import CheckpointError

SUMS = "SHA256SUMS"
"""Name of the file; each of its lines is a SHA-256 in hexadecimal, two spaces and a file name."""

LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def write_sums(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the SHA-256 of files, name -> content, into their folder."""
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items()]
    (folder / SUMS).write_bytes("".join(lines).encode())


def check_sum(path: Path, content: bytes) -> None:
    """Refuse a file whose SHA-256 is not the one stated beside it.

    Weights exported by earlier versions state none. They are not checked: a file that is cut is
    still refused when it is read, but one whose values are altered is not.

    Parameters
    ----------
    path
        The file.
    content
        What was read from it.

    Raises
    ------
    CheckpointError
        If they differ, or the SHA-256 cannot be read.
    """
    sums = path.with_name(SUMS)
    if not sums.exists():
        return
    try:
        lines = sums.read_bytes().decode("ascii").splitlines()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{sums} cannot be read: {error}. Copy the folder again.") from None
    stated = {line[2]: line[1] for line in map(LINE.fullmatch, lines) if line}
    if path.name not in stated:
        raise CheckpointError(
            f"{sums} is damaged: it states no SHA-256 of {path.name}; copy the folder again."
        )
    if (found := hashlib.sha256(content).hexdigest()) != stated[path.name]:
        raise CheckpointError(
            f"{path} is damaged or belongs to other weights: its SHA-256 is {found[:12]}..., "
            f"{SUMS} states {stated[path.name][:12]}...; copy the folder again."
        )
