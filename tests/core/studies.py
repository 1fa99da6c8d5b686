"""A study of a head, its mask and MRI on grids of their own, for the tests of conditioning."""

from __future__ import annotations

import numpy as np
from properties import head, oblique_affine, world_of

from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.sampling.condition import form_conditions

CENTRE = np.array([3.0, -12.0, 25.0])  # of every grid here, and of the head
SHAPE = (15, 16, 4)
AFFINE = oblique_affine(SHAPE, (9.0, 8.5, 11.0))
MRI_SHAPE = (60, 62, 40)
MRI_AFFINE = oblique_affine(MRI_SHAPE, (2.0, 2.1, 2.5), (-5.0, 8.0, 30.0), flip=(-1, 1, 1))


def ball(shape, affine, radius):
    """Return a mask: the voxels nearer than `radius` mm to the head's centre."""
    inside = np.linalg.norm(world_of(shape, affine) - CENTRE, axis=-1) < radius
    return Volume(inside.astype(np.float32), affine)


def head_study():
    """Return two maps of a head, a fine mask on the MRI's oblique grid, T1 and FLAIR."""
    tnaa = head(SHAPE, AFFINE)
    ins = tnaa.with_data(3 * tnaa.data**2 + 0.1)
    mri = head(MRI_SHAPE, MRI_AFFINE)
    return Study(
        {"tNAA": tnaa, "Ins": ins},
        mask=ball(MRI_SHAPE, MRI_AFFINE, 32.0),
        t1=mri.with_data(100 * mri.data),
        flair=mri.with_data(np.maximum(1 - mri.data, 0)),
    )


def conditions(study, upscale=4.0, matrix=None):
    return {c.metabolite: c for c in form_conditions(study, upscale, matrix)}
