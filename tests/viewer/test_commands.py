"""The commands beside `run`: simulate, evaluate, sweep, demo and train."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from properties import save_nifti
from tiny import TINY_FLOW, TINY_UNET, Ftddm, files_in, load, residual, save_t1, sidecar

from ftddm_core.errors import Cancelled
from ftddm_core.imaging.io import open_study
from ftddm_core.model.checkpoint import load_weights
from ftddm_core.model.flow import FLOW_PRESETS
from ftddm_core.model.unet import UNET_PRESETS
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_viewer.cli import main


def test_simulate(label_map: Path, tmp_path: Path, ftddm: Ftddm) -> None:
    """A study with its truth and its coarse maps, the same bytes for the same seed."""
    words = ["simulate", "--anatomy", label_map, "--matrix", 24, "--slices", 2, "--voxel", 8.0]
    words += ["--upscale", 4, "--glioma"]
    outcome = ftddm(*words, "--seed", 3, "--out", tmp_path / "a")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("Simulated a glioma patient from nested")
    assert ftddm(*words, "--seed", 3, "--out", tmp_path / "b").code == 0
    assert ftddm(*words, "--seed", 4, "--out", tmp_path / "c").code == 0
    assert files_in(tmp_path / "a") == files_in(tmp_path / "b")
    assert files_in(tmp_path / "a") != files_in(tmp_path / "c")

    measured, truth, low = (
        open_study(tmp_path / "a" / name) for name in ("", "noise_free", "lowres")
    )
    assert list(measured.maps) == list(truth.maps) == list(low.maps)
    assert len(measured.maps) == 7
    assert measured.t1 is not None
    assert measured.flair is not None
    for folder in ("", "noise_free", "lowres"):
        record = json.loads((tmp_path / "a" / folder / "sub-sim03.json").read_text())
        assert record["Notice"].startswith("SIMULATED patient. Research use only")
        assert "AI-generated" not in record["Notice"]
        assert (record["Seed"], record["Glioma"], record["Unit"]) == (3, True, "mM")
        assert record.get("NoiseFree", False) is (folder == "noise_free")
        assert record.get("DegradedBy") == (4.0 if folder == "lowres" else None)
        assert record.get("OutsideMask") == ("empty" if folder == "lowres" else None)
    mask = np.asarray(measured.mask_of("tNAA").data > 0)  # type: ignore[union-attr]
    for name, volume in measured.maps.items():
        exact, coarse = truth.maps[name], low.maps[name]
        assert 0 < np.abs(volume.data - exact.data).mean() < exact.data.max()
        np.testing.assert_array_equal(volume.affine, exact.affine)
        assert coarse.shape == (6, 6, 2)
        np.testing.assert_allclose(coarse.affine[:3, 3], volume.affine[:3, 3], atol=1e-4)
        np.testing.assert_allclose(coarse.voxel_size, (32, 32, 8), rtol=1e-5)
        held = np.where(mask, volume.data, 0).astype(np.float64)
        assert residual(held, coarse.data.astype(np.float64)) < 1e-5


def test_simulate_a_volunteer(label_map: Path, tmp_path: Path, ftddm: Ftddm) -> None:
    words = ["--matrix", 16, "--slices", 1, "--voxel", 12.0, "--healthy", "--out", tmp_path / "a"]
    outcome = ftddm("simulate", "--anatomy", label_map, *words)
    assert outcome.code == 0
    assert outcome.out.startswith("Simulated a healthy volunteer")
    assert not (tmp_path / "a" / "lowres").exists()
    record = json.loads((tmp_path / "a" / "sub-sim00.json").read_text())
    assert record["Glioma"] is False
    assert record["ExcitedBox"] is False


def test_the_label_map_is_never_replaced(label_map: Path, tmp_path: Path, ftddm: Ftddm) -> None:
    words = ["--matrix", 16, "--slices", 1, "--voxel", 12.0, "--out", tmp_path / "a", "--overwrite"]
    assert ftddm("simulate", "--anatomy", label_map, *words).code == 0
    shutil.copy(label_map, own := tmp_path / "a" / "sub-sim00_T1w.nii.gz")
    before = files_in(tmp_path / "a")
    refused = ftddm("simulate", "--anatomy", own, *words)
    assert refused.code == 2
    assert "is one of the files that were read, which are never replaced" in refused.err
    assert files_in(tmp_path / "a") == before


def test_simulate_a_box(label_map: Path, tmp_path: Path, ftddm: Ftddm) -> None:
    """The same patient, of whom a part gives signal."""
    words = ["simulate", "--anatomy", label_map, "--matrix", 24, "--slices", 1, "--voxel", 8.0]
    for name, more in (("all", ()), ("box", ("--box",))):
        assert ftddm(*words, *more, "--out", tmp_path / name).code == 0
    record = json.loads((tmp_path / "box" / "sub-sim00.json").read_text())
    assert record["ExcitedBox"] is True
    everything, box = (
        open_study(tmp_path / name / "noise_free").maps["tNAA"].data for name in ("all", "box")
    )
    held = everything > 0.5 * everything.max()
    share = box[held] / everything[held]
    assert (share < 0.1).any()
    assert (share > 0.6).any()


def test_run_on_what_was_simulated(
    label_map: Path, weights: Path, tmp_path: Path, ftddm: Ftddm
) -> None:
    words = ["--matrix", 24, "--slices", 1, "--voxel", 8.0, "--upscale", 4]
    assert ftddm("simulate", "--anatomy", label_map, *words, "--out", tmp_path / "p").code == 0
    words = ["--upscale", 4, "--weights", weights, "--steps", 1]
    outcome = ftddm("run", tmp_path / "p" / "lowres", *words, "--out", tmp_path / "out")
    assert outcome.code == 0
    (note,) = outcome.err.splitlines()
    assert "noise: estimated" in note
    assert sidecar(tmp_path / "out", "Gln")["Outside"] == "empty"  # as its own sidecar says
    data, affine = load(tmp_path / "out" / "sub-sim00_met-Gln_desc-ftddm_mrsi.nii.gz")
    assert data.shape == (24, 24, 1)
    truth = open_study(tmp_path / "p").maps["Gln"]
    np.testing.assert_allclose(affine, truth.affine, atol=1e-4)


@pytest.fixture(scope="module")
def simulated(label_map: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "case"
    words = ["--matrix", "24", "--slices", "2", "--voxel", "8", "--out", str(folder)]
    assert main(["simulate", "--anatomy", str(label_map), *words]) == 0
    return folder


def test_sweep(simulated: Path, weights: Path, ftddm: Ftddm) -> None:
    words = ["--weights", weights, "--steps", 1, "--slices", 1, "--upscale", 3]
    outcome = ftddm("sweep", simulated, *words)
    assert outcome.code == 0, outcome.err
    found = re.findall(r"^\| (tau_flow|tau_diffusion|both) \| (\d+) \| ([\d.]+) \|", outcome.out, 8)
    assert found == [
        (varied, "0" if varied == "tau_flow" else "100", tau)
        for varied in ("tau_flow", "tau_diffusion", "both")
        for tau in ("0", "0.5", "1")
    ]


@pytest.mark.long  # `make demo` itself is part of the continuous integration
def test_demo(weights: Path, tmp_path: Path, ftddm: Ftddm) -> None:
    """Table, image and maps; a second time it replaces its own files by the same."""
    words = ["demo", "--out", tmp_path / "out", "--weights", weights, "--steps", 1]
    outcome = ftddm(*words)
    assert outcome.code == 0, outcome.err
    for name in ("tNAA", "Gln", "zero-filling", "bicubic", "FTDDM", "PSNR", "SSIM"):
        assert name in outcome.out
    files = files_in(tmp_path / "out")
    assert len(files) == 15
    assert files["demo.png"].startswith(b"\x89PNG")
    record = sidecar(tmp_path / "out", "tNAA")
    assert record["DegradedBy"] == 4
    assert record["AcquiredMatrix"][:2] == [16, 16]
    assert record["Settings"]["steps"] == 1
    assert ftddm(*words).code == 0
    assert files_in(tmp_path / "out") == files


@pytest.mark.parametrize(
    ("truncation", "steps"),
    [
        pytest.param("100", 10, marks=pytest.mark.long),
        pytest.param("4", 4, marks=pytest.mark.long),
        ("0", None),
    ],
)
def test_demo_is_quick_at_any_truncation(
    truncation: str,
    steps: int | None,
    weights: Path,
    tmp_path: Path,
    ftddm: Ftddm,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody is told off about steps that nobody asked for."""
    seen = []

    def run(self: SuperResolver, study: Any, settings: Any, **kwargs: Any) -> None:
        seen.append(settings)
        raise Cancelled("seen enough")

    monkeypatch.setattr(SuperResolver, "run", run)
    words = ["--out", tmp_path / "out", "--weights", weights, "--t-trunc", truncation]
    assert ftddm("demo", *words).code == 130
    assert (seen[0].t_trunc, seen[0].steps) == (int(truncation), steps)


