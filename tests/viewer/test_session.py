"""The session behind both faces: newest wins, nothing stale, nothing lost, errors in words."""

from __future__ import annotations

import gzip
import logging
import threading
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from properties import save_nifti
from sessions import PATIENCE, Brake, Recorder, done
from tiny import Ftddm, load, tiny_maps, write_study

from ftddm_core.errors import FormatError, SettingsError
from ftddm_core.imaging.io import open_study
from ftddm_core.imaging.volume import Study
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_core.settings import SamplerSettings, controls
from ftddm_viewer import LIVE_STEPS
from ftddm_viewer.session import model
from ftddm_viewer.session.case import Mode, prepare
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.state import Activity, State


def shown(state: State) -> Any:
    """Return the map that is looked at, as it is shown."""
    assert state.picture is not None
    assert state.view is not None
    return state.picture.shown(state.view.detail(state.metabolite))


FAR = np.zeros((4, 4))
FAR[:3, 3] = 5000


# ---------------------------------------------------------------- opening


def test_opening_shows_the_input_first_and_then_the_picture(session: Session, study: Path) -> None:
    seen = Recorder(session)
    session.open(study)
    state = done(session)
    activities = [state.activity for state in seen.states]
    assert activities[0] is Activity.OPENING
    first = next(state for state in seen.states if state.view is not None)
    assert first.view is not None
    assert first.view.pictures == {}
    assert state.up_to_date
    assert state.metabolite == "tNAA"
    assert state.mode is Mode.ENLARGE
    assert state.settings.steps == LIVE_STEPS
    # 10 mm voxels are brought to the 3.4 mm of the training.
    assert state.shown_value("upscale") == pytest.approx(10 / 3.4)


def test_pictures_come_while_it_samples(opened: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "FRAME", 0.0)
    seen = Recorder(opened)
    opened.update(seed=7)
    done(opened)
    running = [s for s in seen.states if s.activity is Activity.SAMPLING and s.picture is not None]
    pictures = [s.picture for s in running if s.picture is not None and s.view is not None]
    estimates = [p for s, p in zip(running, pictures, strict=True)
                 if s.view is not None and s.view.asked.seed == 7 and not p.final]  # fmt: skip
    assert len(estimates) == LIVE_STEPS
    assert all(p.traces is None for p in estimates)
    done_shares = [s.progress for s in running]
    assert done_shares == sorted(done_shares)


def test_a_picture_equals_the_command_line_one(
    opened: Session, study: Path, weights: Path, ftddm: Ftddm, tmp_path: Path
) -> None:
    opened.update(upscale=2, tau_flow=0.3, steps=4, seed=5)
    state = done(opened)
    assert state.picture is not None
    words = ("--upscale", 2, "--tau-flow", 0.3, "--steps", 4, "--seed", 5)
    ftddm("run", study, "--out", tmp_path / "out", "--weights", weights, *words)
    data, _ = load(next((tmp_path / "out").glob("*_met-tNAA_desc-ftddm_mrsi.nii.gz")))
    assert state.view is not None
    scale = state.view.prepared.conditions["tNAA"].scale
    image = state.picture.shown(state.view.detail("tNAA"))
    np.testing.assert_allclose(image, data[..., state.slice_index], rtol=0, atol=1e-4 * scale)
    assert state.view.settings == SamplerSettings(
        upscale=2, tau_flow=0.3, steps=4, seed=5, sampler="dpm_solver_2m_sde"
    )


@pytest.mark.parametrize("damage", ["no map", "damaged", "empty", "elsewhere", "not there"])
def test_errors_have_the_words_of_the_shell_command(
    damage: str, opened: Session, ftddm: Ftddm, weights: Path, tmp_path: Path
) -> None:
    """And the study that was open stays open, with its picture."""
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
    assert outcome.err == f"ftddm: {opened.state.error}\n"
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


# ---------------------------------------------------------------- the newest wins


