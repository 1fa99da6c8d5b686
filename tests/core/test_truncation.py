"""Where the flow hands over to the chain: every T_trunc from 0 to 1000."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from networks import tiny_flow, tiny_weights
from numpy.typing import NDArray
from resolving import DRAWN, PAPER, SCHEDULE, images, phantom, spy
from torch import Tensor

from ftddm_core.sampling.condition import form_conditions
from ftddm_core.sampling.noise import NoiseKey
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_core.settings import SamplerSettings


def test_t_trunc_0_never_calls_the_denoiser_and_is_the_flow_at_level_1(
    resolver: SuperResolver,
) -> None:
    counted = spy(resolver)
    settings = PAPER.replace(t_trunc=0, steps=None, tau_flow=0.6, seed=5)
    found = images(resolver, phantom(), settings)
    assert counted.inputs == []
    for name, (x, condition) in starts(level=1, tau=0.6, seed=5).items():
        nx, ny, _ = condition.shape
        expected = np.maximum(x[:nx, :ny], 0) * condition.mask * condition.scale
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=1e-4 * condition.scale)


def starts(level: int, tau: float, seed: int) -> dict[str, tuple[NDArray[Any], Any]]:
    """Draw the flow's x_level slice by slice, by the flow itself: (Hp, Wp, Z) each."""
    flow, found = tiny_flow(), {}
    for condition in form_conditions(phantom(), 2):
        channels = torch.from_numpy(np.ascontiguousarray(np.moveaxis(condition.channels, -1, 0)))
        slices = []
        for k in range(len(channels)):
            key = NoiseKey(seed, condition.metabolite, k, 0)
            noise = torch.from_numpy(key.normal("flow", channels.shape[2:]))[None, None]
            s = torch.tensor([condition.upscale])
            encoded = flow.encode(channels[k : k + 1], torch.tensor([level]), s)
            slices.append(flow.sample(noise, encoded, tau)[0, 0].numpy())
        found[condition.metabolite] = (np.stack(slices, axis=-1), condition)
    return found


def first_x_t(resolver: SuperResolver, settings: SamplerSettings) -> dict[NoiseKey, Tensor]:
    counted = spy(resolver)
    update = next(iter(resolver.stream(phantom(), settings)))
    assert counted.levels == [settings.t_trunc]
    return dict(zip(update.keys, counted.inputs[0][0][:, 0], strict=True))


@pytest.mark.parametrize("t_trunc", [1, 20, 100, 250])
def test_the_chain_starts_where_the_flow_ends(resolver: SuperResolver, t_trunc: int) -> None:
    settings = DRAWN.replace(t_trunc=t_trunc, steps=1, tau_flow=0.6, seed=5)
    expected = starts(t_trunc, 0.6, 5)
    for key, x in first_x_t(resolver, settings).items():
        own = expected[key.metabolite][0][..., key.slice_index]
        np.testing.assert_allclose(x.numpy(), own, rtol=0, atol=1e-4)


@pytest.mark.parametrize("t_trunc", [251, 600, 999])
def test_beyond_the_flow_noise_of_the_flows_temperature_is_added(
    resolver: SuperResolver, t_trunc: int
) -> None:
    settings = DRAWN.replace(t_trunc=t_trunc, steps=1, tau_flow=0.6, seed=5)
    ratio = float(SCHEDULE.alpha_bar[t_trunc] / SCHEDULE.alpha_bar[250])
    expected = starts(250, 0.6, 5)
    for key, x in first_x_t(resolver, settings).items():
        own = expected[key.metabolite][0][..., key.slice_index]
        noise = key.normal("jump", tuple(x.shape))
        own = math.sqrt(ratio) * own + math.sqrt((1 - ratio) * 0.6) * noise
        np.testing.assert_allclose(x.numpy(), own, rtol=0, atol=1e-4)


def test_t_trunc_1000_never_calls_the_flow_and_starts_from_pure_noise(
    resolver: SuperResolver,
) -> None:
    resolver.flow = None  # type: ignore[assignment]
    settings = DRAWN.replace(t_trunc=1000, steps=2, tau_flow=0.25, seed=5)
    assert all(image.max() > 0 for image in images(resolver, phantom(), settings).values())
    for key, x in first_x_t(resolver, settings).items():
        np.testing.assert_allclose(x.numpy(), 0.5 * key.normal("jump", tuple(x.shape)))


def test_999_and_1000_start_from_the_same_noise(resolver: SuperResolver) -> None:
    both = []
    for t_trunc in (999, 1000):
        settings = DRAWN.replace(t_trunc=t_trunc, steps=1)
        both.append(first_x_t(SuperResolver(tiny_weights(), "cpu"), settings))
    for key, x in both[0].items():
        assert float((x - both[1][key]).abs().max()) < 0.05
