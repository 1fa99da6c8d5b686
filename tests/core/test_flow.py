"""The flow against autograd's Jacobian, closed-form Gaussians and its own inverse."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from networks import TINY_FLOW, conditions, in_double, randn, tiny_flow
from torch import Tensor
from torch.distributions import Independent, Normal
from torch.utils.flop_counter import FlopCounterMode

from ftddm_core.conventions import CHANNELS
from ftddm_core.errors import SettingsError
from ftddm_core.model.flow import FLOW_PRESETS, ConditionalGlow, Encoded
from ftddm_core.model.unet import UNET_PRESETS, UNet
from ftddm_core.sampling.condition import MULTIPLE

GRIDS = [(64, 64), (56, 56), (48, 64)]


def encode(flow: ConditionalGlow, batch: int, height: int, width: int, t: int = 50) -> Encoded:
    s = torch.linspace(2, 8, batch)
    return flow.encode(conditions(batch, height, width), torch.full((batch,), t), s)


def fresh() -> ConditionalGlow:
    return ConditionalGlow(TINY_FLOW).eval().requires_grad_(False)


def dealt(flow: ConditionalGlow, image: Tensor) -> list[Tensor]:
    """Deal an image's voxels out to the latents as `sample` deals out its noise."""
    latents = []
    for level in range(3):
        image = torch.nn.functional.pixel_unshuffle(image, 2)
        leaving = image.shape[1] // 2 if level < 2 else image.shape[1]
        latents.append(image[:, :leaving])
        image = image[:, leaving:]
    return latents


@pytest.mark.parametrize("grid", GRIDS)
def test_inverse_undoes_forward_in_single_precision(grid: tuple[int, int]) -> None:
    flow = tiny_flow()
    encoded, x = encode(flow, 2, *grid), randn(2, 1, *grid, seed=1)
    latents, _ = flow(x, encoded)
    assert max(float((z - y).abs().max()) for z, y in zip(latents, dealt(flow, x), strict=True)) > 1
    torch.testing.assert_close(flow.inverse(latents, encoded), x, rtol=0, atol=1e-3)


@pytest.mark.parametrize("grid", GRIDS)
def test_inverse_undoes_forward_and_back_in_double_precision(grid: tuple[int, int]) -> None:
    flow = tiny_flow()
    encoded = in_double(flow, encode(flow, 2, *grid))
    x = randn(2, 1, *grid, seed=1).double()
    latents, _ = flow(x, encoded)
    torch.testing.assert_close(flow.inverse(latents, encoded), x, rtol=0, atol=1e-11)
    again, _ = flow(flow.inverse(latents, encoded), encoded)
    torch.testing.assert_close(again, latents, rtol=0, atol=1e-10)


def small_case() -> tuple[ConditionalGlow, Encoded, Tensor]:
    """Return a flow of one 8x8 item in double precision: 64 voxels, a Jacobian of 64 x 64."""
    flow = tiny_flow()
    return flow, in_double(flow, encode(flow, 1, 8, 8)), randn(1, 1, 8, 8, seed=3).double()


