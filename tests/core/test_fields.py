"""Random fields: their variance, their length, and their independence."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import rng_of

from ftddm_core.phantom.anatomy import world_points
from ftddm_core.phantom.fields import RandomField


@pytest.mark.parametrize("length", [8.0, 30.0])
def test_fields_have_zero_mean_unit_variance_and_their_length(length):
    """Over many draws, the covariance at distance d is exp(-d^2 / (2 l^2)), in any direction."""
    distance = np.array([0, 0.5, 1, 2]) * length
    direction = np.array([2.0, -1.0, 2.0]) / 3
    points = 40 + distance[:, None] * direction
    draws = np.concatenate(
        [RandomField.draw(rng_of(seed), length, 20)(points) for seed in range(400)], axis=1
    )
    np.testing.assert_allclose(draws.mean(1), 0, atol=0.04)
    expected = np.exp(-(distance**2) / (2 * length**2))
    np.testing.assert_allclose((draws[0] * draws).mean(1), expected, atol=0.05)
    np.testing.assert_allclose(draws.var(1), 1, atol=0.05)


def test_fields_are_independent_and_functions_of_the_world():
    field = RandomField.draw(rng_of(0), 10.0, 3, n_features=4000)
    points = world_points((30, 30, 30), np.diag([8.0, 8.0, 8.0, 1.0]))
    values = field(points)
    correlation = np.corrcoef(values.reshape(-1, 3).T)
    np.testing.assert_allclose(correlation, np.eye(3), atol=0.08)
    np.testing.assert_array_equal(field(points[3:9, ::2]), values[3:9, ::2])
