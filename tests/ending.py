"""How a program that a test starts is ended by signals."""

from __future__ import annotations

import signal


def heed_signals() -> None:
    """Ignore nothing: tests that run under nohup or in the background do, and a program would."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(signal.Signals[name], signal.SIG_DFL)
