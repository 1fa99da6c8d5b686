"""The training loop: interrupted and resumed, its learning rate, its average, its records."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from ftddm_core.errors import CheckpointError
from ftddm_core.training.dataset import Batch
from ftddm_core.training.loop import Average, FitConfig, fit, validate

CONFIG = FitConfig(steps=9, batch=2, warmup=2, validate_every=3, average=0.7, seed=5)


class Numbers:
    """A pool of random images; keeps the first number of each batch drawn."""

    def __init__(self):
        self.drawn = []

    def draw(self, rng, size):
        self.drawn.append(float(rng.random()))
        images = torch.from_numpy(rng.standard_normal((size, 5, 8, 8)).astype(np.float32))
        return Batch(images[:, :1], images[:, 1:], torch.full((size,), 4.0))


class Tiny(nn.Module):
    """Two layers and a buffer that counts the passes while training."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(4, 3, 3, padding=1), nn.SiLU(), nn.Conv2d(3, 1, 1))
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, x):
        if self.training:
            self.passes += 1
        return self.layers(x)


def squared(network, batch, generator):
    noise = 0.1 * torch.randn(batch.x0.shape, generator=generator)
    error = (network(batch.condition) - batch.x0 + noise).square().mean()
    return {"loss": error, "root": error.sqrt()}


def tiny():
    torch.manual_seed(0)
    return Tiny()


def run(folder, config=CONFIG, network=None, loss=squared, **options):
    network = network or tiny()
    return fit(network, loss, Numbers(), Numbers(), config, folder, **options), network


def same(one, other):
    return all(torch.equal(a, other.state_dict()[name]) for name, a in one.state_dict().items())


@pytest.mark.parametrize("stop", [4, 6, 8])
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path, stop):
    whole_average, whole = run(tmp_path / "whole")

    def interrupt(step, losses):
        if step == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", progress=interrupt)
    torch.manual_seed(123)  # the resumed process starts from other weights, and loads its own
    average, network = run(tmp_path / "parts", network=Tiny())
    assert same(average, whole_average)
    assert same(network, whole)
    assert not same(network, tiny())
    steps = [json.loads(x)["step"] for x in (tmp_path / "parts/log.jsonl").read_text().splitlines()]
    assert steps == [3, 6, 9]


def test_a_finished_run_returns_its_average_and_trains_no_more(tmp_path):
    average, _ = run(tmp_path)
    before = (tmp_path / "state.pt").read_bytes()

    def never(*_):
        raise AssertionError

    again, _ = run(tmp_path, network=Tiny(), loss=never)
    assert same(again, average)
    assert (tmp_path / "state.pt").read_bytes() == before
    assert not (tmp_path / "state.part").exists()


def test_batches_of_a_step_depend_on_seed_and_step_alone(tmp_path):
    training, validation = Numbers(), Numbers()
    fit(tiny(), squared, training, validation, CONFIG, tmp_path / "a")
    expected = [np.random.default_rng([5, step]) for step in range(9)]
    for rng in expected:
        rng.integers(2**63)  # seeds the levels and the noise
    assert training.drawn == [float(rng.random()) for rng in expected]
    # Every validation sees the same batches, whatever the training's seed.
    assert len(validation.drawn) == 3 * 12
    assert validation.drawn[:12] == validation.drawn[12:24] == validation.drawn[24:]
    assert not set(validation.drawn) & set(training.drawn)


def test_the_learning_rate_rises_stays_and_falls():
    config = FitConfig(steps=1000, learning_rate=1e-3, warmup=100, decay=0.4)
    assert config.rate(0) == pytest.approx(1e-5)
    assert config.rate(49) == pytest.approx(5e-4)
    assert config.rate(99) == config.rate(600) == pytest.approx(1e-3)
    assert config.rate(800) == pytest.approx(5e-4)
    assert config.rate(999) == pytest.approx(1e-3 / 400)
    rates = np.array([config.rate(step) for step in range(1000)])
    assert (rates > 0).all()
    assert np.abs(np.diff(rates)).max() < 1.01e-5
    # Without a decay it stays to the end.
    assert FitConfig(steps=10, warmup=1, decay=0.0).rate(9) == 3e-4


def test_the_optimiser_uses_the_rate_of_its_step(tmp_path):
    """Adam's first step moves each weight by the learning rate."""
    network = tiny()
    before = [p.detach().clone() for p in network.parameters()]
    config = FitConfig(steps=1, batch=2, warmup=4, decay=0.0, learning_rate=0.02)
    run(tmp_path, config, network)
    moved = torch.cat(
        [(a - b).flatten() for a, b in zip(network.parameters(), before, strict=True)]
    )
    torch.testing.assert_close(moved.abs().median(), torch.tensor(0.005), rtol=1e-3, atol=0)


