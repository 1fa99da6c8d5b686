"""The two weights: how far MRI guides, and how much of the drawn detail is shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from resolving import (
    NAMES,
    QUICK,
    assert_equal,
    images,
    largest_difference,
    noise_settings,
    phantom,
    run,
    spy,
)

from ftddm_core.sampling.resolver import SuperResolver


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


def test_the_estimate_from_the_measurement_alone_depends_on_nothing_else(
    resolver: SuperResolver,
) -> None:
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
