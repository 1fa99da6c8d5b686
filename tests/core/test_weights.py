"""The bundled weights reach the targets of the method on two slices of the bundled case.

Slow for unit tests (half a minute on one core), since the real networks run.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ftddm_core.assets import asset_folder
from ftddm_core.evaluation.compare import (
    baseline_methods,
    compare,
    ftddm_method,
    sharpness_sweep,
)
from ftddm_core.evaluation.tables import summarise
from ftddm_core.imaging.degrade import degrade
from ftddm_core.imaging.io import open_study
from ftddm_core.imaging.volume import Study
from ftddm_core.model.checkpoint import available_weights
from ftddm_core.model.record import steps_before
from ftddm_core.sampling.condition import form_conditions
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_core.settings import SamplerSettings

METABOLITES = {"Gln", "Glu", "Gly", "Ins", "tCho", "tCr", "tNAA"}
SLICES = (7, 9)


@lru_cache
def resolver() -> SuperResolver:
    return SuperResolver.load("small", "cpu")


@lru_cache
def slab(start: int = SLICES[0], stop: int = SLICES[1]) -> Study:
    study = open_study(asset_folder("case")).slab(start, stop)
    assert set(study.maps) == METABOLITES
    return study


@dataclass(frozen=True, eq=False)
class Inputs:
    """Network inputs of every slice and metabolite, and the truth: (B, ., H, W)."""

    channels: Tensor
    upscale: Tensor
    x0: Tensor

    @property
    def inside(self) -> Tensor:
        return self.channels[:, 1:2] > 0

    def level(self, t: int) -> Tensor:
        return torch.full((len(self.x0),), t)


@lru_cache
def inputs(upscale: float) -> Inputs:
    matrix = slab().grid.shape[:2]
    conditions = list(form_conditions(degrade(slab(), upscale), upscale, matrix))

    def batch(images: list[NDArray[np.floating]]) -> Tensor:
        return torch.from_numpy(np.concatenate([np.moveaxis(i, -1, 0) for i in images])).float()

    truths = [np.where(c.mask, slab().maps[c.metabolite].data / c.scale, 0) for c in conditions]
    return Inputs(
        batch([c.channels for c in conditions]),
        torch.tensor([c.upscale for c in conditions for _ in range(c.shape[2])]),
        batch(truths)[:, None],
    )


def noise(seed: int) -> Tensor:
    shape = inputs(4).x0.shape
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


@lru_cache
@torch.inference_mode()
def drawn(upscale: float, t: int, seed: int = 0) -> Tensor:
    """Draw x_t by the flow at temperature 1."""
    given = inputs(upscale)
    flow = resolver().weights.flow
    return flow.sample(noise(seed), flow.encode(given.channels, given.level(t), given.upscale), 1.0)


def test_the_small_weights_are_bundled() -> None:
    assert "small" in available_weights()


@pytest.mark.parametrize(("kind", "least", "most"), [("float16", 0, 1e-3), ("bfloat16", 1e-3, 1)])
def test_half_precision_has_digits_enough_and_bfloat16_has_not(
    kind: str, least: float, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As torch emulates them on a CPU: what `--half` differs by on a GPU."""
    conditions = [*form_conditions(degrade(slab(), 4), 4, slab().grid.shape[:2])][:1]
    settings, ours = SamplerSettings(steps=4), SuperResolver(resolver().weights, "cpu")

    def image() -> NDArray[np.floating]:
        *_, update = ours.sample(conditions, settings, slices=[0])
        (condition,), (volume,) = conditions, update.result.maps.values()
        return volume.data / condition.scale

    plain = image()
    ours.half = True
    monkeypatch.setattr(torch, "float16", getattr(torch, kind))
    assert least < np.abs(image() - plain).max() <= most


@pytest.mark.long
def test_two_draws_of_the_flow_differ_by_more_than_the_noise_of_its_level() -> None:
    low, matrix = degrade(slab(), 4), slab().grid.shape[:2]
    settings = SamplerSettings(upscale=4, t_trunc=0, tau_flow=1)
    first, second = (
        resolver().run(low, settings.replace(seed=seed), matrix=matrix) for seed in (0, 1)
    )
    level = float(resolver().schedule.noise(1))
    assert level == pytest.approx(0.006, abs=0.0005)
    for name, condition in first.conditions.items():
        change = (first.maps[name].data - second.maps[name].data)[condition.mask]
        assert np.sqrt(np.mean(np.square(change))) / condition.scale > 2 * level, name


@pytest.mark.parametrize("upscale", [2, 4, 8])
@pytest.mark.parametrize("t", [20, 200])
def test_outside_the_mask_the_flow_draws_the_noise_of_its_level(upscale: float, t: int) -> None:
    # x0 is 0 there, so all of x_t is noise.
    outside = drawn(upscale, t)[~inputs(upscale).inside]
    assert rms(outside) == pytest.approx(float(resolver().schedule.noise(t)), rel=0.2)


@pytest.mark.parametrize("upscale", [2, 4, 8])
@pytest.mark.parametrize("t", [20, 200])
def test_inside_the_mask_the_flow_draws_the_noise_of_its_level(upscale: float, t: int) -> None:
    # Two draws differ by the noise and by what the flow cannot know of x0. At level 1 there is
    # nearly no noise, which gives the second; what is left at level t is the first. (A regression
    # would leave none.)
    inside, alpha_bar = inputs(upscale).inside, resolver().schedule.alpha_bar

    def variance(level: int) -> float:
        return rms((drawn(upscale, level, 0) - drawn(upscale, level, 1))[inside]) ** 2 / 2

    unknown = variance(1) - (1 - float(alpha_bar[1]))
    expected = float(resolver().schedule.noise(t)) ** 2
    # What is unknown at level t may be a tenth less than at level 1, for x_t is not as sharp.
    carried = variance(t) - float(alpha_bar[t]) * unknown
    assert carried == pytest.approx(expected, abs=0.4 * expected + 0.1 * unknown)


