"""The self-check: a study degraded once more, restored, and compared with itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from networks import tiny_weights
from properties import head, oblique_affine
from resolving import phantom, spy
from torch import Tensor

from ftddm_core.errors import Cancelled
from ftddm_core.imaging.degrade import coarse_matrix, degrade
from ftddm_core.imaging.volume import Outside, Study, Volume
from ftddm_core.imaging.window import Window
from ftddm_core.model.schedule import NoiseSchedule
from ftddm_core.sampling import self_check
from ftddm_core.sampling.condition import form_conditions
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_core.sampling.self_check import (
    CHECK_FACTOR,
    FIXED,
    LEAST_MATRIX,
    MOST_SLICES,
    MRI_WEIGHTS,
    SAMPLES,
    UNCHECKED_DETAIL,
    UNCHECKED_MRI_WEIGHT,
    SelfCheck,
    check_study,
)
from ftddm_core.settings import SamplerSettings

SCHEDULE = NoiseSchedule()


def study(shape: tuple[int, int, int] = (16, 16, 3), **more: Any) -> Study:
    return replace(phantom(shape), **more)


@pytest.fixture
def resolver() -> SuperResolver:
    return SuperResolver(tiny_weights(trained_voxel=10.0), "cpu")


def test_a_check_says_something_of_every_map(resolver: SuperResolver) -> None:
    given = study()
    told: list[float] = []
    found = check_study(resolver, given, progress=told.append)
    assert found.reason == ""
    assert set(found.gains) == set(found.shares) == set(MRI_WEIGHTS)
    assert found.mri_weight in MRI_WEIGHTS
    assert 0 <= found.within <= 1
    assert found.slices == 3
    for shares in found.shares.values():
        assert shares.keys() == given.maps.keys()
        assert all(0 <= share <= 1 for share in shares.values())
    assert told == sorted(told)
    assert told[-1] == 1
    again = check_study(resolver, given)
    assert (again.gains, again.shares, again.within) == (found.gains, found.shares, found.within)


def test_a_model_that_knows_the_study_is_trusted_and_one_that_does_not_is_not(
    resolver: SuperResolver,
) -> None:
    """The denoiser answers with the study itself, or with noise: the share tells them apart."""
    given = replace(phantom((16, 16, 1), ("tNAA",)), t1=None, flair=None)
    low = degrade(given, CHECK_FACTOR, whole=True)
    (condition,) = form_conditions(low, CHECK_FACTOR, (16, 16))
    truth = given.maps["tNAA"].data[..., 0] / condition.scale

    def answering(image: Any) -> Any:
        x0 = torch.from_numpy(np.ascontiguousarray(image, np.float32))

        def network(x_t: Tensor, channels: Tensor, t: Tensor, s: Tensor) -> Tensor:
            signal, noise = SCHEDULE.signal(t), SCHEDULE.noise(t)
            return (signal * x_t - x0 * channels[:, 1:2]) / noise

        return network

    shares, gains = {}, {}
    wrong = np.random.default_rng(0).uniform(0, 1, truth.shape)
    for what, image in (("right", truth), ("wrong", wrong)):
        spy(resolver, answering(image))
        found = check_study(resolver, given)
        shares[what] = np.mean(list(found.shares[1.0].values()))
        gains[what] = found.mean_gain
    assert shares["right"] > 0.8
    assert shares["wrong"] < 0.5
    assert gains["right"] > 2
    assert gains["wrong"] < gains["right"] - 2


@pytest.mark.parametrize("window", [Window(hamming=0.9), Window(elliptical=True)])
def test_a_filtered_scan_is_compared_as_its_own_scan_would_show_it(
    resolver: SuperResolver, window: Window
) -> None:
    """What the coarser measurement alone says is no farther off than the zero-filled map.

    Taken for sharp, the filtered study would look badly restored by whatever is right.
    """
    given = replace(phantom((16, 16, 1), ("tNAA",)), t1=None, flair=None)
    sharp = given.maps["tNAA"].data
    seen = given.maps["tNAA"].with_data(window.blur(sharp))
    given = replace(given, maps={"tNAA": seen}, window=window)
    left = coarse_matrix((16, 16), CHECK_FACTOR)
    (condition,) = self_check.coarse_conditions(resolver, given, left).values()
    held = self_check.Held.of(given, "tNAA")
    found = self_check.restore(resolver, held, condition, FIXED, (0,), lambda: False, None)
    truth = held.data[..., 0]
    error = {
        what: float(np.linalg.norm((image[..., 0] - truth)[held.where[..., 0]]))
        for what, image in (("z", found.alone), ("zero-filled", found.plain))
    }
    assert error["z"] < 1.05 * error["zero-filled"]


def test_a_study_without_mri_has_no_weight_to_choose(resolver: SuperResolver) -> None:
    found = check_study(resolver, study(t1=None, flair=None))
    assert set(found.gains) == {1.0}


def test_what_lies_outside_is_kept_for_a_scan_and_not_for_a_degraded_study(
    resolver: SuperResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    degraded: list[bool] = []
    original = self_check.degrade

    def watched(given: Study, factor: float, *, whole: bool) -> Study:
        degraded.append(whole)
        assert factor == CHECK_FACTOR
        return original(given, factor, whole=whole)

    monkeypatch.setattr(self_check, "degrade", watched)
    for outside in (Outside.SEEN, Outside.EMPTY):
        check_study(resolver, study(outside=outside))
    assert degraded == [True, False]


def test_a_matrix_that_cannot_be_halved_is_not_checked_and_says_so(
    resolver: SuperResolver,
) -> None:
    counted = spy(resolver)
    small = study((2 * LEAST_MATRIX - 2, 16, 2))
    found = check_study(resolver, small)
    assert counted.inputs == []
    assert "too small" in found.reason
    assert np.isnan(found.mean_gain)
    for upscale, detail in UNCHECKED_DETAIL.items():
        weighting = found.weighting(SamplerSettings(), "tNAA", upscale)
        assert weighting == (UNCHECKED_MRI_WEIGHT, detail)
    between = found.weighting(SamplerSettings(), "tNAA", 2.83).detail
    assert UNCHECKED_DETAIL[2.0] < between < UNCHECKED_DETAIL[4.0]
    assert found.weighting(SamplerSettings(), "tNAA").detail == UNCHECKED_DETAIL[2.0]
    assert not found.warned
    assert not np.isnan(check_study(resolver, study((2 * LEAST_MATRIX, 16, 2))).mean_gain)


def test_a_study_that_cannot_be_sampled_is_not_checked_either(resolver: SuperResolver) -> None:
    far = head((24, 26, 10), oblique_affine((24, 26, 10), (4.0, 4.0, 5.0), (0, 0, 0)))
    affine = far.affine.copy()
    affine[:3, 3] += 1e4
    found = check_study(resolver, study(t1=Volume(far.data, affine)))
    assert "T1" in found.reason


def test_a_check_works_on_few_slices_and_stops_when_asked(resolver: SuperResolver) -> None:
    counted = spy(resolver)
    deep = study((16, 16, 24), t1=None, flair=None)
    everywhere = Volume(np.ones(deep.grid.shape), deep.grid.affine)
    found = check_study(resolver, replace(deep, mask=everywhere))
    assert found.slices == MOST_SLICES
    calls = sum(len(x) for x, *_ in counted.inputs)
    assert calls == 2 * MOST_SLICES * 10 * (1 + SAMPLES)  # two maps without MRI to weigh
    asked = iter([False] * 7)
    with pytest.raises(Cancelled):
        check_study(resolver, study(), cancelled=lambda: next(asked, True))


def test_a_resolver_checks_a_study_once_and_only_for_automatic_weights(
    resolver: SuperResolver,
) -> None:
    given, quick = study(), SamplerSettings(upscale=2, steps=2)
    counted = spy(resolver)
    assert resolver.run(given, quick.replace(detail=1, mri_weight=1)).check is None
    without = len(counted.inputs)
    first = resolver.run(given, quick)
    with_check = len(counted.inputs) - without
    assert with_check > without
    second = resolver.run(given, quick.replace(seed=1))
    assert len(counted.inputs) - without - with_check <= 2 * without
    assert second.check is first.check is resolver.check(given)
    for name in given.maps:
        assert first.weighting[name] == resolver.check(given).weighting(quick, name)


def test_slices_are_spread_over_what_shows_enough_and_maps_share_few(
    resolver: SuperResolver,
) -> None:
    """Not those with most trusted voxels, which lie side by side and are alike."""
    counted = spy(resolver)
    names = ("tNAA", "tCho", "Glx", "Ins", "tCr", "Gln", "Glu")
    deep = replace(phantom((16, 16, 30), names[:1]), t1=None, flair=None)
    mask = np.zeros(deep.grid.shape)
    for k in range(5, 27):  # largest in the middle, too small at both ends
        half = 7 - abs(k - 15) // 4
        mask[8 - half : 8 + half, 8 - half : 8 + half, k] = 1
    maps = dict.fromkeys(names, deep.maps["tNAA"])
    given = replace(deep, maps=maps, mask=Volume(mask, deep.grid.affine))
    begun: dict[Any, Any] = {}
    found = check_study(resolver, given, begun=begun)
    assert found.slices == 2
    assert sum(len(x) for x, *_ in counted.inputs) == len(names) * 2 * 10 * (1 + SAMPLES)
    slices = [begun[name, 0].slices for name in names]
    area = mask.sum((0, 1))
    assert all(second - first > 5 for first, second in slices)
    assert len({k for pair in slices for k in pair}) > len(names)
    assert all(area[k] >= area.max() / 2 for pair in slices for k in pair)


def checked() -> SelfCheck:
    gains = {0.0: {"a": 1.0, "b": 2.0}, 0.5: {"a": 3.0, "b": 1.0}, 1.0: {"a": -1.0, "b": 0.0}}
    shares = {0.0: {"a": 0.2, "b": 0.4}, 0.5: {"a": 0.6, "b": 0.8}, 1.0: {"a": 0.1, "b": 0.3}}
    return SelfCheck(gains, shares, 0.6, 3)


def test_the_weight_with_the_largest_mean_gain_is_taken() -> None:
    found = checked()
    assert found.mri_weight == 0.5
    assert found.mean_gain == 2.0
    assert found.gain("b") == 1.0
    assert found.weighting(SamplerSettings(), "a") == (0.5, pytest.approx(0.6))
    for gains, weight in (((1.0, 1.0, 0.9), 1.0), ((1.0, 0.9, 0.7), 0.5), ((1.0, 0.7, 0.7), 0.0)):
        tied = SelfCheck({w: {"a": gain} for w, gain in zip(MRI_WEIGHTS, gains, strict=True)})
        assert tied.mri_weight == weight


def test_a_study_is_warned_of_by_its_mean_and_a_map_by_its_own_loss() -> None:
    def of(*gains: float) -> SelfCheck:
        return SelfCheck({1.0: dict(zip("abc", gains, strict=False))})

    for gains, worse, warned in (
        ((0.1, -0.05), "", ""),
        ((1.0, -0.4), "", ""),
        ((0.1, -0.2), "", "ab"),
        ((2.0, -0.6), "b", "b"),
        ((-2.0, -0.6), "ab", "ab"),
    ):
        found = of(*gains)
        assert "".join(found.worse) == worse
        assert "".join(name for name in "ab" if found.warns_of(name)) == warned
        assert found.warned == bool(warned)


def test_what_the_user_sets_wins_and_detail_follows_the_mri_weight_that_is_set() -> None:
    found = checked()
    assert found.weighting(SamplerSettings(mri_weight=0.25), "a") == (0.25, pytest.approx(0.4))
    assert found.weighting(SamplerSettings(mri_weight=1), "b") == (1.0, pytest.approx(0.3))
    assert found.weighting(SamplerSettings(detail=0.9), "a") == (0.5, 0.9)
    assert found.weighting(SamplerSettings(detail=0, mri_weight=0), "b") == (0.0, 0.0)
    assert found.expected_within == (SAMPLES - 1) / (SAMPLES + 1)
