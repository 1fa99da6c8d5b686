"""Signals that ask the program to end: each is one Ctrl+C, so that everything is put in order."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

ENDINGS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Ctrl+C, a request of the system, and a closed terminal, which Windows does not have."""


class Ended(KeyboardInterrupt):
    """A signal asked the program to end.

    Parameters
    ----------
    number
        Of the signal.

    Attributes
    ----------
    code
        The exit code that a shell gives a program ended by it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"Ended by signal {number}.")
        self.code = 128 + number


@contextmanager
def until_ended(close: Callable[[], object], farewell: str) -> Iterator[None]:
    """Run what announces a server, then wait for Ctrl+C, say farewell, and close the server."""
    try:
        yield
        never = threading.Event()
        while not never.wait(1.0):  # without a timeout, Windows would block Ctrl+C
            pass
    except KeyboardInterrupt:
        with suppress(OSError):  # the terminal may be gone
            print(f"\n{farewell}", flush=True)
    finally:
        ignore_endings()
        close()


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Raise `Ended` in the main thread at the first request to end; later ones have no effect.

    An ignored signal stays ignored, such as the closing of a terminal under nohup. On other threads
    than the main one, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    own, asked = os.getpid(), 0

    def end(number: int, _: Any) -> None:
        nonlocal asked
        if os.getpid() != own:  # a process that was forked later: it ends when this one does
            _end_fork(number)
            return
        ignore_endings()
        asked = number
        raise Ended(number)

    before = {ending: signal.getsignal(ending) for ending in ENDINGS}
    for ending, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(ending, end)
    try:
        yield
    except Exception:
        if asked:  # a consequence, such as a helping process that ended at the same signal
            raise Ended(asked) from None
        raise
    finally:
        _restore(before)


@contextmanager
def usual_endings() -> Iterator[None]:
    """End at once when asked, as a program does by itself: for windows, whose loop is not Python.

    An ignored signal stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {ending: signal.getsignal(ending) for ending in ENDINGS}
    for ending, handler in before.items():
        if handler is not signal.SIG_IGN:
            usual = signal.default_int_handler if ending == signal.SIGINT else signal.SIG_DFL
            signal.signal(ending, usual)
    try:
        yield
    finally:
        _restore(before)


def ignore_endings() -> None:
    """Ignore requests to end, since the program is already ending."""
    if threading.current_thread() is threading.main_thread():
        for ending in ENDINGS:
            signal.signal(ending, signal.SIG_IGN)


def _restore(before: dict[signal.Signals, Any]) -> None:
    for ending, handler in before.items():
        signal.signal(ending, signal.SIG_DFL if handler is None else handler)


def _end_fork(number: int) -> None:
    """End a forked process as one without handlers, but outlive a closed terminal.

    Its parent ends it in order, and would take its loss for a fault.
    """
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    if number == signal.SIGTERM:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
