"""A box that is excited: its edge, its chemical shift, and the masks that follow it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from heads import nested_head
from phantoms import rng_of, still

from ftddm_core.phantom.anatomy import world_points
from ftddm_core.phantom.excitation import CENTRE_SHIFT, SHIFT, Excitation
from ftddm_core.phantom.metabolites import METABOLITES
from ftddm_core.phantom.patient import Patient, simulate_study
from ftddm_core.phantom.scan import FULL


def even(box, **changes):
    """Return a box without unevenness and without a turn."""
    quiet = (still(box.unevenness[0]), 0.0)
    return replace(box, turn=np.eye(2, dtype=np.float32), unevenness=quiet, **changes)


def test_a_box_excites_its_inside_alone_and_moves_with_the_chemical_shift():
    box = even(
        Excitation.draw(rng_of(3)),
        centre=np.array([10, -5], np.float32),
        half=np.array([30, 40], np.float32),
        edge=4.0,
        displacement=np.array([0, 5], np.float32),
    )
    middle, outside = (np.array([[[[10, -5 + y, 7.0]]]], np.float32) for y in (0, 60))
    np.testing.assert_allclose(box(middle), 1, atol=1e-4)
    np.testing.assert_allclose(box(outside), 0, atol=1e-3)
    assert len(SHIFT) == len(METABOLITES)
    for number, ppm in enumerate(SHIFT):
        side = np.array([[[[10, -5 + 40 + 5 * (ppm - CENTRE_SHIFT), 0.0]]]], np.float32)
        assert box(side)[number] == pytest.approx(0.5, abs=1e-3)  # half way, where it lies
    x = np.array([10 + 30 - 4, 10 + 30 + 4], np.float32)
    points = np.stack([x, np.full(2, -5.0), np.zeros(2)], -1).reshape(2, 1, 1, 3)
    inner, outer = box(points.astype(np.float32))[0].ravel()
    assert inner == pytest.approx(0.995, abs=2e-3)
    assert outer == pytest.approx(0.005, abs=2e-3)


def test_a_patients_box_holds_the_tumour_and_scales_what_is_measured():
    """Without noise, the maps with a box are those without it times its share."""
    slab = {"matrix": (40, 48), "n_slices": 3, "voxel": (5.0, 5.0, 5.0), "mri_voxel": 9.0}
    for seed in range(6):
        patient = Patient.draw(nested_head(), rng_of(seed), glioma=True)
        box = patient.draw_box(rng_of([seed, 2]))
        study, exact = simulate_study(patient, rng_of(1), box=box, sampling=FULL, **slab)
        whole_study, whole = simulate_study(patient, rng_of(1), sampling=FULL, **slab)
        points = world_points(exact.grid.shape, exact.grid.affine)
        for share, name in zip(box(points), METABOLITES, strict=True):
            np.testing.assert_allclose(
                exact.maps[name].data, share * whole.maps[name].data, rtol=1e-4, atol=1e-5
            )
        passed = whole_study.mask.data * box.passes(points)
        np.testing.assert_array_equal(study.mask.data, passed)
        centre = patient.glioma.centre.reshape(1, 1, 1, 3)
        assert even(box, displacement=np.zeros(2, np.float32))(centre).min() > 0.5


def test_some_masks_reach_beyond_the_box_and_some_do_not():
    boxes = [Excitation.draw(rng_of(seed)) for seed in range(60)]
    free = np.mean([box.seen == 0 for box in boxes])
    assert 0.3 < free < 0.7
    far = np.full((1, 1, 1, 3), 200, np.float32)
    for box in boxes:
        assert box.passes(far).item() == (box.seen == 0)
