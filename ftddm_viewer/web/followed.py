"""A page that is followed: what its browser was sent, and whose turn it is to send the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import RLock
from typing import Any

Properties = Mapping[str, Mapping[str, Any]]
"""Component -> its properties."""


class Followed:
    """Server side of what one page shows; of several followers one has its turn. Thread-safe."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._turn = 0
        self._followed = self._news = False
        self._stamps: dict[str, float] = {}
        self._shown: dict[str, dict[str, Any]] = {}

    @property
    def followed(self) -> bool:
        """Whether a follower is updating the page."""
        return self._followed

    def follow(self) -> int:
        """Return the caller's turn as follower of the page; 0 while there is another one."""
        with self._lock:
            if self._followed:  # what the caller did is still to be shown
                self._news = True
                return 0
            self._followed, self._turn = True, self._turn + 1
            return self._turn

    def renew(self, *_: object) -> None:
        """Have the page shown once more by its follower."""
        with self._lock:
            self._news = True

    def take_news(self) -> bool:
        """Return whether the page is to be shown once more; the caller does so now."""
        with self._lock:
            news, self._news = self._news, False
            return news

    def leave_unless(self, changed: Callable[[], bool], turn: int = 0) -> bool:
        """Stop following unless there is something new to show; return whether it stopped.

        A `turn` that is over has ended already.
        """
        with self._lock:
            if turn and not self.is_on(turn):
                return True
            if self._news or changed():
                return False
            self._followed = False
            return True

    def abandon(self) -> None:
        """Stop following early: the next follower sends everything again.

        The last changes may never have reached the page: it was closed, or missed them and asks
        once more.
        """
        with self._lock:
            self._followed, self._turn = False, self._turn + 1
            self._shown.clear()

    def is_on(self, turn: int) -> bool:
        """Return whether a follower's turn is still valid."""
        return turn == self._turn

    def shows(self, part: str, name: str, value: Any) -> None:
        """Take up a property of a component that the page shows already."""
        with self._lock:
            self._shown.setdefault(part, {})[name] = value

    def restore(self, part: str) -> None:
        """Send the proper value of a component again, e.g. after the user emptied it."""
        self.shows(part, "value", None)

    def moved(self, part: str, key: str, stamp: float, value: Any) -> bool:
        """Take up that the user changed a component; return False if it was changed again since.

        Parameters
        ----------
        part
            Component.
        key
            What it sets; changes of the same key are ordered by their time.
        stamp
            Time of the change in ms.
        value
            Its current value.
        """
        with self._lock:
            if stamp < self._stamps.get(key, 0):
                return False
            self._stamps[key] = stamp
            self.shows(part, "value", value)
            return True

    def differences(self, turn: int, wanted: Callable[[], Properties]) -> dict[str, dict[str, Any]]:
        """Return the properties in which the page differs from its proper content, as sent.

        Parameters
        ----------
        turn
            The follower's turn, see `follow`; one that is over gets nothing and changes nothing.
        wanted
            Returns the proper content; called while nothing changes.
        """
        with self._lock:
            found: dict[str, dict[str, Any]] = {}
            if not self.is_on(turn):
                return found
            for part, properties in wanted().items():
                known = self._shown.setdefault(part, {})
                new = {k: v for k, v in properties.items() if k not in known or known[k] != v}
                if new:
                    found[part] = new
                    known.update(new)
            return found
