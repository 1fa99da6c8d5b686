"""One background job at a time; the newest replaces older ones.

A job is a function that takes a `Token` and asks it between steps whether it was cancelled.
Starting a job cancels every older one; it begins as soon as the running one has ended. Of several
jobs started in between, only the newest runs. A job started with `patient` lets the running one
reach its first result, so that results keep coming however fast jobs follow each other. Idle work
runs while there is no job, and yields to any job at once. The thread ends when there is no more
work.
"""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

from ftddm_core.imaging.memory import give_back

Work = Callable[["Token"], None]
T = TypeVar("T")

LAST_WAIT = 10.0
"""In s: how long a program that ends waits for its jobs. A thread that is still inside torch when
Python shuts down crashes the process."""

TELLING = 1.0
"""In s: how long a job must have run before its remaining time is estimated."""

GIVING_BACK = 20.0
"""In s: shortest time between two times that the memory of ended jobs is given back, which takes
a few ms."""


class Token:
    """Tells a job whether it was cancelled, and receives the notice of its first result."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self.landed = False
        self.stopped = False

    def cancelled(self) -> bool:
        """Return whether the job was cancelled or superseded and should end."""
        return self.stopped

    def superseded(self) -> bool:
        """Return whether a newer job follows, so that this job's outcome does not matter."""
        return self.stopped or self._jobs.waiting

    def land(self) -> None:
        """Report a first result: from now on a newer job takes over at once."""
        self._jobs.land(self)


class Jobs:
    """Runs the newest job in a separate thread; thread-safe."""

    def __init__(self) -> None:
        _every.add(self)
        self._ready: tuple[Work, Token] | None = None
        self._later: Work | None = None
        self._running: Token | None = None
        self._busy = False
        self._change = threading.Condition()

    @property
    def waiting(self) -> bool:
        """Whether a job is waiting for the running one to end."""
        return self._ready is not None

    def start(self, work: Work, *, patient: bool = False) -> None:
        """Run `work(token)` in the background, replacing everything started before.

        Parameters
        ----------
        work
            Must handle its own errors: an uncaught one is reported by `threading.excepthook` and
            does not affect later jobs.
        patient
            Whether the running job may first reach its first result.
        """
        with self._change:
            self._ready = (work, Token(self))
            if self._running is not None and (self._running.landed or not patient):
                self._running.stopped = True
            self._begin()

    def start_idle(self, work: Work) -> None:
        """Run `work(token)` as soon as there is no job; a job started later takes over at once.

        There is one idle work at a time. To continue it after a job, start it again.
        """
        with self._change:
            self._later = work
            self._begin()

    def _begin(self) -> None:
        if not self._busy:
            self._busy = True
            threading.Thread(target=self._run, name="ftddm-job", daemon=True).start()

    def cancel(self) -> None:
        """Cancel the running job and drop waiting ones."""
        with self._change:
            if self._running is not None:
                self._running.stopped = True
            self._ready = self._later = None

    def land(self, token: Token) -> None:
        """Record a job's first result; see `Token.land`."""
        with self._change:
            token.landed = True
            if self._ready is not None:
                token.stopped = True

    def wait(self, timeout: float | None = None) -> bool:
        """Return whether all work ended within `timeout` seconds."""
        with self._change:
            return self._change.wait_for(lambda: not self._busy, timeout)

    def _run(self) -> None:
        while True:
            with self._change:
                self._running = None
                if self._ready is None and self._later is not None:
                    self._ready, self._later = (self._later, Token(self)), None
                    self._ready[1].landed = True
                if self._ready is None:
                    self._busy = False
                    self._change.notify_all()
                    break
                work, token = self._ready
                self._ready, self._running = None, token
            try:
                work(token)
            except BaseException as error:  # reported, and the next job runs
                threading.excepthook(
                    threading.ExceptHookArgs(
                        (type(error), error, error.__traceback__, threading.current_thread())
                    )
                )
        _give_back()


_every: weakref.WeakSet[Jobs] = weakref.WeakSet()


_given_back = -GIVING_BACK


def _give_back() -> None:
    """Give back the memory of ended jobs, unless that was done a moment ago."""
    global _given_back
    if time.monotonic() - _given_back >= GIVING_BACK:
        _given_back = time.monotonic()
        give_back()


@atexit.register
def _end() -> None:
    """Cancel all jobs and wait for them before Python ends."""
    end = time.monotonic() + LAST_WAIT
    for jobs in list(_every):
        jobs.cancel()
    for jobs in list(_every):
        jobs.wait(max(0.0, end - time.monotonic()))


def apart(work: Callable[[], T]) -> T:
    """Run `work` on a thread that then ends; return its result or raise its error.

    The thread's OpenMP workers end with it. Workers left on an idle thread slow down those of all
    others: together they outnumber the cores, and each then sleeps between two layers of a network
    instead of spinning.
    """
    returned: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            returned.append(work())
        except BaseException as error:  # re-raised in the caller
            raised.append(error)

    thread = threading.Thread(target=run, name="ftddm-apart", daemon=True)  # Ctrl-C need not wait
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
    return returned[0]


@contextmanager
def calm() -> Iterator[None]:
    """Run numpy's matrix products on one thread within this block.

    They are small, and BLAS threads would keep spinning for a tenth of a second afterwards and slow
    down the networks that follow. The limit applies to the process: of several concurrent blocks,
    the first sets it and the last removes it.
    """
    _blas.enter()
    try:
        yield
    finally:
        _blas.leave()


class _Blas:
    """The process's limit, and the number of blocks that use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = 0
        self._limit: Any = None

    def enter(self) -> None:
        with self._lock:
            if not self._blocks:
                self._limit = ThreadpoolController().limit(limits=1, user_api="blas")
            self._blocks += 1

    def leave(self) -> None:
        with self._lock:
            self._blocks -= 1
            if not self._blocks:
                self._limit.restore_original_limits()


_blas = _Blas()


class Clock:
    """Progress of a job, and its remaining time at the speed so far.

    Parameters
    ----------
    now
        Returns the time, in s.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._start = now()

    def read(self, done: float) -> dict[str, Any]:
        """Return `progress`, the share that is done, and `remaining` in s, None if unknown."""
        passed = self._now() - self._start
        known = passed >= TELLING and done > 0
        return {"progress": done, "remaining": passed / done - passed if known else None}
