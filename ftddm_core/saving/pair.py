"""A map and its sidecar as two files, each of which identifies the other.

The sidecar states the SHA-256 of the map's file. The map's NIfTI header has a comment, an extension
that other readers skip, with the first digits of the SHA-256 of the sidecar's record without that
statement. So a map beside the sidecar of another run is found, and so is an edited one.
"""

# mypy: allow-untyped-calls
# (nibabel types its images but not its headers.)

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel as nib
from nibabel.nifti1 import Nifti1Extension
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io import encode_volume
from ftddm_core.imaging.io.image_file import stem_of
from ftddm_core.imaging.volume import Volume

MAP = "Map"
"""Key of the sidecar's statement about its map."""

DIGITS = 16
"""Hexadecimal digits of the record's SHA-256 in a map's header: enough against mixed-up files."""

_COMMENT = "FTDDM record SHA-256 {}"
_STATED = re.compile(rb"FTDDM record SHA-256 ([0-9a-f]{16})")


def encode_json(record: Mapping[str, Any]) -> bytes:
    """Return a record as the bytes of a sidecar."""
    return (json.dumps(dict(record), indent=2) + "\n").encode()


def encode_pair(
    volume: Volume, record: Mapping[str, Any], *, compress: bool = True
) -> tuple[bytes, bytes]:
    """Return a sidecar and its map as the bytes of files, reproducibly.

    Parameters
    ----------
    volume, record
        The map, and how it was made.
    compress
        Whether the map is gzipped.
    """
    content = _with_comment(encode_volume(volume, compress=False), _COMMENT.format(_short(record)))
    if compress:
        packed = BytesIO()
        with gzip.GzipFile("", "wb", compresslevel=6, fileobj=packed, mtime=0) as file:
            file.write(content)
        content = packed.getvalue()
    stated = {MAP: {"SHA256": hashlib.sha256(content).hexdigest()}}
    return encode_json({**record, **stated}), content


def check_pair(path: Path | str) -> dict[str, Any]:
    """Return the record in a map's sidecar, after a check that the two belong together.

    Parameters
    ----------
    path
        A map written by `save_result` or `ftddm run`; its sidecar is beside it.

    Raises
    ------
    FormatError
        If either cannot be read, the map was made with other settings or inputs than the sidecar
        states, or either was changed.
    """
    path = Path(path)
    beside = path.with_name(f"{stem_of(path)}.json")
    content, text = _read(path), _read(beside)
    try:
        record = json.loads(text)
        expected = record.pop(MAP)["SHA256"]
    except (ValueError, RecursionError, AttributeError, LookupError, TypeError):
        raise FormatError(
            f"{beside} does not state its map: it was not written together with {path.name}."
        ) from None
    stated = _stated_in(path, content)
    if stated != _short(record):
        raise FormatError(
            f"{path} and {beside.name} do not belong together: the map states the record "
            f"{stated or 'of no run'}, the sidecar is {_short(record)}. Find the files of one run."
        )
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise FormatError(
            f"{path} was changed after it was written: its SHA-256 is {found[:DIGITS]}..., "
            f"{beside.name} states {str(expected)[:DIGITS]}... Restore it, or compute it again."
        )
    return dict(record)


def _short(record: Mapping[str, Any]) -> str:
    """Return the short hash of a record, whatever its layout in a file."""
    plain = json.loads(json.dumps(dict(record)))
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def _with_comment(content: bytes, comment: str) -> bytes:
    """Return an uncompressed NIfTI file with a comment in its header."""
    header = nib.Nifti1Header.from_fileobj(BytesIO(content))
    values = content[header.get_data_offset() :]
    header.extensions.append(Nifti1Extension("comment", comment.encode()))
    header["vox_offset"] = 0  # set anew when it is written
    buffer = BytesIO()
    header.write_to(buffer)
    return buffer.getvalue() + values


def _stated_in(path: Path, content: bytes) -> str:
    """Return the short hash in a map's header, "" without one."""
    try:
        plain = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
        header = nib.Nifti1Header.from_fileobj(BytesIO(plain))
    except (OSError, EOFError, zlib.error, HeaderDataError, WrapStructError, ValueError) as error:
        raise FormatError(
            f"{path} is damaged ({error}). Restore it, or compute it again."
        ) from None
    comments = (e.get_content() for e in header.extensions if e.get_code() == 6)
    found = (_STATED.search(c if isinstance(c, bytes) else str(c).encode()) for c in comments)
    return next((match[1].decode() for match in found if match), "")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FormatError(f"{path} could not be read: {error.strerror}.") from error
