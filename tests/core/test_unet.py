"""The denoiser: what it listens to, what it costs, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from networks import TINY_UNET, conditions, randn, tiny_unet
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ftddm_core.conventions import CHANNELS
from ftddm_core.errors import SettingsError
from ftddm_core.model.unet import UNET_PRESETS, LevelEmbedding, UNet, UNetConfig, sinusoids

T, S = torch.tensor([100]), torch.tensor([4.0])
CONFIGS = {
    "pixel-unshuffle stem": TINY_UNET,
    "full resolution, two blocks": replace(TINY_UNET, patch=1, blocks=2, attention=(1, 2)),
}
EVERY_CONFIG = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def inputs(batch: int = 1, height: int = 16, width: int = 24) -> tuple[Tensor, Tensor]:
    return randn(batch, 1, height, width, seed=20), conditions(batch, height, width)


@EVERY_CONFIG
@pytest.mark.parametrize("what", ["x_t", *CHANNELS, "t", "s"])
def test_the_velocity_depends_on_every_input(config: UNetConfig, what: str) -> None:
    unet = tiny_unet(config=config)
    x, channels = inputs()
    with torch.inference_mode():
        before = unet(x, channels, T, S)
        changed = channels.clone()
        if what in CHANNELS:
            changed[:, CHANNELS.index(what), 5, 7] += 1
        x = x + (what == "x_t")
        after = unet(x, changed, T + (what == "t"), S + 0.1 * (what == "s"))
    assert (after - before).abs().max() > 1e-3


@EVERY_CONFIG
def test_an_item_does_not_depend_on_its_batch(config: UNetConfig) -> None:
    unet = tiny_unet(config=config)
    x, channels = inputs(3)
    t, s = torch.tensor([1, 100, 1000]), torch.tensor([2.0, 3.5, 8.0])
    with torch.inference_mode():
        together = unet(x, channels, t, s)
        for i in range(3):
            own = slice(i, i + 1)
            alone = unet(x[own], channels[own], t[own], s[own])
            torch.testing.assert_close(alone, together[own], rtol=0, atol=1e-5)
        turned = unet(x.flip(0), channels.flip(0), t.flip(0), s.flip(0)).flip(0)
    torch.testing.assert_close(turned, together, rtol=0, atol=1e-5)


def test_attention_lets_every_voxel_see_every_other() -> None:
    unet = tiny_unet()
    x, channels = inputs(1, 64, 64)
    x.requires_grad_(True)
    unet(x, channels, T, S)[0, 0, -1, -1].backward()
    assert x.grad is not None
    assert (x.grad[0, 0, :4, :4] != 0).all()


def test_starts_at_velocity_zero() -> None:
    x, channels = inputs()
    assert torch.equal(UNet(TINY_UNET)(x, channels, T, S), torch.zeros_like(x))


@EVERY_CONFIG
def test_every_weight_learns(config: UNetConfig) -> None:
    unet = tiny_unet(config=config).requires_grad_(True)
    (unet(*inputs(2), torch.tensor([5, 500]), torch.tensor([2.0, 8.0])) ** 2).sum().backward()
    for key, parameter in unet.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().sum() > 0, key


@EVERY_CONFIG
def test_a_grid_it_cannot_halve_is_refused_in_its_own_words(config: UNetConfig) -> None:
    unet = tiny_unet(config=config)
    multiple = config.multiple
    good, bad = 4 * multiple, 4 * multiple + multiple // 2
    assert unet(*inputs(1, good, good), T, S).shape == (1, 1, good, good)
    for grid in ((bad, good), (good, bad)):
        with pytest.raises(SettingsError) as caught:
            unet(*inputs(1, *grid), T, S)
        assert f"multiples of {multiple}, found {grid}" in str(caught.value)


def test_heads_must_share_the_channels_evenly() -> None:
    for heads in (0, 3):
        with pytest.raises(ValueError, match=f"16 channels .* {heads} heads"):
            UNet(replace(TINY_UNET, heads=heads))


def test_sinusoids_have_the_stated_periods() -> None:
    angle = torch.tensor([0.0, 0.25, 0.5, 7.0])
    found = sinusoids(angle, 8, 1000.0)
    for i, period in enumerate((1.0, 10.0, 100.0, 1000.0)):
        torch.testing.assert_close(found[:, i], torch.sin(angle / period))
        torch.testing.assert_close(found[:, 4 + i], torch.cos(angle / period))


def nearest_pair(codes: Tensor) -> float:
    return float(torch.pdist(codes).min())


def test_every_level_and_every_factor_has_a_code_of_its_own() -> None:
    assert nearest_pair(sinusoids(torch.arange(1, 1001), 128, 1e4)) > 0.1
    torch.manual_seed(0)
    embed = LevelEmbedding(256).requires_grad_(False)
    s = torch.linspace(2, 8, 61)
    assert nearest_pair(embed(torch.full((61,), 100), s)) > 1e-2
    # Side by side: neither can stand in for the other.
    both = torch.cartesian_prod(torch.arange(1.0, 1001, 50), torch.linspace(2, 8, 13))
    assert nearest_pair(embed(both[:, 0], both[:, 1])) > 1e-2


def costs(name: str) -> tuple[int, int]:
    """Return the number of parameters and of operations for a 64x64 slice, without computing."""
    with torch.device("meta"):
        unet = UNet(UNET_PRESETS[name]).eval()
        slice_ = (torch.zeros(1, 1, 64, 64), torch.zeros(1, 5, 64, 64))
        level = (torch.zeros(1, dtype=torch.long), torch.ones(1))
        with FlopCounterMode(display=False) as counter:
            unet(*slice_, *level)
    return sum(p.numel() for p in unet.parameters()), counter.get_total_flops()


def test_the_paper_preset_has_the_papers_size() -> None:
    parameters, operations = costs("paper")
    assert parameters == pytest.approx(33.0e6, rel=0.1)
    # 20.1 GFLOP counts a multiplication and its addition as two: 10.0 G multiply-accumulates.
    assert operations == pytest.approx(20.1e9, rel=0.1)


def test_the_small_preset_is_quick() -> None:
    assert set(UNET_PRESETS) == {"small", "paper"}
    small, paper = costs("small"), costs("paper")
    assert small[0] < paper[0] / 4
    assert small[1] < paper[1] / 8
