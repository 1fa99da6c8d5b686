"""A network of a plan, fitted: what it starts from, what is put on record, and what is shipped."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import TINY_FLOW, TINY_UNET, tiny_flow, tiny_unet

from ftddm_core.errors import CheckpointError, FormatError, SettingsError
from ftddm_core.model import checkpoint
from ftddm_core.model.checkpoint import (
    available_weights,
    load_regression,
    load_weights,
    save_regression,
    save_weights,
)
from ftddm_core.model.flow import FLOW_PRESETS
from ftddm_core.model.unet import UNET_PRESETS
from ftddm_core.phantom.randomised import MIXTURE
from ftddm_core.training import fitting
from ftddm_core.training.batches import batches
from ftddm_core.training.dataset import Batch
from ftddm_core.training.fitting import build, fit_network, loss_of
from ftddm_core.training.loop import FitConfig
from ftddm_core.training.plan import NETWORKS, FitPlan
from ftddm_core.training.run import RunConfig, export, export_regression

ROOT = Path(__file__).parents[2]
SHORT = FitConfig(steps=1, batch=2, warmup=1, average=0.0)
DATA = {"training": {"anatomies": {"a.nii.gz": "1"}}, "validation": {}}


class Numbers:
    """A pool of random images on a grid that three scales of similarity fit in."""

    def draw(self, rng: np.random.Generator, size: int) -> Batch:
        channels = 1 + TINY_UNET.condition_channels
        images = torch.from_numpy(rng.random((size, channels, 32, 32)).astype(np.float32))
        images[:, 2] = (images[:, 2] > 0.3).float()
        return Batch(images[:, :1] * images[:, 2:3], images[:, 1:], torch.full((size,), 4.0))


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(UNET_PRESETS, "small", TINY_UNET)
    monkeypatch.setitem(FLOW_PRESETS, "small", TINY_FLOW)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    save_weights(tmp_path / "mine", tiny_unet(), tiny_flow(), {"steps": 7})
    return tmp_path / "mine"


def plan(**changes: object) -> FitPlan:
    return replace(FitPlan("small", SHORT, SHORT, SHORT), **changes)  # type: ignore[arg-type]


def run(which, folder, start_from=None, of=None):  # type: ignore[no-untyped-def]
    pool = Numbers()
    options = {"start_from": None if start_from is None else str(start_from)}
    return fit_network(which, of or plan(), pool, pool, folder, DATA, **options)


def state_of(network):  # type: ignore[no-untyped-def]
    return {k: v.half() for k, v in network.state_dict().items() if v.is_floating_point()}


def same(one, other) -> bool:  # type: ignore[no-untyped-def]
    return all(torch.equal(v, state_of(other)[k]) for k, v in state_of(one).items())


# ---------------------------------------------------------------- what a network starts from


@pytest.mark.parametrize("which", NETWORKS)
def test_network_and_average_start_from_exported_weights(
    which, exported, tmp_path, monkeypatch
) -> None:
    """The regression starts from the denoiser's."""
    seen = []
    monkeypatch.setattr(fitting, "fit", lambda network, *_, **__: seen.append(network))
    run(which, tmp_path / "run", exported)
    assert same(seen[0], tiny_flow() if which == "flow" else tiny_unet())
    run(which, tmp_path / "other")
    assert not same(seen[1], seen[0])
    if which == "flow":  # the example was never fitted: its first batch would normalise it
        return
    # With a rate of nothing the average is what it was started from.
    monkeypatch.undo()
    monkeypatch.setitem(UNET_PRESETS, "small", TINY_UNET)
    monkeypatch.setitem(FLOW_PRESETS, "small", TINY_FLOW)
    still = plan(**{which: replace(SHORT, learning_rate=0.0)})
    assert same(run(which, tmp_path / "still", exported, still), seen[0])


def test_a_regression_goes_on_from_a_regression(tmp_path, monkeypatch) -> None:
    save_regression(tmp_path / "peer", tiny_unet(5), {"steps": 3})
    seen = []
    monkeypatch.setattr(fitting, "fit", lambda network, *_, **__: seen.append(network))
    run("regression", tmp_path / "run", tmp_path / "peer")
    assert same(seen[0], tiny_unet(5))
    with pytest.raises(CheckpointError, match="holds a regression"):
        run("denoiser", tmp_path / "run", tmp_path / "peer")


