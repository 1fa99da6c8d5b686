"""The page as `ftddm web` serves it, in a process of its own that a test looks into."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from ending import heed_signals

RUN = "from ftddm_viewer.cli import main; raise SystemExit(main())"


@dataclass(frozen=True)
class Served:
    """A page that is being served.

    Parameters
    ----------
    url
        Its address, which ends in a slash.
    process
        The number of its process.
    temporary
        The folder in which it makes its temporary files, and nobody else.
    log
        What it writes to stderr.
    """

    url: str
    process: int
    temporary: Path
    log: Path

    def logged(self) -> str:
        """Return what the page has written to its log so far."""
        return self.log.read_text(encoding="utf-8")


@contextmanager
def served(
    weights: Path, folder: Path, before: Sequence[str] = (), changed: str = "pass"
) -> Iterator[Served]:
    """Serve the page with some weights until the end of a block.

    Parameters
    ----------
    weights
        Folder of the networks.
    folder
        An empty one, for its log and temporary files.
    before
        The words of a program that runs it, as strace does.
    changed
        Code that is run first, in its process.
    """
    temporary, log = folder / "temporary", folder / "log"
    temporary.mkdir()
    program = [sys.executable, "-c", f"{changed}; {RUN}"]
    words = [*before, *program, "web", "--port", "0", "--weights", str(weights), "--device", "cpu"]
    own = {"TMPDIR": str(temporary), "XDG_STATE_HOME": str(folder), "PYTHONUNBUFFERED": "1"}
    with log.open("w") as errors:
        running = subprocess.Popen(
            words, env={**os.environ, **own}, stdout=subprocess.PIPE, stderr=errors, text=True,
            preexec_fn=heed_signals,
        )  # fmt: skip
    assert running.stdout is not None
    page = psutil.Process(running.pid)
    try:
        said = running.stdout.readline()
        assert said.startswith("FTDDM Viewer is at "), log.read_text(encoding="utf-8")
        if before:
            (page,) = page.children()
        yield Served(said.split()[-1], page.pid, temporary, log)
    finally:
        page.send_signal(signal.SIGINT)
        try:
            running.communicate(timeout=60)
        finally:
            running.kill()
