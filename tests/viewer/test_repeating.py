"""The copied command and script are run, and make the maps of the session."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from properties import save_nifti
from sessions import done
from tiny import Ftddm, files_in, load, sidecar, write_study

from ftddm_core.errors import FormatError
from ftddm_core.imaging.fourier import zero_fill
from ftddm_core.imaging.io import Choices
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.repeating import as_command, as_python
from ftddm_viewer.session.session import Session


def finished(session: Session, folder: Path) -> Path:
    """Save the session's whole volume; return the folder."""
    session.compute_volume()
    done(session)
    session.save(folder)
    return folder


def same(made: Path, wanted: Path) -> None:
    """Test that two folders hold the same maps, to 1e-4 of their scale, and the same records."""
    names = set(files_in(wanted))
    assert set(files_in(made)) == names
    assert len(names) >= 2
    for name in names:
        if name.endswith(".nii.gz"):
            (ours, grid), (theirs, affine) = load(made / name), load(wanted / name)
            assert theirs.max() > 0
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * theirs.max())
            assert np.array_equal(grid, affine)


def run_command(text: str, ftddm: Ftddm) -> None:
    program, *words = shlex.split(text)
    assert program == "ftddm"
    outcome = ftddm(*words)
    assert outcome.code == 0, outcome.err


def run_script(text: str) -> None:
    exec(compile(text, "copied.py", "exec"), {"__name__": "__main__"})


@pytest.fixture
def awkward(tmp_path: Path) -> Path:
    """Return a study below a folder whose name a shell would take apart."""
    return write_study(tmp_path / "it's a; $HOME" / "patient")


def test_both_texts_make_the_map_of_an_enlarged_study(
    session: Session, awkward: Path, ftddm: Ftddm, tmp_path: Path, monkeypatch: Any
) -> None:
    choices = Choices(
        roles={"tCho.nii.gz": "map:Cho", str(awkward / "mask.nii.gz"): "mask"},
        exclude=(str(awkward / "T1w.nii.gz"),),
        label="-Anna B",
        mask_threshold=0.25,
    )
    session.open(awkward, choices=choices)
    done(session)
    session.choose(mode="enlarge")
    session.update(upscale=2.0, tau_flow=0.85, seed=7, steps=2, sampler="ddim", noise=3.5)
    session.update(consistency="exact", detail=0.7)
    done(session)
    wanted = finished(session, tmp_path / "wanted")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    run_command(as_command(session.state, session.model, "shell"), ftddm)
    same(elsewhere / "shell", wanted)
    assert set(sidecar(wanted, "Cho")["Inputs"]) == {"tNAA", "Cho", "mask"}
    assert sidecar(elsewhere / "shell", "Cho")["Settings"] == sidecar(wanted, "Cho")["Settings"]
    run_script(as_python(session.state, session.model, "python"))
    same(elsewhere / "python", wanted)
    assert sidecar(elsewhere / "python", "Cho")["Settings"] == sidecar(wanted, "Cho")["Settings"]


def test_the_script_degrades_and_restores(
    opened: Session, tmp_path: Path, monkeypatch: Any
) -> None:
    opened.choose(mode="restore", metabolite="tCho")
    opened.update(mri_weight=0.6, samples=2)
    done(opened)
    wanted = finished(opened, tmp_path / "wanted")
    with pytest.raises(FormatError, match="copy it as Python"):
        as_command(opened.state, opened.model)
    monkeypatch.chdir(tmp_path)
    run_script(as_python(opened.state, opened.model))
    same(tmp_path / "ftddm-maps", wanted)
    records = [sidecar(tmp_path / name, "tCho") for name in ("ftddm-maps", "wanted")]
    assert records[0]["DegradedBy"] == records[1]["DegradedBy"] == 4.0


def test_both_texts_undo_zero_filling(
    session: Session, ftddm: Ftddm, tmp_path: Path, monkeypatch: Any
) -> None:
    acquired = np.random.default_rng(3).uniform(1, 2, (12, 10, 1)).astype(np.float32)
    (tmp_path / "in").mkdir()
    filled = zero_fill(acquired, (24, 20))
    save_nifti(tmp_path / "in" / "tNAA.nii.gz", filled, np.diag([3, 3, 5, 1.0]))
    session.open(tmp_path / "in")
    done(session)
    session.unfill()
    done(session)
    session.update(steps=1, mri_weight=1.0)
    wanted = finished(session, tmp_path / "wanted")
    monkeypatch.chdir(tmp_path)
    run_command(as_command(session.state, session.model, "shell"), ftddm)
    same(tmp_path / "shell", wanted)
    run_script(as_python(session.state, session.model, "python"))
    same(tmp_path / "python", wanted)
    assert sidecar(tmp_path / "python", "tNAA")["Unfilled"] is True


def test_defaults_are_not_spelt_out(study: Path, opened: Session) -> None:
    opened.choose(live=False, mode="enlarge")
    small = Model("small")
    text = as_command(opened.state, small, "out")
    factor = opened.state.view.prepared.upscale if opened.state.view else 0
    assert text == f"ftddm run {study} --out out --upscale {factor!r} --steps 10"
    script = as_python(opened.state, small)
    assert "Choices" not in script
    assert "half" not in script
    assert "--half" in as_command(opened.state, Model("small", "cuda", half=True))
    assert "--device cuda" in as_command(opened.state, Model("small", "cuda"))
