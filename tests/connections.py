"""Whom the program talks to: `python tests/connections.py web|demo|window`.

Runs `ftddm web` through its start, a visit and its end, `ftddm demo`, or a window that is used at
random for some seconds, under strace, and fails if anything is sent anywhere but to this computer.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
from served import served
from tiny import write_weights

from ftddm_viewer.bench.visitor import Visitor

ADDRESS = re.compile(
    r'\b(\w+)\(.*?sa_family=AF_INET6?, .*?inet_(?:addr\(|pton\(AF_INET6?, )"([^"]+)"'
)
"""The call and the address of a line of strace, where there is one of a network."""


def traced(log: Path) -> list[str]:
    """Return the words that run a program under strace."""
    calls = "trace=connect,sendto,sendmsg,sendmmsg"
    return ["strace", "-f", "--seccomp-bpf", "-qq", "-e", calls, "-o", str(log)]


def away(lines: str) -> list[str]:
    """Return the calls of a log of strace that are to another computer: its name and address."""
    found = ADDRESS.findall(lines)
    return [f"{call} {to}" for call, to in found if not ipaddress.ip_address(to).is_loopback]


async def visit(url: str) -> None:
    """Open a page, move a slider, and leave."""
    async with httpx.AsyncClient(base_url=url, timeout=120) as client:
        visitor = Visitor(client, (await client.get("config")).json(), 7)
        await visitor.open()
        await visitor.move(0.3)
        await visitor.leave()
    assert visitor.errors == []


def watched(what: str, folder: Path) -> tuple[int, list[str]]:
    """Run something under strace; return how many calls were seen, and those to others."""
    weights, log = write_weights(folder / "tiny"), folder / "calls"
    if what == "web":
        with served(weights, folder, traced(log)) as page:
            asyncio.run(visit(page.url))
    else:
        words = [
            sys.executable,
            "-m",
            "ftddm_viewer",
            "demo",
            "--out",
            str(folder / "out"),
            "--weights",
            str(weights),
        ]
        if what == "window":
            soak = Path(__file__).with_name("soak.py")
            words = [sys.executable, str(soak), "window", "--minutes", "0.5"]
        own = os.environ | {"TMPDIR": str(folder), "XDG_STATE_HOME": str(folder)}
        # A soak of seconds is too short for its own judgement.
        check = what == "demo"
        subprocess.run([*traced(log), *words], check=check, env=own, stdout=subprocess.DEVNULL)
    lines = log.read_text(encoding="utf-8", errors="replace")
    return lines.count("("), away(lines)


def main() -> int:
    """Watch as asked; return 1 if anything was sent to another computer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["web", "demo", "window"])
    options = parser.parse_args()
    if shutil.which("strace") is None:
        print("strace is not installed: apt-get install strace")
        return 2
    with tempfile.TemporaryDirectory() as place:
        calls, others = watched(options.what, Path(place))
    print(f"{options.what}: {calls} calls, {len(others)} of them to other computers.", *others)
    return 1 if others else 0


if __name__ == "__main__":
    sys.exit(main())
