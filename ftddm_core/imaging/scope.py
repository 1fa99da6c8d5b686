"""What lies outside the patients that the networks were trained on, in words.

Nothing here keeps a study from being computed: the networks are convolutional and scale every map
by its own values. But no result of the evaluation speaks for what is listed.
"""

from __future__ import annotations

from ftddm_core.conventions import (
    TRAINED_FIELD_T,
    TRAINED_MATRICES,
    TRAINED_METABOLITES,
    TRAINED_SLICES_MM,
    TRAINED_VOXELS_MM,
    UPSCALE_BOUNDS,
)
from ftddm_core.imaging.metabolites import ratio_in
from ftddm_core.imaging.space import UNLOCALISED_MM
from ftddm_core.imaging.volume import Study, Volume

ROUNDING = 0.01
"""Rounding of a voxel edge, in mm."""


def scope_notes(study: Study) -> tuple[str, ...]:
    """Return in what respects a study, as acquired, differs from all patients of the training.

    A map may be high-resolution itself, or become so by any factor that is offered.
    """
    grid, found = study.grid, []
    ratios = [name for name in study.maps if ratio_in(name)]
    if ratios:
        found.append(
            f"{', '.join(ratios)} is a ratio: the model was trained on maps, not on ratios, and a "
            "ratio of results is not a result of ratios."
        )
    others = [name for name in study.maps if name not in (*TRAINED_METABOLITES, *ratios)]
    if others:
        found.append(
            f"{', '.join(others)}: not among the metabolites of the training "
            f"({', '.join(TRAINED_METABOLITES)}); treated like them, but untested."
        )
    voxel = (grid.voxel_size[0] * grid.voxel_size[1]) ** 0.5
    finest, coarsest = TRAINED_VOXELS_MM[0], TRAINED_VOXELS_MM[1] * UPSCALE_BOUNDS[1]
    if not finest - ROUNDING <= voxel <= coarsest + ROUNDING:
        found.append(
            f"Voxels of {voxel:.3g} mm in the plane: the training had results of "
            f"{TRAINED_VOXELS_MM[0]:g} to {TRAINED_VOXELS_MM[1]:g} mm."
        )
    smallest, largest = TRAINED_MATRICES[0] / UPSCALE_BOUNDS[1], TRAINED_MATRICES[1]
    if min(grid.shape[:2]) < smallest or max(grid.shape[:2]) > largest:
        found.append(
            f"A matrix of {grid.shape[0]} x {grid.shape[1]}: the training had results of "
            f"{TRAINED_MATRICES[0]} to {TRAINED_MATRICES[1]} voxels an axis."
        )
    thickness = grid.voxel_size[2]
    thin, thick = TRAINED_SLICES_MM
    if not thin - ROUNDING <= thickness <= thick + ROUNDING and thickness < UNLOCALISED_MM:
        found.append(
            f"Slices of {thickness:.3g} mm: those of the training were {thin:g} to {thick:g} mm."
        )
    low, high = TRAINED_FIELD_T
    if study.field_t is not None and not low <= study.field_t <= high:
        found.append(
            f"Measured at {study.field_t:.3g} T: the levels, contrasts and noise of the training "
            "are those of maps at 7 T."
        )
    return tuple(found)


def output_notes(output: Volume) -> tuple[str, ...]:
    """Return in what respects the grid of a result differs from those of the training."""
    voxel = (output.voxel_size[0] * output.voxel_size[1]) ** 0.5
    if voxel >= TRAINED_VOXELS_MM[0] * (1 - 1e-3):
        return ()
    return (
        f"Result of {voxel:.2g} mm voxels: finer than any of the training "
        f"({TRAINED_VOXELS_MM[0]:g} mm).",
    )
