"""One background job at a time, and the newest wins.

A job is a function that is given a `Token` and asks it, between two steps, whether it is still
wanted. Starting a job makes every older one unwanted; it begins as soon as the running one has
noticed. However many are started in between, only the newest ever runs. The thread lives no longer
than there is work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

Work = Callable[["Token"], None]


class Token:
    """Tells a job whether it is still wanted."""

    def __init__(self, jobs: Jobs, generation: int) -> None:
        self._jobs = jobs
        self._generation = generation

    def cancelled(self) -> bool:
        """Return whether the job was cancelled or superseded."""
        return self._jobs.generation != self._generation


class Jobs:
    """Runs the newest job in a thread of its own; safe to use from any thread."""

    def __init__(self) -> None:
        self.generation = 0
        self._ready: tuple[Work, Token] | None = None
        self._busy = False
        self._change = threading.Condition()

    def start(self, work: Work) -> None:
        """Run `work(token)` in the background instead of anything started before.

        Parameters
        ----------
        work
            Must handle its own errors: one that escapes is reported by `threading.excepthook`, and
            ends no later job.
        """
        with self._change:
            self.generation += 1
            self._ready = (work, Token(self, self.generation))
            if not self._busy:
                self._busy = True
                threading.Thread(target=self._run, name="ftddm-job", daemon=True).start()

    def cancel(self) -> None:
        """Make the running job unwanted, and forget one that has not begun."""
        with self._change:
            self.generation += 1
            self._ready = None

    def wait(self, timeout: float | None = None) -> bool:
        """Return whether all work ended within `timeout` seconds."""
        with self._change:
            return self._change.wait_for(lambda: not self._busy, timeout)

    def _run(self) -> None:
        while True:
            with self._change:
                if self._ready is None:
                    self._busy = False
                    self._change.notify_all()
                    return
                work, token = self._ready
                self._ready = None
            try:
                work(token)
            except BaseException as error:  # reported, and the next job runs
                threading.excepthook(
                    threading.ExceptHookArgs(
                        (type(error), error, error.__traceback__, threading.current_thread())
                    )
                )
