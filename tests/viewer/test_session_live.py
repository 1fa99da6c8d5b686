"""A live session: the newest setting wins, images keep coming, and nothing is computed twice."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from sessions import PATIENCE, Brake, Recorder, done

from ftddm_core.sampling.resolver import SuperResolver
from ftddm_viewer import LIVE_STEPS
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.state import Activity


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
    # From the second move on, no announced state shows an image of an overtaken setting
    # but the one that was there before.
    first = seen.states[0].view
    shown = {s.view.asked.tau_flow for s in seen.states if s.view is not first and s.view}
    assert shown == {1.0}


def test_images_keep_coming_while_a_hand_moves_and_nothing_queues_up(
    opened: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two moves during every step: each run shows one image and is gone within the next step."""
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
    # One image each, then the last run with all of its own and the result.
    assert steps == [*[1] * 10, LIVE_STEPS + 1]
    views = dict.fromkeys(s.view for s in seen.states[1:] if s.view and s.view.images)
    shown = [*dict.fromkeys(view.asked.tau_flow for view in views)]
    assert shown[-10:] == [*moves[1:19:2], moves[19]]
    assert state.up_to_date
    assert state.view is not None
    assert state.view.settings.tau_flow == moves[-1]


def test_images_keep_coming_while_slices_are_scrolled_after_a_move(
    opened: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run of the move comes to its image, though what is looked at has changed since."""
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

    opened.choose(slice_index=1 - opened.state.slice_index)  # no image of the other one is kept
    done(opened)
    monkeypatch.setattr(SuperResolver, "sample", sample)
    opened.update(seed=3)
    state = done(opened)
    assert state.up_to_date
    assert all(steps)


def test_what_is_looked_at_does_not_make_way_for_what_was(
    opened: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tCho", "tNAA"):  # there is an image of both, to be kept until the next
        opened.choose(metabolite=name)
        done(opened)
    brake = Brake(monkeypatch, images=0)
    opened.update(tau_flow=0.0)
    assert brake.holding.wait(PATIENCE)
    seen = Recorder(opened)
    opened.choose(metabolite="tCho")
    brake.released.set()
    state = done(opened)
    assert brake.runs == 2
    for shown in seen.states:  # never the other metabolite's image of the new settings alone
        view = shown.view
        assert view is not None
        assert view.asked.tau_flow != 0.0 or ("tCho", state.slice_index) in view.images


def test_moving_s_forms_what_is_looked_at_first(
    opened: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    brake = Brake(monkeypatch, images=0)
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


def test_the_previous_image_stays_until_the_next(
    opened: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = opened.state.view
    seen = Recorder(opened)
    opened.update(upscale=3.0)
    state = done(opened)
    views = [s.view for s in seen.states]
    assert views[0] is before
    assert None not in views
    assert all(v is before or v.images for v in views if v is not None)
    assert state.view is not None
    assert state.view.prepared.conditions["tNAA"].upscale == pytest.approx(3.0)


def test_images_of_other_settings_are_dropped(opened: Session) -> None:
    opened.choose(slice_index=1 - opened.state.slice_index)
    done(opened)
    assert opened.state.view is not None
    assert len(opened.state.view.images) == 2
    opened.update(tau_diffusion=0.1)
    done(opened)
    assert list(opened.state.view.images) == [("tNAA", opened.state.slice_index)]


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
    assert state.image is not None
    assert not state.image.final
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
    assert state.image is None
