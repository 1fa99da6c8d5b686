"""The process that measures memory for `ftddm bench`: what is told where it fails or is ended."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ftddm_core.errors import FtddmError
from ftddm_viewer.bench.memory import LAST_LINES, memory
from ftddm_viewer.bench.plan import Plan

Stand = Callable[[str], None]


@pytest.fixture
def in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """Return a function that has a shell script run where the process would."""

    def run(script: str) -> None:
        program = tmp_path / "program"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(program))

    return run


def test_a_process_that_the_system_ends_leaves_nothing_to_tell(in_its_place: Stand) -> None:
    in_its_place("kill -9 $$")
    assert memory("none", "cpu", Plan()) is None


def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(FtddmError, match="No weights called 'none'"):
        memory("none", "cpu", Plan())


def test_the_error_holds_the_last_lines_alone(in_its_place: Stand) -> None:
    in_its_place("seq 1000 1100 >&2; echo of no use; exit 3")
    with pytest.raises(FtddmError, match="failed with code 3") as caught:
        memory("none", "cpu", Plan())
    _, *told = str(caught.value).splitlines()
    assert told == [str(number) for number in range(1101 - LAST_LINES, 1101)]
