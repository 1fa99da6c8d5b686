"""What an output means: the velocity and the noise amount to the same x0."""

from __future__ import annotations

import pytest
import torch
from networks import conditions, randn, tiny_unet

from ftddm_core.model.prediction import PREDICTIONS, regression_x0, target_of, x0_of
from ftddm_core.model.schedule import NoiseSchedule
from ftddm_core.model.unet import UNet, UNetConfig

SCHEDULE = NoiseSchedule()


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("t", [1, 100, 700])
def test_x0_comes_back_from_the_target(prediction, t):
    x0, eps = randn(3, 1, 8, 8, seed=0), randn(3, 1, 8, 8, seed=1)
    level = torch.full((3,), t)
    x_t = SCHEDULE.add_noise(x0, level, eps)
    output = target_of(SCHEDULE, prediction, x0, eps, level)
    for asked in (t, level):
        found = x0_of(SCHEDULE, prediction, output, x_t, asked)
        torch.testing.assert_close(found, x0, atol=1e-4, rtol=1e-4)


def test_an_error_of_the_noise_grows_with_the_level_and_one_of_the_velocity_does_not():
    x0, eps = randn(1, 1, 8, 8, seed=0), randn(1, 1, 8, 8, seed=1)
    found = {}
    for prediction in PREDICTIONS:
        for t in (20, 200, 900):
            x_t = SCHEDULE.add_noise(x0, t, eps)
            output = target_of(SCHEDULE, prediction, x0, eps, torch.tensor([t])) + 0.1
            error = x0_of(SCHEDULE, prediction, output, x_t, t) - x0
            found[prediction, t] = float(error.abs().mean())
    assert max(found["v", t] for t in (20, 200, 900)) <= 0.1001
    assert found["eps", 900] > 5 * found["eps", 200] > 25 * found["eps", 20]


def test_the_regression_is_the_networks_answer_to_nothing_at_the_last_level():
    network, channels, s = tiny_unet(), conditions(2, 16, 24), torch.tensor([2.0, 5.0])
    found = regression_x0(SCHEDULE, network, channels, s)
    v = network(torch.zeros(2, 1, 16, 24), channels, torch.tensor([1000, 1000]), s)
    torch.testing.assert_close(found, -SCHEDULE.noise(1000) * v)


def test_a_network_predicts_what_is_known():
    with pytest.raises(ValueError, match="prediction is one of"):
        UNet(UNetConfig(prediction="x0"))  # type: ignore[arg-type]
