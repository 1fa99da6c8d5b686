"""A head with a lesion on one side, in stacks of every direction: nothing maps it onto itself."""

from __future__ import annotations

import numpy as np
from properties import oblique_affine, world_of

from ftddm_core.imaging.volume import Study
from ftddm_core.settings import SamplerSettings
from ftddm_viewer.session.case import Case, Mode, prepare
from ftddm_viewer.session.regions import grid_of
from ftddm_viewer.session.state import SliceImage, State, View

LESION = np.array([-21.0, 12.0, 12.0])
"""In mm: on the patient's left, in front and above the centre."""


def turned(order: tuple[int, int, int], flip: tuple[int, int, int]) -> np.ndarray:
    """Return the affine of 20 x 20 x 20 voxels of 4 mm around the origin, its axes exchanged."""
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, list(order)] * (4.0 * np.array(flip))
    affine[:3, 3] = -affine[:3, :3] @ np.full(3, 9.5)
    return affine


STACKS = {
    "axial": turned((0, 1, 2), (1, 1, 1)),
    "axial, left-handed": turned((0, 1, 2), (-1, 1, 1)),
    "coronal": turned((0, 2, 1), (-1, 1, 1)),
    "sagittal": turned((1, 2, 0), (1, -1, 1)),
    "sagittal, from the right": turned((1, 2, 0), (1, 1, -1)),
    "oblique": oblique_affine((20, 20, 20), (4.0, 4.0, 4.0), (8.0, -12.0, 10.0), (0.0, 0.0, 0.0)),
}


def state_of(affine: np.ndarray, **settings: object) -> State:
    """Return a state with a head of tCho 2 and tNAA 8, and a lesion of tCho 6 and tNAA 4.

    Both are balls; the images are the study's own maps, in every slice.
    """
    world = world_of((20, 20, 20), affine)
    head = np.linalg.norm(world, axis=-1) < 38
    lesion = np.linalg.norm(world - LESION, axis=-1) < 10
    maps = {"tCho": np.where(lesion, 6.0, 2.0) * head, "tNAA": np.where(lesion, 4.0, 8.0) * head}
    study = Study.from_arrays(maps, affine=affine, mask=head.astype(np.uint8), unit="mM")
    asked = SamplerSettings(upscale=2, detail=1.0, mri_weight=1.0).replace(**settings)  # type: ignore[arg-type]
    view = View(prepare(Case.of(study), Mode.RESTORE, 2), asked)
    images = {}
    for name, data in maps.items():
        for k in range(20):
            x = data[..., k].astype(np.float32)
            images[name, k] = SliceImage(x, x, final=True)
    return State(mode=Mode.RESTORE, settings=asked, metabolite="tCho", view=view.adding(images))


def ball(state: State, centre: np.ndarray, radius: float) -> np.ndarray:
    """Return the voxels within a distance of a point of the patient, through the frame."""
    assert state.view is not None
    prepared = state.view.prepared
    grid, turn = grid_of(prepared), prepared.case.frame.turn
    shown = turn[:3, :3] @ centre + turn[:3, 3]
    inside: np.ndarray = np.linalg.norm(world_of(grid.shape, grid.affine) - shown, axis=-1) < radius
    return inside
