"""Ratios of maps, against numbers computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ftddm_core.imaging.ratio import FLOOR, floor_of, ratio, ratio_of_samples


def test_a_ratio_stops_at_the_floor() -> None:
    above = np.array([[1.0, 2.0, 3.0], [4.0, np.nan, -1.0]])
    below = np.array([[4.0, 0.5, 0.49], [0.0, 2.0, 2.0]])
    expected = [[0.25, 4.0, np.nan], [np.nan, np.nan, -0.5]]
    np.testing.assert_array_equal(ratio(above, below, 0.5), expected)
    np.testing.assert_array_equal(ratio(above, np.full((2, 3), -3.0), 0.5), np.full((2, 3), np.nan))


def test_no_floor_lets_zero_through() -> None:
    assert np.isnan(ratio(np.ones(1), np.zeros(1), 0.0)).all()
    assert np.isnan(ratio(np.ones(1), np.array([np.inf]), 0.1)).all()


def test_the_floor_is_a_share_of_the_scale() -> None:
    assert FLOOR == 0.05
    assert floor_of(12.0) == pytest.approx(0.6)


def test_the_mean_of_ratios_is_not_the_ratio_of_means() -> None:
    """1/2 and 3/1: their mean is 1.75, the ratio of the means 2/1.5; n - 1 in the deviation."""
    above = np.array([[1.0], [3.0]])
    below = np.array([[2.0], [1.0]])
    mean, deviation = ratio_of_samples(above, below, 0.1)
    assert deviation is not None
    assert mean[0] == pytest.approx(1.75)
    assert deviation[0] == pytest.approx(np.sqrt(2 * 1.25**2))
    assert mean[0] != pytest.approx(2 / 1.5)


def test_one_sample_below_the_floor_leaves_no_ratio() -> None:
    above = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 4.0]])
    below = np.array([[1.0, 1.0], [0.01, 2.0], [1.0, 4.0]])
    mean, deviation = ratio_of_samples(above, below, 0.1)
    assert deviation is not None
    assert np.isnan(mean[0])
    assert np.isnan(deviation[0])
    assert mean[1] == pytest.approx(2.5 / 3)
    assert deviation[1] == pytest.approx(np.std([1, 0.5, 1], ddof=1))


def test_a_single_sample_has_no_deviation_and_strangers_are_ignored() -> None:
    above = [np.array([2.0]), np.array([100.0])]
    mean, deviation = ratio_of_samples(above, [np.array([4.0])], 0.1)
    assert deviation is None
    assert mean[0] == 0.5
