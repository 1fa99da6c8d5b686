"""A visitor of the page who moves a slider: what a browser sends and gets, without drawing it.

    open -> connection held -> begin -> follow;   move -> follow -> first image with its value

The page posts a move at once and then follows its session until nothing is new. Every image states
the settings that it was made with: that is how it is known which move it answers, and whose it is.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from secrets import token_hex
from typing import Any

import httpx

API = "gradio_api"
MOVED = "tau_flow"
"""The slider."""

IMAGES = "pair"
"""What has the images, side by side, with their settings below."""

PATIENCE = 120.0
"""Seconds after which an image is not waited for any more."""


class Failed(Exception):  # noqa: N818 - what a visitor met
    """A request failed, or the page said that one did."""


@dataclass
class Visitor:
    """A visitor.

    Parameters
    ----------
    client
        Sends requests to the page.
    config
        The page's parts, as it states them at `config`.
    seed
        The visitor's own, by which their images are known.

    Attributes
    ----------
    waits
        Seconds from each move that was answered to the first image of it, or of a later one.
    errors
        What went wrong, in words.
    """

    client: httpx.AsyncClient
    config: dict[str, Any]
    seed: int
    waits: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.key = token_hex(8)
        parts = {p["props"].get("elem_id"): p["id"] for p in self.config["components"]}
        self._moved, self._seed = parts[f"control-{MOVED}"], parts["control-seed"]
        self._events = self.config["dependencies"]
        self._images = self._follower(self._event("load"))["outputs"].index(parts[IMAGES])
        self._pending: list[tuple[str, float]] = []
        self._wanted: Any = None
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()

    # ---- what a visitor does

    async def open(self) -> None:
        """Open the page, and wait for the first image with the visitor's own seed."""
        (await self.client.get("")).raise_for_status()
        self._tasks.append(asyncio.create_task(self._hold()))
        begin = self._event("load")
        await self._post("run/predict", begin, [""])
        self._tasks.append(asyncio.create_task(self._follow()))
        self._ask(begin)
        await self._set(self._seed, self.seed, f"seed {self.seed}")
        await self._answered()
        self.waits.clear()

    async def move(self, value: float) -> None:
        """Move the slider."""
        await self._set(self._moved, value, f"τ_f {value:g}")

    async def leave(self) -> None:
        """Wait for the images of all moves, and close the page."""
        await self._answered()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _set(self, component: int, value: float, words: str) -> None:
        event = self._event("input", component)
        self._pending.append((words, time.perf_counter()))
        with self._told():
            await self._post("run/predict", event, [value, time.time() * 1000])
        self._ask(event)

    async def _answered(self) -> None:
        """Wait until no move is without an image."""
        end = time.perf_counter() + PATIENCE
        while self._pending and (left := end - time.perf_counter()) > 0:
            self._changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)
        self.errors += [f"no image of {words}" for words, _ in self._pending]
        self._pending.clear()

    # ---- what the browser does

    def _event(self, name: str, component: int | None = None) -> Any:
        """Return an event of a component, or of the whole page."""
        return next(
            event
            for event in self._events
            for target, what in event["targets"]
            if what == name and component in (None, target) and event["backend_fn"]
        )

    def _follower(self, event: Any) -> Any:
        """Return the event that follows another."""
        return next(each for each in self._events if each.get("trigger_after") == event["id"])

    async def _post(self, path: str, event: Any, data: Sequence[Any]) -> Any:
        body = {"data": [*data], "fn_index": event["id"], "session_hash": self.key}
        return await self._sent(path, {**body, "event_data": None, "trigger_id": None})

    async def _sent(self, path: str, body: dict[str, Any]) -> Any:
        post = partial(self.client.post, f"{API}/{path}", json=body)
        try:
            answer = await post()
        except (httpx.ReadError, httpx.RemoteProtocolError):
            answer = await post()  # the server closed a connection that it kept: as browsers do
        if answer.status_code != 200:
            raise Failed(f"{path}: {answer.status_code}")
        return answer.json()

    async def _hold(self) -> None:
        """Hold the connection by which the page knows that it is open."""
        with self._told():
            async with self.client.stream("GET", f"{API}/heartbeat/{self.key}") as beats:
                if beats.status_code != 200:
                    raise Failed(f"heartbeat: {beats.status_code}")
                async for _ in beats.aiter_bytes():
                    pass

    def _ask(self, event: Any) -> None:
        """Have the session followed: once more after it is being followed already."""
        self._wanted = self._follower(event)
        self._changed.set()

    async def _follow(self) -> None:
        while True:
            if (wanted := self._wanted) is None:
                await asyncio.sleep(0.01)
                continue
            self._wanted = None
            with self._told():
                joined = await self._post("queue/join", wanted, [])
                await self._read(joined["event_id"])

    async def _read(self, event: str) -> None:
        """Read what the page sends until a follower ends."""
        query = {"session_hash": self.key}
        shown: Any = None
        async with self.client.stream("GET", f"{API}/queue/data", params=query) as lines:
            if lines.status_code != 200:
                raise Failed(f"queue/data: {lines.status_code}")
            async for line in lines.aiter_lines():
                message = json.loads(line[5:]) if line.startswith("data:") else {}
                if message.get("event_id") != event:
                    continue
                if message.get("success") is False:
                    raise Failed(str(message.get("output", {}).get("error")))
                if message["msg"] == "process_generating":
                    shown = merged(shown, message["output"]["data"])
                    self._take(shown)
                if message["msg"] == "process_completed":
                    return

    def _take(self, shown: Any) -> None:
        """Take up what the page shows: the outputs of a follower, in their order."""
        self._see(shown[self._images])

    def _see(self, part: Any) -> None:
        """Compare an image with the moves that are without one."""
        html = part.get("value") if isinstance(part, dict) else None
        words = " ".join(re.sub(r"<[^>]*>", " ", html or "").split())
        seeds = {int(found) for found in re.findall(r"\bseed (\d+)\b", words)}
        if not seeds or "Not up to date" in words:
            return
        own = self.seed in seeds or (self._pending and self._pending[0][0] == f"seed {self.seed}")
        if not own:
            self.errors.append(f"an image with seed {seeds}, which is another's")
            return
        now = time.perf_counter()
        for number in reversed(range(len(self._pending))):
            if states(words, self._pending[number][0]):
                self.waits += [now - since for _, since in self._pending[: number + 1]]
                del self._pending[: number + 1]
                self._changed.set()
                return

    def _told(self) -> _Told:
        return _Told(self.errors)


class _Told(suppress):
    """Notes what fails within a block, and goes on after it."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__(httpx.HTTPError, Failed)
        self._errors = errors

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if kind is not None and issubclass(kind, httpx.HTTPError | Failed):
            self._errors.append(str(error) or kind.__name__)
        return super().__exit__(kind, error, trace)


def states(words: str, setting: str) -> bool:
    """Return whether an image's words state a setting, and not one that only begins like it."""
    return re.search(rf"{re.escape(setting)}(?!\.?\d)", words) is not None


def merged(shown: Any, sent: Any) -> Any:
    """Return the outputs of a follower after a message: the first has all, the others changes.

    A change is what is done, the path of keys to where, and the value.
    """
    if shown is None:
        return sent
    for at, changes in enumerate(sent):
        for what, path, value in changes or ():
            if not path:
                shown[at] = shown[at] + value if what == "append" else value
                continue
            place = shown[at]
            for key in path[:-1]:
                place = place[key]
            last = path[-1]
            if what == "delete":
                del place[last]
            elif what == "append":
                place[last] += value
            elif what == "add" and isinstance(place, list):
                place.insert(last, value)
            else:
                place[last] = value
    return shown
