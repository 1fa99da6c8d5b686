"""Calibration on samplers whose calibration is known: right, overconfident, clamped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ftddm_core.errors import GeometryError, SettingsError
from ftddm_core.evaluation.calibration import coverage, fair_crps, rank_histogram, spread_error

Array = NDArray[Any]
EVERY_FIGURE = pytest.mark.parametrize(
    "figure", [coverage, fair_crps, spread_error, rank_histogram]
)
SHAPE = (150, 200)


def draw(n: int, width: float = 1.0, seed: int = 0) -> tuple[Array, Array, Array]:
    """Return samples of N(mean, width^2), truths of N(mean, 1), and where they count."""
    rng = np.random.default_rng(seed)
    mean = 3 * rng.standard_normal(SHAPE)
    samples = mean + width * rng.standard_normal((n, *SHAPE))
    return samples, mean + rng.standard_normal(SHAPE), rng.random(SHAPE) < 0.9


@pytest.mark.parametrize("n", [2, 4, 19])
def test_the_truth_of_a_calibrated_sampler_has_every_rank_alike(n: int) -> None:
    case = draw(n)
    chance = 5 * np.sqrt(n) / (n + 1) / np.sqrt(case[2].sum())
    np.testing.assert_allclose(rank_histogram(*case), 1 / (n + 1), atol=chance)
    assert coverage(*case) == pytest.approx((n - 1) / (n + 1), abs=0.01)
    assert spread_error(*case) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("width", [0.5, 2.0])
def test_spread_over_error_of_gaussians_in_closed_form(width: float) -> None:
    n = 8
    expected = np.sqrt((n + 1) / n * width**2 / (1 + width**2 / n))
    assert spread_error(*draw(n, width)) == pytest.approx(expected, rel=0.02)


def test_an_overconfident_sampler_shows() -> None:
    case = draw(19, width=0.5)
    histogram = rank_histogram(*case)
    assert coverage(*case) < 0.8
    assert histogram[0] > 0.1 > 0.05 > histogram[10]


@pytest.mark.parametrize("n", [2, 3, 16])
def test_the_crps_is_fair_whatever_the_number_of_samples(n: int) -> None:
    """A standard Gaussian scores 1 / sqrt(pi) against its own draws, wrong widths score more."""
    assert fair_crps(*draw(n)) == pytest.approx(1 / np.sqrt(np.pi), abs=0.02)
    for wrong in (0.5, 2.0):
        assert fair_crps(*draw(n, wrong)) > 1 / np.sqrt(np.pi) + 0.03


def test_the_crps_pair_by_pair() -> None:
    samples, truth, mask = (array[..., :4, :5] for array in draw(5))
    scores = []
    for i, j in np.argwhere(mask):
        x, y = samples[:, i, j], truth[i, j]
        pairs = np.abs(x[:, None] - x[None]).sum()
        scores.append(np.abs(x - y).mean() - pairs / (2 * 5 * 4))
    assert fair_crps(samples, truth, mask) == pytest.approx(np.mean(scores))


def test_ties_by_hand() -> None:
    samples = np.array([[0.0, 0, 1], [0, 2, 2], [0, 3, 3]])  # three samples of three voxels
    truth = np.array([0.0, 0, 4])
    every = np.ones(3, bool)
    # The first ties with all three samples, the second with its smallest; the third is above all.
    assert coverage(samples, truth, every) == pytest.approx(2 / 3)
    ranks = [[1 / 4, 1 / 4, 1 / 4, 1 / 4], [1 / 2, 1 / 2, 0, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(rank_histogram(samples, truth, every), np.mean(ranks, axis=0))


def test_a_clamped_calibrated_sampler_has_a_flat_histogram_but_more_coverage() -> None:
    samples, truth, mask = draw(9)
    clamped = np.maximum(samples, 0), np.maximum(truth, 0), mask  # half of all values are 0
    np.testing.assert_allclose(rank_histogram(*clamped), 0.1, atol=0.01)
    assert coverage(*clamped) > 0.85 > coverage(samples, truth, mask)


@EVERY_FIGURE
def test_voxels_outside_the_mask_do_not_matter(figure: Any) -> None:
    samples, truth, mask = draw(4)
    spoilt = np.where(mask, samples, np.nan), np.where(mask, truth, 1e6), mask
    np.testing.assert_array_equal(figure(*spoilt), figure(samples, truth, mask))


@EVERY_FIGURE
def test_an_empty_mask_is_undefined(figure: Any) -> None:
    samples, truth, mask = draw(4)
    assert np.isnan(figure(samples, truth, mask & False)).all()


def test_a_mean_that_is_the_truth_has_an_infinite_spread_over_error() -> None:
    samples = np.array([[1.0], [3.0]])
    assert spread_error(samples, np.array([2.0]), np.array([True])) == np.inf


@EVERY_FIGURE
def test_what_does_not_match_is_refused(figure: Any) -> None:
    samples, truth, mask = draw(4)
    with pytest.raises(GeometryError, match="do not match"):
        figure(samples[..., 1:], truth, mask)
    with pytest.raises(SettingsError, match="found 1"):
        figure(samples[:1], truth, mask)
