"""The session behind both front ends: opening, errors in words, living together and ending."""

from __future__ import annotations

import gc
import gzip
import logging
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from properties import save_nifti
from sessions import PATIENCE, Brake, Recorder, done
from tiny import Ftddm, load, tiny_maps, write_study

from ftddm_core.errors import SettingsError
from ftddm_core.imaging.io import Choices, read_volume, write_volume
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_core.settings import SamplerSettings
from ftddm_viewer import LIVE_STEPS
from ftddm_viewer.commands.options import in_flags
from ftddm_viewer.session import model
from ftddm_viewer.session.case import Mode, prepare
from ftddm_viewer.session.inspection import Inspection, inspect
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.state import Activity, State

FAR = np.zeros((4, 4))
FAR[:3, 3] = 5000


# ---------------------------------------------------------------- opening


def test_opening_shows_the_input_first_and_then_the_image(session: Session, study: Path) -> None:
    seen = Recorder(session)
    session.open(study)
    state = done(session)
    activities = [state.activity for state in seen.states]
    assert activities[0] is Activity.OPENING
    first = next(state for state in seen.states if state.view is not None)
    assert first.view is not None
    assert first.view.images == {}
    assert state.up_to_date
    assert state.metabolite == "tNAA"
    assert state.mode is Mode.ENLARGE
    assert state.settings.steps == LIVE_STEPS
    # 10 mm voxels are brought to the 3.4 mm of the training.
    assert state.shown_value("upscale") == pytest.approx(10 / 3.4)


def test_images_come_while_it_samples(opened: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "FRAME", 0.0)
    seen = Recorder(opened)
    opened.update(seed=7)
    done(opened)
    running = [s for s in seen.states if s.activity is Activity.SAMPLING and s.image is not None]
    images = [s.image for s in running if s.image is not None and s.view is not None]
    estimates = [p for s, p in zip(running, images, strict=True)
                 if s.view is not None and s.view.asked.seed == 7 and not p.final]  # fmt: skip
    assert len(estimates) == LIVE_STEPS
    assert all(p.traces is None for p in estimates)
    done_shares = [s.progress for s in running]
    assert done_shares == sorted(done_shares)


def test_an_image_equals_the_command_line_one(
    opened: Session, study: Path, weights: Path, ftddm: Ftddm, tmp_path: Path
) -> None:
    opened.update(upscale=2, tau_flow=0.3, steps=4, seed=5)
    state = done(opened)
    assert state.image is not None
    words = ("--upscale", 2, "--tau-flow", 0.3, "--steps", 4, "--seed", 5)
    ftddm("run", study, "--out", tmp_path / "out", "--weights", weights, *words)
    data, _ = load(next((tmp_path / "out").glob("*_met-tNAA_desc-ftddm_mrsi.nii.gz")))
    assert state.view is not None
    scale = state.view.prepared.conditions["tNAA"].scale
    image = state.image.shown(state.view.detail("tNAA"))
    np.testing.assert_allclose(image, data[..., state.slice_index], rtol=0, atol=1e-4 * scale)
    assert state.view.settings == SamplerSettings(
        upscale=2, tau_flow=0.3, steps=4, seed=5, sampler="dpm_solver_2m_sde"
    )


@pytest.mark.parametrize("damage", ["no map", "damaged", "empty", "elsewhere", "not there"])
def test_errors_have_the_words_of_the_shell_command(
    damage: str, opened: Session, ftddm: Ftddm, weights: Path, tmp_path: Path
) -> None:
    """And the study that was open stays open, with its image."""
    bad = write_study(tmp_path / "bad")
    if damage == "no map":
        for path in bad.glob("t*.nii.gz"):
            path.unlink()
    elif damage == "damaged":
        (bad / "tNAA.nii.gz").write_bytes(gzip.compress(b"no NIfTI at all"))
    elif damage == "empty":
        maps, _, affine = tiny_maps()
        save_nifti(bad / "tNAA.nii.gz", 0 * maps["tNAA"], affine)
    elif damage == "elsewhere":
        maps, mask, affine = tiny_maps()
        save_nifti(bad / "mask.nii.gz", mask, affine + FAR)
    elif damage == "not there":
        bad = tmp_path / "nothing"
    before = opened.state
    opened.open(bad)
    assert opened.wait(PATIENCE)
    outcome = ftddm("run", bad, "--out", tmp_path / "out", "--weights", weights)
    assert outcome.code == 2
    assert outcome.err == f"ftddm: {in_flags(opened.state.error)}\n"
    assert opened.state.activity is Activity.IDLE
    assert opened.state.case is before.case
    assert opened.state.view is before.view


