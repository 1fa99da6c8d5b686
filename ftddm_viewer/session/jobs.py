"""One background job at a time, and the newest wins.

A job is a function that is given a `Token` and asks it, between two steps, whether it is still
wanted. Starting a job makes every older one unwanted; it begins as soon as the running one has
noticed. However many are started in between, only the newest ever runs. A job that is started
patiently lets the running one come to its first result: so results keep coming, however fast jobs
follow each other. What can wait is done while there is no job, and gives way to any at once. The
thread lives no longer than there is work.
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

Work = Callable[["Token"], None]
T = TypeVar("T")

LAST_WAIT = 10.0
"""In s: how long a program that ends waits for its jobs to notice. A thread that is still in the
middle of torch's code when Python is gone takes the process down with it."""

TELLING = 1.0
"""In s: how long a job must have run before it can be told how long it still needs."""


class Token:
    """Tells a job whether it is still wanted, and is told when the job has a first result."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self.landed = False
        self.stopped = False

    def cancelled(self) -> bool:
        """Return whether the job was cancelled or superseded, and is to end."""
        return self.stopped

    def superseded(self) -> bool:
        """Return whether what becomes of the job matters to nobody: a newer one is to follow."""
        return self.stopped or self._jobs.waiting

    def land(self) -> None:
        """Say that there is a first result: from now on a newer job takes over at once."""
        self._jobs.land(self)


class Jobs:
    """Runs the newest job in a thread of its own; safe to use from any thread."""

    def __init__(self) -> None:
        _every.add(self)
        self._ready: tuple[Work, Token] | None = None
        self._later: Work | None = None
        self._running: Token | None = None
        self._busy = False
        self._change = threading.Condition()

    @property
    def waiting(self) -> bool:
        """Whether a job waits for the running one to end."""
        return self._ready is not None

    def start(self, work: Work, *, patient: bool = False) -> None:
        """Run `work(token)` in the background instead of anything started before.

        Parameters
        ----------
        work
            Must handle its own errors: one that escapes is reported by `threading.excepthook`, and
            ends no later job.
        patient
            Whether the running job may first come to its first result.
        """
        with self._change:
            self._ready = (work, Token(self))
            if self._running is not None and (self._running.landed or not patient):
                self._running.stopped = True
            self._begin()

    def start_idle(self, work: Work) -> None:
        """Run `work(token)` as soon as there is no job; one that starts then takes over at once.

        There is one such work at a time. Who wants it to go on after a job has to start it again.
        """
        with self._change:
            self._later = work
            self._begin()

    def _begin(self) -> None:
        if not self._busy:
            self._busy = True
            threading.Thread(target=self._run, name="ftddm-job", daemon=True).start()

    def cancel(self) -> None:
        """Make the running job unwanted, and forget what has not begun."""
        with self._change:
            if self._running is not None:
                self._running.stopped = True
            self._ready = self._later = None

    def land(self, token: Token) -> None:
        """Take note of a job's first result; see `Token.land`."""
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
                    return
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


_every: weakref.WeakSet[Jobs] = weakref.WeakSet()


@atexit.register
def _end() -> None:
    """Cancel all jobs, and wait for them, before Python ends."""
    end = time.monotonic() + LAST_WAIT
    for jobs in list(_every):
        jobs.cancel()
    for jobs in list(_every):
        jobs.wait(max(0.0, end - time.monotonic()))


def apart(work: Callable[[], T]) -> T:
    """Return what `work` returns, or raise what it raises; it runs on a thread that then ends.

    With it ends the team of helpers that OpenMP gave it. A team left on a thread that does nothing
    makes those of all others slower: together they are more than there are cores, and each then
    sleeps between two layers of a network instead of waiting.
    """
    returned: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            returned.append(work())
        except BaseException as error:  # the caller's
            raised.append(error)

    thread = threading.Thread(target=run, name="ftddm-apart", daemon=True)  # Ctrl-C need not wait
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
    return returned[0]


@contextmanager
def calm() -> Iterator[None]:
    """Let numpy's products of matrices run on one thread within this block.

    They are small, and the threads that BLAS would give them go on turning for a tenth of a second
    after it, in the way of the networks that follow. The limit is the process's: the first of
    several blocks at a time sets it, and the last takes it back.
    """
    _blas.enter()
    try:
        yield
    finally:
        _blas.leave()


class _Blas:
    """The process's limit, and how many blocks want it."""

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
    """How far a job is, and how long it still needs, as fast as it went so far.

    Parameters
    ----------
    now
        Returns the time, in s.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._start = now()

    def read(self, done: float) -> dict[str, Any]:
        """Return `progress`, the share that is done, and `remaining`, in s, None where unknown."""
        passed = self._now() - self._start
        known = passed >= TELLING and done > 0
        return {"progress": done, "remaining": passed / done - passed if known else None}
