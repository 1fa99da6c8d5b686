"""The whole volume: the same files as the shell command's, and nothing is lost by accident."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from properties import save_nifti
from sessions import PATIENCE, Brake, done
from tiny import Ftddm, files_in, fine_study, load, sidecar, tiny_maps

from ftddm_core.errors import FormatError, SettingsError
from ftddm_viewer import CASE_UPSCALE, LIVE_STEPS
from ftddm_viewer.session.case import Mode
from ftddm_viewer.session.messages import other_volume
from ftddm_viewer.session.session import Session


def test_a_volume_equals_the_command_line_one_file_by_file(
    opened: Session, study: Path, weights: Path, ftddm: Ftddm, tmp_path: Path
) -> None:
    opened.update(samples=2, consistency="exact", upscale=2)
    done(opened)
    opened.compute_volume()
    state = done(opened)
    assert state.finished is not None
    assert state.view is not None
    assert {key[0] for key in state.view.images} == {"tNAA", "tCho"}
    assert all(image.final for image in state.view.images.values())
    paths = opened.save(tmp_path / "window")
    words = ("--samples", 2, "--consistency", "--upscale", 2, "--steps", LIVE_STEPS)
    ftddm("run", study, "--out", tmp_path / "shell", "--weights", weights, *words)
    window, shell = files_in(tmp_path / "window"), files_in(tmp_path / "shell")
    assert {path.name for path in paths} == set(window) == set(shell)
    for name, content in shell.items():
        if name.endswith(".json"):
            records = [json.loads(each) for each in (window[name], content)]
            for record in records:
                del record["Map"]  # its values may differ in the last digits
            assert records[0] == records[1]
        else:
            ours, theirs = load(tmp_path / "window" / name), load(tmp_path / "shell" / name)
            np.testing.assert_allclose(ours[0], theirs[0], rtol=0, atol=1e-4 * theirs[0].max())
            assert np.array_equal(ours[1], theirs[1])
    with pytest.raises(FormatError, match="exists already"):
        opened.save(tmp_path / "window")
    assert opened.save(tmp_path / "window", overwrite=True)


def test_one_sample_replaces_several(opened: Session, tmp_path: Path) -> None:
    """Standard deviation and error of several samples do not stay beside a map of one."""
    opened.update(samples=2)
    done(opened)
    opened.compute_volume()
    done(opened)
    out = tmp_path / "out"
    assert len(opened.save(out)) == 12
    opened.update(samples=1)
    done(opened)
    opened.compute_volume()
    done(opened)
    paths = opened.save(out, overwrite=True)
    assert len(paths) == 4
    assert set(out.iterdir()) == set(paths)


def test_a_volume_says_that_settings_differ_only_where_they_do(opened: Session) -> None:
    opened.compute_volume()
    assert other_volume(done(opened)) == ""
    opened.update(sampler=opened.state.settings.sampler_used)  # another word for the same
    assert other_volume(done(opened)) == ""
    opened.update(seed=3, sampler="ddim")
    assert other_volume(done(opened)) == (
        "The volume to save was made with other settings: seed 0, step dpm_solver_2m_sde."
    )


def test_a_degraded_study_says_so_in_its_files(
    session: Session, study: Path, tmp_path: Path
) -> None:
    session.show(fine_study(study))
    done(session)
    session.compute_volume()
    done(session)
    session.save(tmp_path / "out")
    assert sidecar(tmp_path / "out", "tNAA")["DegradedBy"] == CASE_UPSCALE


def test_settings_wait_while_a_volume_is_computed(
    opened: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    brake = Brake(monkeypatch)
    opened.compute_volume()
    assert brake.holding.wait(PATIENCE)
    before = opened.state.settings
    for refused in (
        lambda: opened.update(tau_flow=0),
        lambda: opened.choose(mode=Mode.RESTORE),
        opened.refresh,
    ):
        with pytest.raises(SettingsError, match="whole volume is being computed"):
            refused()
    opened.choose(metabolite="tCho", slice_index=0)  # looking elsewhere is free
    brake.released.set()
    state = done(opened)
    assert state.settings == before
    assert state.finished is not None
    assert brake.runs == 1
    assert state.up_to_date


def test_a_cancelled_volume_leaves_the_one_before(
    opened: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.compute_volume()
    finished = done(opened).finished
    brake = Brake(monkeypatch)
    opened.update(seed=1)
    assert brake.holding.wait(PATIENCE)
    brake.released.set()
    done(opened)
    brake.holding.clear()
    brake.released.clear()
    opened.compute_volume()
    assert brake.holding.wait(PATIENCE)
    opened.cancel()
    brake.released.set()
    state = done(opened)
    assert state.finished is finished
    assert finished is not None
    assert finished.result.settings.seed == 0


def test_a_slice_of_the_volume_equals_the_slice_alone(opened: Session) -> None:
    alone = opened.state.image
    k = opened.state.slice_index
    opened.compute_volume()
    state = done(opened)
    assert alone is not None
    assert state.view is not None
    in_volume = state.view.images["tNAA", k].drawn
    scale = state.view.prepared.conditions["tNAA"].scale
    np.testing.assert_allclose(in_volume, alone.drawn, rtol=0, atol=1e-4 * scale)


def test_opening_another_study_waits_for_the_volume(
    opened: Session, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brake = Brake(monkeypatch)
    opened.compute_volume()
    assert brake.holding.wait(PATIENCE)
    for refused in (lambda: opened.open(study), opened.unfill, opened.compute_volume):
        with pytest.raises(SettingsError, match="whole volume is being computed"):
            refused()
    brake.released.set()
    assert done(opened).finished is not None


def test_a_volume_is_saved_as_it_was_opened(opened: Session, study: Path, tmp_path: Path) -> None:
    """Whatever became of the files since: their fingerprints are those of what was read."""
    opened.compute_volume()
    done(opened)
    opened.save(tmp_path / "before")
    maps, _, affine = tiny_maps()
    save_nifti(study / "tNAA.nii.gz", 2 * maps["tNAA"], affine)
    (study / "T1w.nii.gz").unlink()
    opened.save(tmp_path / "after")
    assert files_in(tmp_path / "before") == files_in(tmp_path / "after")


def test_a_volume_that_is_chosen_is_saved_though_there_is_a_newer_one(
    opened: Session, tmp_path: Path
) -> None:
    opened.compute_volume()
    older = done(opened).finished
    opened.update(seed=5)
    done(opened)
    opened.compute_volume()
    done(opened)
    opened.save(tmp_path / "older", finished=older)
    opened.save(tmp_path / "newest")
    assert sidecar(tmp_path / "older", "tNAA")["Settings"]["seed"] == 0
    assert sidecar(tmp_path / "newest", "tNAA")["Settings"]["seed"] == 5
