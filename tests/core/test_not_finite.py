"""A result with values that are not finite: refused by name, at every place where one may arise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks import tiny_unet
from resolving import DRAWN, QUICK, phantom

from ftddm_core.errors import NotFiniteError
from ftddm_core.evaluation.regression import regress
from ftddm_core.sampling.condition import form_conditions
from ftddm_core.sampling.gathered import Sampled
from ftddm_core.sampling.noise import NoiseKey
from ftddm_core.sampling.recall import Recall
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_core.sampling.result import Update


def spoil(network: torch.nn.Module, value: float = float("nan")) -> None:
    """Overwrite 200 values of a network, as damage that still loads would."""
    with torch.no_grad():
        largest = max(network.parameters(), key=torch.numel)
        values = largest.flatten()
        values[:200] = value
        largest.copy_(values.view(largest.shape))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("mode", ["noise", "exact", "off"])
def test_a_damaged_denoiser_gives_no_result(
    resolver: SuperResolver, mode: str, value: float
) -> None:
    spoil(resolver.weights.denoiser, value)
    with pytest.raises(NotFiniteError, match=r"^tNAA: the result of slice 0 is not finite.*'tiny'"):
        resolver.run(phantom(), QUICK.replace(consistency=mode))


@pytest.mark.parametrize("t_trunc", [0, 100])
def test_a_damaged_flow_gives_no_result(resolver: SuperResolver, t_trunc: int) -> None:
    spoil(resolver.weights.flow)
    resolver = SuperResolver(resolver.weights, "cpu")
    settings = DRAWN.replace(t_trunc=t_trunc, steps=2 if t_trunc else None)
    with pytest.raises(NotFiniteError, match=r"^tNAA: "):
        resolver.run(phantom(), settings)


def test_a_live_image_is_refused_before_it_is_shown(resolver: SuperResolver) -> None:
    """At the first running estimate, and again from what is recalled."""
    spoil(resolver.weights.denoiser)
    conditions, recall = list(form_conditions(phantom(), 2.0)), Recall()
    for _ in range(2):
        with pytest.raises(NotFiniteError, match=r"^tNAA: the result of slice 1 "):
            next(resolver.sample(conditions[:1], QUICK, slices=[1], recall=recall))


def test_the_self_check_is_refused_too(resolver: SuperResolver) -> None:
    spoil(resolver.weights.denoiser)
    with pytest.raises(NotFiniteError, match="is not finite"):
        resolver.check(phantom((16, 18, 4), voxel=6.0))


def test_the_metabolite_and_the_precision_are_named() -> None:
    keys = (NoiseKey(0, "tNAA", 4, 0), NoiseKey(0, "tCho", 7, 0))
    images = np.ones((2, 3, 3), np.float32)
    images[1, 2, 0] = np.inf
    update = Update("estimate", 0.5, keys, images, np.ones_like(images))
    with pytest.raises(NotFiniteError, match=r"^tCho: the result of slice 7 ") as caught:
        update.check_finite("mine", "cuda, float16")
    assert "leave out half precision" in str(caught.value)
    with pytest.raises(NotFiniteError) as caught:
        update.check_finite("mine", "cuda:0")
    assert "precision" not in str(caught.value)
    update.showing(images[[0, 0]], images[[0, 0]]).check_finite("mine", "cpu")


def test_minus_infinity_is_not_hidden_by_clipping() -> None:
    good = np.ones((1, 3, 3), np.float32)
    update = Update("sample", 1.0, (NoiseKey(0, "Ins", 2, 0),), good, good)
    explained = np.full((2, 2), -np.inf, np.float32)
    sampled = Sampled(good[0], good[0], explained, explained, explained)
    with pytest.raises(NotFiniteError, match=r"^Ins: the result of slice 2 "):
        update.check_finite("mine", "cpu", [sampled])


def test_a_regression_gives_no_such_map() -> None:
    network = tiny_unet().eval()
    spoil(network)
    with pytest.raises(NotFiniteError, match=r"^tNAA: the regression's map is not finite"):
        regress(network, form_conditions(phantom(), 2.0))
