"""Studies from files: `open_study` uses the first format in `READERS` that accepts the paths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io import npy_study as _npy_study
from ftddm_core.imaging.io import study as _nifti_study
from ftddm_core.imaging.io.nifti import encode_volume, read_maps, read_volume, write_volume
from ftddm_core.imaging.io.study import PathLike, read_study
from ftddm_core.imaging.volume import Study

__all__ = [
    "READERS",
    "Reader",
    "encode_volume",
    "open_study",
    "read_maps",
    "read_study",
    "read_volume",
    "reader_of",
    "write_volume",
]


class Reader(NamedTuple):
    """An input format; add one by appending it to `READERS`."""

    name: str
    can_read: Callable[[Sequence[PathLike]], bool]
    """Whether it accepts the paths, by names alone: never opens a file, never raises."""
    holds_map: Callable[[Sequence[PathLike]], bool]
    """Whether the paths contain a map that it can read, by names alone."""
    read: Callable[..., Study]
    """(paths, t1=None, flair=None, mask=None) -> Study."""


READERS: tuple[Reader, ...] = (
    Reader("NumPy arrays", _npy_study.can_read, _npy_study.can_read, _npy_study.read_npy_study),
    # Accepts any folder, so it comes last.
    Reader("NIfTI", _nifti_study.can_read, _nifti_study.holds_map, read_study),
)


def reader_of(paths: Sequence[PathLike]) -> Reader | None:
    """Return the first format that accepts these paths, None if none does."""
    return next((reader for reader in READERS if reader.can_read(paths)), None)


def open_study(
    paths: PathLike | Sequence[PathLike],
    t1: PathLike | None = None,
    flair: PathLike | None = None,
    mask: PathLike | None = None,
) -> Study:
    """Open one examination, a folder or a list of files, in any supported format.

    Raises
    ------
    FormatError
        If a path does not exist, no format accepts the paths, or reading them fails.
    GeometryError
        If the maps do not share one grid.
    """
    listed = [paths] if isinstance(paths, str | Path) else list(paths)
    for path in map(Path, listed):
        if not path.exists():
            raise FormatError(f"{path} does not exist. Check the path.")
    if reader := reader_of(listed):
        return reader.read(listed, t1=t1, flair=flair, mask=mask)
    formats = ", ".join(reader.name for reader in READERS)
    names = ", ".join(str(path) for path in listed) or "nothing"
    raise FormatError(
        f"No reader accepts these files: {names}. Give a folder or files in one of: {formats}."
    )
