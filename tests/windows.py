"""Waiting for a window, without a clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

HANGS_AFTER = 120.0
"""In s: what takes longer hangs; no test is about time."""


def settle(until: Callable[[], Any] | None = None) -> None:
    """Run the event loop until something is true, and then until nothing is left to do."""
    from qtpy.QtCore import QCoreApplication
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + HANGS_AFTER
    while until is not None and not until():
        assert time.monotonic() < end, "what was waited for never came"
        QApplication.processEvents()
        time.sleep(0.002)
    for _ in range(5):
        QCoreApplication.sendPostedEvents()
        QApplication.processEvents()


def finish(widget: Any) -> None:
    """Run the event loop until every move has reached the session, and its work is done."""
    engine = widget.engine
    settle(lambda: not engine._pace.waiting and widget.session.wait(0))
    settle()
