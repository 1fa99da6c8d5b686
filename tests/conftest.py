"""Fixtures for every test: real examples, tiny weights, a tiny study, and `ftddm` in-process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from tiny import Ftddm, Outcome, without_study, write_study, write_weights

from ftddm_viewer.cli import main

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")  # the same examples every time: what passed here passes there

SHARED_DATA = Path(__file__).parents[1] / ".." / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real examples beside the repository, or skip the test without it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real examples are not here: {SHARED_DATA} does not exist")
    return SHARED_DATA.resolve()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny networks are quickest on one thread, and other work on the machine is left alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def own_state_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: Any) -> None:
    """Let no test remember anything in the user's home, or for another test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return weights of a few kB: not trained, but every layer has its say."""
    return write_weights(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture
def ftddm(capsys: pytest.CaptureFixture[str]) -> Ftddm:
    """Return the command: words -> exit code, stdout, stderr."""

    def run(*words: Any) -> Outcome:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:  # from argparse
            code = end.code if isinstance(end.code, int) else 1
        out, err = capsys.readouterr()
        return Outcome(code, out, without_study(err))

    return run


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Return the folder of a study with maps, mask and T1."""
    return write_study(tmp_path / "patient")
