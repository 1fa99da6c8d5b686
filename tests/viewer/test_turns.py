"""Sessions share the networks: first images first, and idle work keeps no image waiting."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event
from time import sleep
from typing import Any

import numpy as np
import pytest
from sessions import PATIENCE, done

from ftddm_core.errors import Cancelled
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.turns import LATER, Turns


class Line:
    """Threads that wait for their turn, in the order in which they came."""

    def __init__(self, turns: Turns, threads: ThreadPoolExecutor) -> None:
        self._turns, self._threads = turns, threads
        self.waiting: list[Future[None]] = []
        self.served: list[str] = []

    def join(self, name: str, later: float) -> None:
        """Wait for a turn, and note it."""

        def take() -> None:
            with self._turns.step(later):
                self.served.append(name)

        self.waiting.append(self._threads.submit(take))
        while len(self._turns._line) < len(self.waiting):
            sleep(0.001)


def served(*came: tuple[float, str, float]) -> list[str]:
    """Return the order in which those are served who came at a time and let others go before."""
    now = [0.0]
    turns = Turns(lambda: now[0])
    with ThreadPoolExecutor(len(came)) as threads:
        line = Line(turns, threads)
        with turns.step():
            for time, name, later in came:
                now[0] = time
                line.join(name, later)
    for each in line.waiting:
        each.result(timeout=10)
    return line.served


def test_a_first_image_goes_before_the_refinement_of_another() -> None:
    assert served((0.0, "refined", LATER), (0.1, "first", 0.0)) == ["first", "refined"]


def test_refinement_does_not_wait_for_ever() -> None:
    """However many first images follow."""
    first = [(0.1 * n, f"first {n}", 0.0) for n in range(1, 15)]
    order = served((0.0, "refined", LATER), *first)
    assert 9 <= order.index("refined") <= 10


def test_of_equals_the_first_to_come_is_served_first() -> None:
    names = [*"abcdef"]
    assert served(*((0.0, name, 0.0) for name in names)) == names


def test_the_first_image_of_a_chain_goes_first_and_the_rest_of_it_later(
    weights: Path, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    step = Turns.step

    def noting(turns: Turns, later: float = 0.0) -> Any:
        asked.append(later)
        return step(turns, later)

    monkeypatch.setattr(Turns, "step", noting)
    session = Session(Model(str(weights), "cpu"), checks_itself=False)
    session.choose(live=False)
    session.open(study)
    done(session)
    asked.clear()
    session.refresh()
    done(session)
    assert session.close(PATIENCE)
    assert len(asked) > 2
    assert asked[0] == 0.0
    assert set(asked[1:]) == {LATER}


def test_idle_work_that_waits_for_another_session_s_ends_when_it_is_superseded(
    weights: Path,
) -> None:
    """A session's next image waits for its own idle work to end."""
    model = Model(str(weights), "cpu")
    model.load()
    begun, ends, superseded = Event(), Event(), Event()

    def long(resolver: object, stop: object) -> str:
        begun.set()
        assert ends.wait(60)
        return "done"

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(model.idly, long, lambda: False)
        try:
            assert begun.wait(30)
            second = threads.submit(model.idly, lambda *_: "never", superseded.is_set)
            sleep(0.1)
            assert not second.done()
            superseded.set()
            with pytest.raises(Cancelled):
                second.result(timeout=10)
        finally:
            ends.set()
        assert first.result(timeout=10) == "done"
        assert model.idly(lambda *_: "next", lambda: False) == "next"


def test_as_many_have_their_turn_as_there_is_room_for() -> None:
    turns, inside, go = Turns(), [], Event()
    turns.room = 2

    def take(name: str) -> None:
        with turns.step():
            inside.append(name)
            assert go.wait(PATIENCE)

    with ThreadPoolExecutor(3) as threads:
        for name in "abc":
            threads.submit(take, name)
        while len(inside) < 2 or not turns._line:
            sleep(0.001)
        assert len(inside) == 2
        go.set()
    assert sorted(inside) == ["a", "b", "c"]


def test_sessions_that_compute_together_show_what_each_shows_alone(
    weights: Path, study: Path
) -> None:
    """Their slices go through the networks in one batch."""

    def shown(model: Model, seeds: list[int]) -> list[Any]:
        sessions = [Session(model, checks_itself=False) for _ in seeds]
        for session, seed in zip(sessions, seeds, strict=True):
            session.update(seed=seed)
            session.open(study)
        views = [done(session).view for session in sessions]
        assert all(session.close(PATIENCE) for session in sessions)
        return views

    seeds = [1, 2, 3, 4]
    alone = [shown(Model(str(weights), "cpu"), [seed])[0] for seed in seeds]
    for one, other in zip(alone, shown(Model(str(weights), "cpu", together=8), seeds), strict=True):
        assert one.images.keys() == other.images.keys()
        for key, image in one.images.items():
            np.testing.assert_allclose(
                other.images[key].drawn, image.drawn, atol=1e-4 * image.drawn.max()
            )
