"""What front ends make of a result that is not finite: one line, no image, and no file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from sessions import PATIENCE
from tiny import Ftddm

from ftddm_core.model.checkpoint import load_weights, save_weights
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.session import Session


@pytest.fixture
def spoilt(weights: Path, tmp_path: Path) -> Path:
    """Return weights that were exported with 200 NaN, so that their SHA-256 is right."""
    loaded = load_weights(weights)
    state = loaded.denoiser.state_dict()
    name = max(state, key=lambda name: state[name].numel())
    values = state[name].flatten()
    values[:200] = float("nan")
    with torch.no_grad():
        state[name].copy_(values.view(state[name].shape))
    save_weights(tmp_path / "spoilt", loaded.denoiser, loaded.flow, {})
    return tmp_path / "spoilt"


def test_a_run_writes_nothing(study: Path, spoilt: Path, tmp_path: Path, ftddm: Ftddm) -> None:
    outcome = ftddm("run", study, "--out", tmp_path / "out", "--weights", spoilt, "--steps", 2)
    assert outcome.code == 2
    assert outcome.out == ""
    (line,) = outcome.err.splitlines()
    assert line.startswith("ftddm: tCho: the result of slice 0 is not finite")
    assert "'spoilt'" in line
    assert not (tmp_path / "out").exists()


def test_a_live_image_is_not_shown(study: Path, spoilt: Path) -> None:
    session = Session(Model(str(spoilt), "cpu"))
    session.open(study)
    assert session.wait(PATIENCE)
    assert "is not finite, so it is neither shown nor written" in session.state.error
    assert session.state.view is None or not session.state.view.images
    assert session.close(PATIENCE)