def log_det_of(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    jacobian = torch.func.jacrev(lambda v: function(v.view_as(at)).flatten())(at.flatten())
    return torch.linalg.slogdet(jacobian).logabsdet


def joined(latents: list[Tensor]) -> Tensor:
    return torch.cat([z.flatten() for z in latents])


def test_log_determinant_is_that_of_the_jacobian_over_every_voxel() -> None:
    flow, encoded, x = small_case()
    latents, logdet = flow(x, encoded)
    assert joined(latents).numel() == x.numel()
    expected = log_det_of(lambda v: joined(flow(v, encoded)[0]), x)
    assert abs(float(expected)) > 1
    torch.testing.assert_close(logdet[0], expected)


def test_log_prob_is_the_base_density_of_the_latents_and_the_jacobian() -> None:
    flow, encoded, x = small_case()
    latents = flow(x, encoded)[0]
    base = Normal(
        joined([mean for mean, _ in encoded.base]),
        joined([log_deviation.exp() for _, log_deviation in encoded.base]),
    )
    assert float(base.scale.std()) > 0.01
    jacobian = log_det_of(lambda v: joined(flow(v, encoded)[0]), x)
    expected = base.log_prob(joined(latents)).sum() + jacobian
    torch.testing.assert_close(flow.log_prob(x, encoded)[0], expected)


def test_log_prob_of_a_sample_is_that_of_its_noise_and_the_jacobian_of_sampling() -> None:
    flow, encoded, noise = small_case()
    x = flow.sample(noise, encoded, 1.0)
    stretch = log_det_of(lambda n: flow.sample(n, encoded, 1.0), noise)
    expected = Normal(0.0, 1.0).log_prob(noise).sum() - stretch
    torch.testing.assert_close(flow.log_prob(x, encoded)[0], expected)


@pytest.mark.parametrize("t", [1, 50, 250])
def test_starts_as_a_gaussian_around_the_zero_filled_map(t: int) -> None:
    flow, channels = fresh(), conditions(2, 24, 16)
    encoded = flow.encode(channels, torch.full((2,), t), torch.tensor([2.0, 8.0]))
    ab, lowres, mask = float(flow.schedule.alpha_bar[t]), channels[:, :1], channels[:, 1:2]
    deviation = torch.sqrt(1 - ab + ab * mask * math.exp(-3) ** 2)
    gaussian = Independent(Normal(math.sqrt(ab) * mask * lowres, deviation), 3)
    x = gaussian.mean + 2 * deviation * randn(2, 1, 24, 16, seed=4)
    torch.testing.assert_close(flow.log_prob(x, encoded), gaussian.log_prob(x), rtol=1e-5, atol=0)
    noise = randn(2, 1, 24, 16, seed=5)
    spread = (flow.sample(noise, encoded, 1.0) - gaussian.mean) / deviation
    blocks = torch.nn.functional.avg_pool2d(spread**2, 8)
    torch.testing.assert_close(blocks, torch.nn.functional.avg_pool2d(noise**2, 8))


@pytest.mark.parametrize("t", [1, 20, 250])
def test_standardisation_is_exactly_the_levels_noise_outside_the_mask_and_no_less_inside(
    t: int,
) -> None:
    flow, channels = tiny_flow(), conditions(2, 24, 16)
    encoded = flow.encode(channels, torch.full((2,), t), torch.tensor([2.0, 8.0]))
    level, outside = float(flow.schedule.noise(t)), channels[:, 1:2] == 0
    assert (encoded.mean[outside] == 0).all()
    torch.testing.assert_close(
        encoded.deviation[outside], torch.tensor(level).expand(int(outside.sum()))
    )
    assert (encoded.deviation[~outside] > level).all()
    empty = channels.clone()
    empty[:, 1] = 0
    at_start = fresh()
    encoded = at_start.encode(empty, torch.full((2,), t), torch.tensor([2.0, 8.0]))
    noise = randn(2, 1, 24, 16, seed=5)
    sample = at_start.sample(noise, encoded, 1.0)
    torch.testing.assert_close(sample.norm(), level * noise.norm())


def test_temperature_scales_the_variance_of_the_latents() -> None:
    flow = tiny_flow()
    encoded, noise = encode(flow, 2, 16, 24), randn(2, 1, 16, 24, seed=6)
    for tau in (0.25, 0.81, 1.0):
        latents, _ = flow(flow.sample(noise, encoded, tau), encoded)
        for z, (mean, log_deviation), n in zip(
            latents, encoded.base, dealt(flow, noise), strict=True
        ):
            expected = mean + math.sqrt(tau) * log_deviation.exp() * n
            torch.testing.assert_close(z, expected, rtol=0, atol=1e-4)


def test_at_temperature_zero_the_noise_does_not_matter() -> None:
    flow = tiny_flow()
    encoded = encode(flow, 2, 16, 24)
    first, second = (flow.sample(randn(2, 1, 16, 24, seed=k), encoded, 0.0) for k in (7, 8))
    assert torch.equal(first, second)
    at_mean = flow.inverse([mean for mean, _ in encoded.base], encoded)
    torch.testing.assert_close(first, at_mean)
    assert not torch.equal(flow.sample(randn(2, 1, 16, 24, seed=7), encoded, 0.01), first)


def test_noise_stays_where_it_was() -> None:
    flow = fresh()
    encoded, noise = encode(flow, 1, 24, 32), randn(1, 1, 24, 32, seed=9)
    other = noise.clone()
    other[0, 0, 13, 21] += 1
    change = flow.sample(other, encoded, 1.0) - flow.sample(noise, encoded, 1.0)
    rows, columns = torch.nonzero(change[0, 0], as_tuple=True)
    assert {int(row) // 8 for row in rows} == {1}
    assert {int(column) // 8 for column in columns} == {2}


def test_an_item_does_not_depend_on_its_batch() -> None:
    flow = tiny_flow()
    channels, noise = conditions(3, 16, 24), randn(3, 1, 16, 24, seed=10)
    t, s = torch.tensor([1, 40, 250]), torch.tensor([2.0, 3.5, 8.0])
    together = flow.encode(channels, t, s)
    x = flow.sample(noise, together, 0.81)
    density = flow.log_prob(x, together)
    for i in range(3):
        own = slice(i, i + 1)
        alone = flow.encode(channels[own], t[own], s[own])
        torch.testing.assert_close(flow.sample(noise[own], alone, 0.81), x[own], rtol=0, atol=1e-4)
        torch.testing.assert_close(flow.log_prob(x[own], alone), density[own], rtol=1e-4, atol=0)


@pytest.mark.parametrize("what", [*CHANNELS, "t", "s"])
def test_the_bijections_hear_of_every_condition(what: str) -> None:
    flow = tiny_flow()
    channels, t, s = conditions(1, 16, 24), torch.tensor([100]), torch.tensor([4.0])
    before = flow.encode(channels, t, s)
    changed = channels + 0.2 * torch.eye(7)[[*CHANNELS, "t", "s"].index(what), :5, None, None]
    after = flow.encode(changed, t + 20 * (what == "t"), s + 0.5 * (what == "s"))
    # The standardisation follows t and the mask by its own formula: leave it out.
    after = replace(after, mean=before.mean, deviation=before.deviation)
    x = randn(1, 1, 16, 24, seed=11)
    assert float((flow.log_prob(x, after) - flow.log_prob(x, before)).abs()) > 1e-2


def test_the_first_training_batch_sets_activation_norms_and_saved_ones_stay() -> None:
    torch.manual_seed(0)
    trained, loaded = ConditionalGlow(TINY_FLOW), ConditionalGlow(TINY_FLOW)
    encoded, x = encode(trained.train(), 2, 16, 24), 3 + 5 * randn(2, 1, 16, 24, seed=12)
    latents, _ = trained(x, encoded)
    # Initialised on this batch, the latents are standard whatever the batch is.
    assert float(joined(latents).detach().std()) == pytest.approx(1, abs=0.2)
    loaded.load_state_dict(trained.state_dict())
    other = -7 * x + 1
    with torch.no_grad():
        expected = trained.eval().log_prob(other, encoded)
        assert torch.equal(loaded.train().log_prob(other, encoded), expected)
        assert not torch.equal(
            ConditionalGlow(TINY_FLOW).train().log_prob(other, encoded), expected
        )


def test_every_weight_learns_from_the_likelihood() -> None:
    flow = tiny_flow().requires_grad_(True)
    flow.log_prob(randn(2, 1, 16, 24, seed=13), encode(flow, 2, 16, 24)).sum().backward()
    for key, parameter in flow.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().sum() > 0, key


def test_one_call_of_the_small_flow_costs_at_most_three_of_the_denoiser() -> None:
    channels, x = conditions(1, 64, 64), randn(1, 1, 64, 64, seed=14)
    t, s = torch.tensor([100]), torch.tensor([4.0])
    flow, denoiser = ConditionalGlow(FLOW_PRESETS["small"]), UNet(UNET_PRESETS["small"])
    with torch.no_grad(), FlopCounterMode(display=False) as of_flow:
        flow.sample(x, flow.encode(channels, t, s), 1.0)
    with torch.no_grad(), FlopCounterMode(display=False) as of_denoiser:
        denoiser(x, channels, t, s)
    assert 0.1 < of_flow.get_total_flops() / of_denoiser.get_total_flops() <= 3


def test_a_grid_that_cannot_be_halved_three_times_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"multiples of 8, found \(20, 24\)"):
        encode(tiny_flow(), 1, 20, 24)


@pytest.mark.parametrize("t_flow_max", [0, 1001])
def test_levels_beyond_the_chain_are_refused(t_flow_max: int) -> None:
    with pytest.raises(ValueError, match=rf"1\.\.1000, found {t_flow_max}"):
        ConditionalGlow(replace(TINY_FLOW, t_flow_max=t_flow_max))


def test_every_denoiser_has_a_flow_of_its_name_for_the_same_grids() -> None:
    assert set(FLOW_PRESETS) == set(UNET_PRESETS)
    found = {c.multiple for c in UNET_PRESETS.values()}
    found |= {c.encoder.multiple for c in FLOW_PRESETS.values()}
    assert found == {MULTIPLE}  # to which slices are padded
