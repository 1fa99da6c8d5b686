"""The open tabs: their limit, and when one is closed.

A tab is identified by gradio's session key of its page; it ends when the page is closed. Tabs share
only the networks. A request may invent keys and upload files that no tab uses: both are limited
here.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from threading import Event, RLock, Thread
from time import monotonic, time

from ftddm_core.errors import FtddmError
from ftddm_viewer.session.model import Model
from ftddm_viewer.web.limits import of_studies
from ftddm_viewer.web.tab import OWNED, Tab

MOST_TABS = 64
"""Largest number of open tabs."""

FORSAKEN = 300.0
"""Seconds without an event after which a tab without a follower may be closed to make room."""

UNTAKEN = 600.0
"""Seconds after which an uploaded file that no tab has used is removed."""

FULL = (
    f"{MOST_TABS} pages are open, which is the limit: close another one, or reload this one in "
    "some minutes."
)

NAMELESS = "Session not recognised; reload the page."


class Tabs:
    """The open tabs.

    Parameters
    ----------
    model, private, served
        See `Tab`.
    """

    def __init__(self, model: Model, private: Path, served: Path) -> None:
        self._make = partial(Tab, model, private, served, of_studies())
        self._served = served
        self._tabs: dict[str, Tab] = {}
        self._touched: dict[str, float] = {}
        self._lock = RLock()
        self._ended = Event()
        Thread(target=self._sweep, daemon=True, name="uploads").start()

    def open(self, key: str | None) -> Tab:
        """Return a new tab.

        Raises
        ------
        FtddmError
            If the key is empty, or too many tabs are in use.
        """
        if not key:
            raise FtddmError(NAMELESS)
        self.close(key)
        with self._lock:
            forsaken = self._forsaken() if self.full else None
        self.close(forsaken)
        with self._lock:
            if self.full or self._ended.is_set():
                raise FtddmError(FULL)
            self._tabs[key] = tab = self._make()
            self._touched[key] = monotonic()
        return tab

    @property
    def full(self) -> bool:
        """Whether the limit of tabs is reached."""
        return len(self._tabs) >= MOST_TABS

    def _forsaken(self) -> str | None:
        """Return the key of the tab that has been idle longest, if for long enough."""
        left = {key: self._touched[key] for key, tab in self._tabs.items() if not tab.followed}
        oldest = min(left, key=lambda key: left[key], default=None)
        quiet = oldest is not None and monotonic() - left[oldest] > FORSAKEN
        return oldest if quiet else None

    def get(self, key: str | None) -> Tab | None:
        """Return a tab and mark it as active; None if there is no such tab (any more)."""
        with self._lock:
            tab = self._tabs.get(key or "")
            if key and tab is not None:
                self._touched[key] = monotonic()
            return tab

    def close(self, key: str | None) -> None:
        """End a tab, if there is one."""
        with self._lock:
            tab = self._tabs.pop(key or "", None)
            self._touched.pop(key or "", None)
        if tab is not None:
            tab.close()

    def close_all(self) -> None:
        """End every tab and accept no new ones."""
        self._ended.set()
        for key in list(self._tabs):
            self.close(key)

    # ---- uploads that were never used

    def _sweep(self) -> None:
        while not self._ended.wait(min(60.0, UNTAKEN)):
            self.remove_untaken()

    def remove_untaken(self) -> None:
        """Remove files that were uploaded some minutes ago and that no tab has used."""
        try:
            for path in self._served.iterdir():
                if not path.name.startswith(OWNED) and time() - _newest(path) > UNTAKEN:
                    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
        except OSError:
            return  # it was taken at this moment; retry next time


def _newest(path: Path) -> float:
    """Return when a file, or anything in a folder, was last written or added."""
    states = [each.stat() for each in (path, *path.rglob("*"))]
    return max(max(state.st_mtime, state.st_ctime) for state in states)
