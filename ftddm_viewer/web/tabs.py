"""The open tabs: their limit, whose they are, and when one is closed.

A tab is identified by gradio's session key of its page, and belongs to a login. It opens once a
browser holds its connection open, survives a lost connection and a reload for some minutes, and
then ends. Tabs share only the networks. A request may invent keys and upload files that no tab
uses: both are limited here.
"""

from __future__ import annotations

import secrets
import shutil
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event, RLock, Thread
from time import monotonic, time

from ftddm_core.errors import FtddmError
from ftddm_core.imaging.memory import give_back
from ftddm_viewer.session.model import Model
from ftddm_viewer.web import limits
from ftddm_viewer.web.access import is_loopback
from ftddm_viewer.web.tab import OWNED, Tab
from ftddm_viewer.web.uploads import size_below

FULL = (
    f"{limits.MOST_TABS} pages are open, which is the limit: close another one, or reload this one "
    "in some minutes."
)

FULL_HERE = (
    f"{limits.MOST_TABS_EACH} pages are open from your computer, which is the limit: close another "
    "one and reload this one."
)

NAMELESS = "Session not recognised; reload the page."

KEPT = "The connection was interrupted. The study and the settings are as they were."

NO_PAGE = "Open the page first, and upload files there."

TOO_MUCH = "You have uploaded too much for now: try again in some minutes."


@dataclass
class Visit:
    """A tab and whose it is.

    Parameters
    ----------
    tab
        The tab.
    user
        Login, "" without one.
    address
        Of the visitor's computer.
    touched
        When something last happened.
    lost
        When its connection was lost; None while it stands.
    """

    tab: Tab
    user: str
    address: str
    touched: float = 0.0
    lost: float | None = None


