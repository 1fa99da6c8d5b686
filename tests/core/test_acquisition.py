"""What spoils a simulated acquisition: failing voxels, lipids and wild fits."""

from __future__ import annotations

import numpy as np
import pytest
from heads import nested_head
from phantoms import STILL, rng_of, tissue
from scipy import ndimage

from ftddm_core.phantom.acquisition import lipid_rim, quality_mask, wild_fits
from ftddm_core.phantom.anatomy import BRAIN, TISSUES, world_points
from ftddm_core.phantom.patient import axial_affine


def test_a_tenth_to_a_third_of_the_brain_fails_quality_control(patients):
    height_of_failures, near_scalp = [], []
    for _, study, _, points, fractions in patients:
        mask = study.mask.data > 0
        parts = tissue(fractions, *BRAIN)
        brain = (parts + tissue(fractions, "csf") > 0.6) & (parts > 0.05)
        assert not mask[~brain].any()
        assert 0.1 - 0.01 <= (brain & ~mask).sum() / brain.sum() <= 0.33 + 0.01
        rim = np.linalg.norm(points - points[brain].mean(0), axis=-1)
        near_scalp.append(rim[brain & ~mask].mean() > rim[mask].mean())
        height_of_failures.append(points[brain & ~mask, 2].mean())
    assert np.mean(near_scalp) > 0.8


def test_failures_lie_near_the_base_and_the_scalp():
    affine = axial_affine((24, 28), 22, (6.8, 6.8, 6.8))
    fractions = nested_head().fractions((24, 28, 22), affine, STILL)
    points = world_points((24, 28, 22), affine)
    rim = np.linalg.norm(points / (66, 80, 62), axis=-1)
    brain = (tissue(fractions, *BRAIN, "csf") > 0.6) & (tissue(fractions, *BRAIN) > 0.05)
    bald = fractions.copy()
    for name in ("fat", "bone"):
        bald[0] += fractions[TISSUES.index(name)]
        bald[TISSUES.index(name)] = 0
    for seed in range(4):
        mask = quality_mask(fractions, affine, rng_of(seed))
        assert points[brain & ~mask, 2].mean() < points[mask, 2].mean() - 10
        without_scalp = quality_mask(bald, affine, rng_of(seed))
        assert rim[brain & ~mask].mean() > rim[brain & ~without_scalp].mean() + 0.01


def test_no_brain_gives_an_empty_mask():
    air = np.zeros((len(TISSUES), 4, 4, 4), np.float32)
    air[0] = 1
    assert not quality_mask(air, np.eye(4), rng_of(0)).any()


def test_lipids_lie_in_the_scalp_and_spare_the_middle_of_the_brain():
    affine = axial_affine((48, 56), 6, (4.0, 4.0, 4.0))
    fractions = nested_head().fractions((48, 56, 6), affine, STILL)
    fat = tissue(fractions, "fat") > 0.5
    for seed in range(4):
        rim = lipid_rim(fractions, affine, rng_of(seed))
        assert rim.min() >= 0
        assert 0.3 < np.median(rim[fat]) < 3
        brain = tissue(fractions, *BRAIN, "csf") > 0.5
        deep = brain & (ndimage.distance_transform_edt(~fat, sampling=4.0) > 20)
        assert deep.sum() > 100
        assert rim[deep].max() < 1e-3 * rim.max()


def test_wild_fits_spoil_failing_voxels_alone():
    measured = rng_of(0).random((40, 40, 5), np.float32)
    failing = rng_of(1).random(measured.shape) < 0.5
    spoilt = wild_fits(measured, failing, rng_of(2))
    np.testing.assert_array_equal(spoilt[~failing], measured[~failing])
    assert (spoilt[failing] > 2).mean() == pytest.approx(0.05, abs=0.015)
    assert (spoilt[failing] == 0).mean() == pytest.approx(0.20, abs=0.03)