def test_a_fault_of_the_program_is_told_and_logged(
    opened: Session, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def sample(*args: Any, **kwargs: Any) -> Any:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(SuperResolver, "sample", sample)
    with caplog.at_level(logging.ERROR):
        opened.update(seed=3)
        assert opened.wait(PATIENCE)
    assert opened.state.error == "Unexpected ZeroDivisionError: a bug. Please report it."
    assert "Traceback" in caplog.text
    monkeypatch.undo()
    opened.update(seed=4)  # and the session goes on
    assert done(opened).up_to_date


# ---------------------------------------------------------------- living together, and ending


def test_sessions_share_the_model_and_nothing_else(model: Model, study: Path) -> None:
    mine, yours = Session(model), Session(model)
    mine.open(study)
    assert yours.state == State() or yours.state.case is None
    yours.open(study)
    mine.update(seed=1)
    yours.update(seed=2)
    for session, seed in ((mine, 1), (yours, 2)):
        state = done(session)
        assert state.view is not None
        assert state.view.settings.seed == seed
        assert state.up_to_date
        assert session.close(PATIENCE)
    assert mine.state.case is None


def test_closing_in_mid_run_ends_the_work(opened: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    brake = Brake(monkeypatch)
    opened.update(seed=1)
    assert brake.holding.wait(PATIENCE)
    brake.released.set()
    assert opened.close(PATIENCE)
    assert opened.state.case is None


def test_the_networks_are_loaded_once_and_said_to_be(weights: Path, study: Path) -> None:
    session = Session(Model(str(weights), "cpu"))
    seen = Recorder(session)
    session.update(upscale=2)
    session.open(study)
    done(session)
    assert [s.loading for s in seen.states].count(True) >= 1
    assert not session.state.loading
    assert session.model.place == "cpu"
    seen.states.clear()
    session.update(seed=1)
    done(session)
    assert not any(s.loading for s in seen.states)
    session.close()


def test_unknown_weights_are_an_error_in_words(study: Path) -> None:
    session = Session(Model("no-such-weights", "cpu"))
    session.open(study)
    assert session.wait(PATIENCE)
    assert "no-such-weights" in session.state.error
    assert not session.state.loading


def test_preparing_depends_on_the_case_alone(study: Path, opened: Session) -> None:
    """Moving a temperature reuses the conditions; moving s makes new ones."""
    assert opened.state.view is not None
    before = opened.state.view.prepared
    opened.update(tau_flow=0.1)
    assert done(opened).view.prepared is before  # type: ignore[union-attr]
    opened.update(upscale=2.5)
    after = done(opened).view.prepared  # type: ignore[union-attr]
    assert after is not before
    assert opened.state.case is not None
    again = prepare(opened.state.case, Mode.ENLARGE, 2.5)
    for name, condition in again.conditions.items():
        assert np.array_equal(condition.channels, after.conditions[name].channels)


def test_a_bad_study_does_not_leave_the_open_one_unfinished(
    opened: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brake = Brake(monkeypatch)
    opened.update(seed=8)
    assert brake.holding.wait(PATIENCE)
    opened.open(tmp_path / "nothing")
    opened.choose(metabolite="tCho")  # while it is being opened
    brake.released.set()
    assert opened.wait(PATIENCE)
    assert "does not exist" in opened.state.error
    assert opened.state.up_to_date
    assert opened.state.metabolite == "tCho"
    assert opened.state.settings.seed == 8


def test_cancelling_an_opening_goes_on_with_what_was_open(
    opened: Session, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, read_on = threading.Event(), threading.Event()

    def slow(*args: Any, **kwargs: Any) -> Inspection:
        reading.set()
        assert read_on.wait(PATIENCE)
        return inspect(*args, **kwargs)

    before, inspected = opened.state.case, opened.state.inspection
    monkeypatch.setattr("ftddm_viewer.session.opening.inspect", slow)
    opened.open(study)
    assert reading.wait(PATIENCE)
    with pytest.raises(SettingsError, match="being opened"):
        opened.compute_volume()
    opened.update(seed=3)
    opened.cancel()
    read_on.set()
    state = done(opened)
    assert state.case is before
    assert state.inspection is inspected  # the panel is about what is open
    assert state.up_to_date
    assert state.settings.seed == 3


def test_a_cancelled_start_over_forgets_no_choices(
    model: Model, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(model, checks_itself=False, remembers=True)
    session.open(study, choices=Choices(label="patient 7"))
    done(session)

    def cancelled(*args: Any, **kwargs: Any) -> Inspection:
        found = inspect(*args, **kwargs)
        session.cancel()
        return found

    with monkeypatch.context() as patched:
        patched.setattr("ftddm_viewer.session.opening.inspect", cancelled)
        session.reopen(None)
        done(session)
    session.open(study)
    case = done(session).case
    assert case is not None
    assert case.label == "patient 7"
    session.close()


def test_files_that_the_model_cannot_be_applied_to_do_not_open(
    session: Session, study: Path
) -> None:
    """They are a study, but the panel must not show it as one that is open."""
    mask = read_volume(study / "mask.nii.gz")
    for name in ("tNAA", "tCho"):
        volume = read_volume(study / f"{name}.nii.gz")
        write_volume(study / f"{name}.nii.gz", volume.with_data(volume.data * (mask.data == 0)))
    session.open(study)
    assert session.wait(PATIENCE)
    found = session.state.inspection
    assert found is not None
    assert session.state.case is None
    assert "no signal inside the mask" in found.problem
    assert found.problem == session.state.error
    assert any("is it inverted?" in warning for warning in found.warnings)


def test_a_running_mean_counts_the_samples_of_every_batch(opened: Session) -> None:
    """Of 40 samples in batches of 16, 16 and 8, the last estimate is as good as the result."""
    seen = Recorder(opened)
    opened.update(samples=40)
    state = done(opened)
    running = [s.image for s in seen.states if s.image is not None and not s.image.final]
    assert state.image is not None
    top = state.image.drawn.max()
    last = running[-1]
    assert last is not None
    np.testing.assert_allclose(last.drawn, state.image.drawn, rtol=0, atol=1e-5 * top)


def test_what_is_told_is_the_change_itself(session: Session, study: Path) -> None:
    """And not what another thread has made of the state since."""
    session.open(study)
    done(session)
    told: list[tuple[State, State]] = []
    first = session.state

    def listen(old: State, new: State) -> None:
        told.append((old, new))
        if len(told) == 1:  # as another thread might, between the change and this
            session.update(seed=8)

    session.choose(live=False)
    session.changed.connect(listen)
    session.update(seed=7)
    seeds = [(old.settings.seed, new.settings.seed) for old, new in told]
    assert seeds == [(first.settings.seed, 7), (7, 8)]


def test_a_closed_session_keeps_no_wish(session: Session, study: Path) -> None:
    session.open(study)
    session.update(t_trunc=300, steps=200)
    session.update(t_trunc=50)
    session.close()
    session.update(t_trunc=300)
    assert session.state.settings == SamplerSettings(
        t_trunc=300, steps=session.state.settings.steps
    )
    assert session.state.settings.steps != 200


def test_whoever_hears_a_session_is_kept_until_it_ends_that(weights: Path) -> None:
    """Collected on another thread while a change is announced, it would end the announcing job."""

    class Listener:
        def __init__(self) -> None:
            self.heard: list[int] = []

        def hear(self, old: State, new: State) -> None:
            self.heard.append(new.settings.seed)

    session = Session(Model(str(weights), "cpu"), checks_itself=False)
    listener = Listener()
    there, heard = weakref.ref(listener), listener.heard
    deaf = session.hear(listener.hear)
    del listener
    gc.collect()
    session.update(seed=3)
    assert heard == [3]
    deaf()
    deaf()
    del deaf
    gc.collect()
    session.update(seed=4)
    assert heard == [3]
    assert there() is None
    assert session.close(PATIENCE)
