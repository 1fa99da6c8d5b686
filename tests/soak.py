"""The front ends in use for a long time: `python tests/soak.py window|page --minutes 60 --seed 0`.

A window on the virtual screen of xvfb-run, or a page with eight visitors, is used at random. Every
few minutes all is closed, and memory, threads, open files and temporary files are looked at. It
fails if memory grows by more than 50 MB after the warm-up, if threads or files become ever more, or
if anything raises or is logged as an error.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from served import Served, served
from tiny import write_weights

from ftddm_core.imaging.memory import give_back
from ftddm_viewer.bench.visitor import Visitor

GROWTH = 50_000_000
"""Most bytes by which memory may grow after the warm-up."""

MORE = 5
"""Most threads, files and temporary files that may become more: what is first used late."""

WARM_UP = 0.4
"""Share of the samples that belongs to the warm-up."""

VISITORS = 8
STAYS = (20.0, 120.0)
"""In s: how long a visitor stays, at least and at most; another one comes then."""

ROUND = 4.0
"""Minutes for which a front end is used until all is closed, and it is looked at; less in a short
soak."""

SOON = "from ftddm_viewer.web import limits; limits.GRACE = limits.UNTAKEN = 5.0"
"""A page that was left is kept for seconds and not for 10 min: what stays then is a leak."""

CLOSED_WITHIN = 300.0
"""In s."""

CALM = 20.0
"""In s: how long a page is at rest before it is looked at."""

FAULTS = ("Traceback", "Error", "A call failed", "Exception")
"""What no log may hold."""


@dataclass(frozen=True)
class Sample:
    """What a process holds.

    Parameters
    ----------
    memory
        In bytes.
    threads, files
        Number of its threads, and of its open files.
    temporary
        Number of files and folders among its temporary ones.
    """

    memory: int
    threads: int
    files: int
    temporary: int

    @classmethod
    def of(cls, process: int, temporary: Path) -> Sample:
        """Look at a process, and the folder of its temporary files."""
        about = psutil.Process(process)
        left = sum(len(names) + len(folders) for _, folders, names in os.walk(temporary))
        return cls(about.memory_info().rss, about.num_threads(), about.num_fds(), left)

    def __str__(self) -> str:
        return (
            f"{self.memory / 1e6:.0f} MB, {self.threads} threads, {self.files} open files, "
            f"{self.temporary} temporary ones"
        )


def complaints(samples: Sequence[Sample]) -> list[str]:
    """Return what became more after the warm-up, in words.

    Numbers go up and down with what is open: those become ever more whose least in the last third
    is well above their most in the warm-up.
    """
    warm = max(1, round(WARM_UP * len(samples)))
    before, after = samples[:warm], samples[-max(1, len(samples) // 3) :]
    found = []
    grown = max(s.memory for s in samples[warm:]) - max(s.memory for s in before)
    if grown > GROWTH:
        found.append(f"memory grew by {grown / 1e6:.0f} MB")
    for name in (each.name for each in fields(Sample) if each.name != "memory"):
        most, least = max(getattr(s, name) for s in before), min(getattr(s, name) for s in after)
        if least > most + MORE:
            found.append(f"{name} grew from {most} at most to {least} at least")
    return found


@dataclass
class Course:
    """A soak: how long it takes, and what was seen of it.

    Parameters
    ----------
    minutes
        How long it is.

    Attributes
    ----------
    samples, faults
        What was seen.
    moves
        How often the front end was used.
    """

    minutes: float
    samples: list[Sample] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    moves: int = 0

    def __post_init__(self) -> None:
        self._start = time.monotonic()

    @property
    def goes_on(self) -> bool:
        """Whether it is not over yet."""
        return not self.faults and time.monotonic() - self._start < 60 * self.minutes

    @property
    def round_ends(self) -> float:
        """When the round ends that begins now, by `time.monotonic`."""
        return time.monotonic() + 60 * min(ROUND, self.minutes / 8)

    def add(self, sample: Sample) -> None:
        """Take up a sample, and print it."""
        self.samples.append(sample)
        minute = (time.monotonic() - self._start) / 60
        print(f"{minute:6.1f} min, {self.moves} moves: {sample}", flush=True)

    def outcome(self) -> list[str]:
        """Return what is wrong, nothing if all is well."""
        return self.faults + (complaints(self.samples) if len(self.samples) > 2 else ["too short"])


# ---- the window


def soak_window(course: Course, folder: Path, seed: int) -> None:
    """Use a window at random, as `tests/plugins/test_random_use.py` does."""
    os.environ |= {"QT_API": "pyqt6", "NAPARI_CONFIG": str(folder / "settings.yaml")}
    os.environ["XDG_STATE_HOME"] = str(folder)
    temporary = folder / "temporary"
    temporary.mkdir()
    tempfile.tempdir = str(temporary)
    import napari
    import random_moves
    import windows
    from windows import finish, settle

    windows.HANGS_AFTER = 600.0  # a soak runs beside other work

    viewer = napari.Viewer(show=False, show_welcome_screen=False)
    (folder / "user").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        random_moves.with_weights(write_weights(folder / "tiny"), patch)
        hand = random_moves.Hand(viewer, folder / "user", seed)
        random_moves.answered(hand, patch)
        _noting(course.faults, patch)
        while course.goes_on:
            end = course.round_ends
            while course.goes_on and time.monotonic() < end:
                move = random_moves.step(hand)
                course.moves += 1
                settle()
                if hand.rng.random() < 0.3 and hand.widget is not None:
                    finish(hand.widget)
                if course.faults:
                    course.faults.append(f"after {course.moves} moves, the last: {move}")
            print(f"in use: {Sample.of(os.getpid(), temporary)}", flush=True)
            _close_all(hand)
            course.add(Sample.of(os.getpid(), temporary))
            random_moves.open_panel(hand)
        _close_all(hand)
        viewer.close()
        settle()


def _close_all(hand: Any) -> None:
    """Close what a hand opened, as a user who goes on with something else."""
    from windows import finish, settle

    if hand.widget is not None:
        finish(hand.widget)
        hand.viewer.window.remove_dock_widget(hand.widget)
        hand.widget = None
    while hand.docks:
        hand.viewer.window.remove_dock_widget(hand.docks.popitem()[1])
    hand.viewer.layers.clear()
    settle()
    gc.collect()
    give_back()


def _noting(faults: list[str], patch: pytest.MonkeyPatch) -> None:
    """Have every error of this process noted."""

    class Noting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            faults.append(record.getMessage())

    logging.getLogger().addHandler(Noting(logging.ERROR))

    def raised(kind: type[BaseException], fault: BaseException, trace: Any) -> None:
        faults.append(f"{kind.__name__}: {fault}")
        sys.__excepthook__(kind, fault, trace)

    patch.setattr(sys, "excepthook", raised)
    patch.setattr(
        threading, "excepthook", lambda a: raised(a.exc_type, a.exc_value, a.exc_traceback)
    )


# ---- the page


class Wanderer(Visitor):
    """A visitor who slides, switches, and computes whole volumes, at random."""

    def component(self, name: str) -> int:
        """Return the number of a component."""
        return next(
            each["id"] for each in self.config["components"]
            if each["props"].get("elem_id") == name
        )  # fmt: skip

    async def send(self, name: str, what: str, *values: Any) -> None:
        """Send what the browser does if a component is used."""
        event = self._event(what, self.component(name))
        with self._told():
            await self._post("run/predict", event, values)
        self._ask(event)

    async def do(self, rng: random.Random) -> None:
        """Use the page once."""
        now = time.time() * 1000
        match rng.choices(["slide", "look", "press"], [8, 4, 1])[0]:
            case "slide":
                name = rng.choice(["tau_flow", "tau_diffusion", "detail"])
                await self.send(f"control-{name}", "input", round(rng.random(), 2), now)
            case "look":
                name, values = rng.choice([*LOOKS.items()])
                await self.send(name, "input", rng.choice(values), now)
            case _:
                await self.send(rng.choice(BUTTONS), "click")


LOOKS: dict[str, list[Any]] = {
    "metabolite": ["tNAA", "tCho", "Ins", "Gln"],
    "slice": [1, 2, 3, 4],
    "mode": ["restore", "enlarge"],
    "control-upscale": [2, 3, 4],
}
BUTTONS = ["volume", "volume", "cancel", "update", "bundled-patient", "bundled-volunteer"]


async def soak_page(course: Course, page: Served, seed: int) -> None:
    """Have a page used in rounds by visitors who come and go, and look at it between these."""
    most = httpx.Limits(max_connections=None, max_keepalive_connections=4 * VISITORS)
    async with httpx.AsyncClient(base_url=page.url, timeout=None, limits=most) as client:
        config = (await client.get("config")).json()
        rngs = [random.Random(f"{seed} {number}") for number in range(VISITORS)]
        while course.goes_on:
            end = course.round_ends
            visits = (_visited(course, client, config, rng, end) for rng in rngs)
            await asyncio.gather(*visits)
            print(f"in use: {Sample.of(page.process, page.temporary)}", flush=True)
            await _left(course, page)
            await asyncio.sleep(min(CALM, course.minutes))
            course.add(Sample.of(page.process, page.temporary))
            if any(fault in page.logged() for fault in FAULTS):
                course.faults.append(page.logged())


async def _visited(
    course: Course, client: httpx.AsyncClient, config: Any, rng: random.Random, end: float
) -> None:
    while time.monotonic() < end:
        visitor = Wanderer(client, config, rng.randrange(1, 2**31))
        goes = min(end, time.monotonic() + rng.uniform(*STAYS))
        await visitor.open()
        while time.monotonic() < goes:
            await visitor.do(rng)
            course.moves += 1
            await asyncio.sleep(rng.expovariate(2))
        await visitor.leave()
        course.faults += [fault for fault in visitor.errors if "peer closed" not in fault]


async def _left(course: Course, page: Served) -> None:
    """Wait until the server has closed every page that was left."""
    end = time.monotonic() + CLOSED_WITHIN
    while list(page.temporary.glob("ftddm-web-*/private/*")):
        if time.monotonic() > end:
            course.faults.append("pages that were left are not closed")
            return
        await asyncio.sleep(0.5)


def main() -> int:
    """Soak as asked; return 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["window", "page"])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    course = soaked(options.what, options.minutes, options.seed)
    wrong = course.outcome()
    print("\n".join(wrong or ["memory, threads and files stayed; nothing was raised"]))
    return 1 if wrong else 0


def soaked(what: str, minutes: float, seed: int) -> Course:
    """Use a window or a page for some minutes."""
    with tempfile.TemporaryDirectory() as place:
        course, folder = Course(minutes), Path(place)
        if what == "window":
            soak_window(course, folder, seed)
        else:
            with served(write_weights(folder / "tiny"), folder, changed=SOON) as page:
                asyncio.run(soak_page(course, page, seed))
        return course


if __name__ == "__main__":
    sys.exit(main())
