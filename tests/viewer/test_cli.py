"""What `ftddm` writes and prints, on studies that are tiny and on a real one."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import pty
import re
import shutil
import socket
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from properties import save_nifti
from tiny import (
    SHAPE,
    VOXEL,
    Ftddm,
    checkable_study,
    files_in,
    load,
    save_t1,
    sidecar,
    tiny_maps,
    write_study,
)

from ftddm_core.errors import Cancelled
from ftddm_core.imaging.fourier import zero_fill
from ftddm_core.imaging.io import open_study
from ftddm_core.samplers import SAMPLERS
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_core.settings import controls
from ftddm_viewer.cli import build_parser
from ftddm_viewer.commands.options import settings_from
from ftddm_viewer.session.saving import SOFTWARE

FTDDM = Path(sys.executable).with_name("ftddm")
COMMANDS = ("run", "check", "demo", "simulate", "evaluate", "sweep", "train")

# A value of every control that is not its default, as a flag and in a sidecar.
OTHER: dict[str, tuple[list[str], Any]] = {
    "upscale": (["--upscale", "2.5"], 2.5),
    "tau_flow": (["--tau-flow", "0.3"], 0.3),
    "tau_diffusion": (["--tau-diffusion", "0.25"], 0.25),
    "t_trunc": (["--t-trunc", "40"], 40),
    "steps": (["--steps", "3"], 3),
    "samples": (["--samples", "2"], 2),
    "seed": (["--seed", "7"], 7),
    "consistency": (["--consistency"], "exact"),
    "noise": (["--noise", "4"], 4.0),
    "mri_weight": (["--mri-weight", "0.4"], 0.4),
    "detail": (["--detail", "0.7"], 0.7),
    "sampler": (["--sampler", "ddim"], "ddim"),
}


@pytest.fixture
def quick(study: Path, weights: Path, tmp_path: Path) -> list[Any]:
    """Return the words of a run that takes no time."""
    return ["run", study, "--out", tmp_path / "out", "--weights", weights, "--steps", 2]


# ---------------------------------------------------------------- the interface


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str, ftddm: Ftddm) -> None:
    outcome = ftddm(command, "--help")
    assert outcome.code == 0
    assert outcome.out.startswith(f"usage: ftddm {command}")
    assert command in ftddm("--help").out


def test_version(ftddm: Ftddm) -> None:
    assert re.fullmatch(r"ftddm-viewer \d+\.\d+\.\d+\n", ftddm("--version").out)


@pytest.mark.parametrize("command", ["run", "demo"])
def test_every_control_has_a_flag(command: str, ftddm: Ftddm) -> None:
    """Each flag alone changes its setting alone, and its help states bounds and default."""
    words = [command, "--out", "x", *(["x"] if command == "run" else [])]
    parser = build_parser()
    usual = settings_from(parser.parse_args(words))
    text = " ".join(ftddm(command, "--help").out.split())
    assert set(OTHER) == {control.name for control in controls()}
    for control in controls():
        flag, value = OTHER[control.name]
        chosen = settings_from(parser.parse_args([*words, *flag]))
        assert chosen == usual.replace(**{control.name: value})
        assert chosen != usual
        assert flag[0] in text
        assert control.help[:40] in text
        if control.bounds:
            assert f"{control.bounds[0]:.10g}..{control.bounds[1]:.10g}. Default: " in text
        for choice in control.choices:
            assert choice in text


# ---------------------------------------------------------------- run


def test_run_writes_a_map_and_a_sidecar_each(quick: list[Any], ftddm: Ftddm, study: Path) -> None:
    outcome = ftddm(*quick, "--upscale", 2)
    assert outcome.code == 0
    out = study.parent / "out"
    assert set(files_in(out)) == {
        f"patient_met-{name}_desc-ftddm_mrsi{ending}"
        for name in ("tNAA", "tCho")
        for ending in (".nii.gz", ".json")
    }
    assert re.search(r"\| tNAA \| 10 x 10 x 12 \| 5 x 5 x 12 \| +0.4\d* \| +[\d.]+ \|", outcome.out)
    assert "Self-check: not possible, its 12 x 10 matrix is too small" in outcome.out
    assert "4 files in" in outcome.out
    assert "Research use only, not for clinical use" in outcome.out
    assert re.fullmatch(
        "note: No FLAIR provided: the model can run without it, with less anatomical guidance.\n"
        r"note: noise: estimated, [\d.]+( to [\d.]+)? % of the scale; set it if you know better.\n",
        outcome.err,
    )
    _, mask, affine = tiny_maps()
    trusted = mask.repeat(2, 0).repeat(2, 1) > 0  # nearest, but for the tie at half a voxel
    for name in ("tNAA", "tCho"):
        data, found = load(out / f"patient_met-{name}_desc-ftddm_mrsi.nii.gz")
        assert data.shape == (24, 20, 2)
        np.testing.assert_allclose(found[:3, 3], affine[:3, 3], atol=0.01)
        np.testing.assert_allclose(found[:3, :3], affine[:3, :3] * (0.5, 0.5, 1), atol=0.01)
        assert np.isfinite(data).all()
        assert data.min() == 0
        assert data.max() > 0
        assert (data > 0).sum() <= 1.2 * trusted.sum()


def test_the_sidecar_says_how_it_was_made(
    quick: list[Any], ftddm: Ftddm, study: Path, weights: Path
) -> None:
    flags = [word for flag, _ in OTHER.values() for word in flag]
    assert ftddm(*quick[:-2], *flags).code == 0
    out = study.parent / "out"
    record = sidecar(out, "tCho")
    assert record["Settings"] == {name: value for name, (_, value) in OTHER.items()}
    assert record["Notice"] == "AI-generated. Research use only, not for clinical use."
    assert record["Metabolite"] == "tCho"
    assert record["Statistic"] == "mean of samples"
    spread = sidecar(out, "tCho", "ftddmSd")
    assert spread["Statistic"] == "standard deviation over samples"
    error = sidecar(out, "tCho", "ftddmError")
    assert error["Statistic"] == "estimated error of the map shown"
    assert "KSpaceResidual" not in {*spread, *error}
    assert record["AcquiredMatrix"] == list(SHAPE)
    assert record["Matrix"] == [30, 24, 2]
    assert record["VoxelSize_mm"] == pytest.approx([4.0, 100 / 24, VOXEL[2]], abs=1e-4)
    assert record["EffectiveUpscale"] == pytest.approx(np.sqrt(2.5 * 2.4))
    assert record["Scale"] > 0
    assert record["OutlierVoxels"] == 0
    assert record["Weighting"] == {"MriWeight": 0.4, "Detail": 0.7}
    assert record["Noise"] == {"Deviation_percent": 4.0, "Source": "set"}
    assert record["Outside"] == "seen"
    assert record["SelfCheck"]["Reason"] == "not checked"  # nothing follows from it
    assert record["SelfCheck"]["Words"].endswith("not checked yet; MRI weight 0.4, detail 0.7.")
    assert set(record["KSpaceResidual"]) == {"Drawn", "Shown", "Noise"}
    assert record["Device"] in ("cpu", "cuda", "mps")
    assert set(record["Software"]) == set(SOFTWARE)
    assert all(re.match(r"\d+\.\d+", text) for text in record["Software"].values())
    assert record["Inputs"] == {
        role: {"Name": name, "SHA256": hashlib.sha256((study / name).read_bytes()).hexdigest()}
        for role, name in (
            ("mask", "mask.nii.gz"),
            ("t1", "T1w.nii.gz"),
            ("tCho", "tCho.nii.gz"),
            ("tNAA", "tNAA.nii.gz"),
        )
    }
    digest = hashlib.sha256()
    for name in ("config.json", "denoiser.safetensors", "flow.safetensors"):
        digest.update((weights / name).read_bytes())
    assert record["Weights"] == {"Name": "tiny", "SHA256": digest.hexdigest()}


def test_the_sidecar_does_not_say_who_where_and_when(
    quick: list[Any], ftddm: Ftddm, study: Path
) -> None:
    assert ftddm(*quick).code == 0
    for name, content in files_in(study.parent / "out").items():
        if not name.endswith(".json"):
            continue
        record = json.loads(content)
        digests = [record["Weights"].pop("SHA256")]
        digests += [record["Inputs"][role].pop("SHA256") for role in record["Inputs"]]
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)
        text = json.dumps(record)
        assert str(study.parent) not in text
        assert not re.search(r'"[^"]*[/\\][^"]*"', text), "a path"
        assert getpass.getuser() not in text
        assert socket.gethostname() not in text
        assert not re.search(r"20\d\d-\d\d|\d\d:\d\d|[Tt]ime\b|[Ss]econds", text), "a time"


def test_the_same_command_gives_the_same_bytes(quick: list[Any], ftddm: Ftddm, study: Path) -> None:
    """Also from another folder; another seed gives another map."""
    out = study.parent / "out"
    assert ftddm(*quick, "--samples", 2).code == 0
    first = files_in(out)
    assert ftddm(*quick, "--samples", 2, "--overwrite").code == 0
    assert files_in(out) == first
    elsewhere = study.parent / "elsewhere" / "patient"
    shutil.copytree(study, elsewhere)
    words = [elsewhere if word == study else word for word in quick]
    words[3] = study.parent / "other"
    assert ftddm(*words, "--samples", 2).code == 0
    assert files_in(study.parent / "other") == first
    assert ftddm(*quick, "--samples", 2, "--overwrite", "--seed", 1).code == 0
    changed = files_in(out)
    assert all(changed[name] != content for name, content in first.items())


def test_two_processes_give_the_same_bytes(study: Path, weights: Path, tmp_path: Path) -> None:
    """Also with another seed of Python's hashes, and without a terminal no bar is drawn."""
    for number in ("1", "2"):
        found = subprocess.run(
            [FTDDM, "run", study, "--out", tmp_path / number, "--weights", weights, "--steps=2"],
            env=os.environ | {"PYTHONHASHSEED": number},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert "sampling" not in found.stderr
    assert files_in(tmp_path / "1") == files_in(tmp_path / "2")


def test_a_progress_bar_on_a_terminal(study: Path, weights: Path, tmp_path: Path) -> None:
    control, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    try:
        found = subprocess.run(
            [FTDDM, "run", study, "--out", tmp_path / "out", "--weights", weights, "--steps=2"],
            stderr=terminal,
            stdout=subprocess.PIPE,
            timeout=120,
            check=False,
        )
        shown = os.read(control, 100_000).decode()
    finally:
        os.close(terminal)
        os.close(control)
    assert found.returncode == 0
    assert re.search(r"\rsampling: +\d+% \|", shown)
    assert "note: No FLAIR" in shown
    assert "sampling" not in found.stdout.decode()


@pytest.mark.parametrize("placed", ["last", "before the study"])
def test_a_bare_consistency_is_exact(
    placed: str, quick: list[Any], ftddm: Ftddm, study: Path
) -> None:
    """As older commands have it, wherever the flag stands."""
    words = [*quick, "--consistency"] if placed == "last" else ["run", "--consistency", *quick[1:]]
    assert ftddm(*words).code == 0
    assert sidecar(study.parent / "out", "tNAA")["Settings"]["consistency"] == "exact"
    assert ftddm(*quick, "--overwrite", "--consistency", "off").code == 0
    assert sidecar(study.parent / "out", "tNAA")["Settings"]["consistency"] == "off"


def test_consistency_and_its_residual(quick: list[Any], ftddm: Ftddm, study: Path) -> None:
    """The more a map is held to the measurement, the nearer it is; off the network decides."""
    out = study.parent / "out"
    found = {}
    for choice in ("off", "noise", "exact"):
        flags = ("--consistency", choice, "--detail", 1, "--noise", 5)
        assert ftddm(*quick, "--upscale", 2, "--overwrite", *flags).code == 0
        found[choice] = {n: sidecar(out, n)["KSpaceResidual"] for n in ("tNAA", "tCho")}
        for name in ("tNAA", "tCho"):
            data, _ = load(out / f"patient_met-{name}_desc-ftddm_mrsi.nii.gz")
            assert data.min() >= 0
    for name in ("tNAA", "tCho"):
        drawn = [found[choice][name]["Drawn"] for choice in ("exact", "noise", "off")]
        assert drawn == sorted(drawn)
        assert drawn[0] < 0.01 < drawn[2]
        assert found["noise"][name]["Noise"] > 0


def test_the_detail_scales_what_is_drawn_and_nothing_else(
    quick: list[Any], ftddm: Ftddm, study: Path
) -> None:
    """0 is what the measurement alone says, whatever the seed; the deviation is the draw's."""
    out = study.parent / "out"
    maps, spreads, errors = {}, {}, {}
    for detail, seed in ((0, 0), (0, 1), (0.5, 0), (1, 0)):
        words = ("--samples", 2, "--detail", detail, "--seed", seed, "--overwrite")
        assert ftddm(*quick, *words).code == 0
        for kept, what in ((maps, "ftddm"), (spreads, "ftddmSd"), (errors, "ftddmError")):
            kept[detail, seed], _ = load(out / f"patient_met-tNAA_desc-{what}_mrsi.nii.gz")
    np.testing.assert_array_equal(maps[0, 0], maps[0, 1])
    assert np.abs(maps[0, 0] - maps[1, 0]).max() > 0.01 * maps[0, 0].max()
    np.testing.assert_array_equal(spreads[0, 0], spreads[1, 0])
    np.testing.assert_allclose(errors[1, 0], spreads[1, 0], rtol=1e-6)
    assert (errors[0.5, 0] >= spreads[0.5, 0]).all()
    positive = (maps[0, 0] > 0) & (maps[1, 0] > 0)
    middle = (maps[0, 0] + maps[1, 0]) / 2
    top = maps[0, 0].max()
    np.testing.assert_allclose(maps[0.5, 0][positive], middle[positive], atol=1e-5 * top)


def test_a_check_prints_its_line_and_a_table(
    ftddm: Ftddm, weights: Path, tmp_path: Path, study: Path
) -> None:
    coarse = ftddm("check", study, "--weights", weights)
    assert coarse.code == 0
    assert coarse.out.startswith("Self-check: not possible, its 12 x 10 matrix is too small")
    found = ftddm("check", checkable_study(tmp_path / "fine"), "--weights", weights)
    assert found.code == 0
    assert "| metabolite | gain (dB), MRI weight 0 | gain (dB), MRI weight 0.5 |" in found.out
    assert "% of the voxels within the samples' range (60% expected)." in found.out
    assert "Research use only" in found.out


def test_one_sample_without_a_denoiser(quick: list[Any], ftddm: Ftddm, study: Path) -> None:
    """T_trunc = 0 is the flow alone: the denoiser is never called."""
    words = [*quick[:-2], "--t-trunc", 0]
    assert ftddm(*words).code == 0
    assert sidecar(study.parent / "out", "tNAA")["Settings"]["steps"] is None
    flow_alone = files_in(study.parent / "out")
    weights = quick[5]
    other = study.parent / "tiny"
    shutil.copytree(weights, other)
    shutil.copy(weights / "denoiser.safetensors", other)
    words[5], words[3] = other, study.parent / "again"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ftddm_core.model.unet.UNet.forward", None)
        assert ftddm(*words).code == 0
    assert files_in(study.parent / "again") == flow_alone


@pytest.mark.parametrize("flags", [["--t-trunc", "1000", "--steps", "3"], ["--steps", "1"]])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler(
    flags: list[str], sampler: str, quick: list[Any], ftddm: Ftddm, study: Path
) -> None:
    assert ftddm(*quick[:-2], *flags, "--sampler", sampler).code == 0
    data, _ = load(study.parent / "out" / "patient_met-tNAA_desc-ftddm_mrsi.nii.gz")
    assert np.isfinite(data).all()
    assert data.max() > 0


def test_several_samples(quick: list[Any], ftddm: Ftddm, study: Path) -> None:
    assert ftddm(*quick, "--samples", 3).code == 0
    out = study.parent / "out"
    mean, _ = load(out / "patient_met-tNAA_desc-ftddm_mrsi.nii.gz")
    deviation, _ = load(out / "patient_met-tNAA_desc-ftddmSd_mrsi.nii.gz")
    assert (deviation[mean > 0] > 0).mean() > 0.9  # the draws may all be 0
    assert (deviation[mean == 0] == 0).all()
    # A result in its own input's folder is not taken for a map.
    shutil.copytree(out, study, dirs_exist_ok=True)
    assert set(open_study(study).maps) == {"tNAA", "tCho"}


def test_a_4d_file(quick: list[Any], ftddm: Ftddm, tmp_path: Path) -> None:
    """Its maps, named by its sidecar, are those of single files."""
    maps, mask, affine = tiny_maps()
    folder = tmp_path / "stacked"
    folder.mkdir()
    save_nifti(folder / "all.nii.gz", np.stack(list(maps.values()), -1), affine)
    (folder / "all.json").write_text(json.dumps({"Metabolites": list(maps)}))
    save_nifti(folder / "mask.nii.gz", mask, affine)
    save_t1(folder / "T1w.nii.gz")
    assert ftddm(*quick).code == 0
    quick[1], quick[3] = folder, tmp_path / "out4d"
    assert ftddm(*quick).code == 0
    for name in maps:
        single, _ = load(tmp_path / "out" / f"patient_met-{name}_desc-ftddm_mrsi.nii.gz")
        stacked, _ = load(tmp_path / "out4d" / f"stacked_met-{name}_desc-ftddm_mrsi.nii.gz")
        np.testing.assert_array_equal(single, stacked)
    assert sidecar(tmp_path / "out4d", "tCho")["Inputs"]["tCho"]["Name"] == "all.nii.gz"


def test_names_of_mrsiprep(weights: Path, tmp_path: Path, ftddm: Ftddm) -> None:
    prefix = "sub-P2_ses-V1_space-orig_"
    study = write_study(tmp_path / "mrsi", f"{prefix}met-", "_desc-signal_mrsi")
    maps, _, affine = tiny_maps()
    for what in ("crlb", "snr", "fwhm"):
        name = f"{prefix}met-tCho_desc-{what}_mrsi.nii.gz"
        save_nifti(study / name, maps["tCho"], affine)
    out = tmp_path / "out"
    assert ftddm("run", study, "--out", out, "--weights", weights, "--steps", 1).code == 0
    assert set(files_in(out)) == {
        f"{prefix}met-{name}_desc-ftddm_mrsi{ending}"
        for name in ("tNAA", "tCho")
        for ending in (".nii.gz", ".json")
    }


def test_odd_characters_in_names(weights: Path, tmp_path: Path, ftddm: Ftddm) -> None:
    study = write_study(tmp_path / "Dr. Müller's 1st (pilot)")
    (study / "tNAA.nii.gz").rename(study / "NAA+NAAG.nii.gz")
    (study / "tCho.nii.gz").rename(study / "GPC + PCh.nii.gz")
    out = tmp_path / "out here"
    assert ftddm("run", study, "--out", out, "--weights", weights, "--steps", 1).code == 0
    label = "Dr-M-ller-s-1st-pilot"
    assert {name.partition("_desc")[0] for name in files_in(out)} == {
        f"{label}_met-NAANAAG",
        f"{label}_met-GPCPCh",
    }
    assert sidecar(out, "NAANAAG")["Metabolite"] == "NAA+NAAG"


def test_single_files_are_enough(quick: list[Any], ftddm: Ftddm, study: Path) -> None:
    """A map alone, without mask and MRI, is told what it does without."""
    quick[1] = study / "tCho.nii.gz"
    outcome = ftddm(*quick)
    assert outcome.code == 0
    notes = outcome.err.splitlines()
    assert len(notes) == 4
    assert "No T1 provided" in notes[0]
    assert "No FLAIR provided" in notes[1]
    assert "no mask for tCho" in notes[2]
    assert set(sidecar(study.parent / "out", "tCho")["Inputs"]) == {"tCho"}


def test_roles_given_by_flag_come_first(quick: list[Any], ftddm: Ftddm, study: Path) -> None:
    """--mask, --t1 and --flair replace what the folder holds, and change the result."""
    out = study.parent / "out"
    assert ftddm(*quick).code == 0
    usual = {name: load(out / name)[0] for name in files_in(out) if name.endswith(".nii.gz")}
    maps, mask, affine = tiny_maps()
    smaller = mask.copy()
    smaller[6:] = 0
    other = study.parent / "elsewhere"
    other.mkdir()
    given = {
        "mask": save_nifti(other / "quality.nii.gz", smaller, affine),
        "t1": save_nifti(other / "anat.nii.gz", maps["tCho"], affine),
        "flair": save_nifti(other / "T1_like.nii.gz", maps["tNAA"], affine),
    }
    for role, path in given.items():
        outcome = ftddm(*quick, "--overwrite", f"--{role}", path)
        assert outcome.code == 0
        assert ("No FLAIR" in outcome.err) is (role != "flair")
        inputs = sidecar(out, "tNAA")["Inputs"]
        assert inputs[role]["Name"] == path.name
        for name, before in usual.items():
            assert np.abs(load(out / name)[0] - before).max() > 0
    assert ftddm(*quick, "--overwrite", "--mask", given["mask"]).code == 0
    for name in usual:
        half = load(out / name)[0].shape[0] // 2
        assert (load(out / name)[0][half + 2 :] == 0).all()


def test_wild_voxels(quick: list[Any], ftddm: Ftddm, study: Path) -> None:
    """Outside the mask they change nothing; inside they are kept and reported."""
    out = study.parent / "out"
    assert ftddm(*quick).code == 0
    before, _ = load(out / "patient_met-tNAA_desc-ftddm_mrsi.nii.gz")
    maps, mask, affine = tiny_maps()
    assert maps["tNAA"][0, 0, 0] == 1e4
    maps["tNAA"][0, 0, 0] = np.nan
    save_nifti(study / "tNAA.nii.gz", maps["tNAA"], affine)
    outcome = ftddm(*quick, "--overwrite")
    assert outcome.code == 0
    after, _ = load(out / "patient_met-tNAA_desc-ftddm_mrsi.nii.gz")
    np.testing.assert_array_equal(after, before)
    assert "trusted voxels exceed" not in outcome.err
    i, j, k = np.argwhere(mask > 0)[0]
    maps["tCho"][i, j, k] = 1e4
    save_nifti(study / "tCho.nii.gz", maps["tCho"], affine)
    outcome = ftddm(*quick, "--overwrite")
    assert outcome.code == 0
    assert "note: tCho: 1 trusted voxel" in outcome.err
    assert sidecar(out, "tCho")["OutlierVoxels"] == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Cancelled("stopped")])
