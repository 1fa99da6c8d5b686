"""The whole method with tiny random networks: everything that must hold whatever they learned."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from networks import randn, tiny_unet, tiny_weights
from numpy.typing import NDArray
from resolving import (
    DRAWN,
    NAMES,
    PAPER,
    QUICK,
    SCHEDULE,
    Shape,
    assert_equal,
    images,
    largest_difference,
    phantom,
    spy,
)
from torch import Tensor

from ftddm_core.errors import FormatError
from ftddm_core.evaluation.baselines import run_baseline, zero_filling
from ftddm_core.sampling.condition import form_conditions
from ftddm_core.sampling.noise import NoiseKey
from ftddm_core.sampling.recall import Recall
from ftddm_core.sampling.resolver import SuperResolver, settle_upscale
from ftddm_core.settings import SamplerSettings


def copying(x_t: Tensor, channels: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """Predict the velocity of x0 = lowres, whatever the noise."""
    signal, noise = SCHEDULE.signal(t), SCHEDULE.noise(t)
    return (signal * x_t - channels[:, :1]) / noise


# ---- seeds


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(resolver: SuperResolver) -> None:
    first = images(resolver, phantom(), QUICK)
    assert_equal(images(SuperResolver(tiny_weights(), "cpu"), phantom(), QUICK), first)
    other = images(resolver, phantom(), QUICK.replace(seed=1))
    assert largest_difference(first, other) > 0.01


def test_torchs_global_generator_neither_matters_nor_moves(resolver: SuperResolver) -> None:
    torch.manual_seed(1)
    first = images(resolver, phantom(), QUICK)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = images(resolver, phantom(), QUICK)
    assert torch.equal(torch.get_rng_state(), state)
    assert_equal(first, second)


@pytest.mark.parametrize("t_trunc", [0, 100, 400, 1000])
def test_without_temperature_the_seed_does_not_matter(
    resolver: SuperResolver, t_trunc: int
) -> None:
    cold = DRAWN.replace(t_trunc=t_trunc, steps=3 if t_trunc else None)
    cold = cold.replace(tau_flow=0, tau_diffusion=0)
    first = images(resolver, phantom(), cold)
    assert all(np.isfinite(image).all() and image.max() > 0 for image in first.values())
    assert_equal(images(resolver, phantom(), cold.replace(seed=7)), first)
    # Either temperature alone brings the seed back, where it has something to act on.
    warm = cold.replace(tau_flow=1)
    pair = [images(resolver, phantom(), warm.replace(seed=seed)) for seed in (0, 7)]
    assert largest_difference(*pair) > 1e-3
    if t_trunc:
        warm = cold.replace(tau_diffusion=1)
        pair = [images(resolver, phantom(), warm.replace(seed=seed)) for seed in (0, 7)]
        assert largest_difference(*pair) > 1e-3


# ---- slices, batches, order


@pytest.mark.parametrize("t_trunc", [0, 100, 400])
def test_a_slice_alone_equals_the_same_slice_of_the_volume(
    resolver: SuperResolver, t_trunc: int
) -> None:
    settings = DRAWN.replace(t_trunc=t_trunc, steps=3 if t_trunc else None)
    whole = images(resolver, phantom(), settings)
    for k in range(3):
        alone = images(resolver, phantom(), settings, slices={k})
        for name in NAMES:
            assert (np.delete(alone[name], k, axis=2) == 0).all()
            assert alone[name][..., k].max() > 0
            whole_slice = np.zeros_like(whole[name])
            whole_slice[..., k] = whole[name][..., k]
            assert largest_difference({name: alone[name]}, {name: whole_slice}) <= 1e-4


@pytest.mark.parametrize("size", [1, 4])
def test_the_batch_size_does_not_matter(resolver: SuperResolver, size: int) -> None:
    settings = QUICK.replace(samples=2)
    together = images(resolver, phantom(), settings)
    resolver.batch = size
    counted = spy(resolver)
    apart = images(resolver, phantom(), settings)
    assert len(counted.inputs) == 3 * 12 // size  # 2 maps, 3 slices, 2 samples; 3 steps each
    assert largest_difference(together, apart) <= 1e-4


def test_a_map_does_not_depend_on_the_others_nor_on_their_order(resolver: SuperResolver) -> None:
    study = phantom()
    together = images(resolver, study, QUICK)
    turned = replace(study, maps=dict(reversed(study.maps.items())))
    assert largest_difference(images(resolver, turned, QUICK), together) <= 1e-4
    for name in NAMES:
        alone = images(resolver, replace(study, maps={name: study.maps[name]}), QUICK)
        assert largest_difference(alone, together) <= 1e-4


# ---- what the networks see


def test_the_denoiser_meets_every_level_and_the_right_conditions(resolver: SuperResolver) -> None:
    counted = spy(resolver)
    stream = resolver.stream(phantom(), QUICK)
    keys = [update.keys for update in stream if update.stage != "result"]
    assert counted.levels == [100, 67, 33]
    conditions = {c.metabolite: c for c in form_conditions(phantom(), 2)}
    for called, (_, channels, t, upscale) in zip(keys, counted.inputs, strict=True):
        assert len(set(t.tolist())) == 1
        for key, given, s in zip(called, channels, upscale, strict=True):
            own = conditions[key.metabolite]
            assert np.array_equal(given.numpy(), own.channels[..., key.slice_index])
            assert float(s) == pytest.approx(own.upscale)


def test_the_full_chain_takes_every_level(resolver: SuperResolver) -> None:
    counted = spy(resolver)
    resolver.run(phantom(), QUICK.replace(t_trunc=7, steps=None))
    assert counted.levels == [7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("shape", "upscale"),
    [((8, 10, 4), 2), ((14, 14, 2), 3), ((7, 9, 2), 2.5), ((10, 6, 1), 4.3), ((16, 5, 2), 2)],
)
def test_a_denoiser_that_copies_the_acquired_map_gives_zero_filling(
    resolver: SuperResolver, shape: Shape, upscale: float
) -> None:
    study = phantom(shape)
    spy(resolver, copying)
    result = resolver.run(study, PAPER.replace(upscale=upscale))
    expected = run_baseline(zero_filling, study, upscale)
    for name in NAMES:
        n = [2 * round(n * upscale / 2) for n in shape[:2]]
        assert result.maps[name].shape == (*n, shape[2])
        largest = float(expected[name].data.max())
        assert largest > 0
        difference = np.abs(result.maps[name].data - expected[name].data).max()
        assert difference <= 1e-4 * largest
        assert np.array_equal(result.maps[name].affine, expected[name].affine)
        assert result.maps[name].unit == "mM"


# ---- grids


@pytest.mark.parametrize(
    ("shape", "upscale"),
    [((14, 14, 1), 3), ((7, 9, 2), 2.5), ((9, 7, 1), 3.3), ((5, 12, 2), 4), ((8, 8, 1), 8)],
)
@pytest.mark.parametrize("t_trunc", [0, 100])
def test_any_matrix_works_and_only_the_mask_is_filled(
    resolver: SuperResolver, shape: Shape, upscale: float, t_trunc: int
) -> None:
    settings = DRAWN.replace(upscale=upscale, t_trunc=t_trunc, steps=2 if t_trunc else None)
    result = resolver.run(phantom(shape), settings)
    for name, volume in result.maps.items():
        mask = result.conditions[name].mask
        assert volume.shape == mask.shape
        assert 0 < mask.mean() < 1
        assert np.isfinite(volume.data).all()
        assert (volume.data >= 0).all()
        assert (volume.data[~mask] == 0).all()
        # Random networks are often negative, but not everywhere.
        assert (volume.data > 0)[mask].mean() > 0.1


def test_padding_is_cut_off_at_the_far_ends(resolver: SuperResolver) -> None:
    counted = spy(resolver)
    result = resolver.run(phantom((14, 14, 1)), QUICK.replace(upscale=3))
    assert result.maps["tNAA"].shape == (42, 42, 1)
    x, channels, *_ = counted.inputs[0]
    assert x.shape[2:] == channels.shape[2:] == (48, 48)
    assert (channels[:, :, 42:] == 0).all()
    assert (channels[:, :, :, 42:] == 0).all()


def test_a_slice_without_trusted_voxels_stays_0_and_is_not_computed(
    resolver: SuperResolver,
) -> None:
    updates = list(resolver.stream(phantom(), QUICK.replace(samples=2)))
    result = updates[-1].result
    assert result is not None
    for name in NAMES:
        assert (result.maps[name].data[..., 3] == 0).all()
        assert (result.deviation[name].data[..., 3] == 0).all()
    assert {key.slice_index for update in updates for key in update.keys} == {0, 1, 2}


def test_a_map_without_signal_is_refused_by_its_name(resolver: SuperResolver) -> None:
    study = phantom()
    dead = study.maps["tCho"].with_data(np.zeros(study.grid.shape))
    with pytest.raises(FormatError, match="tCho: The map has no signal"):
        resolver.run(replace(study, maps={**study.maps, "tCho": dead}), QUICK)


# ---- samples


def test_mean_and_deviation_are_those_of_the_single_samples(resolver: SuperResolver) -> None:
    settings = QUICK.replace(samples=3)
    last: dict[NoiseKey, NDArray[Any]] = {}
    result = None
    for update in resolver.stream(phantom(), settings):
        last.update(zip(update.keys, update.images, strict=True))
        result = update.result or result
    assert result is not None
    for name, condition in result.conditions.items():
        samples = np.zeros((3, *condition.shape))
        for key, image in last.items():
            if key.metabolite == name:
                samples[key.sample, ..., key.slice_index] = image
        atol = 1e-6 * condition.scale
        mean, deviation = samples.mean(0), samples.std(0, ddof=1)
        assert deviation.max() > 0.01 * condition.scale
        np.testing.assert_allclose(result.maps[name].data, mean, rtol=0, atol=atol)
        np.testing.assert_allclose(result.deviation[name].data, deviation, rtol=0, atol=atol)
        assert np.array_equal(result.deviation[name].affine, result.maps[name].affine)
        first = resolver.run(phantom(), QUICK)
        assert first.deviation == {}
        np.testing.assert_allclose(samples[0], first.maps[name].data, rtol=0, atol=100 * atol)


# ---- defaults


@pytest.mark.parametrize(
    ("voxel", "trained", "expected"),
    [(10.0, 3.4, 10 / 3.4), (3.4, 3.4, 2.0), (60.0, 3.4, 8.0), (10.0, 2.0, 5.0)],
)
def test_an_empty_upscale_brings_the_voxel_nearest_to_the_trained_one(
    voxel: float, trained: float, expected: float
) -> None:
    study = phantom((8, 10, 1), voxel=voxel)
    settled = settle_upscale(SamplerSettings(), study, trained)
    assert settled.upscale == pytest.approx(expected)
    assert settled.replace(upscale=None) == SamplerSettings()
    given = SamplerSettings(upscale=3.3)
    assert settle_upscale(given, study, trained) == given


def test_the_result_tells_the_upscale_that_was_chosen() -> None:
    resolver = SuperResolver(tiny_weights(trained_voxel=2.5), "cpu")
    result = resolver.run(phantom((8, 10, 1)), SamplerSettings(t_trunc=0))
    assert result.settings.upscale == pytest.approx(4)
    assert result.maps["tNAA"].shape == (32, 40, 1)


def test_a_given_matrix_decides_the_grid_and_the_network_inputs(
    resolver: SuperResolver,
) -> None:
    counted = spy(resolver)
    result = resolver.run(phantom(), QUICK.replace(upscale=4), matrix=(18, 21))
    assert result.maps["tNAA"].shape == (18, 21, 4)
    assert float(counted.inputs[0][3][0]) == pytest.approx(math.sqrt(18 / 8 * 21 / 10))


def test_random_networks_are_worth_testing_with() -> None:
    # Were their outputs 0, most tests above would compare zeros.
    x, channels = randn(1, 1, 16, 16, seed=0), randn(1, 5, 16, 16, seed=1)
    v = tiny_unet()(x, channels, torch.tensor([50]), torch.tensor([2.0]))
    assert 0.05 < float(v.std()) < 20


# ---------------------------------------------------------------- several settings at once


@pytest.mark.parametrize("sampler", ["ancestral", "ddim", "dpm_solver_2m_sde"])
def test_a_sweep_gives_what_each_of_its_settings_gives_alone(
    resolver: SuperResolver, sampler: str
) -> None:
    condition = next(iter(form_conditions(phantom(), 2)))
    base = QUICK.replace(sampler=sampler)
    settings = [
        base.replace(tau_flow=flow, tau_diffusion=diffusion, mri_weight=weight, **other)
        for flow, diffusion in ((0.0, 0.0), (0.5, 1.0), (1.0, 0.3))
        for weight in (0.0, 0.4, 1.0)
        for other in ({}, {"t_trunc": 0, "steps": None}, {"samples": 2, "detail": 0.5})
    ]
    asked: list[SamplerSettings] = []
    for each, found in resolver.sweep(condition, 1, settings, batch=4, recall=Recall()):
        asked.append(each)
        *_, last = resolver.sample([condition], each, slices=[1])
        alone = last.result
        assert alone is not None
        for what in ("maps", "drawn", "alone", "deviation"):
            for name, volume in getattr(alone, what).items():
                mine = getattr(found, what)[name].data
                np.testing.assert_allclose(mine, volume.data, atol=1e-4 * condition.scale)
        assert found.residual[condition.metabolite] == pytest.approx(
            alone.residual[condition.metabolite], abs=1e-4
        )
        assert found.settings == alone.settings
        assert found.weighting == alone.weighting
    assert set(asked) == set(settings)
    assert len(asked) == len(settings)


def test_settings_that_differ_in_the_shown_detail_are_drawn_once(resolver: SuperResolver) -> None:
    condition, counted = next(iter(form_conditions(phantom(), 2))), spy(resolver)
    settings = [QUICK.replace(detail=detail) for detail in (0.0, 0.5, 1.0)]
    found = dict(resolver.sweep(condition, 1, settings))
    assert [len(x) for x, *_ in counted.inputs] == [1] * 3, "one slice, three steps"
    shown = [found[each].maps[condition.metabolite].data for each in settings]
    np.testing.assert_allclose(shown[1], (shown[0] + shown[2]) / 2, atol=0.05 * condition.scale)
