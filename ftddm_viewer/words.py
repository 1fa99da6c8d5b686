"""What every front end says in the same words: errors, and what a careful user would want to know.

An error's text is its own; here is decided which errors are the user's to read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ftddm_core.errors import FtddmError
from ftddm_core.imaging.degrade import acquired_matrix
from ftddm_core.imaging.volume import Study

if TYPE_CHECKING:
    from ftddm_core.sampling.condition import Condition

OUT_OF_MEMORY = "out of memory; use a smaller upscale (--upscale) or matrix."

WELL_COVERED = 0.8
"""Share of the trusted voxels that an MRI should show."""


def error_words(error: BaseException) -> str | None:
    """Return an error in one line for the user, None for a fault of the program."""
    # torch reports a lack of memory as a RuntimeError.
    lacks_memory = isinstance(error, RuntimeError) and "memory" in str(error)
    if isinstance(error, MemoryError) or lacks_memory:
        return OUT_OF_MEMORY
    if isinstance(error, FtddmError | OSError):
        return " ".join(str(error).split())
    return None


def notes(study: Study, conditions: Iterable[Condition]) -> list[str]:
    """Return what a careful user would want to know about a study."""
    found = [
        f"no {name} given: the model was trained to do without, with less detail to go by."
        for name, image in (("T1", study.t1), ("FLAIR", study.flair))
        if image is None
    ]
    unmasked = [name for name in study.maps if study.mask_of(name) is None]
    if unmasked:
        found.append(f"no mask for {', '.join(unmasked)}: every voxel with a value is trusted.")
    matrix, acquired = study.grid.shape[:2], acquired_matrix(study)
    if acquired != matrix:
        found.append(
            f"the maps look zero-filled: their k-space fills {acquired[0]}x{acquired[1]} of "
            f"{matrix[0]}x{matrix[1]}; undo it (--unfill) to start from what was acquired."
        )
    for condition in conditions:
        name = condition.metabolite
        for role in ("t1", "flair"):
            share = condition.cover(role)
            if getattr(study, role) is not None and share < WELL_COVERED:
                found.append(f"{name}: {role} shows only {share:.0%} of the trusted voxels.")
        if condition.outliers:
            found.append(
                f"{name}: {condition.outliers} trusted voxels exceed ten times the 99th percentile;"
                " they were kept as they are."
            )
    return found
