"""How a command ends when asked to: in order, by the code of the signal, nothing half made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny import Ftddm, checkable_study, files_in

from ftddm_core.sampling.resolver import SuperResolver
from ftddm_viewer.shell.endings import ENDINGS, Ended, ended_in_order

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")


@pytest.fixture(autouse=True)
def heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ignore no signal, as a program started from a shell; keep temporary folders in one place."""
    before = {ending: signal.getsignal(ending) for ending in ENDINGS}
    for ending in ENDINGS:
        usual = signal.default_int_handler if ending == signal.SIGINT else signal.SIG_DFL
        signal.signal(ending, usual)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    yield
    for ending, handler in before.items():
        signal.signal(ending, handler)


def ask(*numbers: int) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


def asked_in(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, *numbers: int) -> None:
    """Send signals when a function is called."""
    real = getattr(owner, name)

    def called(*args: Any, **kwargs: Any) -> Any:
        ask(*numbers)
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, called)


@pytest.mark.parametrize("number", ENDINGS)
def test_a_run_ends_as_at_ctrl_c(
    number: int, quick: list[Any], ftddm: Ftddm, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_in(monkeypatch, SuperResolver, "_finish", number)
    outcome = ftddm(*quick)
    assert outcome == (128 + number, "", "ftddm: cancelled, nothing was written.\n")
    assert {path.name for path in study.parent.iterdir()} == {"patient", "tmp"}
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_while_files_are_exchanged_all_are_the_earlier_ones(
    quick: list[Any], ftddm: Ftddm, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is asked to."""
    assert ftddm(*quick).code == 0
    earlier = files_in(study.parent / "out")
    asked_in(monkeypatch, os, "replace", signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    outcome = ftddm(*quick, "--seed", 7, "--overwrite")
    assert outcome.code == 128 + signal.SIGTERM
    assert files_in(study.parent / "out") == earlier
    assert not list((study.parent / "tmp").iterdir())


@pytest.mark.parametrize("command", ["check", "sweep"])
def test_check_and_sweep(
    command: str, weights: Path, tmp_path: Path, ftddm: Ftddm, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = checkable_study(tmp_path / "fine")
    asked_in(monkeypatch, SuperResolver, "sample", signal.SIGTERM)
    outcome = ftddm(command, study, "--weights", weights)
    assert outcome == (143, "", "ftddm: cancelled, nothing was written.\n")


def test_training_and_evaluation_say_what_is_kept(
    tmp_path: Path, study: Path, weights: Path, ftddm: Ftddm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ftddm_core.training.run.train", lambda *_, **__: ask(signal.SIGHUP))
    monkeypatch.setattr("ftddm_core.training.run.render_pools", lambda *_: None)
    outcome = ftddm("train", "flow", "--out", tmp_path / "run")
    assert outcome.code == 128 + signal.SIGHUP
    assert outcome.err.endswith("cancelled; the same command resumes from the last checkpoint.\n")
    evaluation = sys.modules["ftddm_viewer.commands.evaluate"]
    monkeypatch.setattr(evaluation, "find_anatomies", lambda *_: ask(signal.SIGTERM))
    words = ["--out", tmp_path / "out", "--weights", weights]
    outcome = ftddm("evaluate", study, *words)
    assert outcome.code == 143
    assert outcome.err.endswith("cancelled; the same command resumes from the finished results.\n")


def test_an_ignored_signal_stays_ignored(
    quick: list[Any], ftddm: Ftddm, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`nohup ftddm run ...` survives the end of its terminal."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    asked_in(monkeypatch, SuperResolver, "_finish", signal.SIGHUP)
    assert ftddm(*quick).code == 0
    assert len(files_in(study.parent / "out")) == 4
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_an_error_that_follows_from_the_signal_is_not_reported() -> None:
    def worker() -> None:
        try:
            ask(signal.SIGTERM)
        finally:
            raise RuntimeError("a worker was terminated")

    with pytest.raises(Ended) as caught, ended_in_order():
        worker()
    assert caught.value.code == 143
    with pytest.raises(RuntimeError, match="a fault"), ended_in_order():
        raise RuntimeError("a fault")


def test_a_forked_process_ends_by_the_signal_itself() -> None:
    """Quietly, as the workers of a training do."""
    code = (
        "import os, signal\n"
        "from ftddm_viewer.shell.endings import ended_in_order\n"
        "with ended_in_order():\n"
        "    if not (child := os.fork()):\n"
        "        os.kill(os.getpid(), signal.SIGHUP)\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        os._exit(3)\n"
        "    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (found.stdout, found.stderr) == (f"-{signal.SIGTERM:d}\n", "")
