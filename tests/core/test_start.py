"""Where a chain starts: the flow's image and the first estimate, as the chain itself has them."""

from __future__ import annotations

import numpy as np
import pytest
from resolving import PAPER, QUICK, phantom

from ftddm_core.sampling.condition import Condition, form_conditions
from ftddm_core.sampling.noise import NoiseKey, batch_normal
from ftddm_core.sampling.recall import Recall
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_core.settings import SamplerSettings

K = 1


@pytest.fixture(scope="module")
def condition() -> Condition:
    return next(iter(form_conditions(phantom(), 2)))


@pytest.mark.parametrize("settings", [QUICK, PAPER, QUICK.replace(t_trunc=400)])
def test_the_estimate_is_the_first_of_the_chain(
    resolver: SuperResolver, condition: Condition, settings: SamplerSettings
) -> None:
    first = next(resolver.sample([condition], settings, slices=[K]))
    assert first.stage == "estimate"
    assert first.t == settings.t_trunc
    start = resolver.start(condition, settings, K)
    np.testing.assert_allclose(start.estimate, first.images[0], atol=1e-5)
    assert not np.allclose(start.flow, start.estimate)


def test_the_flow_alone_starts_where_it_ends(resolver: SuperResolver, condition: Condition) -> None:
    alone = PAPER.replace(t_trunc=0, steps=None)
    *_, last = resolver.sample([condition], alone, slices=[K])
    assert last.result is not None
    drawn = last.result.drawn[condition.metabolite].data[..., K]
    start = resolver.start(condition, alone, K)
    mask = condition.mask[..., K]
    np.testing.assert_allclose(start.estimate, drawn, atol=1e-5)
    np.testing.assert_allclose(np.maximum(start.flow, 0)[mask], drawn[mask], atol=1e-5)
    assert np.any(start.flow[~mask] != 0)  # x is never multiplied by the mask


def test_the_full_chain_starts_from_noise(resolver: SuperResolver, condition: Condition) -> None:
    """x_1000 ~ N(0, tau_f), keyed as everywhere, in the map's unit: times `scale`."""
    full = QUICK.replace(t_trunc=1000, tau_flow=0.25)
    key = NoiseKey(full.seed, condition.metabolite, K, 0)
    nx, ny = condition.shape[:2]
    noise = batch_normal([key], "jump", condition.channels.shape[1:3])[0, 0, :nx, :ny].numpy()
    start = resolver.start(condition, full, K)
    np.testing.assert_allclose(start.flow, 0.5 * noise * condition.scale, rtol=1e-5)


def test_after_an_image_no_network_runs_again(
    resolver: SuperResolver, condition: Condition, monkeypatch: pytest.MonkeyPatch
) -> None:
    recall = Recall()
    list(resolver.sample([condition], QUICK, slices=[K], recall=recall))

    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("a network was called")

    wanted = resolver.start(condition, QUICK, K)
    monkeypatch.setattr(resolver, "denoiser", never)
    monkeypatch.setattr(resolver, "flow", type("Flow", (), {"encode": never, "sample": never})())
    found = resolver.start(condition, QUICK, K, recall=recall)
    np.testing.assert_array_equal(found.flow, wanted.flow)
    np.testing.assert_array_equal(found.estimate, wanted.estimate)
