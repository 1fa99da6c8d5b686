"""From background threads to Qt's main thread, and from fast hands to a steady pace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QObject, Qt, QTimer, Signal

from ftddm_viewer.session.session import Session


class Relay(QObject):
    """Calls a function on the thread it was made on, once for however many posts came before.

    It has no parent: a widget's deletion must not take it away from under a thread that posts.
    """

    _posted = Signal()

    def __init__(self, call: Callable[[], None]) -> None:
        super().__init__()
        self._call = call
        self._lock = Lock()
        self._pending = False
        self._closed = False
        self._deaf: Callable[[], None] | None = None
        self._posted.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def post(self, *_: object) -> None:
        """Ask for a call; from any thread, and without waiting for it."""
        with self._lock:
            if self._pending or self._closed:
                return
            self._pending = True
        self._posted.emit()

    def follow(self, session: Session | None) -> None:
        """Post whenever the state of a session changes, and no longer that of the one before."""
        if self._deaf is not None:
            self._deaf()
        self._deaf = None if session is None else session.hear(self.post)

    def close(self) -> None:
        """Never call again."""
        with self._lock:
            self._closed = True
        self.follow(None)

    def _deliver(self) -> None:
        with self._lock:
            self._pending = False
            if self._closed:
                return
        self._call()


class Pace:
    """Hands over changes at once, then at most once per interval; the newest always gets through.

    Parameters
    ----------
    interval_ms
        Shortest time between two calls.
    call
        Given the changes since its last call, by name.
    """

    def __init__(self, interval_ms: int, call: Callable[[Mapping[str, Any]], None]) -> None:
        self._call = call
        self.waiting: dict[str, Any] = {}
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(interval_ms)
        self._timer.timeout.connect(self.flush)

    def submit(self, name: str, value: Any) -> None:
        """Take a change; a newer one of the same name replaces it."""
        self.waiting[name] = value
        if not self._timer.isActive():
            self.flush()

    def flush(self) -> None:
        """Hand over what waits."""
        changes, self.waiting = self.waiting, {}
        if changes:
            self._timer.start()
            self._call(changes)

    def close(self) -> None:
        """Forget what waits; Qt may be gone already where a script has ended."""
        if isalive(self._timer):  # type: ignore[no-untyped-call]
            self._timer.stop()
        self.waiting = {}
