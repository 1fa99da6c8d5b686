"""What the whole method keeps of the measurement, and the residual that it reports."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from resolving import NAMES, QUICK, noise_settings, phantom, run, spy

from ftddm_core.imaging.fourier import truncate
from ftddm_core.imaging.volume import Outside
from ftddm_core.sampling.resolver import SuperResolver


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
