"""Bad input: exit code 2, one line that says what was found and what to do, and nothing written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bad_files import INPUTS, Words
from tiny import Ftddm, Outcome, save_t1, tiny_maps, without_study, write_study

FTDDM = Path(sys.executable).with_name("ftddm")

FLAGS: dict[str, tuple[list[str], str]] = {
    "s below": (["--upscale", "1.9"], r"Upscaling \(upscale\) cannot be 1.9: .*2 to 8"),
    "s above": (["--upscale", "8.01"], "8.01: .*2 to 8"),
    "s not a number": (["--upscale", "four"], "'four' is not a number"),
    "s NaN": (["--upscale", "nan"], "nan: give a number from 2 to 8"),
    "s infinite": (["--upscale", "inf"], "inf: give a number from 2 to 8"),
    "T_trunc below": (["--t-trunc", "-1"], "-1: .*0 to 1000"),
    "T_trunc above": (["--t-trunc", "1001"], "1001: .*0 to 1000"),
    "half a T_trunc": (["--t-trunc", "99.5"], "'99.5' is not a whole number"),
    "tau_flow below": (["--tau-flow", "-0.01"], "-0.01: .*0 to 1"),
    "tau_flow above": (["--tau-flow", "1.01"], "1.01: .*0 to 1"),
    "tau_diffusion below": (["--tau-diffusion", "-1"], "-1.0: .*0 to 1"),
    "tau_diffusion above": (["--tau-diffusion", "2"], "2.0: .*0 to 1"),
    "steps above T_trunc": (["--steps", "101"], "101 but .*100: lower steps to 1..100"),
    "steps of the flow alone": (["--t-trunc", "0", "--steps", "1"], "flow alone.*leave steps"),
    "no steps": (["--steps", "0"], "0: give a whole number from 1"),
    "no samples": (["--samples", "0"], "1 to 64"),
    "too many samples": (["--samples", "65"], "1 to 64"),
    "a negative seed": (["--seed", "-1"], "0 to 4294967295"),
    "a seed too large": (["--seed", str(2**32)], "0 to 4294967295"),
    "unknown sampler": (["--sampler", "euler"], "invalid choice: 'euler'.*ancestral"),
    "unknown weights": (["--weights", "huge"], "'huge': bundled are .*config.json"),
    "unknown device": (["--device", "abacus"], "'abacus' is not available.*cpu"),
    "a device without numbers": (["--device", "meta"], "'meta' is not available.*cpu"),
    "unknown flag": (["--temperature", "1"], "unrecognized arguments: --temperature.*--help"),
}


def judge(outcome: Outcome, message: str) -> None:
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert outcome.err.startswith("ftddm: ")
    assert outcome.err.endswith("\n")
    assert outcome.err.count("\n") == 1
    assert "Traceback" not in outcome.err
    assert re.search(message, outcome.err), outcome.err


def below(folder: Path) -> dict[str, bytes | None]:
    """Return everything below a folder, folders and hidden files too."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize(("make", "message"), INPUTS.values(), ids=INPUTS)
def test_bad_files(
    make: Callable[[Path], Words],
    message: str,
    study: Path,
    weights: Path,
    tmp_path: Path,
    ftddm: Ftddm,
) -> None:
    words = make(study)
    before = below(tmp_path)
    out = tmp_path / "new" / "out"
    judge(ftddm("run", *words, "--out", out, "--weights", weights, "--steps", 2), message)
    assert below(tmp_path) == before


@pytest.mark.parametrize(("words", "message"), FLAGS.values(), ids=FLAGS)
@pytest.mark.parametrize("command", ["run", "demo"])
def test_bad_flags(
    words: list[str],
    message: str,
    command: str,
    study: Path,
    weights: Path,
    tmp_path: Path,
    ftddm: Ftddm,
) -> None:
    given = ["--weights", weights, *words] if "--weights" not in words else words
    inputs = [study] if command == "run" else []
    before = below(tmp_path)
    judge(ftddm(command, *inputs, "--out", tmp_path / "out", *given), message)
    assert below(tmp_path) == before


