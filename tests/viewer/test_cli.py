"""The command `ftddm`: its help and flags, what it prints, and how it ends when it fails."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
from flags import OTHER
from tiny import Ftddm, checkable_study, files_in

from ftddm_core.errors import Cancelled
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_core.settings import controls
from ftddm_viewer.cli import build_parser
from ftddm_viewer.commands.options import settings_from

FTDDM = Path(sys.executable).with_name("ftddm")
COMMANDS = ("run", "check", "demo", "simulate", "evaluate", "sweep", "train")


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


# ---------------------------------------------------------------- what it prints, and how it ends


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


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Cancelled("stopped")])
def test_an_interrupted_run_writes_nothing(
    error: BaseException,
    quick: list[Any],
    ftddm: Ftddm,
    study: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = SuperResolver._drawn

    def drawn(*args: Any) -> Any:
        yield next(real(*args))
        raise error

    monkeypatch.setattr(SuperResolver, "_drawn", drawn)
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
    told = found.stderr.splitlines()
    assert told == [line for line in told if line.startswith(("study:", "note:"))]
    assert len(files_in(out)) == 4
