"""Bad input: exit code 2, one line that says what was found and what to do, and nothing written."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from properties import oblique_affine, save_nifti
from tiny import SHAPE, Ftddm, Outcome, save_t1, tiny_maps, without_study, write_study

Words = list[object]
MAPS, MASK, AFFINE = tiny_maps()
FAR = oblique_affine(SHAPE, (10.0, 10.0, 12.0), centre=(900.0, 0.0, 0.0))
FTDDM = Path(sys.executable).with_name("ftddm")


def alone(folder: Path, data: np.ndarray, affine: np.ndarray = AFFINE, **header: object) -> Words:
    """Return the words for one map in a file of its own."""
    return [save_nifti(folder / "Glx.nii.gz", data, affine, **header)]


def text(folder: Path, name: str, content: bytes) -> Words:
    (folder / name).write_bytes(content)
    return [folder / name]


def cut(folder: Path, name: str, share: float) -> Words:
    """Return the words for a map of which only a part was copied."""
    path = save_nifti(folder / name, MAPS["tNAA"], AFFINE)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return [path]


def changed_header(folder: Path, offset: int, change: bytes) -> Words:
    path = save_nifti(folder / "tNAA.nii.gz", MAPS["tNAA"], AFFINE)
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[offset : offset + len(change)] = change
    return text(folder, "tNAA.nii.gz", gzip.compress(bytes(content)))


def stacked(folder: Path, names: object) -> Words:
    """Return the words for a 4D file and its sidecar."""
    save_nifti(folder / "maps.nii.gz", np.stack(list(MAPS.values()), -1), AFFINE)
    if names is not None:
        (folder / "maps.json").write_text(json.dumps({"Metabolites": names}))
    return [folder / "maps.nii.gz"]


def image(folder: Path, name: str, data: np.ndarray, affine: np.ndarray) -> Path:
    return save_nifti(folder / name, data, affine)


def several(folder: Path, *names: str) -> Words:
    return [image(folder, f"{name}.nii.gz", MAPS["tNAA"], AFFINE) for name in names]


def other_grid(folder: Path) -> Words:
    image(folder, "Glx.nii.gz", MAPS["tNAA"][:-1], AFFINE)
    return [folder]


def zeros() -> np.ndarray:
    return np.zeros(SHAPE, np.float32)


# What it is -> (how to make the input inside a study's folder, what the message must say).
INPUTS: dict[str, tuple[Callable[[Path], Words], str]] = {
    "missing file": (lambda f: [f / "none.nii.gz"], r"none\.nii\.gz does not exist"),
    "missing folder": (lambda f: [f / "none"], "none does not exist"),
    "one of two missing": (lambda f: [f / "tNAA.nii.gz", f / "no.nii"], "no.nii does not exist"),
    "name too long": (lambda f: [f / ("x" * 300)], "too long"),
    "no folder to search": (lambda f: text(f, "a.nii", b"") and [f / "a.nii/b"], "not exist"),
    "not a NIfTI": (lambda f: text(f, "a.nii.gz", b"hello" * 99), "not a NIfTI image"),
    "gzip of something else": (
        lambda f: text(f, "a.nii.gz", gzip.compress(b"hello" * 99)),
        "not a NIfTI image.*dcm2niix",
    ),
    "another format": (lambda f: text(f, "a.mha", b"CDF"), r"found a\.mha \(not recognised\)"),
    "an empty file": (lambda f: text(f, "a.nii.gz", b""), "is empty: it has 0 bytes"),
    "truncated .nii.gz": (lambda f: cut(f, "tNAA.nii.gz", 0.6), "truncated.*again"),
    "truncated .nii": (lambda f: cut(f, "tNAA.nii", 0.6), r"announces \d+ bytes, but it has \d+"),
    "a damaged header": (
        lambda f: changed_header(f, 40, b"\xfd\xff"),
        "damaged NIfTI header.*again",
    ),
    "5D": (lambda f: alone(f, np.ones((*SHAPE, 1, 2), np.float32)), r"dimensions \(12, 10, 2, 1"),
    "complex": (lambda f: alone(f, np.ones(SHAPE, np.complex64)), "complex.*magnitude"),
    "spectra": (lambda f: alone(f, np.ones((*SHAPE, 64), np.complex64)), "spectra.*fit them first"),
    "colours": (
        lambda f: alone(f, np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])),
        "colours.*grey",
    ),
    "all zero": (lambda f: alone(f, zeros()), "empty: every voxel is 0.*[Cc]heck"),
    "all NaN": (lambda f: alone(f, zeros() * np.nan), "empty: every voxel is 0 or not a number"),
    "only negative": (
        lambda f: alone(f, zeros() - 1),
        "holds nothing but -1, a sign of failed fits",
    ),
    "a flat affine": (
        lambda f: changed_header(f, 312, bytes(16)),
        "determinant 0.*with its orientation",
    ),
    "an affine without end": (
        lambda f: alone(f, MAPS["tNAA"], np.diag([1e9, 4.0, 4.0, 1.0])),
        "invalid affine",
    ),
    "4D without names": (lambda f: stacked(f, None), "2 maps without names.*maps.json"),
    "4D with too few names": (lambda f: stacked(f, ["Glx"]), "2 maps, maps.json names"),
    "4D with names twice": (lambda f: stacked(f, ["Glx", "GLX"]), "2 maps, maps.json names"),
    "an unknown word about what is outside the mask": (
        lambda f: [*alone(f, MAPS["tNAA"]), *text(f, "Glx.json", b'{"OutsideMask": "dark"}')],
        "says OutsideMask 'dark': give seen or empty",
    ),
    "another grid": (other_grid, "must share one grid.*one at a time"),
    "one map twice": (lambda f: several(f, "Glx", "sub-1_met-GLX_desc-signal"), "both claim"),
    "two file names in one": (
        lambda f: several(f, "NAA+NAAG", "NAANAAG"),
        "two maps would have one name",
    ),
    "guides only": (lambda f: [f / "T1w.nii.gz", f / "mask.nii.gz"], "holds no metabolite map"),
    "missing T1": (lambda f: [f, "--t1", f / "no.nii.gz"], "no.nii.gz does not exist"),
    "a folder as T1": (lambda f: [f, "--t1", f], "is a folder, not an image"),
    "T1 elsewhere": (
        lambda f: [f, "--t1", save_t1(f / "T1.nii", (0, 0, 700))],
        "T1: .*do not overlap.*same examination",
    ),
    "T1 beside the brain": (
        lambda f: [f, "--t1", save_t1(f / "T1.nii", (98, -12, 25))],
        "T1 shows only [0-9]+% of the trusted voxels.*same examination",
    ),
    "FLAIR elsewhere": (
        lambda f: [f, "--flair", save_t1(f / "FLAIR.nii", (0, 0, 700))],
        "FLAIR: .*do not overlap",
    ),
    "mask elsewhere": (
        lambda f: [f, "--mask", image(f, "other.nii", MASK, FAR)],
        "mask of tCho: .*do not overlap",
    ),
    "an empty mask": (lambda f: [f, "--mask", image(f, "no.nii", zeros(), AFFINE)], "is empty"),
    "a mask of nothing": (
        lambda f: [f, "--mask", image(f, "nan.nii", np.where(zeros() == 0, -1.0, 1), AFFINE)],
        "no signal inside the mask .*0 trusted voxels",
    ),
    "two T1": (lambda f: save_t1(f / "sub-1_T1w.nii.gz") and [f], "both claim to be the T1"),
    "two masks": (
        lambda f: image(f, "other_mask.nii", MASK, AFFINE) and [f],
        "both claim to be the mask.*name it as mask",
    ),
}

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
