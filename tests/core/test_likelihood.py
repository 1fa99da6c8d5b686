"""The flow's metrics with networks whose density, answer and spread are known exactly."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from networks import TINY_FLOW, conditions, randn, tiny_flow, tiny_unet
from torch import Tensor

from ftddm_core.errors import SettingsError
from ftddm_core.evaluation.likelihood import (
    FACTORS,
    WRONG,
    _residual_variances,
    _wrongly,
    flow_metrics,
    flow_spread,
)
from ftddm_core.model.checkpoint import Weights
from ftddm_core.model.flow import ConditionalGlow
from ftddm_core.model.schedule import NoiseSchedule

SCHEDULE = NoiseSchedule()
LEVELS = (1, 20, 100, 200)
WIDTH = math.exp(-3)
"""Deviation that an untrained flow gives x0 inside the mask; its mean is the zero-filled map."""


class Knowing(torch.nn.Module):
    """Answers as if x0 were the zero-filled map times s / 4."""

    config = SimpleNamespace(prediction="v")

    def forward(self, x_t: Tensor, condition: Tensor, t: Tensor, upscale: Tensor) -> Tensor:
        x0 = condition[:, :1] * condition[:, 1:2] * upscale.view(-1, 1, 1, 1) / 4
        signal, noise = SCHEDULE.signal(t), SCHEDULE.noise(t)
        return signal * (x_t - signal * x0) / noise - noise * x0


class Passing(torch.nn.Module):
    """A regression whose x0 is the zero-filled map."""

    def forward(self, x_t: Tensor, condition: Tensor, t: Tensor, upscale: Tensor) -> Tensor:
        return -condition[:, :1] / SCHEDULE.noise(t)


def case(
    seed: int, factor: float = 4.0, width: float = WIDTH, level: float = 0.0, batch: int = 4
) -> tuple[Tensor, Tensor, Tensor]:
    """Return x0 = lowres s / 4 + width N(0, 1) inside the mask, lowres around a level."""
    condition = conditions(batch, 32, 24, seed=seed)
    condition[:, 0] += level
    noise = width * randn(batch, 1, 32, 24, seed=100 + seed)
    upscale = torch.full((batch,), factor)
    return condition[:, 1:2] * (condition[:, :1] * factor / 4 + noise), condition, upscale


def weights(flow: Any = None, denoiser: Any = None) -> Weights:
    untrained = ConditionalGlow(TINY_FLOW).eval().requires_grad_(False)
    return Weights("known", "0" * 64, denoiser or Knowing(), flow or untrained)


def entropy(cases: list[tuple[Tensor, Tensor, Tensor]], level: int) -> float:
    """Return the bits a voxel of N(., 1 - ab + ab m width^2), its own draws' -log2 p on average."""
    ab = float(SCHEDULE.alpha_bar[level])
    mask = torch.cat([condition[:, 1:2] for _, condition, _ in cases])
    variance = 1 - ab + ab * mask * WIDTH**2
    return float(0.5 * torch.log2(2 * math.pi * math.e * variance).mean())


def test_the_likelihood_of_a_gaussian_is_its_entropy() -> None:
    """An untrained flow is N(sqrt(ab) m lowres, 1 - ab + ab m width^2), and the truth is too."""
    cases = [case(1), case(2)]
    table = flow_metrics(weights(), Passing(), cases, [case(3), case(4)], LEVELS)  # type: ignore[arg-type]
    assert [line["level"] for line in table] == list(LEVELS)
    for line in table:
        assert line["slices"] == 8
        assert line["flow_bits"] == pytest.approx(entropy(cases, line["level"]), abs=0.03)
        assert line["gaussian_bits"] == pytest.approx(line["flow_bits"], abs=2e-3)


def test_a_wrong_variance_costs_bits() -> None:
    """Fitted where residuals are four times as wide, the Gaussian loses to the flow."""
    cases, wide = [case(1)], [case(3, width=4 * WIDTH)]
    for line in flow_metrics(weights(), Passing(), cases, wide, LEVELS):  # type: ignore[arg-type]
        assert line["gaussian_bits"] > line["flow_bits"]


def test_the_gaussian_has_one_variance_a_factor() -> None:
    """Residuals at s = 8 do not widen it at s = 4; where nothing was fitted, all count."""
    fit = [case(3), case(4, factor=8.0, width=5 * WIDTH)]
    alone, both, other = (
        flow_metrics(weights(), Passing(), [one], fitted, (1, 20))[0]["gaussian_bits"]  # type: ignore[arg-type]
        for one, fitted in ((case(1), fit[:1]), (case(1), fit), (case(1), fit[1:]))
    )
    assert alone == both < other - 0.1
    assert 4.0 in FACTORS
    assert 8.0 in FACTORS


