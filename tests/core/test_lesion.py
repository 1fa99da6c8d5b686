"""A simulated glioma: its parts, where it begins, and what necrosis holds."""

from __future__ import annotations

from dataclasses import fields as fields_of
from dataclasses import replace

import numpy as np
from heads import nested_head
from phantoms import rng_of, still

from ftddm_core.phantom.anatomy import TISSUES, Warp, world_points
from ftddm_core.phantom.lesion import Glioma, soft_step
from ftddm_core.phantom.patient import Patient, axial_affine, site


def test_a_glioma_fades_from_its_core_beyond_what_mri_shows():
    glioma = Glioma.draw(rng_of(1), np.array([10.0, 0.0, 5.0]))
    glioma = replace(
        glioma,
        axes=np.eye(3, dtype=np.float32),
        radius=15.0,
        necrotic_radius=6.0,
        reach=6.0,
        oedema_width=8.0,
        activity=0.75,
        rim=0.4,
        shape=still(glioma.shape),
        texture=still(glioma.texture),
    )
    offsets = np.array([0.0, 3.0, 10.0, 18.0, 27.0, 60.0])
    along = glioma.centre + offsets[:, None] * np.array([0, 1, 0])
    lesion = glioma(along.astype(np.float32))
    np.testing.assert_allclose(lesion.necrosis, [1, 1, 0, 0, 0, 0], atol=1e-3)
    np.testing.assert_allclose(lesion.solid, [0, 0, 1, 0, 0, 0], atol=1e-3)
    np.testing.assert_allclose(lesion.oedema, [0, 0, 0, 1, 0, 0], atol=1e-3)
    beyond = offsets[2:] - 15
    ring = 1 + 0.4 * np.exp(-((beyond / 3) ** 2))
    fading = 0.75 * ring * np.exp(-np.maximum(beyond, 0) / 6)
    np.testing.assert_allclose(lesion.cells, [0, 0, *fading], atol=1e-3)


def test_parts_of_a_lesion_are_shares():
    points = world_points((30, 30, 30), axial_affine((30, 30), 30, (2.0, 2.0, 2.0)))
    for seed in range(20):
        lesion = Glioma.draw(rng_of(seed), np.zeros(3))(points)
        for field in fields_of(lesion):
            part = getattr(lesion, field.name)
            assert part.min() >= 0
            assert part.max() <= (1.15 if field.name == "cells" else 1)
        assert (lesion.necrosis + lesion.solid + lesion.oedema).max() < 1 + 1e-5
    np.testing.assert_allclose(soft_step(np.array([-9.0, 0.0, 9.0])), [0, 0.5, 1], atol=1e-6)


def test_gliomas_begin_in_white_matter():
    """But for the elastic part of the warp, whatever the head's size and tilt."""
    head = nested_head()
    linear = np.array([[1.6, 0.3, 0.0], [-0.4, 0.7, 0.2], [0.1, 0.0, 1.3]])
    warp = Warp(linear, head.centre_of_brain())
    for seed in range(30):
        place = warp(site(head, warp, rng_of(seed)), np.zeros(3, np.float32))
        index = np.rint(np.linalg.inv(head.affine) @ [*place, 1])[:3].astype(int)
        assert head.tissue[tuple(index)] == TISSUES.index("white")


def test_necrosis_holds_almost_no_metabolites():
    patient = Patient.draw(nested_head(), rng_of(4), glioma=True)
    patient = replace(patient, glioma=replace(patient.glioma, radius=20.0, necrotic_radius=13.0))
    affine = axial_affine((24, 24), 10, (3.4, 3.4, 3.4))
    affine[:3, 3] += patient.glioma.centre
    points = world_points((24, 24, 10), affine)
    found = patient.concentrations(patient.fractions((24, 24, 10), affine), points)
    dead = patient.glioma(points).necrosis > 0.99
    assert dead.sum() > 20
    assert (found[:, dead].max(1) < 0.1 * np.percentile(found, 99, axis=(1, 2, 3))).all()
