"""The experiment on parametrisations: what is held equal, what is measured, what is printed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from ftddm_core.errors import SettingsError
from ftddm_core.model.unet import UNetConfig
from ftddm_core.training import experiment as module
from ftddm_core.training.dataset import Batch
from ftddm_core.training.experiment import (
    VARIANTS,
    Experiment,
    compare_variants,
    to_table,
    x0_error,
)
from ftddm_core.training.fit_denoiser import SCHEDULE
from ftddm_core.training.loop import FitConfig

TINY = UNetConfig(channels=(8, 8, 8), attention=(), embedding=16)
SHORT = Experiment("small", TINY, FitConfig(steps=2, batch=2, warmup=1), (20, 500), 2)


class Images:
    """A pool of random images, half of them masked."""

    def draw(self, rng, size):
        channels = 1 + TINY.condition_channels
        images = torch.from_numpy(rng.random((size, channels, 16, 16)).astype(np.float32))
        images[:, 2] = (images[:, 2] > 0.5).float()
        return Batch(images[:, :1] * images[:, 2:3], images[:, 1:], torch.full((size,), 4.0))


class Knows(nn.Module):
    """Predicts the noise of an x0 of 0 wherever the mask is, off by a given error of x0."""

    def __init__(self, wrong):
        super().__init__()
        self.wrong = wrong

    def forward(self, x_t, condition, t, upscale):
        return (x_t - SCHEDULE.signal(t) * self.wrong) / SCHEDULE.noise(t)


def test_the_error_is_that_of_x0_inside_the_mask():
    """A network whose x0 is the constant c errs by rms(c - x0) over the masked voxels."""
    values = []
    for i in range(SHORT.batches):
        rng = np.random.default_rng([2**31, i])
        rng.integers(2**63)
        batch = Images().draw(rng, 2)
        values.append(batch.x0[batch.mask > 0])
    inside = torch.cat(values)
    for t in (20, 500):
        found = x0_error(Knows(0.3), "eps", Images(), t, SHORT)
        assert found == pytest.approx(float((inside - 0.3).square().mean().sqrt()), rel=1e-4)


def test_variants_differ_in_nothing_but_what_they_are_called(tmp_path, monkeypatch):
    seen = []

    def fit(network, loss, training, validation, config, folder, **_):
        weights = torch.cat([p.detach().flatten() for p in network.parameters()])
        seen.append((network.config, loss.keywords, weights, folder.name, config))
        return network

    monkeypatch.setattr(module, "fit", fit)
    compare_variants(SHORT, Images(), Images(), tmp_path)
    assert len(seen) == len(VARIANTS) == 6
    for (prediction, levels), (config, keywords, weights, name, fitted) in zip(
        VARIANTS, seen, strict=True
    ):
        assert config == replace(TINY, prediction=prediction)
        assert keywords == {"prediction": prediction, "levels": levels}
        assert torch.equal(weights, seen[0][2])
        assert name == f"{prediction}-{levels}"
        assert fitted == SHORT.fit


def test_a_second_time_nothing_is_fitted_again_and_the_table_is_the_same(tmp_path):
    first = compare_variants(SHORT, Images(), Images(), tmp_path)
    steps = []
    again = compare_variants(
        SHORT, Images(), Images(), tmp_path, progress=lambda _, step: steps.append(step)
    )
    assert again == first
    assert steps == []
    table = to_table(first)
    assert table.count("\n") == 7
    assert "| v | low |" in table
    assert table.count("**") >= 4


def test_the_table_marks_the_best():
    found = {("v", "low"): {20: 0.25, 1000: 0.125}, ("eps", "low"): {20: 0.2, 1000: 1234.5}}
    assert to_table(found).splitlines() == [
        "| predicts | levels | t = 20 | t = 1000 |",
        "| --- | --- | --- | --- |",
        "| v | low | 0.2500 | **0.1250** |",
        "| eps | low | **0.2000** | 1234 |",
    ]


def test_the_bundled_experiment_loads_and_nonsense_does_not(tmp_path):
    bundled = Experiment.load("parametrisation")
    assert bundled.at == (1, 20, 50, 100, 200, 500, 1000)
    assert bundled.of_steps(3).fit == replace(bundled.fit, steps=3)
    (tmp_path / "a.toml").write_text("at = [1]\n")
    with pytest.raises(SettingsError, match="does not fit"):
        Experiment.load(str(tmp_path / "a.toml"))
    with pytest.raises(SettingsError, match="Levels lie in"):
        compare_variants(replace(SHORT, at=(0,)), Images(), Images(), tmp_path)