@torch.inference_mode()
def log_prob(x_t: Tensor, channels: Tensor, t: int) -> Tensor:
    flow, given = resolver().weights.flow, inputs(4)
    return flow.log_prob(x_t, flow.encode(channels, given.level(t), given.upscale))


@pytest.mark.parametrize(("t", "wrong"), [(1, 2), (20, 10), (20, 40), (200, 150), (200, 250)])
def test_the_wrong_level_is_less_likely(t: int, wrong: int) -> None:
    given = inputs(4)
    x_t = resolver().schedule.add_noise(given.x0, t, noise(t))
    worse = log_prob(x_t, given.channels, t) - log_prob(x_t, given.channels, wrong)
    assert (worse > 0).all()


@pytest.mark.parametrize("wrong", ["another metabolite's", "mirrored", "none", "too bright"])
@pytest.mark.parametrize("t", [1, 20, 200])
def test_the_wrong_acquired_map_is_less_likely(t: int, wrong: str) -> None:
    given = inputs(4)
    channels, lowres = given.channels.clone(), given.channels[:, 0]
    channels[:, 0] = {
        "another metabolite's": lowres.roll(SLICES[1] - SLICES[0], 0),
        "mirrored": lowres.flip(1),
        "none": torch.zeros_like(lowres),
        "too bright": 1.3 * lowres,
    }[wrong]
    x_t = resolver().schedule.add_noise(given.x0, t, noise(t))
    worse = log_prob(x_t, given.channels, t) - log_prob(x_t, channels, t)
    assert worse.mean() > 0
    assert (worse > 0).float().mean() >= 0.9


@pytest.mark.long
@pytest.mark.parametrize(("t_trunc", "steps"), [(0, None), (100, 3)])
def test_without_temperature_the_seed_does_not_matter(t_trunc: int, steps: int | None) -> None:
    low = degrade(slab(7, 8), 4)
    settings = SamplerSettings(upscale=4, t_trunc=t_trunc, steps=steps)
    cold = settings.replace(tau_flow=0, tau_diffusion=0)
    first, second = (resolver().run(low, cold.replace(seed=seed)).maps for seed in (0, 1))
    for name in METABOLITES:
        assert first[name].data.max() > 0
        assert first[name].data.tobytes() == second[name].data.tobytes()


def test_sharpness_rises_with_every_temperature() -> None:
    one = slab(7, 8)
    few = replace(one, maps={name: one.maps[name] for name in ("tNAA", "tCho", "Gln")})
    table = sharpness_sweep(few, 4, resolver(), SamplerSettings(steps=10))
    for varied in ("tau_flow", "tau_diffusion", "both"):
        rising = {line["tau"]: line["sharpness"] for line in table if line["varied"] == varied}
        assert list(rising) == [0.0, 0.5, 1.0]
        assert 0 < rising[0.0] < rising[0.5] < rising[1.0], varied


@pytest.mark.parametrize(
    "upscale", [pytest.param(2, marks=pytest.mark.long), 4, pytest.param(8, marks=pytest.mark.long)]
)
def test_default_settings_beat_interpolation_over_all_metabolites(upscale: float) -> None:
    methods = baseline_methods() | {"ftddm": ftddm_method(resolver(), SamplerSettings())}
    rows = compare(slab(7, 8), (upscale,), methods)
    assert {row.metabolite for row in rows} == METABOLITES
    means = {line["method"]: line for line in summarise(rows, by=("method",))}
    for peer in ("zero-filling", "bicubic"):
        for figure in ("psnr", "ssim"):
            assert means["ftddm"][figure] > means[peer][figure], (peer, figure)


# ---- what is said of them


def test_the_model_card_says_what_the_record_says() -> None:
    folder = asset_folder("weights") / "small"
    card = (folder / "README.md").read_text(encoding="utf-8")
    record = json.loads((folder / "config.json").read_text(encoding="utf-8"))["record"]
    runs = record["runs"]
    steps = {which: record["steps"][which] for which in ("denoiser", "flow")}
    totals = {w: steps[w] + steps_before(w, runs[w]) for w in steps}
    last = {which: runs[which]["curve"][-1] for which in steps}
    assert all(last[which]["step"] == steps[which] for which in steps)
    rows = dict(re.findall(r"^\| ([^|]+?) \| (.+) \|$", card, re.MULTILINE))
    assert rows["optimiser steps, last run"] == f"{steps['denoiser']} | {steps['flow']}"
    assert rows["optimiser steps in total"] == f"{totals['denoiser']} | {totals['flow']}"
    denoiser = f"loss {last['denoiser']['valid_loss']:.3f} ({last['denoiser']['valid_low']:.3f} "
    assert rows["validation"].startswith(denoiser)
    assert rows["validation"].endswith(f"| {last['flow']['valid_bits']:.3f} bits per voxel")
    weights = resolver().weights
    for network, row in ((weights.denoiser, 0), (weights.flow, 1)):
        millions = sum(p.numel() for p in network.parameters()) / 1e6
        assert f"{millions:.2f} M parameters" in rows["network"].split(" | ")[row]
    assert f"{runs['denoiser']['training']['patients']} of them in the last run" in card


def test_the_weights_are_small() -> None:
    folder = asset_folder("weights")
    sizes = {path: path.stat().st_size for path in folder.rglob("*.safetensors")}
    assert max(sizes.values()) <= 16e6
    assert sum(sizes.values()) <= 40e6
    assert sum(size for path, size in sizes.items() if path.parent.name == "small") <= 20e6
