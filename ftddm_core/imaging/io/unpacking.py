"""The bytes of a file that may be packed with gzip: its beginning, or as many as are needed.

A few kB can unpack to any number of zeros: no more is kept than what was asked for.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io import limits
from ftddm_core.imaging.io.limits import check_expansion

HEAD = 4096
"""Bytes at the beginning of a file that hold every header."""

CHUNK = 1 << 22
GZIP = b"\x1f\x8b"


def size_of(path: Path) -> int:
    """Return the size of a file on the disk in bytes."""
    return path.stat().st_size


def head_of(path: Path) -> bytes:
    """Return the first bytes of a file, unpacked.

    Raises
    ------
    FormatError
        If the file is missing, cannot be read, or does not unpack.
    """
    with _opened(path) as file:
        return file.read(HEAD)


def content_of(path: Path, needed: int | None = None) -> bytes:
    """Return the first `needed` bytes of a file, unpacked, or all it has if these are fewer.

    A packed file is read to its end, where its checksum is.

    Parameters
    ----------
    path
        The file.
    needed
        Number of bytes; None for all.

    Raises
    ------
    FormatError
        If the file is missing, cannot be read, or does not unpack; if it holds more than
        `limits.LARGEST`, or expands by more than images do.
    """
    packed = size_of(path) if path.is_file() else 0
    content = bytearray()
    read = 0
    with _opened(path) as file:
        # Piece by piece: a single read of that many bytes would reserve memory for all of them.
        while piece := file.read(CHUNK):
            read += len(piece)
            if read > limits.LARGEST:
                raise FormatError(
                    f"{path} holds more than {limits.LARGEST / 1e9:g} GB, far more than a map or "
                    "an MRI. Crop or resample it."
                )
            check_expansion(path, read, packed)
            content += piece if needed is None else piece[: needed - len(content)]
    return bytes(content)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading its unpacked bytes; see `head_of` for what this raises."""
    packed = False
    try:
        with path.open("rb") as file:
            packed = file.read(len(GZIP)) == GZIP
            file.seek(0)
            if not packed:
                yield file
                return
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield unpacked  # type: ignore[misc]  # a binary stream in all but name
    except FileNotFoundError:
        raise FormatError(f"{path} does not exist. Check the path.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile, OSError) as error:
        if not packed and isinstance(error, OSError):
            raise FormatError(f"{path} could not be read: {error.strerror}.") from error
        raise FormatError(
            f"{path} is truncated or damaged: it does not decompress ({error}). "
            "Copy or export it again."
        ) from error
