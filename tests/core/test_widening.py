"""The widening of the samples' spread: by factor and variation, checked by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ftddm_core.conventions import CHANNELS, channel
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.sampling.condition import Condition, form_conditions
from ftddm_core.sampling.widening import MOST, VARIES, variation, widened, widening


@pytest.fixture
def condition() -> Condition:
    """Return the condition of a map of two halves, 1 and 3: coefficient of variation 0.5."""
    data = np.ones((16, 16, 1), np.float32)
    data[8:] = 3
    volume = Volume(data, np.diag([8.0, 8.0, 8.0, 1.0]))
    study = Study({"tNAA": volume}, mask=volume.with_data(np.ones_like(data)))
    (found,) = form_conditions(study, 4.0)
    return found


def with_inside(condition: Condition, values: np.ndarray, upscale: float) -> Condition:
    channels = condition.channels.copy()
    nx, ny, _ = condition.shape
    channels[channel("inside"), :nx, :ny] = values
    assert len(channels) == len(CHANNELS)
    return replace(condition, channels=channels, upscale=upscale)


def halves(condition: Condition, relative: float) -> np.ndarray:
    """Return values with a coefficient of variation, half of them below and half above 1."""
    values = np.full(condition.shape, 1 - relative, np.float32)
    values[::2] = 1 + relative
    return values


def test_variation_is_that_of_the_acquired_map(condition: Condition) -> None:
    assert variation(condition) == pytest.approx(0.5, abs=0.06)  # it rings at the step
    assert variation(with_inside(condition, halves(condition, 0.25), 4.0)) == pytest.approx(0.25)
    assert variation(with_inside(condition, np.zeros(condition.shape), 4.0)) == 0


@pytest.mark.parametrize(
    ("relative", "upscale", "expected"),
    [
        (0.1, 8.0, 1.0),
        (0.25, 8.0, 1.1),
        (0.5, 8.0, 1.2),
        (0.5, 4.0, 1.12),
        (0.5, 2.0, 1.0),
        (0.5, 1.5, 1.0),
        (0.5, 2 * np.sqrt(2), 1.06),
    ],
)
def test_widening_by_hand(
    condition: Condition, relative: float, upscale: float, expected: float
) -> None:
    made = with_inside(condition, halves(condition, relative), upscale)
    assert widening(made) == pytest.approx(expected, abs=1e-6)
    assert 1 <= widening(made) <= 1 + max(MOST.values())
    assert VARIES[0] < VARIES[1]


def test_samples_keep_their_mean_and_stay_positive() -> None:
    samples = np.array([[1.0, 0.0], [3.0, 1.0]])
    np.testing.assert_allclose(widened(samples, 1.5), [[0.5, 0.0], [3.5, 1.25]])
    np.testing.assert_array_equal(widened(samples, 1.0), samples)