def test_an_interrupted_run_writes_nothing(
    error: BaseException,
    quick: list[Any],
    ftddm: Ftddm,
    study: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = SuperResolver._batches

    def batch(*args: Any) -> Any:
        yield next(real(*args))
        raise error

    monkeypatch.setattr(SuperResolver, "_batches", batch)
    outcome = ftddm(*quick)
    assert outcome == (130, "", "ftddm: cancelled, nothing was written.\n")
    assert {path.name for path in study.parent.iterdir()} == {"patient"}


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_out_of_memory_is_advice(
    error: Exception, quick: list[Any], ftddm: Ftddm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(SuperResolver, "run", run)
    outcome = ftddm(*quick)
    assert outcome.code == 2
    assert outcome.err == "ftddm: out of memory; use a smaller upscaling factor or matrix.\n"


def test_a_fault_of_ours_is_not_hidden(
    quick: list[Any], ftddm: Ftddm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(SuperResolver, "run", run)
    with pytest.raises(RuntimeError, match="shapes"):
        ftddm(*quick)


def test_a_reader_who_leaves(study: Path, weights: Path, tmp_path: Path) -> None:
    """`ftddm run ... | head -0` ends without a traceback, its files written."""
    out = tmp_path / "out"
    reader, writer = os.pipe()
    os.close(reader)
    try:
        found = subprocess.run(
            [FTDDM, "run", study, "--out", out, "--weights", weights, "--steps=1"],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        os.close(writer)
    assert found.stderr.splitlines() == [
        line for line in found.stderr.splitlines() if "note:" in line
    ]
    assert len(files_in(out)) == 4


def test_unfill_starts_from_the_matrix_below_a_zero_filling(tmp_path, ftddm, weights):
    rng = np.random.default_rng(3)
    acquired = rng.uniform(1, 2, (12, 10, 1)).astype(np.float32)
    folder = tmp_path / "in"
    folder.mkdir()
    save_nifti(folder / "tNAA.nii.gz", zero_fill(acquired, (24, 20)), np.diag([3, 3, 5, 1.0]))
    quick = ("run", folder, "--upscale", 2, "--steps", 1, "--weights", weights)
    plain = ftddm(*quick, "--out", tmp_path / "plain")
    assert "fills 12x10 of 24x20; undo that (--unfill)" in plain.err
    out = tmp_path / "out"
    assert ftddm(*quick, "--unfill", "--out", out).code == 0
    (written,) = out.glob("*.json")
    record = json.loads(written.read_text())
    assert record["AcquiredMatrix"] == [12, 10, 1]
    assert record["Matrix"] == [24, 20, 1]
    assert record["Unfilled"] is True
