"""Randomised patients: every range is used, measured maps lie among them, MRI may say nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from heads import nested_head

from ftddm_core.phantom.anatomy import TISSUES, brain_of, voxel_size, world_points
from ftddm_core.phantom.contrast import RELAXATION
from ftddm_core.phantom.fields import MixedField, correlated_fields, lognormal
from ftddm_core.phantom.lesion import Glioma
from ftddm_core.phantom.metabolites import METABOLITES
from ftddm_core.phantom.patient import axial_affine, lay_slab
from ftddm_core.phantom.randomised import (
    CORRELATION,
    FLUID,
    LENGTHS,
    NOISE,
    SHARES,
    VARIATION,
    AnyContrast,
    Edge,
    MapLesion,
    RandomisedPatient,
)

SLAB = {"matrix": (40, 48), "voxel": (5.0, 5.0, 5.0), "n_slices": 3, "mri_voxel": 5.0}


def rng_of(seed):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def patients():
    return [RandomisedPatient.draw(nested_head(4.0), rng_of(seed)) for seed in range(60)]


def test_a_patient_depends_on_its_seed_alone():
    one, same, other = (
        lay_slab(RandomisedPatient.draw(nested_head(4.0), rng_of(s)), rng_of(1), **SLAB)
        for s in (3, 3, 4)
    )
    np.testing.assert_array_equal(one.truth, same.truth)
    np.testing.assert_array_equal(one.t1.data, same.t1.data)
    np.testing.assert_array_equal(one.mask, same.mask)
    assert not np.array_equal(one.truth, other.truth)


def test_contrast_between_tissues_has_either_sign_and_fluid_any_level(patients):
    white, cortex, fluid = (
        np.array([p.metabolism.healthy[TISSUES.index(name)] for p in patients])
        for name in ("white", "cortex", "csf")
    )
    log = np.log(cortex / white)
    assert 0.35 < (log > 0).mean() < 0.65
    assert np.quantile(np.abs(log), 0.9) > np.log(1.5)
    # Metabolites agree by half, so that some are bright where others are dark.
    assert 0.2 < np.corrcoef(log.T)[np.triu_indices(len(METABOLITES), 1)].mean() < 0.8
    relative = fluid / ((white + cortex) / 2)
    assert relative.max() <= FLUID[1] + 1e-5
    assert np.quantile(relative, 0.1) < 0.25
    assert np.quantile(relative, 0.9) > 0.75


def test_noise_is_within_its_range_and_fills_it(patients):
    tissues = [TISSUES.index("white"), TISSUES.index("cortex")]
    level = np.array([p.metabolism.healthy[tissues].mean(0) for p in patients])
    relative = np.array([p.metabolism.noise for p in patients]) / level
    assert relative.min() >= NOISE[0] - 1e-6
    assert relative.max() <= NOISE[1] + 1e-6
    assert np.quantile(relative, 0.1) < 0.025
    assert np.quantile(relative, 0.9) > 0.09


def test_fields_have_the_spread_and_the_correlation_that_are_drawn(patients):
    for p in patients:
        assert (p.correlation >= CORRELATION[0]).all()
        assert (p.correlation <= CORRELATION[1] + 1e-6).all()
    mean = np.array([p.variation.mean() for p in patients])
    assert VARIATION[0] * 0.7 < mean.min() < 0.3
    assert 0.6 < mean.max() < VARIATION[1] * 1.5


def test_a_mixed_field_has_unit_variance_and_the_sum_of_its_parts_covariances():
    points = rng_of(0).uniform(-20, 20, (300, 3)).astype(np.float32)
    moved = points + np.float32([6, 0, 0])
    pairs = []
    for seed in range(60):
        field = MixedField.draw(rng_of(seed), LENGTHS, SHARES, 3)
        pairs.append((field(points), field(moved)))
    here, there = (np.concatenate(part) for part in zip(*pairs, strict=True))
    assert here.var() == pytest.approx(1, abs=0.05)
    expected = sum(s * np.exp(-18 / length**2) for s, length in zip(SHARES, LENGTHS, strict=True))
    assert np.mean(here * there) == pytest.approx(expected, abs=0.05)


def test_correlated_fields_and_lognormal_factors_are_as_stated():
    unit = rng_of(1).standard_normal((200_000, 4)).astype(np.float32)
    mixed = correlated_fields(unit, [0.2, 0.8, 0.8])
    np.testing.assert_allclose(mixed.var(0), 1, atol=0.02)
    found = np.corrcoef(mixed.T)
    assert found[1, 2] == pytest.approx(0.8, abs=0.01)
    assert found[0, 1] == pytest.approx(np.sqrt(0.2 * 0.8), abs=0.01)
    factors = lognormal(mixed, [0.1, 0.5, 0.8])
    np.testing.assert_allclose(factors.mean(0), 1, atol=0.01)
    np.testing.assert_allclose(factors.std(0), [0.1, 0.5, 0.8], rtol=0.03)


def test_mri_of_any_contrast_keeps_air_dark_and_white_at_one():
    greys = []
    for seed in range(100):
        contrast = AnyContrast.draw(rng_of(seed))
        for signals in contrast.signals():
            assert signals.shape == (len(RELAXATION),)
            assert signals[TISSUES.index("white")] == 1
            assert signals[TISSUES.index("air")] == 0
            greys.append(signals[TISSUES.index("cortex")])
    assert min(greys) < 0.2
    assert max(greys) > 1.4


def test_about_half_of_the_mri_have_a_real_contrast_and_all_miss_the_maps_by_millimetres(patients):
    kinds = [isinstance(p.contrast, AnyContrast) for p in patients]
    assert 0.3 < np.mean(kinds) < 0.7
    shifts = np.array([p.misregistration[:3, 3] for p in patients])
    assert 1.5 < shifts.std() < 2.5
    for p in patients:
        turned = p.misregistration[:3, :3]
        np.testing.assert_allclose(turned @ turned.T, np.eye(3), atol=1e-9)


def test_maps_show_lesions_that_the_mri_does_not_and_leave_out_ones_that_it_shows(patients):
    shown = [any(le.shape is p.glioma for le in p.lesions) for p in patients if p.glioma]
    hidden = [sum(le.shape is not p.glioma for le in p.lesions) for p in patients]
    assert 0.3 < np.mean(shown) < 0.7
    assert 0.4 < np.mean(hidden) < 1.0


def test_a_lesion_has_its_level_where_cells_are_dense_and_nothing_far_away():
    class Dense(Glioma):
        def __call__(self, points):
            found = super().__call__(points)
            return replace(found, cells=np.ones_like(found.cells), necrosis=0 * found.necrosis)

    drawn = Glioma.draw(rng_of(0), np.zeros(3, np.float32))
    level = np.linspace(0.4, 2, len(METABOLITES)).astype(np.float32)
    points = world_points((3, 3, 3), axial_affine((3, 3), 3, (2.0, 2.0, 2.0)))
    dense = MapLesion(Dense(**vars(drawn)), level)
    np.testing.assert_allclose(dense(points), np.broadcast_to(level, (3, 3, 3, 7)), rtol=1e-6)
    far = MapLesion(drawn, level)(points + np.float32(400))
    np.testing.assert_allclose(far, 1, atol=1e-3)


def test_a_rim_has_its_level_at_the_edge_and_fades_within_its_width():
    shape = (60, 40, 1)
    brain = np.zeros(shape, np.float32)
    brain[10:50, :] = 1
    points = world_points(shape, axial_affine(shape[:2], 1, (2.0, 2.0, 2.0)))
    drawn = Edge.draw(rng_of(0))
    flat = replace(drawn.patches, amplitude=0 * drawn.patches.amplitude)
    level = np.full(len(METABOLITES), 0.5, np.float32)
    factors = Edge(level, 6.0, flat)(brain, points)[:, 20, 0, 0]
    inside = factors[10:50]
    np.testing.assert_allclose(inside, inside[::-1], atol=1e-5)
    assert inside[0] < 0.6
    assert (np.diff(inside[:20]) >= -1e-5).all()
    np.testing.assert_allclose(inside[15:25], 1, atol=0.01)


def test_masks_are_whole_with_holes_or_what_passes_quality_control(patients):
    affine = axial_affine((40, 48), 3, (5.0, 5.0, 5.0))
    points = world_points((40, 48, 3), affine)
    whole = next(p for p in patients if p.whole and not p.holes[1])
    holed = next(p for p in patients if p.whole and p.holes[1] > 0.1)
    for p in (whole, holed):
        fractions = p.fractions((40, 48, 3), affine)
        mask = p.trusted(fractions, affine, points, rng_of(0))
        brain = brain_of(fractions) > 0.6
        assert not (mask & ~brain).any()
        assert mask.sum() == pytest.approx((1 - p.holes[1]) * brain.sum(), abs=2)
    usual = next(p for p in patients if not p.whole and not p.holes[1])
    fractions = usual.fractions((40, 48, 3), affine)
    mask = usual.trusted(fractions, affine, points, rng_of(0))
    assert 0.6 < mask.sum() / (brain_of(fractions) > 0.6).sum() < 0.95


def test_the_size_of_voxels_is_read_from_their_centres():
    affine = axial_affine((4, 5), 1, (2.0, 3.5, 5.0))
    np.testing.assert_allclose(voxel_size(world_points((4, 5, 1), affine)), [2, 3.5, np.inf])
    turned = affine[:, [1, 2, 0, 3]]
    np.testing.assert_allclose(voxel_size(world_points((4, 5, 6), turned)), [3.5, 5, 2])
