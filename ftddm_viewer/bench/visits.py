"""Many visitors of the page at once: how long each waits for an image, and what the server takes.

For each number of visitors a server of its own is started, as `ftddm web` on a port of this
computer. A first visitor comes and goes before anything is measured.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from ftddm_core.errors import FtddmError
from ftddm_viewer.bench.machine import machine
from ftddm_viewer.bench.record import Line, Record
from ftddm_viewer.bench.timing import Stage
from ftddm_viewer.bench.visitor import Visitor

FIRST_SEED = 1000
"""Seed of the first visitor, of whom each has another."""

LAST_LINES = 5
"""Number of lines on stderr that are repeated if the page does not start."""

MOST_TOLD = 5
"""Number of errors that are recorded in words."""


@dataclass(frozen=True)
class Crowd:
    """How many come, and what they do.

    Parameters
    ----------
    users
        Numbers of visitors at a time.
    seconds
        How long they move the slider.
    interval
        Seconds between two moves of each.
    """

    users: tuple[int, ...] = (1, 4, 8, 20)
    seconds: float = 120.0
    interval: float = 2.0


def visits(crowd: Crowd, weights: str, device: str, stage: Stage, command: str = "") -> Record:
    """Measure and return the part `web` of the record.

    Parameters
    ----------
    crowd
        How many come, and what they do.
    weights, device
        As for `ftddm web`.
    stage
        Shows the progress of each number of visitors.
    command
        The command that measures this again.

    Raises
    ------
    FtddmError
        If the page does not start, with the last lines that it wrote to stderr.
    """
    rows = []
    for users in crowd.users:
        with stage(f"page, {users} at a time") as progress, _served(weights, device) as server:
            rows.append(asyncio.run(_crowded(server, users, crowd, progress)))
    return {
        "software": version("ftddm-viewer"),
        "command": command,
        "machine": machine(),
        "weights": Path(weights).name,
        "device": device,
        **{key: value for key, value in asdict(crowd).items() if key != "users"},
        "rows": rows,
    }


@dataclass(frozen=True)
class _Server:
    url: str
    process: int


@contextmanager
def _served(weights: str, device: str) -> Iterator[_Server]:
    """Serve the page in a process of its own."""
    words = ["web", "--port", "0", "--weights", weights, "--device", device]
    running = subprocess.Popen(
        [sys.executable, "-m", "ftddm_viewer", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    try:
        said = running.stdout.readline() if running.stdout else ""
        if "http://" not in said:
            last = "\n".join(running.communicate()[1].strip().splitlines()[-LAST_LINES:])
            raise FtddmError(f"The page did not start:\n{last}")
        yield _Server(said.split()[-1], running.pid)
    finally:
        running.terminate()
        with suppress(subprocess.TimeoutExpired):
            running.communicate(timeout=30)
        running.kill()


async def _crowded(
    server: _Server, users: int, crowd: Crowd, progress: Callable[[float], None]
) -> Line:
    """Return the row of one number of visitors."""
    most = httpx.Limits(max_connections=None, max_keepalive_connections=4 * users)
    async with httpx.AsyncClient(base_url=server.url, timeout=None, limits=most) as client:
        config = (await client.get("config")).json()
        first = Visitor(client, config, FIRST_SEED - 1)
        await first.open()
        await first.leave()
        before = held_by(server.process)
        visitors = [Visitor(client, config, FIRST_SEED + number) for number in range(users)]
        await asyncio.gather(*(visitor.open() for visitor in visitors))
        start = time.perf_counter()
        moving = (_moving(each, crowd, start + crowd.interval * n / users, progress)
                  for n, each in enumerate(visitors))  # fmt: skip
        moves = sum(await asyncio.gather(*moving))
        during = held_by(server.process)
        await asyncio.gather(*(visitor.leave() for visitor in visitors))
        after = held_by(server.process)
    waits = [wait for visitor in visitors for wait in visitor.waits]
    errors = [words for visitor in (first, *visitors) for words in visitor.errors]
    return {
        "users": users,
        "moves": moves,
        **quantiles(waits),
        "errors": len(errors),
        "told": [*dict.fromkeys(errors)][:MOST_TOLD],
        "memory": {"before": before, "during": during, "after": after},
    }


async def _moving(
    visitor: Visitor, crowd: Crowd, start: float, progress: Callable[[float], None]
) -> int:
    """Move a slider at regular times; return how often."""
    moves = max(1, int(crowd.seconds / crowd.interval))
    for number in range(moves):
        await asyncio.sleep(max(0.0, start + number * crowd.interval - time.perf_counter()))
        await visitor.move(value_of(number, visitor.seed))
        progress((number + 1) / moves)
    return moves


def value_of(number: int, seed: int) -> float:
    """Return the value of a visitor's next move: never the same in a row."""
    return round(0.05 + 0.01 * ((37 * number + seed) % 91), 2)


def quantiles(waits: Sequence[float]) -> dict[str, float | None]:
    """Return the median and the 95th percentile, None without a value."""
    if not waits:
        return {"p50": None, "p95": None}
    return {f"p{q}": float(np.percentile(waits, q)) for q in (50, 95)}


def held_by(process: int) -> int | None:
    """Return the bytes that a process holds, None where the system does not tell."""
    if sys.platform == "win32":
        return None
    statm = Path(f"/proc/{process}/statm")
    if statm.is_file():
        import resource

        return int(statm.read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    with suppress(OSError, subprocess.SubprocessError, ValueError):
        found: Any = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(process)], capture_output=True, text=True, check=True
        )
        return int(found.stdout) * 1024
    return None
