"""Undo and redo of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sessions import Brake, done
from tiny import write_study

from ftddm_core.errors import SettingsError
from ftddm_viewer.session.history import MOST_STEPS, SETTLED, History
from ftddm_viewer.session.session import Session


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def rest(self) -> None:
        self.now += SETTLED


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def history(session: Session, clock: Clock) -> History:
    return History(session, clock)


def test_each_settled_change_is_a_step(session: Session, history: History, clock: Clock) -> None:
    start = session.state.settings
    assert not history.can_undo
    session.update(tau_flow=0.2)
    clock.rest()
    session.update(tau_flow=0.3)
    session.update(seed=7)  # at once, but another control
    assert (session.state.settings.tau_flow, session.state.settings.seed) == (0.3, 7)
    found = []
    while history.can_undo:
        history.undo()
        found.append((session.state.settings.tau_flow, session.state.settings.seed))
    assert found == [(0.3, 0), (0.2, 0), (0.5, 0)]
    assert session.state.settings == start
    history.undo()  # there is nothing left
    assert session.state.settings == start
    while history.can_redo:
        history.redo()
    assert session.state.settings == start.replace(tau_flow=0.3, seed=7)


def test_a_drag_is_one_step(session: Session, history: History, clock: Clock) -> None:
    """Whether its moves follow closely, or a hand is known to hold the control."""
    for value in (0.4, 0.3, 0.2):
        session.update(tau_flow=value)
        clock.now += SETTLED / 2
    clock.rest()
    history.hold()
    for value in (0.6, 0.7):
        session.update(tau_flow=value)
        clock.now += 100
    history.settle()
    session.update(tau_flow=0.8)
    values = []
    while history.can_undo:
        history.undo()
        values.append(session.state.settings.tau_flow)
    assert values == [0.7, 0.2, 0.5]


def test_a_drag_back_to_where_it_began_is_no_step(session: Session, history: History) -> None:
    for value in (0.4, 0.3, 0.5):
        session.update(tau_flow=value)
    assert not history.can_undo


def test_a_new_change_ends_what_could_be_made_again(
    session: Session, history: History, clock: Clock
) -> None:
    session.update(tau_flow=0.1)
    history.undo()
    assert history.can_redo
    clock.rest()
    session.update(seed=3)
    assert not history.can_redo
    history.undo()
    assert session.state.settings.tau_flow == 0.5
    assert session.state.settings.seed == 0


def test_steps_that_followed_the_truncation_still_return(
    session: Session, history: History
) -> None:
    session.update(t_trunc=3)
    history.undo()
    assert (session.state.settings.t_trunc, session.state.settings.steps) == (100, 10)
    history.redo()
    assert (session.state.settings.t_trunc, session.state.settings.steps) == (3, 3)
    session.update(t_trunc=100)
    assert session.state.settings.steps == 10


def test_undo_never_leads_behind_the_opening_of_a_study(
    session: Session, history: History, study: Path, tmp_path: Path
) -> None:
    session.choose(live=False)
    session.update(tau_flow=0.1)
    session.open(study)
    done(session)
    assert not history.can_undo
    session.update(tau_flow=0.9)
    case = session.state.case
    history.undo()
    history.undo()
    assert session.state.case is case
    assert session.state.settings.tau_flow == 0.1
    session.open(write_study(tmp_path / "other"))
    done(session)
    assert not history.can_redo


def test_what_else_is_chosen_is_no_step(opened: Session) -> None:
    history = History(opened)
    opened.choose(slice_index=1 - opened.state.slice_index, metabolite="tCho", live=False)
    opened.choose(mode="restore")
    done(opened)
    assert not history.can_undo


def test_a_step_that_is_refused_stays(opened: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(opened)
    opened.choose(live=False)
    opened.update(tau_flow=0.1)
    brake = Brake(monkeypatch)
    opened.compute_volume()
    assert brake.holding.wait(60)
    with pytest.raises(SettingsError, match="cancel it"):
        history.undo()
    assert history.can_undo
    brake.released.set()
    done(opened)
    history.undo()
    assert opened.state.settings.tau_flow == 0.5


def test_the_oldest_steps_are_forgotten(session: Session, history: History, clock: Clock) -> None:
    for seed in range(1, MOST_STEPS + 11):
        session.update(seed=seed)
        clock.rest()
    while history.can_undo:
        history.undo()
    assert session.state.settings.seed == 10


def test_a_history_says_when_it_changed(session: Session, history: History) -> None:
    told: list[Any] = []
    history.moved.connect(lambda: told.append((history.can_undo, history.can_redo)))
    session.update(seed=1)
    history.undo()
    assert told[0] == (True, False)
    assert told[-1] == (False, True)