def test_a_factor_without_slices_has_the_variance_of_all() -> None:
    found = _residual_variances(Passing(), [case(3)])  # type: ignore[arg-type]
    assert found.tolist() == pytest.approx([WIDTH**2] * len(FACTORS), rel=0.1)


def test_wrong_conditioning() -> None:
    _, condition, _ = case(1)
    upscale = torch.tensor([2.0, 3.9, 4.1, 8.0])
    told = _wrongly(20, 100, condition, upscale)
    assert [told[f"_{name}"][0] for name in WRONG] == [100, 20, 20]
    assert told["_wrong_s"][2].tolist() == [8, 8, 2, 2]
    shuffled = told["_shuffled_y"][1]
    assert torch.equal(shuffled[1:, 0], condition[:-1, 0])
    assert torch.equal(shuffled[:, 1:], condition[:, 1:])


def test_wrong_conditioning_makes_networks_worse() -> None:
    cases = [case(1, width=0.0), case(2, factor=6.0, width=0.0)]
    flow = tiny_flow()  # every weight matters, that of s included
    for line in flow_metrics(weights(flow), None, cases, levels=LEVELS):
        assert "gaussian_bits" not in line
        assert line["denoiser_loss"] == pytest.approx(0, abs=1e-6)
        for wrong in WRONG:
            assert line[f"denoiser_loss_{wrong}"] > 1e-5, wrong
            assert line[f"flow_bits_{wrong}"] != line["flow_bits"], wrong
    for line in flow_metrics(weights(), None, [case(1)], levels=LEVELS):
        for wrong in ("wrong_level", "shuffled_y"):
            assert line[f"flow_bits_{wrong}"] > line["flow_bits"] + 1e-3, wrong
        # Its output layers are still 0, so that an untrained flow does not hear s.
        assert line["flow_bits_wrong_s"] == line["flow_bits"]


def test_the_denoisers_loss_is_that_inside_the_mask() -> None:
    """An answer that is off by 0.5 in the mask and wild outside loses 0.25."""

    class Off(Knowing):
        def forward(self, x_t: Tensor, condition: Tensor, t: Tensor, upscale: Tensor) -> Tensor:
            error = torch.where(condition[:, 1:2] > 0, 0.5, 1e3)
            return super().forward(x_t, condition, t, upscale) + error

    line = flow_metrics(weights(denoiser=Off()), None, [case(1, width=0.0)], levels=(20, 100))[0]
    assert line["denoiser_loss"] == pytest.approx(0.25, rel=1e-4)


def test_metrics_are_repeatable_and_follow_the_seed() -> None:
    first, again, other = (
        flow_metrics(weights(), None, [case(1)], levels=(20, 100), seed=seed) for seed in (0, 0, 1)
    )
    assert first == again != other


@pytest.mark.parametrize(("width", "expected"), [(WIDTH, 1.0), (2 * WIDTH, 0.5)])
def test_the_spread_of_a_gaussian_flow(width: float, expected: float) -> None:
    """A truth twice as wide as the samples is twice as far from their mean, N = 64 being many."""
    cases = [case(seed, width=width, level=9.0) for seed in range(10, 14)]
    assert flow_spread(weights(), cases, samples=64) == pytest.approx(expected, rel=0.05)


def test_the_spread_is_of_clipped_maps_inside_the_mask() -> None:
    """Far below 0 every sample is clipped to 0: no spread, whatever the error."""
    assert flow_spread(weights(), [case(1, level=-9.0)], samples=4) == 0


def test_what_makes_no_sense_is_refused() -> None:
    one = case(1, batch=1)
    refused: list[tuple[dict[str, Any], str]] = [
        ({"cases": [one]}, "two slices"),
        ({"cases": []}, "two slices"),
        ({"levels": (20,)}, "two or more"),
        ({"levels": (20, 251)}, "to 250"),
        ({"levels": (0, 20)}, "from 1"),
        ({"regression": tiny_unet()}, "fit_cases"),
    ]
    for change, message in refused:
        given = {"weights": weights(), "regression": None, "cases": [case(1)]} | change
        with pytest.raises(SettingsError, match=message):
            flow_metrics(**given)
    with pytest.raises(SettingsError, match="two samples"):
        flow_spread(weights(), [one], samples=1)
    with pytest.raises(SettingsError, match="a case"):
        flow_spread(weights(), [])
