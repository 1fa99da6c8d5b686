"""Memory that sampling takes, and its refusal in words before it is taken."""

from __future__ import annotations

from ftddm_core.errors import SettingsError
from ftddm_core.imaging.fourier import Matrix
from ftddm_core.imaging.memory import in_words

MATRICES = 5.5
"""Matrices of doubles, one row and column per acquired voxel, that are held while one slice is
factored: measured."""

SMALL = 250_000_000
"""In bytes: what is never refused."""


def memory_of_consistency(acquired: Matrix) -> float:
    """Return the bytes that holding one slice to its measurement takes; see `consistency`."""
    return MATRICES * 8 * (acquired[0] * acquired[1]) ** 2


def check_memory(acquired: Matrix, free: float) -> None:
    """Refuse what would take more memory than is free, instead of running out of it.

    Raises
    ------
    SettingsError
        If holding one slice of the acquired matrix to its measurement takes more bytes than `free`.
    """
    needed = memory_of_consistency(acquired)
    if needed > max(free, SMALL):
        fits = int((max(free, SMALL) / (MATRICES * 8)) ** 0.25)
        raise SettingsError(
            f"An image of {acquired[0]} x {acquired[1]} acquired voxels takes about "
            f"{in_words(needed)} of memory, more than the {in_words(free)} that are free for it: "
            f"undo earlier zero-filling, degrade by more, or crop or resample the maps to at most "
            f"{fits} x {fits} voxels."
        )
