"""The newest job wins: proven step by step with events, never with a clock."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from ftddm_viewer.session import jobs as module
from ftddm_viewer.session.jobs import Clock, Jobs, Token, apart, calm

PATIENCE = 30.0


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    jobs = Jobs()
    yield jobs
    jobs.cancel()
    assert jobs.wait(PATIENCE)


def test_of_many_moves_the_first_is_stopped_and_only_the_last_runs(jobs: Jobs) -> None:
    begun, go_on, ran, alive = threading.Event(), threading.Event(), [], []

    def work(number: int, token: Token) -> None:
        alive.append(number)
        assert len(alive) == 1  # never two at once
        ran.append(number)
        if number == 0:
            begun.set()
            assert go_on.wait(PATIENCE)
            assert token.cancelled()
        else:
            assert not token.cancelled()
        alive.remove(number)

    jobs.start(lambda token: work(0, token))
    assert begun.wait(PATIENCE)
    for number in range(1, 21):
        jobs.start(lambda token, n=number: work(n, token))
    go_on.set()
    assert jobs.wait(PATIENCE)
    assert ran == [0, 20]


def test_a_patient_job_waits_for_the_first_result_and_no_longer(jobs: Jobs) -> None:
    begun, land, go_on = (threading.Event() for _ in range(3))
    seen: list[tuple[bool, bool]] = []
    ran: list[int] = []

    def first(token: Token) -> None:
        begun.set()
        assert land.wait(PATIENCE)
        seen.append((token.cancelled(), token.superseded()))
        token.land()
        seen.append((token.cancelled(), token.superseded()))
        assert go_on.wait(PATIENCE)

    jobs.start(first)
    assert begun.wait(PATIENCE)
    for number in range(20):
        jobs.start(lambda token, n=number: ran.append(n), patient=True)
    land.set()
    go_on.set()
    assert jobs.wait(PATIENCE)
    assert seen == [(False, True), (True, True)]
    assert ran == [19]


def test_a_patient_job_takes_over_at_once_from_one_that_has_a_result(jobs: Jobs) -> None:
    landed, go_on, seen = threading.Event(), threading.Event(), []

    def first(token: Token) -> None:
        token.land()
        seen.append(token.cancelled())
        landed.set()
        assert go_on.wait(PATIENCE)
        seen.append(token.cancelled())

    jobs.start(first)
    assert landed.wait(PATIENCE)
    jobs.start(lambda token: None, patient=True)
    go_on.set()
    assert jobs.wait(PATIENCE)
    assert seen == [False, True]


def test_cancelling_and_an_impatient_job_do_not_wait_for_a_result(jobs: Jobs) -> None:
    for stop in (jobs.cancel, lambda: jobs.start(lambda token: None)):
        begun, go_on, seen = threading.Event(), threading.Event(), []

        def first(token: Token, begun=begun, go_on=go_on, seen=seen) -> None:
            begun.set()
            assert go_on.wait(PATIENCE)
            seen.append(token.cancelled())

        jobs.start(first)
        assert begun.wait(PATIENCE)
        jobs.start(lambda token: None, patient=True)
        stop()
        go_on.set()
        assert jobs.wait(PATIENCE)
        assert seen == [True]


def test_work_apart_leaves_no_thread_and_hands_on_what_comes_of_it() -> None:
    before = threading.active_count()
    assert apart(threading.current_thread) is not threading.current_thread()
    with pytest.raises(ZeroDivisionError):
        apart(lambda: 1 / 0)
    assert threading.active_count() == before


def test_matrices_are_multiplied_on_one_thread_within_the_block_only() -> None:
    def threads() -> set[int]:
        found = threadpool_info()
        return {pool["num_threads"] for pool in found if pool["user_api"] == "blas"}

    before = threads()
    with calm():
        assert threads() == {1}
    assert threads() == before


def test_blocks_that_overlap_give_the_threads_back_when_the_last_ends() -> None:
    def threads() -> list[int]:
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    with threadpool_limits(2, user_api="blas"):
        before, one, other = threads(), calm(), calm()
        one.__enter__()
        other.__enter__()
        one.__exit__(None, None, None)
        assert set(threads()) == {1}
        other.__exit__(None, None, None)
        assert threads() == before
        assert 2 in before


def test_the_clock_tells_what_is_left_once_it_can_be_told() -> None:
    times = iter([100.0, 100.5, 104.0, 110.0])
    clock = Clock(lambda: next(times))
    assert clock.read(0.05) == {"progress": 0.05, "remaining": None}
    assert clock.read(0.0) == {"progress": 0.0, "remaining": None}
    assert clock.read(0.25) == {"progress": 0.25, "remaining": pytest.approx(30.0)}


def test_cancelling_stops_what_runs_and_forgets_what_waits(jobs: Jobs) -> None:
    begun, go_on, seen = threading.Event(), threading.Event(), []

    def first(token: Token) -> None:
        seen.append(token.cancelled())
        begun.set()
        assert go_on.wait(PATIENCE)
        seen.append(token.cancelled())

    jobs.start(first)
    assert begun.wait(PATIENCE)
    jobs.start(lambda token: seen.append(None))
    jobs.cancel()
    go_on.set()
    assert jobs.wait(PATIENCE)
    assert seen == [False, True]


def test_no_thread_outlives_the_work(jobs: Jobs) -> None:
    for _ in range(3):
        jobs.start(lambda token: None)
        assert jobs.wait(PATIENCE)
        for thread in threading.enumerate():
            if thread.name == "ftddm-job":
                thread.join(PATIENCE)
        assert not [t for t in threading.enumerate() if t.name == "ftddm-job"]


def test_an_error_that_escapes_is_reported_and_ends_no_later_job(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported, ran = [], []
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(args.exc_value))
    jobs.start(lambda token: 1 / 0)
    assert jobs.wait(PATIENCE)
    jobs.start(lambda token: ran.append(1))
    assert jobs.wait(PATIENCE)
    assert [type(error) for error in reported] == [ZeroDivisionError]
    assert ran == [1]


def test_waiting_gives_up() -> None:
    jobs, go_on = Jobs(), threading.Event()
    jobs.start(lambda token: go_on.wait(PATIENCE) and None)
    assert not jobs.wait(0.01)
    go_on.set()
    assert jobs.wait(PATIENCE)


def test_a_program_that_ends_lets_its_job_notice() -> None:
    """Otherwise its thread is torn out of the middle of torch's code, and the process aborts."""
    code = (
        "import time\n"
        "from ftddm_viewer.session.jobs import Jobs\n"
        "def work(token):\n"
        "    print('begun', flush=True)\n"
        "    while not token.cancelled(): time.sleep(0.01)\n"
        "    time.sleep(0.3)\n"
        "    print('noticed', flush=True)\n"
        "jobs = Jobs()\n"
        "jobs.start(work)\n"
        "time.sleep(0.3)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout.split(), ended.stderr) == (0, ["begun", "noticed"], "")


def test_memory_is_given_back_when_the_work_ends_but_not_after_every_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given_back: list[int] = []
    monkeypatch.setattr(module, "give_back", lambda: given_back.append(1))
    monkeypatch.setattr(module, "_given_back", -module.GIVING_BACK)
    worker = Jobs()
    for _ in range(3):
        worker.start(lambda token: None)
        assert worker.wait(20)
    for thread in [*threading.enumerate()]:
        if thread.name == "ftddm-job":
            thread.join(20)
    assert given_back == [1]
