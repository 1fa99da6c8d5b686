"""A hostile visitor of the page: `python tests/hostile.py`.

Serves the page, and sends all that `hostile_cases` has to it: uploads, links and requests. Each
must end in a status of 400 and above, a closed connection, or a clear line on the page; the server
must hold no more than 100 MB more than before, and neither page nor log may show a path of the
server or a traceback. At its end, the page must still work.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import re
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from hostile_cases import LINKS, REQUESTS, UPLOADS, Upload
from served import Served, served
from tiny import write_weights

from ftddm_viewer.bench.visitor import API, Visitor
from ftddm_viewer.bench.visits import held_by

GROWTH = 100_000_000
"""Most bytes that the server may hold more after something was sent than before."""

KINDS: dict[str, Mapping[str, object]] = {"upload": UPLOADS, "link": LINKS, "request": REQUESTS}

SOON = "from ftddm_viewer.web import limits; limits.GRACE = 5.0"
"""Pages that were left are closed in seconds: they would work on beside the next one."""

PATIENCE = 20.0
"""In s: how long an answer to a raw request may take."""

PLACES = re.compile(r"/(tmp|root|home|usr|work|var|opt)/|site-packages|ftddm-web-|Traceback")
"""What a visitor and the log must not see."""

LONGEST = 600
"""Letters that a clear line has at most."""


class Attacker(Visitor):
    """A visitor who reads what the page says after each thing that they do."""

    said = ""

    async def visit(self, query: str = "") -> int:
        """Open a link; return the status, 200 where the page took it."""
        answer = await self.client.get(f"?{query}")
        if answer.status_code != 200:
            return answer.status_code
        self._tasks.append(asyncio.create_task(self._hold()))
        return await self.do(self._event("load"), [""], query)

    async def upload(self, files: Upload) -> int:
        """Upload files; return the status."""
        form = [("files", (name, content)) for name, content in files.items()]
        answer = await self.client.post(f"{API}/upload?upload_id={self.key}", files=form)
        if answer.status_code != 200:
            return answer.status_code
        data = [
            {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}
            for path, name in zip(answer.json(), files, strict=True)
        ]
        parts = {p["props"].get("elem_id"): p["id"] for p in self.config["components"]}
        return await self.do(self._event("upload", parts["upload"]), [data])

    async def press(self, name: str) -> int:
        """Press a button."""
        parts = {p["props"].get("elem_id"): p["id"] for p in self.config["components"]}
        return await self.do(self._event("click", parts[name]), [])

    async def do(self, event: Any, data: list[Any], query: str = "") -> int:
        """Do something, and follow the page until nothing is new; return the status."""
        body = {"data": data, "fn_index": event["id"], "session_hash": self.key}
        answer = await self.client.post(f"{API}/run/predict?{query}", json=body)
        if answer.status_code == 200:
            joined = await self._post("queue/join", self._follower(event), [])
            await self._read(joined["event_id"])
        return answer.status_code

    def _take(self, shown: Any) -> None:
        names = {p["id"]: p["props"].get("elem_id") for p in self.config["components"]}
        outputs = self._follower(self._event("load"))["outputs"]
        for component, part in zip(outputs, shown, strict=True):
            if names[component] == "message" and isinstance(part, dict) and "value" in part:
                self.said = html.unescape(re.sub("<[^>]*>", " ", part["value"] or "")).strip()


@dataclass
class Trial:
    """A server that is sent hostile things, and what was found.

    Parameters
    ----------
    page
        The server.

    Attributes
    ----------
    faults
        What is wrong, in words.
    grown
        Bytes that the server held more after the worst of them.
    counts
        How many uploads, links and requests were sent.
    """

    page: Served
    faults: list[str] = field(default_factory=list)
    grown: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def sending(self, kind: str, what: str) -> Iterator[None]:
        """Send something in a block, and look at the server before and after it."""
        before, logged = held_by(self.page.process) or 0, len(self.page.logged())
        self.counts[kind] += 1
        try:
            yield
        except Exception as error:  # of whatever the server made of it
            self.fault(kind, what, f"{type(error).__name__}: {error}")
        grown = (held_by(self.page.process) or 0) - before
        self.grown = max(self.grown, grown)
        if grown > GROWTH:
            self.fault(kind, what, f"the server holds {grown / 1e6:.0f} MB more")
        if PLACES.search(log := self.page.logged()[logged:]):
            self.fault(kind, what, f"the log: {log[-LONGEST:]}")

    def fault(self, kind: str, what: str, words: str) -> None:
        """Take up that something is wrong."""
        self.faults.append(f"{kind}, {what[:60]}: {words}")
        print(self.faults[-1], flush=True)

    def judge(self, kind: str, what: str, status: int, said: str, wanted: str) -> None:
        """Judge a status and what the page says."""
        if status >= 400:
            return
        clear = bool(re.search(wanted, said, re.IGNORECASE)) and (bool(said) or not wanted)
        if not clear or len(said) > LONGEST or PLACES.search(said) or "Unexpected" in said:
            self.fault(kind, what, f"the page says {said[:LONGEST]!r}")

    async def run(self, kinds: Sequence[str], only: str = "") -> None:
        """Send everything of some kinds whose name or query has some words."""
        async with httpx.AsyncClient(base_url=self.page.url, timeout=120) as client:
            config = (await client.get("config")).json()
            one = Attacker(client, config, 1)
            await one.visit()
            for kind, table in KINDS.items():
                for what in (what for what in table if kind in kinds and only in what):
                    with self.sending(kind, what):
                        await self._send(kind, what, one)
            await one.press("bundled-patient")
            if one.said:
                self.faults.append(f"at the end, the page says {one.said}")
            await one.leave()
            if one.errors:
                self.faults.append(f"at the end: {one.errors}")

    async def _send(self, kind: str, what: str, one: Attacker) -> None:
        if kind == "upload":
            case = UPLOADS[what]
            self.judge(kind, what, await one.upload(case.sent()), one.said, case.said)
        elif kind == "link":
            other = Attacker(one.client, one.config, 2)
            self.judge(kind, what, await other.visit(what), other.said, LINKS[what])
            await other.leave()
        elif fault := fault_of(self.page.url, REQUESTS[what]):
            self.fault(kind, what, fault)


def fault_of(url: str, request: bytes) -> str:
    """Send the bytes of a request; return what is wrong with the answer, "" if nothing is.

    To be hung up on is an answer, too.
    """
    there = urlsplit(url)
    with socket.create_connection((str(there.hostname), int(there.port or 0)), PATIENCE) as line:
        try:
            line.sendall(request)
            line.shutdown(socket.SHUT_WR)
            answer = line.recv(100_000)
        except OSError:
            answer = b""
    if answer and not re.match(rb"HTTP/1.[01] [45]\d\d ", answer):
        return f"it was answered with {answer[:80]!r}"
    return f"it was told {answer[-LONGEST:]!r}" if PLACES.search(answer.decode("latin-1")) else ""


def main() -> int:
    """Send everything; return 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=list(KINDS), help="all by default")
    parser.add_argument("--only", default="", help="words of those to send, all by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with served(write_weights(folder / "tiny"), folder, changed=SOON) as page:
            trial = Trial(page)
            asyncio.run(trial.run([options.kind] if options.kind else list(KINDS), options.only))
            sent = ", ".join(f"{count} {kind}s" for kind, count in trial.counts.items())
            print(page.logged()[-2000:])
    print(f"{sent}: {len(trial.faults)} faults, at most {trial.grown / 1e6:.0f} MB more at once.")
    return 1 if trial.faults else 0


if __name__ == "__main__":
    sys.exit(main())
