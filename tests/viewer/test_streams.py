"""What is printed where a stream is closed, full, or lacks a character; and impossible paths."""

from __future__ import annotations

import errno
import io
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny import Ftddm, checkable_study, files_in

from ftddm_viewer.cli import main
from ftddm_viewer.shell.paths import LONGEST_NAME
from ftddm_viewer.shell.streams import any_streams

MODULE = [sys.executable, "-m", "ftddm_viewer"]
POSIX = pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX")


def words_of(line: list[Any]) -> list[str]:
    return [str(word) for word in line]


# ---------------------------------------------------------------- started as a module


def test_the_module_is_the_command() -> None:
    found = subprocess.run(
        [*MODULE, "run"], capture_output=True, text=True, timeout=60, check=False
    )
    assert found.returncode == 2
    assert found.stderr.startswith("ftddm: the following arguments are required")
    assert "(see: ftddm run --help)" in found.stderr


# ---------------------------------------------------------------- closed and full streams


@POSIX
@pytest.mark.parametrize(
    ("redirection", "code", "words"),
    [
        (">&-", 1, "ftddm: cannot write to standard output (it is closed): redirect it elsewhere."),
        ("2>&-", 0, ""),
        (">&- 2>&-", 1, ""),
        (">/dev/full", 1, "ftddm: cannot write to standard output (No space left on device)"),
        ("1</dev/null", 1, "ftddm: cannot write to standard output (Bad file descriptor)"),
    ],
)
def test_help_on_a_stream_that_takes_nothing(redirection: str, code: int, words: str) -> None:
    if "full" in redirection and not Path("/dev/full").exists():
        pytest.skip("there is no full device")
    command = f'"$0" -m ftddm_viewer --help {redirection}'
    found = subprocess.run(
        ["sh", "-c", command, sys.executable], capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert found.returncode == code
    assert found.stderr.startswith(words)
    assert found.stderr.count("\n") == bool(words)


def test_a_closed_output_is_refused_before_any_work(
    quick: list[Any], study: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert main(words_of(quick)) == 1
    assert sys.stdout is None
    assert "standard output (it is closed)" in capfd.readouterr().err
    assert not (study.parent / "out").exists()


def test_without_standard_error_a_run_goes_on(
    quick: list[Any], study: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Its bars and notes go nowhere."""
    monkeypatch.setattr(sys, "stderr", None)
    assert main(words_of(quick)) == 0
    assert "4 files in" in capsys.readouterr().out
    assert len(files_in(study.parent / "out")) == 4
    assert main(["run", "nowhere", "--out", str(study.parent / "no")]) == 2


class Full(io.RawIOBase):
    """A file on a disk that fills up."""

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_fills_up_meanwhile(
    quick: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    raw = Full()
    full = io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", full)
    assert main(words_of(quick)) == 1
    (last,) = capsys.readouterr().err.splitlines()[-1:]
    assert last.startswith("ftddm: cannot write to standard output (No space left on device)")
    monkeypatch.setattr(Full, "write", lambda self, content: len(content))  # closed in order


# ---------------------------------------------------------------- encodings


@pytest.mark.parametrize("encoding", [pytest.param("ascii", marks=pytest.mark.long), "cp1252"])
def test_every_table_prints_in_any_encoding(
    encoding: str,
    weights: Path,
    quick: list[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Commands that print, with a folder whose name holds what the encoding lacks."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    fine, out = checkable_study(tmp_path / "fine"), tmp_path / "τ ×\N{SNOWMAN}"
    quick[3] = out / "run"
    for line in (
        quick,
        ["check", fine, "--weights", weights],
        ["sweep", fine, "--weights", weights, "--slices", 1, "--steps", 1],
        ["simulate", "--out", out / "simulated", "--matrix", 12, "--slices", 1, "--voxel", 16],
        ["run", out / "nowhere", "--out", out],
    ):
        assert main(words_of(line)) == (2 if "nowhere" in str(line[1]) else 0), line
    printed, told = (
        (stream.flush(), stream.buffer.getvalue().decode(encoding))[1]  # type: ignore[attr-defined]
        for stream in streams
    )
    assert "tau" in printed
    assert f"4 files in {tmp_path}{os.sep}tau {'x' if encoding == 'ascii' else '×'}?" in printed
    assert "tau" in told
    assert (out / "run").is_dir()


def test_an_encoding_and_its_handler_are_as_before_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    with any_streams() as fault:
        print("2 × 3 – 4 → \udcff…")
    assert fault is None
    assert stream.errors == "strict"
    assert stream.buffer.getvalue() == b"2 x 3 - 4 -> ?...\n"  # type: ignore[attr-defined]


# ---------------------------------------------------------------- paths


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("a" * 256, "is too long, 256 bytes of at most 255"),
        ("é" * 128, "is too long, 256 bytes of at most 255"),
        ("b/" * 2100, "bytes of at most 4095"),
        ("no\0thing", "holds a NUL character"),
    ],
    ids=["name", "letters", "path", "nul"],
)
@pytest.mark.parametrize("flag", ["--out", "--t1", "--weights", ""])
def test_an_impossible_path_is_one_line(
    flag: str, path: str, words: str, study: Path, tmp_path: Path, ftddm: Ftddm
) -> None:
    given = [study, flag, path] if flag else [study, path]
    outcome = ftddm("run", *given, *([] if flag == "--out" else ["--out", tmp_path / "out"]))
    assert outcome.code == 2
    assert outcome.out == ""
    assert words in outcome.err
    assert outcome.err.count("\n") == 1
    assert len(outcome.err) < 250
    assert not (tmp_path / "out").exists()


def test_a_long_study_is_refused_before_it_is_sampled(
    quick: list[Any], study: Path, ftddm: Ftddm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names of its results would be longer still."""
    long = study.rename(study.with_name("p" * (LONGEST_NAME - 5)))
    monkeypatch.setattr("ftddm_viewer.session.model.Model.load", None)
    outcome = ftddm("run", long, *quick[2:])
    assert outcome.code == 2
    assert "of at most 255" in outcome.err
    assert "rename the study" in outcome.err


@POSIX
@pytest.mark.parametrize("flag", ["--t1", "--flair", "--mask", ""])
@pytest.mark.parametrize("kind", ["a pipe", "a socket", "a device"])
def test_what_is_no_file_is_not_waited_for(
    kind: str, flag: str, study: Path, tmp_path: Path, ftddm: Ftddm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is a short one
    path = Path("x.nii")
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a device":
        path = Path(os.devnull)
    opened = socket.socket(socket.AF_UNIX)
    try:
        if kind == "a socket":
            opened.bind(str(path))
        given = [study, flag, path] if flag else [study, path]
        outcome = ftddm("run", *given, "--out", tmp_path / "out")
    finally:
        opened.close()
    assert outcome.code == 2
    assert f"{path} is {kind}, from which no image can be read" in outcome.err