def test_damaged_weights(study: Path, weights: Path, tmp_path: Path, ftddm: Ftddm) -> None:
    """Every file of the weights in turn is missing, cut, or of another network."""
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for name in ("config.json", "denoiser.safetensors", "flow.safetensors"):
        for content, message in (
            (None, "missing|No weights called"),
            (b"", "damaged|cannot be read"),
            ((weights / name).read_bytes()[:-100], "damaged|cannot be read"),
            (b'{"format": 2}', "damaged|format 2"),
            (b'{"format": 1}', "damaged|describes no network"),
        ):
            for path in weights.iterdir():
                (damaged / path.name).write_bytes(path.read_bytes())
            (damaged / name).unlink()
            if content is not None:
                (damaged / name).write_bytes(content)
            outcome = ftddm("run", study, "--out", tmp_path / "out", "--weights", damaged)
            judge(outcome, message)
    assert not (tmp_path / "out").exists()


def test_an_out_that_cannot_be(study: Path, tmp_path: Path, ftddm: Ftddm) -> None:
    """It is refused before any work is done."""
    (tmp_path / "file").write_text("mine")
    before = below(tmp_path)
    for out in (tmp_path / "file", tmp_path / "file" / "below" / "it"):
        for words in (["run", study], ["demo"]):
            judge(ftddm(*words, "--out", out, "--weights", "none"), "file is a file, not a")
    assert below(tmp_path) == before


