"""The factor s at which a study fits: its output matrix, and the memory that it takes.

An s that the user chose is never changed: what does not fit is refused with what would. An s that
the program chooses is the nearest one that fits.
"""

from __future__ import annotations

from math import prod

from ftddm_core.conventions import UPSCALE_BOUNDS
from ftddm_core.errors import GeometryError, SettingsError
from ftddm_core.imaging.degrade import coarse_matrix
from ftddm_core.imaging.memory import in_words
from ftddm_core.sampling.guides import LARGEST_MATRIX, output_grid
from ftddm_core.sampling.need import memory_of_consistency
from ftddm_viewer.session.case import Case, Mode

BYTES_PER_OUTPUT_VOXEL = 80
"""Planned memory for each voxel of the output grid, for guides and whatever is computed."""

BYTES_PER_CONDITION_VOXEL = 24
"""Planned memory for each voxel of the output grid and each map, for its network input."""

STEP = 0.1
"""In which an s that fits is looked for."""


def planned(case: Case, mode: Mode, upscale: float) -> int:
    """Return the memory in bytes that a case is planned to take at a factor s, without sampling.

    Raises
    ------
    GeometryError, SettingsError
        If there is no output at this factor.
    """
    grid = case.study.grid
    shape = grid.shape if mode is Mode.RESTORE else output_grid(grid, upscale)[0]
    each = BYTES_PER_OUTPUT_VOXEL + BYTES_PER_CONDITION_VOXEL * len(case.study.maps)
    return each * prod(shape)


def check_fits(case: Case, mode: Mode, upscale: float, memory: float) -> None:
    """Raise a GeometryError, with what to do, if a case does not fit into memory at a factor s."""
    needed = planned(case, mode, upscale)
    if needed > memory:
        shape = case.study.grid.shape
        best = None if mode is Mode.RESTORE else _largest(case, memory)
        instead = "leave out maps" if best is None else f"choose an upscaling of {best:g} or less"
        raise GeometryError(
            f"{len(case.study.maps)} maps of {shape[0]} x {shape[1]} x {shape[2]} voxels with an "
            f"upscaling of {upscale:g} take about {in_words(needed)} of memory, more than the "
            f"{in_words(memory)} that are free for them: {instead}, or crop the maps."
        )


def fitted(case: Case, mode: Mode, upscale: float, memory: float) -> float:
    """Return the factor nearest to the usual one at which a case fits; the usual one if none does.

    Parameters
    ----------
    case, mode
        What is to be sampled.
    upscale
        The usual factor.
    memory
        In bytes, what it may take.
    """
    if mode is Mode.RESTORE:  # degraded further, there are fewer acquired voxels
        return next((s for s in _steps(upscale, up=True) if _held(case, s) <= memory), upscale)
    if _fits(case, upscale, memory):
        return upscale
    largest = _largest(case, memory)
    return upscale if largest is None else min(largest, upscale)


def _held(case: Case, upscale: float) -> float:
    shape = case.study.grid.shape
    return memory_of_consistency(coarse_matrix((shape[0], shape[1]), upscale))


def _steps(start: float, *, up: bool) -> list[float]:
    low, high = UPSCALE_BOUNDS
    count = round((high - low) / STEP)
    found = [start, *(round(low + STEP * k, 6) for k in range(count + 1))]
    kept = [s for s in found if (s >= start if up else s <= start)]
    return sorted(kept, reverse=not up)


def _largest(case: Case, memory: float) -> float | None:
    """Return the largest factor at which a case fits, None if there is none."""
    highest = min(UPSCALE_BOUNDS[1], LARGEST_MATRIX / max(case.study.grid.shape[:2]))
    return next((s for s in _steps(highest, up=False) if _fits(case, s, memory)), None)


def _fits(case: Case, upscale: float, memory: float) -> bool:
    try:
        return planned(case, Mode.ENLARGE, upscale) <= memory
    except (GeometryError, SettingsError):
        return False
