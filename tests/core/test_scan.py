"""A simulated scan: noise, sampling of k-space, and a coarse scan of the same patient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from heads import nested_head
from phantoms import rng_of

from ftddm_core.imaging.fourier import truncate
from ftddm_core.phantom.metabolites import METABOLITES
from ftddm_core.phantom.patient import Patient, lay_slab, scan_coarsely, simulate_study
from ftddm_core.phantom.scan import FULL, Sampling, measure, scan_again


@pytest.mark.parametrize("matrix", [(16, 16), (21, 13)])
def test_a_coarse_scan_has_the_noise_of_a_truncated_one(matrix):
    """The same time per k-space sample: deviation falls with sqrt((nx/Nx)(ny/Ny))."""
    truth = np.full((64, 48, 12), 10.0, np.float32)
    anew = scan_again(truth, matrix, 0.5, rng_of(0))
    again = truncate(measure(truth, 0.5, rng_of(1)), matrix)
    expected = 0.5 * np.sqrt(matrix[0] * matrix[1] / (64 * 48))
    assert anew.std() == pytest.approx(expected, rel=0.06)
    assert again.std() == pytest.approx(expected, rel=0.06)
    assert anew.mean() == pytest.approx(10, abs=0.01)
    assert anew.shape == (*matrix, 12)
    np.testing.assert_allclose(
        scan_again(truth * 0 + rng_of(2).random(truth.shape, np.float32), matrix, 0.0, rng_of(0)),
        truncate(rng_of(2).random(truth.shape, np.float32), matrix),
        atol=1e-6,
    )


def test_fits_are_never_negative():
    truth = rng_of(0).random((16, 16, 4), np.float32) - 0.2
    assert measure(truth, 1.0, rng_of(1)).min() == 0
    assert scan_again(truth, (8, 8), 1.0, rng_of(1)).min() == 0
    np.testing.assert_array_equal(measure(truth, 0.0, rng_of(1)), np.maximum(truth, 0))


@pytest.mark.parametrize("matrix", [(16, 16), (21, 14)])
def test_a_full_sampling_changes_nothing_and_a_filter_blurs(matrix):
    image = rng_of(0).random((*matrix, 3), np.float32)
    np.testing.assert_allclose(FULL.blur(image), image, atol=1e-6)
    smooth = Sampling(hamming=1.0)
    point = np.zeros(matrix, np.float32)
    point[0, 0] = 1
    # The weight is 1 in the middle of k-space and 0.08 at its edge, on each axis.
    assert smooth.blur(point).sum() == pytest.approx(1, abs=1e-5)
    assert smooth.weights((16, 16))[8, 0] == pytest.approx(0.08, abs=1e-6)
    assert smooth.weights((16, 16))[4, 0] == pytest.approx(0.54, abs=1e-6)
    half = Sampling(hamming=0.5).weights((16, 16))[4, 0]
    assert half == pytest.approx((1 + 0.54) / 2, abs=1e-6)


@pytest.mark.parametrize("n", [16, 21])
def test_an_ellipse_holds_pi_quarters_of_the_box(n):
    window = Sampling(elliptical=True).weights((4 * n, 4 * n))
    assert window.mean() == pytest.approx(np.pi / 4, abs=0.02)
    assert set(np.unique(window)) == {0, 1}


@pytest.mark.parametrize("sampling", [FULL, Sampling(True), Sampling(False, 1.0)])
def test_noise_has_unit_deviation_and_the_colour_of_the_window(sampling):
    noise = sampling.noise((32, 24, 200), rng_of(0))
    assert noise.std() == pytest.approx(1, rel=0.02)
    power = (np.abs(np.fft.fft2(noise, axes=(0, 1))) ** 2).mean(-1)
    window = sampling.weights((32, 24)) ** 2
    # Each sample's power is a mean over 200 slices: within half, where 7 % is its deviation.
    np.testing.assert_allclose(power / power.mean(), window / window.mean(), rtol=0.5, atol=1e-6)


def test_every_way_to_sample_is_drawn():
    drawn = [Sampling.draw(rng_of(seed)) for seed in range(200)]
    assert 0.2 < np.mean([s.elliptical for s in drawn]) < 0.5
    assert 0.2 < np.mean([s.hamming > 0 for s in drawn]) < 0.5
    assert all(s.hamming == 0 or 0.5 <= s.hamming <= 1 for s in drawn)


def test_a_study_shows_the_point_spread_of_its_sampling():
    patient = Patient.draw(nested_head(), rng_of(1))
    slab = {"matrix": (32, 32), "n_slices": 2, "voxel": (6.8, 6.8, 6.8), "mri_voxel": 6.8}
    smooth = Sampling(hamming=1.0)
    _, sharp = simulate_study(patient, rng_of(0), sampling=FULL, **slab)
    _, blurred = simulate_study(patient, rng_of(0), sampling=smooth, **slab)
    for name in METABOLITES:
        expected = np.maximum(smooth.blur(sharp.maps[name].data), 0)
        np.testing.assert_allclose(blurred.maps[name].data, expected, atol=1e-5)


def test_a_coarse_scan_sees_the_whole_head_with_noise_of_its_own(patients):
    patient, *_ = patients[0]
    slab = lay_slab(patient, rng_of(1), matrix=(40, 48), n_slices=2, voxel=(5.0,) * 3,
                    mri_voxel=9.0)  # fmt: skip
    quiet = replace(slab, deviation=0 * slab.deviation, lipid_amount=0 * slab.lipid_amount)
    one, two = (scan_coarsely(slab, (20, 24), rng_of(seed)) for seed in (2, 3))
    exact = scan_coarsely(quiet, (20, 24), rng_of(2))
    grid = one.grid
    assert grid.shape == (20, 24, 2)
    np.testing.assert_allclose(grid.affine[:3, 3], slab.affine[:3, 3])  # the first voxel's centre
    np.testing.assert_allclose(grid.voxel_size, (10, 10, 5))
    assert one.t1 is slab.t1
    np.testing.assert_array_equal(one.mask.data, slab.mask)
    for number, name in enumerate(METABOLITES):
        assert (one.maps[name].data != two.maps[name].data).any()
        whole = truncate(slab.truth[number], (20, 24))
        masked = truncate(slab.truth[number] * slab.mask, (20, 24))
        seen = exact.maps[name].data
        assert np.abs(seen - whole).mean() < 0.8 * np.abs(seen - masked).mean()