def test_the_average_is_exponential_and_short_at_first():
    """mean <- d mean + (1 - d) value, d = min(decay, (i + 1) / (i + 10)); buffers are copied."""
    network = tiny()
    average = Average(network, 0.5)
    expected = network.layers[0].bias.detach().clone()
    for step in range(20):
        with torch.no_grad():
            network.layers[0].bias += step
            network.passes += 1
        average.update(network, step)
        d = min(0.5, (step + 1) / (step + 10))
        expected = d * expected + (1 - d) * network.layers[0].bias.detach()
    torch.testing.assert_close(average.network.layers[0].bias, expected)
    assert float(average.network.passes) == 20
    assert not average.network.training
    assert not any(p.requires_grad for p in average.network.parameters())


def test_a_step_whose_gradient_is_not_finite_is_left_out(tmp_path):
    calls = []

    def broken(network, batch, generator):
        losses = squared(network, batch, generator)
        calls.append(network.training)
        bad = network.training and len([c for c in calls if c]) == 2
        return losses | {"loss": losses["loss"] * (float("nan") if bad else 1)}

    average, network = run(tmp_path, FitConfig(steps=3, batch=2, warmup=1), loss=broken)
    for weights in (average, network):
        assert all(bool(p.isfinite().all()) for p in weights.parameters())
    assert not same(network, tiny())


def test_the_log_holds_training_and_validation_losses(tmp_path):
    average, _ = run(tmp_path)
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    keys = {"train_loss", "train_root", "valid_loss", "valid_root", "step", "seconds"}
    assert [set(record) for record in records] == [keys] * 3
    found = validate(average, squared, Numbers(), CONFIG, torch.device("cpu"))
    assert found["valid_loss"] == pytest.approx(records[-1]["valid_loss"], abs=1e-5)


def test_training_lowers_the_loss(tmp_path):
    """The target is a channel of the condition: it can be learned."""

    def learnable(network, batch, generator):
        return {"loss": (network(batch.condition) - batch.condition[:, :1]).square().mean()}

    config = FitConfig(steps=150, batch=4, warmup=5, learning_rate=0.02, validate_every=75)
    run(tmp_path, config, loss=learnable)
    first, last = (json.loads(x) for x in (tmp_path / "log.jsonl").read_text().splitlines())
    assert last["valid_loss"] < 0.7 * first["valid_loss"]
    assert last["valid_loss"] < 0.2


def test_a_batch_without_a_finite_gradient_is_left_out_and_counted(tmp_path):
    """It poisons neither the weights nor the running means of the losses."""
    calls, told = [], []

    def rare(network, batch, generator):
        losses = squared(network, batch, generator)
        calls.append(network.training)
        return {k: v * math.nan for k, v in losses.items()} if sum(calls) == 2 else losses

    average, _ = run(tmp_path, loss=rare, progress=lambda *args: told.append(args))
    assert all(bool(value.isfinite().all()) for value in average.state_dict().values())
    assert [losses.get("skipped", 0) for _, losses in told] == [0, *[1] * (len(told) - 1)]
    assert all(math.isfinite(value) for _, losses in told for value in losses.values())
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert records[-1]["skipped"] == 1
    assert all(math.isfinite(value) for record in records for value in record.values())


def test_a_run_that_has_diverged_ends_and_says_so(tmp_path):
    def lost(network, batch, generator):
        return {k: v * math.nan for k, v in squared(network, batch, generator).items()}

    config = FitConfig(steps=1000, batch=1, validate_every=30)
    with pytest.raises(CheckpointError, match=r"up to step 100: the run has diverged.* step 90"):
        run(tmp_path, config, loss=lost)


def test_bfloat16_computes_the_network_alone(tmp_path):
    """Its answer comes back in float32, rounded; weights and validation are untouched by it."""
    network, seen = tiny(), []

    def loss(asked, batch, generator):
        answer = asked(batch.condition)
        seen.append((answer.dtype, torch.equal(answer, network(batch.condition))))
        return {"loss": (answer - batch.x0).square().mean()}

    config = FitConfig(steps=1, batch=2, warmup=1, learning_rate=0.0, bf16=True)
    average, _ = run(tmp_path, config, network, loss)
    assert seen[0] == (torch.float32, False)
    assert seen[1:] == [(torch.float32, True)] * 12
    assert {p.dtype for p in average.parameters()} == {torch.float32}


def test_batches_drawn_by_other_processes_change_nothing(tmp_path):
    config = FitConfig(steps=3, batch=2, warmup=1, validate_every=3)
    here, _ = run(tmp_path / "here", config)
    there, _ = run(tmp_path / "there", config, workers=1)
    assert same(here, there)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_step_on_cuda_is_that_on_the_cpu(tmp_path):
    config = FitConfig(steps=2, batch=2, warmup=1, learning_rate=1e-3)
    here, _ = run(tmp_path / "cpu", config)
    there, _ = run(tmp_path / "cuda", config, device="cuda")
    for name, value in here.state_dict().items():
        torch.testing.assert_close(there.state_dict()[name].cpu(), value, rtol=1e-2, atol=1e-4)