def test_an_out_without_permission(
    study: Path, tmp_path: Path, ftddm: Ftddm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write anywhere, so the question is answered here for everyone."""
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    before = below(tmp_path)
    for out in (tmp_path, tmp_path / "below" / "it"):
        outcome = ftddm("run", study, "--out", out, "--weights", "none")
        judge(outcome, "Cannot write to .*: permission denied. Choose another")
    assert below(tmp_path) == before


def test_existing_files_are_kept(study: Path, weights: Path, tmp_path: Path, ftddm: Ftddm) -> None:
    """Of map, sidecar and deviation, each alone is enough to stop, before any work is done."""
    out = tmp_path / "out"
    out.mkdir()
    words = ("run", study, "--out", out, "--weights", weights, "--steps", 1, "--samples", 2)
    for ending in ("ftddm_mrsi.nii.gz", "ftddm_mrsi.json", "ftddmSd_mrsi.nii.gz"):
        path = out / f"patient_met-tCho_desc-{ending}"
        path.write_text("mine")
        # Found before the weights are looked for, so before any work.
        judge(ftddm(*words, "--weights", "none"), f"{path.name} exists already; .*--overwrite")
        assert below(out) == {path.name: b"mine"}
        assert ftddm(*words, "--overwrite").code == 0
        assert path.read_bytes() != b"mine"
        for written in out.iterdir():
            written.unlink()
    (out / "patient_met-tCho_desc-ftddm_mrsi.json").mkdir()
    judge(ftddm(*words, "--overwrite"), "is a folder")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["simulate", "--matrix", 4], "4x4 voxels .*matrix of 8 or more"),
        (["simulate", "--slices", 0], "0 slices"),
        (["simulate", "--voxel", "nan"], "of nan mm"),
        (["simulate", "--voxel", "inf"], "of inf mm"),
        (["simulate", "--upscale", 9], "2 to 8"),
        (["simulate", "--seed", -1], "-1 is negative"),
        (["simulate", "--glioma", "--healthy"], "not allowed with"),
    ],
)
def test_bad_simulations(
    words: Words, message: str, label_map: Path, tmp_path: Path, ftddm: Ftddm
) -> None:
    judge(ftddm(*words, "--anatomy", label_map, "--out", tmp_path / "out"), message)
    assert not (tmp_path / "out").exists()


def test_a_map_that_is_no_label_map(study: Path, tmp_path: Path, ftddm: Ftddm) -> None:
    outcome = ftddm("simulate", "--anatomy", study / "T1w.nii.gz", "--out", tmp_path / "out")
    judge(outcome, "are unknown")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "arguments are required: COMMAND"),
        (["sharpen"], "invalid choice: 'sharpen'"),
        (["run", "x.nii.gz"], "required: --out"),
        (["run", "--out", "x"], "required: input"),
        (["evaluate", "x"], "--out --from is required"),
        (["evaluate", "--out", "o"], "Nothing to evaluate"),
        (["evaluate", "--out", "o", "--anatomies", "x.nii.gz"], "x.nii.gz is missing"),
        (["evaluate", "x", "--out", "o", "--protocol", "no"], "no cannot be read"),
        (["evaluate", "x", "--out", "o"], "x does not exist"),
        (["sweep", "--slices", "0"], "0 is too few"),
        (["sweep", "x"], "x does not exist"),
        (["train", "flow", "--out", "x"], "needs label maps"),
        (["train", "flow", "--out", "x", "--config", "no.toml"], "no.toml cannot be read"),
        (["train", "export", "--out", "x"], "--weights-out"),
        (["train", "export", "--out", "x", "--weights-out", "y"], "run `ftddm train denoiser`"),
        (["train", "both", "--out", "x"], "invalid choice: 'both'"),
    ],
)
def test_other_bad_commands(
    words: list[str],
    message: str,
    weights: Path,
    tmp_path: Path,
    ftddm: Ftddm,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    if words and words[0] in ("evaluate", "sweep"):
        words = [*words, "--weights", str(weights)]
    judge(ftddm(*words), message)
    assert below(tmp_path) == {}


def test_a_study_without_a_mask_has_no_truth(
    study: Path, weights: Path, tmp_path: Path, ftddm: Ftddm
) -> None:
    (study / "mask.nii.gz").unlink()
    for words in (("evaluate", "--out", tmp_path / "out"), ("sweep",)):
        judge(ftddm(*words, study, "--weights", weights), "no mask")


@pytest.mark.parametrize("what", ["truncated .nii.gz", "mask elsewhere", "an affine without end"])
def test_the_installed_command(what: str, study: Path, weights: Path, tmp_path: Path) -> None:
    """Neither warnings nor notes of Python, numpy or torch reach the user."""
    make, message = INPUTS[what]
    words = [*make(study), "--out", tmp_path / "out", "--weights", weights, "--steps", 2]
    found = subprocess.run(
        [FTDDM, "run", *map(str, words)], capture_output=True, text=True, timeout=120, check=False
    )
    judge(Outcome(found.returncode, found.stdout, without_study(found.stderr)), message)
    assert not (tmp_path / "out").exists()


def test_zero_filled_fields_do_not_trip_it(
    tmp_path: Path, weights: Path, ftddm: Ftddm, study: Path
) -> None:
    """A trailing dimension of 1 and big-endian 16-bit scaled values are ordinary files."""
    maps, _, affine = tiny_maps()
    scaled = nib.Nifti1Image(maps["tCho"][..., None], affine, nib.Nifti1Header(endianness=">"))
    scaled.set_data_dtype(np.int16)
    nib.save(scaled, study / "tCho.nii.gz")
    outcome = ftddm("run", study, "--out", tmp_path / "out", "--weights", weights, "--steps", 1)
    assert outcome.code == 0, outcome.err


def test_many_files_of_one_kind(tmp_path: Path, ftddm: Ftddm) -> None:
    """An error about many files stays one line that can be read."""
    for number in range(40):
        save_t1(tmp_path / f"sub-{number}_T1w.nii.gz")
    outcome = ftddm("run", tmp_path, "--out", tmp_path / "out")
    judge(outcome, "holds no metabolite map; found .* and 32 more")


def test_a_folder_of_one_study_is_enough(tmp_path: Path, weights: Path, ftddm: Ftddm) -> None:
    """Two spellings of one path are one file, not two that claim one role."""
    folder = write_study(tmp_path / "study")
    words = [folder, folder / "tNAA.nii.gz", folder / ".." / "study" / "tNAA.nii.gz"]
    outcome = ftddm("run", *words, "--out", tmp_path / "out", "--weights", weights, "--steps", 1)
    assert outcome.code == 0, outcome.err
