"""The whole method with tiny random networks: everything that must hold whatever they learned."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from networks import randn, tiny_flow, tiny_unet, tiny_weights
from numpy.typing import NDArray
from properties import head, oblique_affine
from torch import Tensor

from ftddm_core.errors import Cancelled, FormatError, SettingsError
from ftddm_core.evaluation.baselines import run_baseline, zero_filling
from ftddm_core.imaging.fourier import truncate
from ftddm_core.imaging.volume import Outside, Study, Volume
from ftddm_core.model.schedule import NoiseSchedule
from ftddm_core.sampling.condition import form_conditions
from ftddm_core.sampling.device import pick_device
from ftddm_core.sampling.noise import NoiseKey
from ftddm_core.sampling.resolver import SuperResolver, settle_upscale
from ftddm_core.sampling.result import Result, Update
from ftddm_core.settings import SamplerSettings

Shape = tuple[int, int, int]
NAMES = ("tNAA", "tCho")
DRAWN = SamplerSettings(upscale=2, detail=1, mri_weight=1)
"""All that the model draws, held to the measurement: no self-check is needed."""
QUICK = DRAWN.replace(t_trunc=100, steps=3, sampler="ancestral")
PAPER = QUICK.replace(consistency="off")
"""The networks alone."""
SCHEDULE = NoiseSchedule()


def phantom(
    shape: Shape = (8, 10, 4), names: Sequence[str] = NAMES, voxel: float = 10.0, seed: int = 0
) -> Study:
    """Return an asymmetric head with noise, oblique MRI, and an empty last slice of four."""
    rng = np.random.default_rng(seed)
    affine = oblique_affine(shape, (voxel, voxel, 9.0), angles=(5.0, -4.0, 12.0))
    mri_shape = (24, 26, 10)
    mri = head(mri_shape, oblique_affine(mri_shape, (4.0, 4.0, 5.0), angles=(0.0, 3.0, 0.0)))
    signal = head(shape, affine).data
    mask = signal > 0.35 * signal.max()
    if shape[2] == 4:
        mask[..., 3] = False
    maps = {}
    for k, name in enumerate(names):
        data = (3 - k) * signal * (1 + 0.2 * rng.standard_normal(shape))
        maps[name] = Volume(data.astype(np.float32), affine, "mM")
    return Study(
        maps,
        mask=Volume(mask.astype(np.float32), affine),
        t1=mri,
        flair=mri.with_data(mri.data**2),
    )


@pytest.fixture
def resolver() -> SuperResolver:
    return SuperResolver(tiny_weights(), "cpu")


def run(
    resolver: SuperResolver,
    study: Study,
    settings: SamplerSettings,
    slices: Collection[int] | None = None,
) -> Result:
    if slices is None:
        *_, final = resolver.stream(study, settings)
    else:
        conditions = form_conditions(study, settings.upscale or 0.0)
        *_, final = resolver.sample(conditions, settings, slices=slices)
    assert final.result is not None
    return final.result


def images(
    resolver: SuperResolver,
    study: Study,
    settings: SamplerSettings,
    slices: Collection[int] | None = None,
) -> dict[str, NDArray[Any]]:
    maps = run(resolver, study, settings, slices).maps
    return {name: volume.data for name, volume in maps.items()}


def assert_equal(first: dict[str, NDArray[Any]], second: dict[str, NDArray[Any]]) -> None:
    assert first.keys() == second.keys()
    for name, image in first.items():
        assert image.tobytes() == second[name].tobytes(), name


def largest_difference(first: dict[str, NDArray[Any]], second: dict[str, NDArray[Any]]) -> float:
    """Return the largest difference of two results of one study at 2x, in units of the scale."""
    scales = {c.metabolite: c.scale for c in form_conditions(phantom(), 2)}
    return max(float(np.abs(first[n] - second[n]).max()) / scales[n] for n in first)


class Spy:
    """A network that counts its calls, remembers their inputs, and answers as the real one."""

    def __init__(self, network: Callable[..., Tensor]) -> None:
        self.network = network
        self.inputs: list[tuple[Tensor, ...]] = []

    def __call__(self, *inputs: Tensor) -> Tensor:
        self.inputs.append(inputs)
        return self.network(*inputs)

    @property
    def levels(self) -> list[int]:
        return [int(t[0]) for _, _, t, _ in self.inputs]


def spy(resolver: SuperResolver, network: Callable[..., Tensor] | None = None) -> Spy:
    found = Spy(network or resolver.denoiser)
    resolver.denoiser = found  # type: ignore[assignment]
    return found


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


# ---- truncation


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


# ---- consistency and residual


def noise_settings(mode: str, **changes: Any) -> SamplerSettings:
    return QUICK.replace(consistency=mode, tau_flow=0, tau_diffusion=0, **changes)


def test_the_map_is_held_to_the_measurement_as_far_as_it_is_asked(resolver: SuperResolver) -> None:
    found = {m: resolver.run(phantom(), noise_settings(m)) for m in ("off", "noise", "exact")}
    for name in NAMES:
        drawn = {mode: result.residual[name].drawn for mode, result in found.items()}
        share = found["noise"].residual[name].noise
        assert drawn["exact"] < drawn["noise"] < 0.5 * drawn["off"]
        assert drawn["exact"] < 0.01
        assert drawn["noise"] < 3 * share
        for result in found.values():
            condition = result.conditions[name]
            assert (result.maps[name].data >= 0).all()
            assert (result.maps[name].data[~condition.mask] == 0).all()


def test_the_residual_is_that_of_the_field_of_view_that_the_model_stands_for(
    resolver: SuperResolver,
) -> None:
    """Recomputed by hand, where nothing is clipped and nothing lies outside the mask."""
    study = replace(phantom(), outside=Outside.EMPTY)
    result = resolver.run(study, noise_settings("noise"))
    for name, condition in result.conditions.items():
        held = condition.measurement
        image = result.maps[name].data / condition.scale
        seen = held.w * (truncate(image, held.acquired) - held.y)
        whole = np.linalg.norm((held.w * held.y)[..., :3])  # nothing is trusted in the last slice
        shown = np.linalg.norm(seen[..., :3]) / whole
        assert result.residual[name].shown == pytest.approx(shown, rel=1e-3)
        noise = np.linalg.norm((held.w * held.deviation)[..., :3]) / whole
        assert result.residual[name].noise == pytest.approx(noise, rel=1e-3)


def test_noise_can_be_set_and_is_recorded(resolver: SuperResolver) -> None:
    usual = resolver.run(phantom(), noise_settings("noise"))
    loud = resolver.run(phantom(), noise_settings("noise", noise=30))
    for name in NAMES:
        assert usual.noise[name][1] == "estimate"
        assert loud.noise[name] == (pytest.approx(0.3), "set")
        assert loud.residual[name].drawn > 2 * usual.residual[name].drawn


def test_consistency_and_residual_count_only_the_slices_asked_for(resolver: SuperResolver) -> None:
    alone = run(resolver, phantom(), QUICK, slices=[1])
    whole = resolver.run(phantom(), QUICK)
    for name in NAMES:
        found, condition = alone.maps[name].data, alone.conditions[name]
        assert (np.delete(found, 1, axis=2) == 0).all()
        assert np.abs(found - whole.maps[name].data)[..., 1].max() <= 1e-4 * condition.scale
        assert alone.residual[name].drawn != pytest.approx(whole.residual[name].drawn, rel=1e-3)


def test_an_empty_slice_alone_has_nothing_to_disagree_with(resolver: SuperResolver) -> None:
    counted = spy(resolver)
    result = run(resolver, phantom(), QUICK.replace(samples=2), slices=[3])
    assert counted.inputs == []
    assert all((volume.data == 0).all() for volume in result.maps.values())
    assert set(result.residual.values()) == {(0.0, 0.0, 0.0)}


# ---- the two weights


def test_detail_blends_between_the_measurement_alone_and_the_model(
    resolver: SuperResolver,
) -> None:
    whole = resolver.run(phantom(), QUICK)
    none, some = (resolver.run(phantom(), QUICK.replace(detail=a)) for a in (0, 0.3))
    for name, condition in whole.conditions.items():
        x, z = whole.drawn[name].data, whole.alone[name].data
        atol = 1e-5 * condition.scale
        for result in (none, some):
            np.testing.assert_array_equal(result.drawn[name].data, x)
            np.testing.assert_array_equal(result.alone[name].data, z)
        np.testing.assert_allclose(whole.maps[name].data, x, rtol=0, atol=atol)
        np.testing.assert_allclose(none.maps[name].data, np.maximum(z, 0), rtol=0, atol=atol)
        blend = np.maximum(z + 0.3 * (x - z), 0)
        np.testing.assert_allclose(some.maps[name].data, blend, rtol=0, atol=atol)
        assert float(np.abs(x - z).max()) > 0.05 * condition.scale


def test_what_the_measurement_alone_says_depends_on_nothing_else(resolver: SuperResolver) -> None:
    usual = resolver.run(phantom(), QUICK).alone
    other = QUICK.replace(seed=3, tau_flow=1, tau_diffusion=0, mri_weight=0, t_trunc=20)
    bare = replace(phantom(), t1=None, flair=None)
    for name, z in resolver.run(bare, other).alone.items():
        np.testing.assert_array_equal(z.data, usual[name].data)


def test_deviation_is_that_of_the_samples_whatever_detail_is_shown(
    resolver: SuperResolver,
) -> None:
    whole = resolver.run(phantom(), QUICK.replace(samples=3))
    some = resolver.run(phantom(), QUICK.replace(samples=3, detail=0.25))
    for name in NAMES:
        deviation = whole.deviation[name].data
        np.testing.assert_array_equal(some.deviation[name].data, deviation)
        left_out = 0.75 * (some.drawn[name].data - some.alone[name].data)
        expected = np.sqrt(deviation**2 + left_out**2)
        np.testing.assert_allclose(some.error(name).data, expected, rtol=1e-5)
        np.testing.assert_array_equal(whole.error(name).data, deviation)


@pytest.mark.parametrize("t_trunc", [0, 100, 400])
def test_mri_weight_0_is_a_study_without_mri_and_1_is_one_with(
    resolver: SuperResolver, t_trunc: int
) -> None:
    settings = QUICK.replace(t_trunc=t_trunc, steps=3 if t_trunc else None)
    bare = images(resolver, replace(phantom(), t1=None, flair=None), settings)
    none = images(resolver, phantom(), settings.replace(mri_weight=0))
    assert largest_difference(none, bare) <= 1e-4
    whole = images(resolver, phantom(), settings)
    assert largest_difference(whole, bare) > 0.01
    half = images(resolver, phantom(), settings.replace(mri_weight=0.5))
    for image in (bare, whole):
        assert largest_difference(half, image) > 1e-3
    # No weight changes what has no MRI to follow.
    other = replace(phantom(), t1=None, flair=None)
    assert_equal(images(resolver, other, settings.replace(mri_weight=0.5)), bare)


@pytest.mark.parametrize(("weight", "slices"), [(0, 1), (1, 1), (0.5, 2)])
def test_a_weight_between_costs_both_calls_in_one_batch(
    resolver: SuperResolver, weight: float, slices: int
) -> None:
    counted = spy(resolver)
    run(resolver, phantom(), QUICK.replace(mri_weight=weight), slices=[1])
    assert len(counted.inputs) == 3
    assert {len(x) for x, *_ in counted.inputs} == {2 * slices}  # two maps


def test_a_mixed_estimate_lies_between_those_with_and_without(resolver: SuperResolver) -> None:
    settings = noise_settings("off", t_trunc=0, steps=None)
    found = [images(resolver, phantom(), settings.replace(mri_weight=w)) for w in (0, 0.25, 1)]
    for name in NAMES:
        bare, mixed, whole = (image[name] for image in found)
        inner = (bare > 0) & (mixed > 0) & (whole > 0)
        assert inner.any()
        expected = bare + 0.25 * (whole - bare)
        np.testing.assert_allclose(mixed[inner], expected[inner], rtol=1e-3, atol=1e-4)


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


# ---- the stream


@pytest.mark.parametrize("t_trunc", [0, 100])
def test_updates_come_in_order_and_end_with_the_result(
    resolver: SuperResolver, t_trunc: int
) -> None:
    resolver.batch = 4
    settings = QUICK.replace(t_trunc=t_trunc, steps=3 if t_trunc else None)
    updates = list(resolver.stream(phantom(), settings.replace(samples=2)))
    *running, final = updates
    one_batch = [("estimate", 100), ("estimate", 67), ("sample", 33)]
    expected = one_batch if t_trunc else [("sample", 0)]
    assert [(u.stage, u.t) for u in running] == 3 * expected
    done = [update.done for update in updates]
    assert done[0] > 0
    assert all(earlier < later for earlier, later in pairwise(done[:-1]))
    assert done[-2] == pytest.approx(1)
    assert (final.stage, final.done) == ("result", 1.0)
    assert final.images.size == 0
    assert all(update.result is None for update in running)
    keys = [key for update in running if update.stage == "sample" for key in update.keys]
    assert len(set(keys)) == len(keys) == 12
    assert {(k.metabolite, k.slice_index, k.sample) for k in keys} == {
        (name, k, sample) for name in NAMES for k in range(3) for sample in range(2)
    }
    for update in running:
        assert update.images.shape == (4, 16, 20)
        assert (update.images >= 0).all()


def test_the_last_picture_of_a_slice_is_its_result(resolver: SuperResolver) -> None:
    last: dict[NoiseKey, NDArray[Any]] = {}
    for update in resolver.stream(phantom(), QUICK):
        last.update(zip(update.keys, update.images, strict=True))
        if update.result is not None:
            for key, image in last.items():
                found = update.result.maps[key.metabolite].data[..., key.slice_index]
                assert np.array_equal(found, image)
    assert len(last) == 6


def test_run_reports_progress_and_returns_what_the_stream_ends_with(
    resolver: SuperResolver,
) -> None:
    seen: list[float] = []
    result = resolver.run(phantom(), QUICK, progress=seen.append)
    assert seen == sorted(seen)
    assert 3 <= len(seen) <= 4  # of two estimates one at least, the sample, and the result
    assert seen[-1] == 1
    assert result.settings == QUICK.exact(2)
    assert (result.weights, result.digest, result.device) == ("tiny", "0" * 64, "cpu")
    assert result.seconds > 0


# ---- cancelling


@pytest.mark.parametrize("after", [0, 1, 2])
def test_cancelling_stops_before_the_next_step_and_leaves_no_trace(
    resolver: SuperResolver, after: int
) -> None:
    expected = images(resolver, phantom(), QUICK)
    before = {k: v.clone() for k, v in resolver.weights.denoiser.state_dict().items()}
    real = resolver.denoiser
    counted = spy(resolver)
    with pytest.raises(Cancelled):
        resolver.run(phantom(), QUICK, cancelled=lambda: len(counted.inputs) >= after)
    assert len(counted.inputs) == after
    resolver.denoiser = real
    assert all(torch.equal(v, before[k]) for k, v in real.state_dict().items())
    assert_equal(images(resolver, phantom(), QUICK), expected)


def test_the_flow_alone_can_be_cancelled_between_batches(resolver: SuperResolver) -> None:
    resolver.batch = 2
    settings = DRAWN.replace(t_trunc=0)
    seen: list[Update] = []
    stream = resolver.stream(phantom(), settings, cancelled=lambda: len(seen) == 1)
    with pytest.raises(Cancelled):
        seen.extend(stream)
    assert [update.stage for update in seen] == ["sample"]


def test_a_stream_that_is_dropped_leaves_no_trace(resolver: SuperResolver) -> None:
    expected = images(resolver, phantom(), QUICK)
    stream = resolver.stream(phantom(), QUICK)
    next(stream)
    next(stream)
    stream.close()
    assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()
    assert_equal(images(resolver, phantom(), QUICK), expected)


def test_two_streams_may_take_turns(resolver: SuperResolver) -> None:
    expected = images(resolver, phantom(), QUICK)
    streams = [resolver.stream(phantom(), QUICK.replace(seed=seed)) for seed in (0, 1)]
    for pair in zip(*streams, strict=True):
        results = [update.result for update in pair]
    assert results[0] is not None
    assert_equal({n: v.data for n, v in results[0].maps.items()}, expected)


# ---- defaults and devices


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


def test_a_given_matrix_decides_the_grid_and_what_the_networks_are_told(
    resolver: SuperResolver,
) -> None:
    counted = spy(resolver)
    result = resolver.run(phantom(), QUICK.replace(upscale=4), matrix=(18, 21))
    assert result.maps["tNAA"].shape == (18, 21, 4)
    assert float(counted.inputs[0][3][0]) == pytest.approx(math.sqrt(18 / 8 * 21 / 10))


@pytest.mark.parametrize("wanted", ["tpu9000", "", "meta", "hpu", "vulkan"])
def test_an_unknown_device_is_refused(wanted: str) -> None:
    with pytest.raises(SettingsError, match=f"'{wanted}' is not available"):
        pick_device(wanted)


def test_a_device_is_found_without_asking() -> None:
    assert pick_device("auto").type in ("cpu", "cuda", "mps")
    assert SuperResolver(tiny_weights(), "cpu").device == torch.device("cpu")


def test_random_networks_are_worth_testing_with() -> None:
    # Were their outputs 0, most tests above would compare zeros.
    x, channels = randn(1, 1, 16, 16, seed=0), randn(1, 5, 16, 16, seed=1)
    v = tiny_unet()(x, channels, torch.tensor([50]), torch.tensor([2.0]))
    assert 0.05 < float(v.std()) < 20
