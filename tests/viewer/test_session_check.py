"""The self-check behind both front ends: made once, in nobody's way, and what follows from it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sessions import PATIENCE, Brake, Recorder, done
from tiny import checkable_study, fine_study, sidecar

from ftddm_core.errors import Cancelled
from ftddm_core.imaging.io import open_study
from ftddm_core.imaging.volume import Study
from ftddm_core.sampling.check_words import check_line, check_record
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_core.sampling.self_check import SelfCheck
from ftddm_core.sampling.weighting import Weighting
from ftddm_viewer.session.bundled import BUNDLED
from ftddm_viewer.session.messages import LITTLE_DETAIL, going_on, hints, self_check
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.state import Activity, State

NAMES = ("tNAA", "tCho")


def found(weight: float = 0.5, share: float = 0.25, gain: float = 1.5) -> SelfCheck:
    """Return what a check might have found: the best is one MRI weight of those tried."""
    gains = {w: dict.fromkeys(NAMES, gain - abs(w - weight)) for w in (0.0, 0.5, 1.0)}
    return SelfCheck(gains, {w: dict.fromkeys(NAMES, share) for w in gains}, 0.55, 2)


class Checking:
    """Takes the place of the model's check; waits until it is let go on.

    Attributes
    ----------
    studies
        What was checked, in order; one that gave way comes again.
    begun, go_on
        Set when one has begun; to be set for it to end.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, result: SelfCheck) -> None:
        self.studies: list[Study] = []
        self.gave_way = 0
        self.begun, self.go_on = threading.Event(), threading.Event()

        def check(
            model: Model,
            study: Study,
            *,
            progress: Callable[[float], None],
            cancelled: Callable[[], bool],
        ) -> SelfCheck:
            self.studies.append(study)
            progress(0.4)
            self.begun.set()
            while not self.go_on.wait(0.002):
                if cancelled():
                    self.gave_way += 1
                    raise Cancelled("Stopped, as asked.")
            return result

        monkeypatch.setattr(Model, "check", check)


@pytest.fixture
def checking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Checking]:
    made = Checking(monkeypatch, found())
    yield made
    made.go_on.set()


def settled(state: State) -> bool:
    return state.activity is Activity.IDLE and state.up_to_date


def until(session: Session, wanted: Callable[[State], Any]) -> State:
    """Wait until the session's state is as wanted; the check may go on."""
    came = threading.Event()
    session.changed.connect(lambda old, new: came.set())
    while not wanted(session.state):
        came.clear()
        assert wanted(session.state) or came.wait(PATIENCE)
    return session.state


# ---------------------------------------------------------------- when it is made


def test_it_is_made_once_and_what_it_found_is_used(
    session: Session, study: Path, checking: Checking
) -> None:
    session.open(study)
    state = until(session, lambda s: s.checking == 0.4 and settled(s))
    assert state.view is not None
    assert (state.shown_value("mri_weight"), state.shown_value("detail")) == (1, 1)
    assert self_check(state) == "Self-check: not checked yet, 40% done; MRI weight 1, detail 1."
    assert going_on(state) == "Up to date."
    before = state.image
    checking.go_on.set()
    state = done(session)
    assert state.view is not None
    assert state.checking is None
    assert state.up_to_date
    assert (state.shown_value("mri_weight"), state.shown_value("detail")) == (0.5, 0.25)
    assert state.settings.mri_weight is None
    assert state.view.mri_weight == 0.5
    assert state.image is not before  # drawn anew, with another MRI weight
    assert "+1.5 dB over zero-filling; MRI weight 0.5, detail 0.25; 55% of" in self_check(state)
    session.update(seed=3)
    session.choose(metabolite="tCho")
    session.update(upscale=2.0)  # what was acquired is the same
    assert done(session).view is not None
    assert len(checking.studies) == 1