def test_train_export_and_run(
    label_map: Path,
    study: Path,
    tmp_path: Path,
    ftddm: Ftddm,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From a label map to maps: two steps of training, weights, a result."""
    monkeypatch.setitem(UNET_PRESETS, "tiny", TINY_UNET)
    monkeypatch.setitem(FLOW_PRESETS, "tiny", TINY_FLOW)
    config = tmp_path / "tiny.toml"
    config.write_text(
        'preset = "tiny"\n'
        "[pool]\npatients = 2\nslices = 2\nseed = 1\n"
        "[validation]\npatients = 1\nslices = 2\nseed = 2\n"
        "[denoiser]\nsteps = 2\nbatch = 2\n"
        "[flow]\nsteps = 2\nbatch = 2\n"
        "[regression]\nsteps = 2\nbatch = 2\n"
    )
    common = ["--config", config, "--out", tmp_path / "run"]
    other = copy_of(label_map, tmp_path / "other.nii.gz")
    anatomies = ["--anatomies", label_map, "--validation", other]
    for what in ("denoiser", "flow", "regression"):
        outcome = ftddm("train", what, *common, *anatomies)
        assert outcome.code == 0, outcome.err
        assert (tmp_path / "run" / what / "log.jsonl").read_text().count("\n") == 1
        anatomies = []  # the patients are there
    exported = tmp_path / "weights" / "mine"
    outcome = ftddm("train", "export", *common, "--weights-out", exported)
    assert outcome.code == 0
    assert outcome.out.endswith("trained for these steps: denoiser 2, flow 2.\n")
    networks = {"denoiser.safetensors", "flow.safetensors"}
    assert set(files_in(exported)) == {"config.json", "SHA256SUMS", *networks}
    words = ["--out", tmp_path / "out", "--weights", exported, "--steps", 2]
    assert ftddm("run", study, *words).code == 0
    assert sidecar(tmp_path / "out", "tNAA")["Weights"]["Name"] == "mine"

    # The regression is a comparison method: exported apart, and no weights to run with.
    peer = tmp_path / "weights" / "mine-regression"
    outcome = ftddm("train", "export-regression", "--out", tmp_path / "run", "--weights-out", peer)
    assert outcome.out.endswith("regression 2.\n")
    assert set(files_in(peer)) == {"config.json", "SHA256SUMS", "regression.safetensors"}
    outcome = ftddm("run", study, "--out", tmp_path / "no", "--weights", peer)
    assert outcome.code == 2
    assert "holds a regression" in outcome.err

    # Another run starts from what was exported, and says so to the end of its days.
    second = ["--out", tmp_path / "second", "--anatomies", label_map, "--validation", other]
    words = ["train", "denoiser", "--config", config, *second, "--start-from", exported]
    assert ftddm(*words, "--steps", 3, "--bf16").code == 0
    run = json.loads((tmp_path / "second" / "denoiser" / "run.json").read_text())
    assert run["fit"]["steps"] == 3
    assert run["fit"]["bf16"]
    assert run["start_from"]["name"] == "mine"
    assert run["start_from"]["record"]["steps"] == {"denoiser": 2, "flow": 2}
    outcome = ftddm(*words[:-2])
    assert outcome.code == 2
    assert "started from 'mine'" in outcome.err

    # Halfway between what was trained and what it started from.
    second = ["--config", config, "--out", tmp_path / "second"]
    assert ftddm("train", "flow", *second, "--start-from", exported).code == 0
    trained, blended = tmp_path / "weights" / "trained", tmp_path / "weights" / "blended"
    export = ["train", "export", *second]
    assert ftddm(*export, "--weights-out", trained).code == 0
    how = ["--blend", 0.5, "--weights-out", blended]
    assert ftddm(*export, *how, "--start-from", exported).code == 0
    half, whole, first = (load_weights(path) for path in (blended, trained, exported))
    assert half.record["blend"] == {"denoiser": 0.5, "with": first.digest}
    parameters = (weights.denoiser.parameters() for weights in (half, whole, first))
    for found, one, other in zip(*parameters, strict=True):
        torch.testing.assert_close(found, (one + other) / 2, rtol=0, atol=2e-3)
    for found, one in zip(half.flow.parameters(), whole.flow.parameters(), strict=True):
        assert torch.equal(found, one)
    for wrong, said in (
        ([*how], "name these weights"),
        ([*how, "--start-from", trained], "did not start from 'trained'"),
        (["--blend", 2, *how[2:], "--start-from", exported], "give one from 0 to 1"),
    ):
        outcome = ftddm(*export, *wrong)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert said in outcome.err
    outcome = ftddm("train", "flow", *common, "--bf16")
    assert outcome.code == 2
    assert "likelihood needs float32" in outcome.err


def test_parametrisations_are_compared_in_a_table(
    label_map: Path, tmp_path: Path, ftddm: Ftddm
) -> None:
    (tmp_path / "pool.toml").write_text(
        'preset = "small"\n'
        "[pool]\npatients = 1\nslices = 2\nseed = 1\n"
        "[validation]\npatients = 1\nslices = 2\nseed = 2\n"
    )
    (tmp_path / "experiment.toml").write_text(
        f'patients_of = "{(tmp_path / "pool.toml").as_posix()}"\n'
        "at = [20, 1000]\nbatches = 1\n"
        "[unet]\nchannels = [8, 8, 8]\nembedding = 16\nattention = []\n"
        "[fit]\nbatch = 2\n"
    )
    other = copy_of(label_map, tmp_path / "other.nii.gz")
    words = ["--config", tmp_path / "experiment.toml", "--out", tmp_path / "run", "--steps", 1]
    words += ["--anatomies", label_map, "--validation", other]
    outcome = ftddm("train", "compare-parametrisations", *words)
    assert outcome.code == 0, outcome.err
    assert "| predicts | levels | t = 20 | t = 1000 |" in outcome.out
    rows = re.findall(r"^\| (v|eps) \| (low|uniform|min-snr) \|", outcome.out, re.MULTILINE)
    assert len(set(rows)) == 6


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--patients", "a"], "Give both --patients DIR and --validation-patients"),
        (["--patients", "a", "--validation-patients", "b", "--anatomies", "c"], "not both"),
        (["--patients", "a", "--validation-patients", "b"], "a is not a folder"),
    ],
)
def test_patients_that_cannot_be_trained_on(
    words: list[str], said: str, tmp_path: Path, ftddm: Ftddm
) -> None:
    outcome = ftddm("train", "flow", "--out", tmp_path / "run", *words)
    assert outcome.code == 2
    assert said in outcome.err


def copy_of(label_map: Path, path: Path) -> Path:
    """Write the head of another subject: the same one, a voxel further up."""
    image = nib.load(label_map)
    moved = np.roll(np.asarray(image.dataobj), 1, axis=2)
    return save_nifti(path, moved.astype(np.int16), image.affine)


def test_interrupted_training_says_that_it_goes_on(
    ftddm: Ftddm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ftddm_core.training.run.train", train)
    monkeypatch.setattr("ftddm_core.training.run.render_pools", lambda *_: None)
    outcome = ftddm("train", "flow", "--out", tmp_path / "run")
    assert outcome.code == 130
    assert "resumes from the last checkpoint" in outcome.err
    assert "nothing was written" not in outcome.err


def test_a_subject_is_never_on_both_sides(label_map: Path, tmp_path: Path, ftddm: Ftddm) -> None:
    words = ("train", "flow", "--out", tmp_path / "run", "--anatomies", label_map)
    outcome = ftddm(*words, "--validation", label_map)
    assert outcome.code == 2
    assert "keep the subjects apart" in outcome.err
    assert not (tmp_path / "run").exists()


def test_an_mri_that_shows_half_of_the_brain_is_noted(
    study: Path, weights: Path, tmp_path: Path, ftddm: Ftddm
) -> None:
    words = ("run", study, "--weights", weights, "--upscale", 2, "--steps", 1)
    assert "t1 shows only" not in ftddm(*words, "--out", tmp_path / "whole").err
    t1 = save_t1(tmp_path / "half_T1w.nii.gz", (60.0, -12.0, 25.0))
    outcome = ftddm(*words, "--t1", t1, "--out", tmp_path / "half")
    assert outcome.code == 0
    assert re.search(r"note: tNAA: t1 shows only \d+% of the trusted voxels", outcome.err)
