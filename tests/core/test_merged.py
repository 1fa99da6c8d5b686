"""The merged flow draws what the flow draws."""

from __future__ import annotations

import pytest
import torch
from networks import TINY_FLOW, conditions, randn, shaken, tiny_flow

from ftddm_core.model.bijections import ActNorm, Sequence
from ftddm_core.model.flow import ConditionalGlow, FlowConfig
from ftddm_core.model.merged import MergedFlow

LONGER = FlowConfig(encoder=TINY_FLOW.encoder, steps=3, hidden=8)


def longer() -> ConditionalGlow:
    return shaken(lambda: ConditionalGlow(LONGER), seed=4, size=0.05)


@pytest.mark.parametrize("build", [tiny_flow, longer])
@pytest.mark.parametrize("grid", [(64, 64), (48, 56), (8, 8)])
@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
def test_the_merged_flow_draws_what_the_flow_draws(
    build: type, grid: tuple[int, int], tau: float
) -> None:
    flow = build()
    given = (conditions(3, *grid), torch.tensor([1, 50, 250]), torch.tensor([2.0, 4.0, 8.0]))
    normal = randn(3, 1, *grid, seed=5)
    expected = flow.sample(normal, flow.encode(*given), tau)
    merged = MergedFlow(flow)
    found = merged.sample(normal, merged.encode(*given), tau)
    assert float(expected.std()) > 0.05
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_what_conditions_say_serves_any_number_of_draws() -> None:
    flow = tiny_flow()
    merged, given = MergedFlow(flow), (conditions(1, 16, 16), torch.tensor([50]), torch.ones(1) * 4)
    conditioning = merged.encode(*given)
    before = [conditioning.mean.clone(), conditioning.steps[0][0][0].clone()]
    for seed in range(3):
        normal = randn(1, 1, 16, 16, seed=seed)
        expected = flow.sample(normal, flow.encode(*given), 0.7)
        torch.testing.assert_close(
            merged.sample(normal, conditioning, 0.7), expected, rtol=0, atol=1e-5
        )
    assert torch.equal(conditioning.mean, before[0])
    assert torch.equal(conditioning.steps[0][0][0], before[1])
    assert conditioning.nbytes > 4 * 2 * 16 * 16


def test_it_keeps_the_weights_it_was_made_of() -> None:
    flow = tiny_flow()
    kept = {name: value.clone() for name, value in flow.state_dict().items()}
    merged = MergedFlow(flow)
    merged.encode(conditions(1, 16, 16), torch.tensor([50]), torch.ones(1))
    assert all(torch.equal(value, kept[name]) for name, value in flow.state_dict().items())


def test_steps_that_are_laid_out_otherwise_are_refused() -> None:
    flow = tiny_flow()
    flow.levels[1] = Sequence([ActNorm(8)])
    with pytest.raises(TypeError, match="laid out as ActNorm"):
        MergedFlow(flow)
