"""The one home of the limits of files: how large they may be, and what their study will take.

Every file is judged by its header, before its values are unpacked. What exceeds `LARGEST` or
`MOST_EXPANSION` is refused everywhere. The other limits are far above what spectroscopic imaging
has today: a server refuses what exceeds them, while a user's own program (`OWN`) opens it with a
note, where its memory allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np

from ftddm_core.errors import FormatError
from ftddm_core.imaging.memory import in_words, plannable

LARGEST = 2_000_000_000
"""Size limit of an unpacked file in bytes, as stored and as float32: a T1 with 0.5 mm voxels takes
a quarter of that."""

MOST_EXPANSION = 500
"""Largest ratio of the unpacked to the packed size of a file, from `EXPANSION_FROM` bytes on."""

EXPANSION_FROM = 2**25
"""Unpacked size in bytes below which a file may expand by any ratio: an empty mask does."""

MOST_ACROSS = 512
"""Largest matrix of a map in a slice."""

MOST_SLICES = 256
"""Largest number of slices of a map."""

MOST_MAPS = 64
"""Largest number of volumes in one file of maps."""

MOST_MAP_VOXELS = 2**22
"""Largest number of voxels of one map: 128 x 128 x 256."""

MOST_MRI_VOXELS = 10**8
"""Largest number of voxels of an MRI: 0.5 mm over 230 x 230 x 236 mm."""

MOST_TABLED = 2**25
"""Largest number of values of all maps and CRLB from tables, whose matrix is only their names'."""

BYTES_PER_MAP_VOXEL = 80
"""Planned memory for each voxel of a map, CRLB or mask while a study is opened."""

BYTES_PER_MRI_VOXEL = 40
"""Planned memory for each voxel of an MRI while a study is opened."""


@dataclass(frozen=True)
class Extent:
    """What the header of a file announces.

    Parameters
    ----------
    path
        The file with the values.
    shape
        Matrix (X, Y, Z, number of volumes), slices not necessarily along Z.
    itemsize
        Bytes of a value as stored.
    """

    path: Path
    shape: tuple[int, int, int, int]
    itemsize: int

    @property
    def voxels(self) -> int:
        """Number of values."""
        return prod(self.shape)

    @property
    def matrix(self) -> str:
        """The matrix in words."""
        return " x ".join(map(str, self.shape if self.shape[3] > 1 else self.shape[:3]))


@dataclass(frozen=True)
class Limits:
    """What a study may be.

    Parameters
    ----------
    strict
        Whether unusually large files are refused instead of noted.
    memory
        Returns the bytes that a study may be planned to take.
    turn
        Entered while files are read: a server has one of its studies read at a time.
    """

    strict: bool = False
    memory: Callable[[], float] = plannable
    turn: AbstractContextManager[object] = field(default_factory=nullcontext)

    def judge(self, maps: Iterable[Extent], mri: Iterable[Extent]) -> tuple[str, ...]:
        """Return a note for every unusually large file of a study.

        Parameters
        ----------
        maps
            Files on the grid of the maps: maps, CRLB, masks and quality maps.
        mri
            T1 and FLAIR.

        Raises
        ------
        FormatError
            If a file is unusually large and the limits are strict; or if there is not enough
            memory for all of them.
        """
        maps, mri = list(maps), list(mri)
        notes = [words for file in maps if (words := _of_map(file))]
        notes += [words for file in mri if (words := _of_mri(file))]
        if notes and self.strict:
            raise FormatError(
                f"{notes[0]} Crop or resample it, or open it in the program on a computer of your "
                "own."
            )
        needed = planned(maps, mri)
        if needed > (free := self.memory()):
            largest = max((*maps, *mri), key=lambda file: file.voxels)
            raise FormatError(
                f"To open these files takes about {in_words(needed)} of memory, more than the "
                f"{in_words(free)} that are free for them; the largest is {largest.path}, of "
                f"{largest.matrix} voxels. Crop or resample it, or leave files out."
            )
        return tuple(notes)


def planned(maps: Iterable[Extent], mri: Iterable[Extent]) -> int:
    """Return the memory in bytes that a study's files are planned to take."""
    of_maps = BYTES_PER_MAP_VOXEL * sum(file.voxels for file in maps)
    return of_maps + BYTES_PER_MRI_VOXEL * sum(file.voxels for file in mri)


def _of_map(file: Extent) -> str:
    *spatial, count = file.shape
    lowest, middle, highest = sorted(spatial)
    too_long = highest > MOST_ACROSS or middle > MOST_ACROSS or lowest > MOST_SLICES
    # Slices are along any axis: a cube is judged by its voxels, a long stack by its ratio.
    stacked = highest > MOST_SLICES and highest > 2 * middle
    if too_long or stacked or prod(spatial) > MOST_MAP_VOXELS:
        return (
            f"{file.path} has {file.matrix} voxels, far more than a map of spectroscopic imaging "
            f"({MOST_ACROSS} x {MOST_ACROSS} in a slice, {MOST_SLICES} slices, and "
            f"{MOST_MAP_VOXELS} voxels at most)."
        )
    if count > MOST_MAPS:
        return f"{file.path} holds {count} volumes, more than {MOST_MAPS} metabolites."
    return ""


def _of_mri(file: Extent) -> str:
    if prod(file.shape) <= MOST_MRI_VOXELS:
        return ""
    return f"{file.path} has {file.matrix} voxels, more than the {MOST_MRI_VOXELS} of a fine MRI."


def check_size(path: Path, shape: tuple[int, ...], itemsize: int, packed: int) -> None:
    """Refuse a file whose header announces more than `LARGEST`, or than its bytes can hold.

    Parameters
    ----------
    path
        The file.
    shape
        Of its values.
    itemsize
        Bytes of a value.
    packed
        Size of the file in bytes.

    Raises
    ------
    FormatError
        If it does.
    """
    count = prod(shape)
    if count * max(itemsize, np.dtype(np.float32).itemsize) > LARGEST:
        raise FormatError(
            f"{path} announces {' x '.join(map(str, shape))} values, more than {LARGEST / 1e9:g} "
            "GB, far more than a map or an MRI. Crop or resample it, or export it again if it is "
            "smaller."
        )
    check_expansion(path, count * itemsize, packed)


def check_expansion(path: Path, unpacked: int, packed: int) -> None:
    """Refuse a file that expands by more than images do; arguments and error as `check_size`."""
    if unpacked > EXPANSION_FROM and unpacked > MOST_EXPANSION * packed:
        raise FormatError(
            f"{path} has {packed} bytes and unpacks to more than {in_words(EXPANSION_FROM)}, over "
            f"{MOST_EXPANSION} times as much: hardly a measured image. Crop it to what it holds."
        )


OWN = Limits()
"""Of a user's own program."""