def test_of_many_moves_the_last_wins_and_none_that_was_overtaken_shows(
    opened: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    brake = Brake(monkeypatch)
    opened.update(tau_flow=0.0)
    assert brake.holding.wait(PATIENCE)
    seen = Recorder(opened)
    for step in range(1, 21):
        opened.update(tau_flow=step / 20)
    brake.released.set()
    state = done(opened)
    assert brake.runs == 2  # the one that was held up, and the last
    assert state.up_to_date
    assert state.view is not None
    assert state.view.settings.tau_flow == 1.0
    # From the second move on, no announced state shows a picture of an overtaken setting
    # but the one that was there before.
    first = seen.states[0].view
    shown = {s.view.asked.tau_flow for s in seen.states if s.view is not first and s.view}
    assert shown == {1.0}


def test_pictures_keep_coming_while_a_hand_moves_and_nothing_queues_up(
    opened: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two moves during every step: each run shows one picture and is gone within the next step."""
    moves = [step / 20 for step in range(20)]
    waiting, steps, alive = iter(moves), [], []
    original = SuperResolver.sample

    def sample(resolver: SuperResolver, *args: Any, **kwargs: Any) -> Any:
        steps.append(0)
        alive.append(steps)
        assert len(alive) == 1
        try:
            for update in original(resolver, *args, **kwargs | {"every": 0.0}):
                steps[-1] += 1
                for tau in islice(waiting, 2):
                    opened.update(tau_flow=tau)
                yield update
        finally:
            alive.pop()

    monkeypatch.setattr(SuperResolver, "sample", sample)
    seen = Recorder(opened)
    opened.update(tau_flow=0.99)
    state = done(opened)
    # One picture each, then the last run with all of its own and the result.
    assert steps == [*[1] * 10, LIVE_STEPS + 1]
    views = dict.fromkeys(s.view for s in seen.states[1:] if s.view and s.view.pictures)
    shown = [*dict.fromkeys(view.asked.tau_flow for view in views)]
    assert shown[-10:] == [*moves[1:19:2], moves[19]]
    assert state.up_to_date
    assert state.view is not None
    assert state.view.settings.tau_flow == moves[-1]


def test_pictures_keep_coming_while_slices_are_scrolled_after_a_move(
    opened: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run of the move comes to its picture, though what is looked at has changed since."""
    steps: list[int] = []
    original = SuperResolver.sample
    turns = iter([1 - opened.state.slice_index, opened.state.slice_index] * 3)

    def sample(resolver: SuperResolver, *args: Any, **kwargs: Any) -> Any:
        steps.append(0)
        for update in original(resolver, *args, **kwargs | {"every": 0.0}):
            steps[-1] += 1
            for k in islice(turns, 1):
                opened.choose(slice_index=k)
            yield update

    opened.choose(slice_index=1 - opened.state.slice_index)  # no picture of the other one is kept
    done(opened)
    monkeypatch.setattr(SuperResolver, "sample", sample)
    opened.update(seed=3)
    state = done(opened)
    assert state.up_to_date
    assert all(steps)


def test_what_is_looked_at_does_not_make_way_for_what_was(
    opened: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tCho", "tNAA"):  # there is a picture of both, to be kept until the next
        opened.choose(metabolite=name)
        done(opened)
    brake = Brake(monkeypatch, pictures=0)
    opened.update(tau_flow=0.0)
    assert brake.holding.wait(PATIENCE)
    seen = Recorder(opened)
    opened.choose(metabolite="tCho")
    brake.released.set()
    state = done(opened)
    assert brake.runs == 2
    for shown in seen.states:  # never the other metabolite's picture of the new settings alone
        view = shown.view
        assert view is not None
        assert view.asked.tau_flow != 0.0 or ("tCho", state.slice_index) in view.pictures


def test_moving_s_forms_what_is_looked_at_first(
    opened: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    brake = Brake(monkeypatch, pictures=0)
    opened.update(upscale=2.2)
    assert brake.holding.wait(PATIENCE)
    (conditions,) = brake.given
    assert [condition.metabolite for condition in conditions] == ["tNAA"]
    brake.released.set()
    state = done(opened)
    assert state.view is not None
    assert sorted(state.view.prepared.conditions) == ["tCho", "tNAA"]


def test_only_what_depends_on_a_move_is_computed_again(
    opened: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = opened.model.load()
    levels: list[int] = []

    def counted(x_t: Any, channels: Any, t: Any, s: Any, real: Any = resolver.denoiser) -> Any:
        levels.append(int(t[0]))
        return real(x_t, channels, t, s)

    monkeypatch.setattr(resolver, "denoiser", counted)
    opened.update(tau_diffusion=0.2)
    done(opened)
    assert len(levels) == LIVE_STEPS - 1
    assert 100 not in levels
    levels.clear()
    opened.update(consistency="exact")
    done(opened)
    assert len(levels) == LIVE_STEPS  # every step is held to the measurement


def test_the_previous_picture_stays_until_the_next(
    opened: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = opened.state.view
    seen = Recorder(opened)
    opened.update(upscale=3.0)
    state = done(opened)
    views = [s.view for s in seen.states]
    assert views[0] is before
    assert None not in views
    assert all(v is before or v.pictures for v in views if v is not None)
    assert state.view is not None
    assert state.view.prepared.conditions["tNAA"].upscale == pytest.approx(3.0)


def test_pictures_of_other_settings_are_dropped(opened: Session) -> None:
    opened.choose(slice_index=1 - opened.state.slice_index)
    done(opened)
    assert opened.state.view is not None
    assert len(opened.state.view.pictures) == 2
    opened.update(tau_diffusion=0.1)
    done(opened)
    assert list(opened.state.view.pictures) == [("tNAA", opened.state.slice_index)]


def test_what_was_computed_is_not_computed_again(
    opened: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    k = opened.state.slice_index
    opened.choose(metabolite="tCho")
    done(opened)
    monkeypatch.setattr(SuperResolver, "sample", lambda *a, **k: pytest.fail("sampled again"))
    opened.choose(metabolite="tNAA", slice_index=k)
    assert done(opened).up_to_date
    opened.update(tau_flow=opened.state.settings.tau_flow)
    assert done(opened).up_to_date


@pytest.mark.parametrize("control", controls(), ids=lambda control: control.name)
def test_every_control_is_heard(control: Any, opened: Session) -> None:
    """The picture that follows was made with the new value, and is another one."""
    before = shown(opened.state)
    value: Any = {
        "upscale": 2.0, "tau_flow": 0.1, "tau_diffusion": 0.1, "t_trunc": 37, "steps": 3,
        "samples": 2, "seed": 2**32 - 1, "consistency": "off", "sampler": "ddim", "noise": 9.0,
        "mri_weight": 0.3, "detail": 0.9,
    }[control.name]  # fmt: skip
    opened.update(**{control.name: value})
    state = done(opened)
    after = shown(state)
    assert state.picture is not None
    assert state.view is not None
    assert getattr(state.view.settings, control.name) == value
    assert after.shape != before.shape or np.abs(after - before).max() > 1e-3 * before.max()
    assert (state.picture.deviation is not None) == (control.name == "samples")


def test_cancelling_keeps_what_was_there(opened: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    brake = Brake(monkeypatch)
    opened.update(seed=9)
    assert brake.holding.wait(PATIENCE)
    opened.cancel()
    assert opened.state.activity is Activity.IDLE
    brake.released.set()
    state = done(opened)
    assert not state.up_to_date
    assert state.settings.seed == 9
    assert state.picture is not None
    assert not state.picture.final
    opened.refresh()
    assert done(opened).up_to_date


def test_without_live_nothing_moves_until_asked(opened: Session) -> None:
    opened.choose(live=False)
    before = opened.state.view
    opened.update(tau_flow=0.0)
    assert done(opened).view is before
    assert not opened.state.up_to_date
    opened.refresh()
    state = done(opened)
    assert state.up_to_date
    assert state.view is not None
    assert state.view.settings.tau_flow == 0.0
    opened.update(tau_flow=0.5)
    opened.choose(live=True)  # catches up at once
    assert done(opened).up_to_date


def test_a_session_that_is_not_live_opens_without_sampling(
    session: Session, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SuperResolver, "sample", lambda *a, **k: pytest.fail("sampled"))
    session.choose(live=False)
    session.open(study)
    state = done(session)
    assert state.view is not None
    assert state.picture is None


# ---------------------------------------------------------------- settings


def test_steps_follow_the_truncation_and_come_back(opened: Session) -> None:
    opened.choose(live=False)
    expected = {3: 3, 0: None, 50: LIVE_STEPS, 1: 1, 100: LIVE_STEPS}
    for t_trunc, steps in expected.items():
        opened.update(t_trunc=t_trunc)
        assert (opened.state.settings.t_trunc, opened.state.settings.steps) == (t_trunc, steps)
    opened.update(t_trunc=2)
    opened.update(steps=1)  # what is asked for while it is low, holds
    opened.update(t_trunc=100)
    assert opened.state.settings.steps == 1
    opened.update(steps=None, t_trunc=40)
    assert opened.state.shown_value("steps") == 40


@pytest.mark.parametrize(
    "wrong", [{"tau_flow": 1.5}, {"steps": 500}, {"nothing": 1}, {"t_trunc": 5, "steps": 10}]
)
def test_an_invalid_setting_changes_nothing(wrong: dict[str, Any], opened: Session) -> None:
    before = opened.state
    with pytest.raises(SettingsError):
        opened.update(**wrong)
    assert opened.state is before
    opened.update(seed=1)
    assert done(opened).settings == before.settings.replace(seed=1)


@pytest.mark.parametrize(
    "wrong", [{"metabolite": "gold"}, {"slice_index": 99}, {"slice_index": -1}, {"mode": "guess"}]
)
def test_a_choice_that_is_not_there_changes_nothing(wrong: dict[str, Any], opened: Session) -> None:
    before = opened.state
    with pytest.raises(SettingsError):
        opened.choose(**wrong)
    assert opened.state is before


def test_commands_before_anything_is_open_do_no_harm(session: Session, tmp_path: Path) -> None:
    session.update(tau_flow=0.2)
    session.choose(slice_index=3, metabolite="tNAA")
    session.refresh()
    session.compute_volume()
    session.unfill()
    session.cancel()
    with pytest.raises(FormatError, match="whole volume first"):
        session.save(tmp_path)
    assert done(session).settings.tau_flow == 0.2


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

    def slow(*args: Any, **kwargs: Any) -> Study:
        reading.set()
        assert read_on.wait(PATIENCE)
        return open_study(*args, **kwargs)

    before = opened.state.case
    monkeypatch.setattr("ftddm_viewer.session.session.open_study", slow)
    opened.open(study)
    assert reading.wait(PATIENCE)
    with pytest.raises(SettingsError, match="being opened"):
        opened.compute_volume()
    opened.update(seed=3)
    opened.cancel()
    read_on.set()
    state = done(opened)
    assert state.case is before
    assert state.up_to_date
    assert state.settings.seed == 3


def test_a_running_mean_counts_the_samples_of_every_batch(opened: Session) -> None:
    """Of 40 samples in batches of 16, 16 and 8, the last estimate is as good as the result."""
    seen = Recorder(opened)
    opened.update(samples=40)
    state = done(opened)
    running = [s.picture for s in seen.states if s.picture is not None and not s.picture.final]
    assert state.picture is not None
    top = state.picture.image.max()
    last = running[-1]
    assert last is not None
    np.testing.assert_allclose(last.image, state.picture.image, rtol=0, atol=1e-5 * top)


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