def test_the_record_carries_what_the_weights_went_through(exported, tmp_path) -> None:
    for which in ("denoiser", "flow"):
        run(which, tmp_path / "run", exported)
    export(tmp_path / "run", tmp_path / "next")
    runs = load_weights(tmp_path / "next").record["runs"]
    for which in ("denoiser", "flow"):
        assert runs[which]["start_from"] == {
            "name": "mine",
            "digest": load_weights(exported).digest,
            "record": {"steps": 7},
        }
        assert runs[which]["training"] == DATA["training"]
    assert runs["denoiser"]["prediction"] == "v"
    assert runs["denoiser"]["levels"] == "low"
    for which, run_ in runs.items():
        log = (tmp_path / "run" / which / "log.jsonl").read_text().splitlines()
        assert len(run_["curve"]) == len(log) > 0
        for line, kept in zip(log, run_["curve"], strict=True):
            assert "seconds" not in kept
            assert kept.items() <= json.loads(line).items()
            assert {"step", "valid_loss"} <= set(kept)


@pytest.mark.parametrize("which", ["denoiser", "flow"])
def test_weights_of_other_sizes_are_refused(which, exported, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(UNET_PRESETS, "small", replace(TINY_UNET, embedding=64))
    monkeypatch.setitem(FLOW_PRESETS, "small", replace(TINY_FLOW, hidden=16))
    size = "embedding 32 there, 64 here" if which == "denoiser" else "hidden 8 there, 16 here"
    with pytest.raises(CheckpointError, match=size):
        run(which, tmp_path / "run", exported)
    assert not (tmp_path / "run").exists()


def test_weights_that_predict_something_else_are_refused(exported, tmp_path) -> None:
    with pytest.raises(CheckpointError, match="prediction v there, eps here"):
        run("denoiser", tmp_path / "run", exported, plan(prediction="eps"))


def test_a_run_goes_on_only_as_it_was_started(exported, tmp_path) -> None:
    run("denoiser", tmp_path / "a", exported)
    run("denoiser", tmp_path / "a", exported)
    with pytest.raises(SettingsError, match="cannot be resumed as one from scratch"):
        run("denoiser", tmp_path / "a")
    save_weights(tmp_path / "more", tiny_unet(3), tiny_flow(), {})
    with pytest.raises(SettingsError, match="start from the same weights"):
        run("denoiser", tmp_path / "a", tmp_path / "more")
    run("denoiser", tmp_path / "b")
    with pytest.raises(SettingsError, match="started from scratch"):
        run("denoiser", tmp_path / "b", exported)
    with pytest.raises(SettingsError, match="prediction 'v', not 'eps'"):
        run("denoiser", tmp_path / "b", None, plan(prediction="eps"))
    with pytest.raises(SettingsError, match="levels 'low', not 'uniform'"):
        run("denoiser", tmp_path / "b", None, plan(levels="uniform"))
    other = {**DATA, "training": {**DATA["training"], "seed": 99}}
    with pytest.raises(SettingsError, match="fitted on other training patients"):
        fit_network("denoiser", plan(), Numbers(), Numbers(), tmp_path / "b", other)


# ---------------------------------------------------------------- the regression on disk


def test_an_exported_regression_comes_back_and_is_no_weights(tmp_path, monkeypatch) -> None:
    averaged = run("regression", tmp_path / "run")
    assert export_regression(tmp_path / "run", tmp_path / "peer") == {"regression": 1}
    network, digest = load_regression(tmp_path / "peer")
    assert same(network, averaged)
    assert len(digest) == 64
    assert not network.training
    record = json.loads((tmp_path / "peer/config.json").read_text())
    assert record["kind"] == "regression"
    assert record["record"]["runs"]["regression"]["training"] == DATA["training"]
    with pytest.raises(CheckpointError, match="it draws no samples"):
        load_weights(tmp_path / "peer")

    save_weights(tmp_path / "full", tiny_unet(), tiny_flow(), {})
    with pytest.raises(CheckpointError, match="not a regression"):
        load_regression(tmp_path / "full")
    monkeypatch.setattr(checkpoint, "asset_folder", lambda name: tmp_path)
    assert available_weights() == ["full"]
    assert load_regression("peer")[1] == digest
    with pytest.raises(CheckpointError, match="bundled are full"):
        load_regression("nothing")


def test_a_damaged_regression_is_named(tmp_path) -> None:
    save_regression(tmp_path, tiny_unet(), {})
    content = (tmp_path / "regression.safetensors").read_bytes()
    (tmp_path / "regression.safetensors").write_bytes(content[:-9])
    with pytest.raises(CheckpointError, match=r"regression\.safetensors is damaged"):
        load_regression(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["regression"]["channels"] = 7
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="describes no network"):
        load_regression(tmp_path)


def test_nothing_is_exported_that_was_not_trained(tmp_path) -> None:
    run("denoiser", tmp_path)
    with pytest.raises(CheckpointError, match="run `ftddm train flow` first"):
        export(tmp_path, tmp_path / "w")
    with pytest.raises(CheckpointError, match="run `ftddm train regression` first"):
        export_regression(tmp_path, tmp_path / "w")


# ---------------------------------------------------------------- plans


def test_a_plan_decides_what_is_built_and_how_it_is_fitted() -> None:
    noise = plan(prediction="eps", levels="min-snr")
    assert build("denoiser", "small", "eps").config.prediction == "eps"
    assert build("regression", "small", "eps").config.prediction == "v"
    loss = loss_of("denoiser", noise)
    assert isinstance(loss, partial)
    assert loss.keywords == {"prediction": "eps", "levels": "min-snr"}
    assert same(build("denoiser", "small"), build("denoiser", "small"))
    changed = noise.changed("flow", steps=5)
    assert (changed.flow.steps, changed.denoiser.steps, changed.levels) == (5, 1, "min-snr")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('preset = "huge"', "Unknown preset 'huge', there are small, paper"),
        ('preset = "small"\nprediction = "x0"', "Unknown prediction 'x0', there are v, eps"),
        ('preset = "small"\nlevels = "all"', "there are low, uniform, min-snr"),
        ('preset = "small"\n[flow]\nbf16 = true', "likelihood needs float32"),
        ('preset = "small"\n[flow]\nstep = 1', "does not fit"),
        ("", "does not fit: 'preset'"),
        ("preset", "cannot be read"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(text, said, tmp_path) -> None:
    (tmp_path / "plan.toml").write_text(text)
    with pytest.raises((SettingsError, FormatError), match=said):
        FitPlan.load(str(tmp_path / "plan.toml"))


@pytest.mark.parametrize(
    ("name", "preset", "randomised"),
    [("small", "small", MIXTURE), ("literature", "small", 0.0), ("paper", "paper", MIXTURE)],
)
def test_bundled_configurations_load(name, preset, randomised) -> None:
    config = RunConfig.load(name)
    assert config.preset == preset
    assert config.pool.randomised == config.validation.randomised == randomised
    assert config.pool.seed != config.validation.seed
    assert FitPlan.load(name).denoiser == config.denoiser


# ---------------------------------------------------------------- batches and other machines


def test_other_processes_draw_the_same_batches() -> None:
    seeds = [[3, step] for step in range(5)]
    here = list(batches(Numbers(), 2, seeds))
    there = list(batches(Numbers(), 2, seeds, workers=2))
    assert len(there) == 5
    for (one, generator), (other, theirs) in zip(here, there, strict=True):
        assert torch.equal(one.x0, other.x0)
        assert torch.equal(one.condition, other.condition)
        assert torch.equal(torch.randn(3, generator=generator), torch.randn(3, generator=theirs))


ALONE = """
import sys, json
for name in ("nibabel", "scipy", "skimage", "matplotlib", "tqdm", "safetensors"):
    sys.modules[name] = None
from ftddm_core.model.unet import UNET_PRESETS, UNetConfig
UNET_PRESETS["small"] = UNetConfig(channels=(8, 8, 8), attention=(), embedding=16)
from ftddm_core.training.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_fitting_needs_torch_and_numpy_alone(tmp_path) -> None:
    """From a rendered pool; nibabel, scipy and the rest cannot be imported."""
    rng = np.random.default_rng(0)
    for side, name in (("training", "a"), ("validation", "b")):
        folder = tmp_path / f"pool-{side}"
        folder.mkdir()
        record = {"anatomies": {name: name}, "patients": 1}
        (folder / "pool.json").write_text(json.dumps(record))
        np.savez(
            folder / "patient-0.npz",
            truth=rng.random((2, 48, 48, 2)).astype(np.float16),
            noise=np.full(2, 0.02, np.float32),
            mask=np.ones((48, 48, 2), bool),
            t1=rng.random((48, 48, 2)).astype(np.float16),
        )

    def fitted(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", ALONE, *words, "--pool", str(tmp_path), "--device", "cpu"]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=300, cwd=ROOT, check=False
        )

    found = fitted("regression", "--steps", "2", "--out", str(tmp_path / "run"), "--bf16")
    assert found.returncode == 0, found.stderr
    run_record = json.loads((tmp_path / "run/regression/run.json").read_text())
    assert run_record["training"]["anatomies"] == {"a": "a"}
    assert run_record["fit"]["bf16"]
    assert json.loads((tmp_path / "run/regression/log.jsonl").read_text())["step"] == 2

    (tmp_path / "pool-validation/pool.json").write_text(
        json.dumps({"anatomies": {"b": "a"}, "patients": 1})
    )
    assert "share subjects" in fitted("denoiser").stderr
    (tmp_path / "pool-validation/patient-0.npz").unlink()
    found = fitted("denoiser")
    assert found.returncode == 2
    assert "holds 0 patients of 1" in found.stderr
