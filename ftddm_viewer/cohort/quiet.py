"""Loaded by the worker processes on this machine: Ctrl+C is for the program that started them.

It ends them in order; by themselves, each would print where it was interrupted.
"""

from __future__ import annotations

import signal
import threading
from typing import Any


def dask_setup(worker: Any) -> None:
    """Ignore Ctrl+C; called by dask in a worker's process."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