def test_a_weight_that_it_does_not_change_computes_nothing(
    session: Session, study: Path, checking: Checking, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.update(mri_weight=1.0)
    session.open(study)
    before = until(session, lambda s: s.checking == 0.4 and settled(s)).image
    monkeypatch.setattr(SuperResolver, "sample", lambda *a, **k: pytest.fail("sampled"))
    checking.go_on.set()
    state = done(session)
    assert state.image is before
    assert state.shown_value("detail") == 0.25


def test_it_never_holds_a_slider_up_and_goes_on_afterwards(
    session: Session, study: Path, checking: Checking
) -> None:
    session.open(study)
    for number in range(1, 4):
        until(session, lambda s: s.checking is not None and settled(s))
        assert checking.begun.wait(PATIENCE)
        checking.begun.clear()
        session.update(seed=number)
        state = until(session, settled)
        assert state.view is not None
        assert state.view.settings.seed == number
        assert state.checking is not None  # it is still to be made
    assert checking.begun.wait(PATIENCE)
    checking.go_on.set()
    assert done(session).checking is None
    assert checking.gave_way == 3


def test_closing_and_opening_end_it(session: Session, study: Path, checking: Checking) -> None:
    session.open(study)
    assert checking.begun.wait(PATIENCE)
    checking.begun.clear()
    session.open(study)
    assert checking.begun.wait(PATIENCE)
    one, other = checking.studies
    assert one is not other
    assert session.close(PATIENCE)
    assert checking.gave_way == 2
    assert session.state.checking is None


def test_a_degraded_study_is_checked_at_every_factor(
    session: Session, study: Path, checking: Checking
) -> None:
    checking.go_on.set()
    session.show(fine_study(study), "fine")
    done(session)
    for upscale in (2.0, 4.0, 2.0, 4.0):
        session.update(upscale=upscale)
        assert done(session).view is not None
    assert [s.grid.shape[:2] for s in checking.studies] == [(3, 2), (6, 5)]


def test_it_is_only_made_when_asked_where_it_is_switched_off(
    model: Model, study: Path, checking: Checking
) -> None:
    session = Session(model, checks_itself=False)
    checking.go_on.set()
    session.open(study)
    assert done(session).checking is None
    assert checking.studies == []
    assert self_check(session.state).startswith("Self-check: not checked yet; MRI weight 1")
    session.check()
    assert done(session).shown_value("detail") == 0.25
    assert session.close(PATIENCE)


def test_cancelling_an_image_leaves_the_check_to_come(
    session: Session, study: Path, checking: Checking, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.open(study)
    assert checking.begun.wait(PATIENCE)
    checking.begun.clear()
    brake = Brake(monkeypatch)
    session.update(seed=4)
    assert brake.holding.wait(PATIENCE)
    session.cancel()
    brake.released.set()
    assert checking.begun.wait(PATIENCE)
    checking.go_on.set()
    assert done(session).shown_value("detail") == 0.25


def test_a_check_that_fails_is_told_and_made_no_more(
    session: Session, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def check(*args: Any, **words: Any) -> SelfCheck:
        tried.append(1)
        raise MemoryError

    monkeypatch.setattr(Model, "check", check)
    session.open(study)
    state = done(session)
    assert state.up_to_date
    assert "not possible, out of memory" in self_check(state)
    session.update(seed=2)
    done(session)
    assert len(tried) == 1


def test_the_images_of_another_session_go_first(
    model: Model, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two steps of a check, an image that is wanted is drawn to its end."""
    resolver, events = model.load(), list[str]()
    original, inside = resolver.denoiser, threading.local()
    stepped = threading.Event()

    def denoiser(*args: Any) -> Any:
        events.append(getattr(inside, "who", "image"))
        if events[-1] == "check":
            stepped.set()
        return original(*args)

    monkeypatch.setattr(resolver, "denoiser", denoiser)
    yours = Session(model, checks_itself=False)
    yours.open(study)
    done(yours)
    events.clear()
    coarse = open_study(checkable_study(tmp_path / "checkable"))

    def check() -> None:
        inside.who = "check"
        model.check(coarse, progress=lambda share: None, cancelled=lambda: False)

    thread = threading.Thread(target=check)
    thread.start()
    assert stepped.wait(PATIENCE)
    yours.update(seed=5)
    done(yours)
    thread.join(PATIENCE)
    assert not thread.is_alive()
    first = events.index("image")
    last = len(events) - events[::-1].index("image")
    # One step may slip in while the image's conditions are formed, none between its own.
    assert events[first:last].count("check") <= 1
    assert events[last:].count("check") > 0
    assert yours.close(PATIENCE)


def test_a_check_that_gave_way_goes_on_where_it_stopped(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = open_study(checkable_study(tmp_path / "checkable"))
    resolver, calls = model.load(), list[int]()
    original = SuperResolver.sample

    def sample(self: SuperResolver, *args: Any, **words: Any) -> Any:
        calls.append(1)
        return original(self, *args, **words)

    monkeypatch.setattr(SuperResolver, "sample", sample)
    whole = resolver.check(open_study(tmp_path / "checkable"))
    every = len(calls)
    calls.clear()
    asked = iter(range(10**6))
    with pytest.raises(Cancelled):
        resolver.check(study, cancelled=lambda: next(asked) > 25)
    begun = len(calls)
    assert 1 < begun < every
    again = resolver.check(study)
    assert len(calls) == every + 1  # the one that was interrupted is made once more
    assert again.gains == whole.gains
    assert again.within == whole.within


# ---------------------------------------------------------------- what is shown


def test_moving_the_detail_computes_nothing(
    session: Session, study: Path, checking: Checking, monkeypatch: pytest.MonkeyPatch
) -> None:
    checking.go_on.set()
    session.update(samples=2)
    session.open(study)
    state = done(session)
    assert state.view is not None
    assert state.image is not None
    image, deviation = state.image, state.view.stacked("tNAA", "deviation")
    monkeypatch.setattr(SuperResolver, "sample", lambda *a, **k: pytest.fail("sampled"))
    seen = Recorder(session)
    for detail in (0.0, 0.5, 1.0):
        session.update(detail=detail)
        state = session.state
        assert state.up_to_date
        assert state.view is not None
        assert state.image is image
        shown = np.nan_to_num(state.view.stacked("tNAA").data)
        expected = np.maximum(image.alone + detail * (image.drawn - image.alone), 0)
        restored = state.view.prepared.case.frame.restore
        back = restored(state.view.stacked("tNAA").with_data(shown)).data[..., state.slice_index]
        mask = state.view.prepared.conditions["tNAA"].mask[..., state.slice_index]
        np.testing.assert_allclose(back, expected * mask, rtol=1e-5, atol=1e-5)
        assert state.view.stacked("tNAA", "deviation") is deviation
        assert state.view.stacked("tNAA") is state.view.stacked("tNAA")
    assert all(s.activity is Activity.IDLE for s in seen.states)
    assert session.wait(0)


def test_one_key_shows_all_and_again_what_is_supported(
    session: Session, study: Path, checking: Checking
) -> None:
    checking.go_on.set()
    session.open(study)
    state = done(session)
    assert hints(state) == {"t_trunc": LITTLE_DETAIL}
    session.toggle_detail()
    assert session.state.shows_all
    assert session.state.settings.detail == 1
    assert hints(session.state) == {}
    session.toggle_detail()
    assert session.state.settings.detail is None
    assert session.state.shown_value("detail") == 0.25


def test_a_volume_waits_for_the_check_and_equals_the_slice(
    session: Session, study: Path, checking: Checking
) -> None:
    session.open(study)
    until(session, lambda s: s.checking == 0.4 and settled(s))
    checking.begun.clear()
    session.compute_volume()
    state = until(session, lambda s: s.activity is Activity.VOLUME and s.checking == 0.4)
    assert going_on(state) == "Checking the model on this study first, 40%."
    assert state.finished is None
    checking.go_on.set()
    state = done(session)
    assert state.finished is not None
    assert state.view is not None
    assert state.finished.result.weighting["tNAA"] == Weighting(0.5, 0.25)
    k = state.slice_index
    in_volume = state.finished.result.maps["tNAA"].data[..., k]
    session.update(seed=1)
    done(session)
    session.update(seed=0)  # the slice alone
    state = done(session)
    assert state.view is not None
    assert state.image is not None
    alone = state.image.shown(state.view.detail("tNAA"))
    scale = state.view.prepared.conditions["tNAA"].scale
    np.testing.assert_allclose(alone, in_volume, rtol=0, atol=1e-4 * scale)


def test_a_volume_is_saved_with_the_detail_that_is_shown(
    session: Session, study: Path, checking: Checking, tmp_path: Path
) -> None:
    checking.go_on.set()
    session.update(samples=2)
    session.open(study)
    done(session)
    session.compute_volume()
    done(session)
    session.save(tmp_path / "automatic")
    session.update(detail=0.8)
    assert session.wait(0)
    session.save(tmp_path / "moved")
    one, other = (sidecar(tmp_path / name, "tNAA") for name in ("automatic", "moved"))
    assert one["Weighting"] == {"MriWeight": 0.5, "Detail": 0.25}
    assert other["Weighting"] == {"MriWeight": 0.5, "Detail": 0.8}
    assert (one["Settings"]["detail"], other["Settings"]["detail"]) == (None, 0.8)
    assert one["KSpaceResidual"]["Drawn"] == other["KSpaceResidual"]["Drawn"]
    assert one["KSpaceResidual"]["Shown"] != other["KSpaceResidual"]["Shown"]
    assert one["SelfCheck"]["Gain_dB"] == pytest.approx(1.5)
    assert "MRI weight 0.5, detail 0.8" in other["SelfCheck"]["Words"]
    finished = session.state.finished
    assert finished is not None
    result = finished.result
    x, z = result.drawn["tNAA"].data, result.alone["tNAA"].data
    expected = np.maximum(z + np.float32(0.8) * (x - z), 0)
    np.testing.assert_allclose(result.maps["tNAA"].data, expected, rtol=1e-5)
    spread, error = result.deviation["tNAA"].data, result.error("tNAA").data
    np.testing.assert_allclose(error**2, spread**2 + (0.2 * (x - z)) ** 2, rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------- in words


@pytest.mark.parametrize(
    ("check", "words", "bad"),
    [
        (None, "Self-check: not checked yet; MRI weight 0.5, detail 0.25.", False),
        (SelfCheck(reason="it is small"), "not possible, it is small; MRI weight 0.5", False),
        (found(), "Self-check: +1.5 dB over zero-filling; MRI weight 0.5, detail 0.25; 55%", False),
        (found(gain=-0.2), "WARNING, the model does worse than zero-filling on this", True),
        (found(gain=-0.8), "study: −0.8 dB (tNAA −0.8 dB, tCho −0.8 dB); MRI weight", True),
    ],
)
def test_the_line_says_what_was_found(check: SelfCheck | None, words: str, bad: bool) -> None:
    line = check_line(check, {name: Weighting(0.5, 0.25) for name in NAMES})
    assert words in line
    assert (check is not None and check.warned) is bad
    assert "\n" not in line


def test_a_single_map_that_loses_is_named_though_the_mean_gains() -> None:
    gains = {1.0: {"tNAA": 3.0, "tCho": -0.7}}
    check = SelfCheck(gains, {1.0: {"tNAA": 0.9, "tCho": 0.1}}, 0.6, 2)
    line = check_line(check, {"tNAA": Weighting(1, 0.9), "tCho": Weighting(1, 0.1)})
    assert check.warned
    assert "WARNING, the model does worse than zero-filling for tCho −0.7 dB; +1.1 dB" in line
    assert "detail 0.1 to 0.9" in line
    record = check_record(check, "tCho")
    assert record["Gain_dB"] == -0.7
    assert record["DetailShares"] == {"1": 0.1}


def test_what_one_session_checked_of_a_bundled_case_is_known_to_the_others(
    checking: Checking, model: Model
) -> None:
    checking.go_on.set()
    first, second = Session(model), Session(model)
    folder = BUNDLED[0].folder
    for session in (first, second):
        session.open(folder)
        done(session)
    assert first.state.case is second.state.case
    view = second.state.view
    assert view is not None
    assert view.check is not None
    assert len(checking.studies) == 1
    for session in (first, second):
        session.update(upscale=3.0)
        done(session)
    assert len(checking.studies) == 2, "another factor has another check, made once"
    for session in (first, second):
        assert session.close(PATIENCE)


def test_sessions_share_nothing_of_a_study_of_their_own(
    checking: Checking, model: Model, study: Path
) -> None:
    checking.go_on.set()
    first, second = Session(model), Session(model)
    for session in (first, second):
        session.open(study)
        done(session)
        assert session.close(PATIENCE)
    assert len(checking.studies) == 2