class Tabs:
    """The open tabs.

    Parameters
    ----------
    model, private, served
        See `Tab`.
    """

    def __init__(self, model: Model, private: Path, served: Path) -> None:
        self._make = partial(Tab, model, private, served, limits.of_studies())
        self._private, self._served = private, served
        self._visits: dict[str, Visit] = {}
        self._beating: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self._uploaded: list[tuple[float, str, int]] = []
        self._stored = (0.0, 0)
        self._closed = False
        self._lock = RLock()
        self._ended = Event()
        Thread(target=self._sweep, daemon=True, name="uploads").start()

    def open(self, key: str | None, user: str = "", address: str = "") -> Tab:
        """Return a new tab.

        Parameters
        ----------
        key
            Of its session.
        user, address
            Whose it is.

        Raises
        ------
        FtddmError
            If the key is empty or another's, or too many tabs are in use.
        """
        if not key or not self.may_use(key, user):
            raise FtddmError(NAMELESS)
        self.close(key)
        with self._lock:
            forsaken = self._forsaken() if self.full else None
        self.close(forsaken)
        with self._lock:
            if self._of(user, address) >= limits.MOST_TABS_EACH:
                raise FtddmError(FULL_HERE)
            if self.full or self._ended.is_set():
                raise FtddmError(FULL)
            self._visits[key] = Visit(self._make(), user, address, touched=monotonic())
            return self._visits[key].tab

    def refusal(self, user: str = "", address: str = "") -> str:
        """Return why no new tab can be opened, "" if one can."""
        with self._lock:
            if self._of(user, address) >= limits.MOST_TABS_EACH:
                return FULL_HERE
            return FULL if self.full else ""

    def _of(self, user: str, address: str) -> int:
        """Return the number of tabs of a login, else of an address; 0 for this computer's own."""
        if user:
            return sum(visit.user == user for visit in self._visits.values())
        if not address or is_loopback(address):
            return 0
        return sum(visit.address == address for visit in self._visits.values())

    @property
    def full(self) -> bool:
        """Whether the limit of tabs is reached."""
        return len(self._visits) >= limits.MOST_TABS

    def _forsaken(self) -> str | None:
        """Return the key of the tab that has been idle longest, if for long enough.

        One whose connection is lost needs not be idle for long.
        """
        now = monotonic()
        idle = {k: v for k, v in self._visits.items() if not v.tab.followed}
        quiet = [
            k for k, v in idle.items() if v.lost is not None or now - v.touched > limits.FORSAKEN
        ]
        return min(quiet, key=lambda k: (idle[k].lost is None, idle[k].touched), default=None)

    def get(self, key: str | None, user: str = "", *, active: bool = True) -> Tab | None:
        """Return a tab, and mark it as in use if `active`; None if the user has no such tab (any
        more)."""
        with self._lock:
            visit = self._visits.get(key or "")
            if visit is None or visit.user != user:
                return None
            if active:
                visit.touched = monotonic()
            if self._beating.get(key or ""):
                self._found_again(visit)
            elif visit.lost is not None:
                # Not open for sure: what a page asked for may still be worked on when it is closed.
                visit.lost = monotonic()
            return visit.tab

    def resume(self, token: str, key: str | None, user: str = "") -> Tab | None:
        """Return the tab of a page that was reloaded, now under a new key; None if it is gone.

        A page that is still open, of which this one is a copy, keeps its tab.
        """
        if not token or not key:
            return None
        with self._lock:
            for old, visit in self._visits.items():
                same = secrets.compare_digest(visit.tab.token.encode(), token.encode())
                if same and visit.user == user and not self._beating.get(old):
                    self._visits[key] = self._visits.pop(old)
                    visit.touched, visit.lost = monotonic(), monotonic()
                    self._found_again(visit)
                    visit.tab.abandon()  # the new page has nothing yet
                    return visit.tab
        return None

    def knows(self, token: str) -> bool:
        """Return whether a tab can be taken up again with a token."""
        with self._lock:
            return bool(token) and any(v.tab.token == token for v in self._visits.values())

    def _found_again(self, visit: Visit) -> None:
        if visit.lost is not None:
            visit.lost = None
            visit.tab.notify(KEPT)

    def close(self, key: str | None) -> None:
        """End a tab, if there is one."""
        with self._lock:
            visit = self._visits.pop(key or "", None)
        if visit is not None:
            visit.tab.close()

    def close_all(self) -> None:
        """End every tab and accept no new ones."""
        self._ended.set()
        for key in list(self._visits):
            self.close(key)

    # ---- what the guard asks; see `guards.Desk`

    def may_use(self, key: str, user: str) -> bool:
        """Return whether a session is that of a visitor, or of nobody yet."""
        with self._lock:
            visit = self._visits.get(key)
            holders = {holder for holder, _ in self._beating.get(key, ())}
            return (visit is None or visit.user == user) and holders <= {user}

    def beats(self, key: str, user: str, address: str) -> bool:
        """Take up that a browser holds a session open; return whether it may."""
        with self._lock:
            held = [who for each in self._beating.values() for who in each]
            own = [who for who in held if (who[0] == user if user else who[1] == address)]
            free = not user and is_loopback(address)
            if len(held) >= 4 * limits.MOST_TABS:
                return False
            if not free and len(own) >= 2 * limits.MOST_TABS_EACH:
                return False
            self._beating[key].append((user, address))
            if (visit := self._visits.get(key)) is not None:
                self._found_again(visit)
            return True

    def stopped(self, key: str) -> None:
        """Take up that it does not any more: the tab is kept for a while."""
        with self._lock:
            held = self._beating.get(key)
            if held:
                held.pop()
            if not held:
                self._beating.pop(key, None)
                self.lose(key)

    def is_held(self, key: str | None) -> bool:
        """Return whether a browser holds a session open."""
        return bool(self._beating.get(key or ""))

    def lose(self, key: str | None) -> None:
        """Take up that the connection of a tab is lost."""
        with self._lock:
            visit = self._visits.get(key or "")
            if visit is not None and not self.is_held(key):
                visit.lost = visit.touched = monotonic()

    def may_upload(self, address: str, user: str, length: int) -> str:
        """Return why a visitor may not upload a number of bytes, "" if they may."""
        now = monotonic()
        with self._lock:
            here = [  # the address of a login may change
                v
                for v in self._visits.values()
                if v.user == user and (user or v.address == address)
            ]
            recent = [
                (t, who, n) for t, who, n in self._uploaded if now - t < limits.UPLOADS_WITHIN
            ]
            self._uploaded = recent
            sent = sum(n for _, who, n in recent if who == address)
        if not here:
            return NO_PAGE
        if sent + length > limits.UPLOADS_EACH or self.room < length:
            return TOO_MUCH
        return ""

    def uploading(self, address: str, length: int) -> None:
        """Take up that bytes arrived from an address."""
        with self._lock:
            now = monotonic()
            last = self._uploaded[-1] if self._uploaded else None
            if last is not None and last[1] == address and now - last[0] < 1:
                self._uploaded[-1] = (last[0], address, last[2] + length)
            else:
                self._uploaded.append((now, address, length))
            self._stored = (self._stored[0], self._stored[1] + length)

    def owns(self, path: str, user: str) -> bool:
        """Return whether a visitor may have a file: only results, and each only one's own."""
        with suppress(ValueError):
            folder = Path(path).relative_to(self._served).parts[0]
            with self._lock:
                return any(
                    visit.user == user and visit.tab.folder == folder
                    for visit in self._visits.values()
                )
        return False

    @property
    def room(self) -> int:
        """How many more bytes may be stored."""
        when, size = self._stored
        if monotonic() - when > 2:
            size = size_below(self._served.parent)
            self._stored = (monotonic(), size)
        free = shutil.disk_usage(self._served).free - limits.SPARED
        return max(0, min(limits.STORED - size, free))

    # ---- what is not used any more

    def _sweep(self) -> None:
        while not self._ended.wait(min(30.0, limits.UNTAKEN)):
            self.remove_untaken()
            self.close_lost()

    def close_lost(self) -> None:
        """End the tabs whose connection has been lost for too long.

        Their memory is given back now and once more the next time, when their last work has ended.
        """
        now = monotonic()
        with self._lock:
            gone = [
                key
                for key, visit in self._visits.items()
                if visit.lost is not None and now - visit.lost > limits.GRACE
            ]
        for key in gone:
            self.close(key)
        if gone or self._closed:
            give_back()
        self._closed = bool(gone)

    def remove_untaken(self) -> None:
        """Remove files that were uploaded some minutes ago: tabs have copies of theirs."""
        try:
            for path in self._served.iterdir():
                if not path.name.startswith(OWNED) and time() - _newest(path) > limits.UNTAKEN:
                    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
        except OSError:
            return  # it was taken at this moment; retry next time


def _newest(path: Path) -> float:
    """Return when a file, or anything in a folder, was last written or added."""
    states = [each.stat() for each in (path, *path.rglob("*"))]
    return max(max(state.st_mtime, state.st_ctime) for state in states)
