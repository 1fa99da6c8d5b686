"""Nothing is sent to another computer: the short version of `python tests/connections.py web`."""

from __future__ import annotations

import asyncio
import ipaddress
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from connections import away, traced, visit

from ftddm_viewer.web import start

SENT = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo")
UNSENT = "import socket; socket.socket(type=socket.SOCK_DGRAM).connect(('192.0.2.1', 9))"
"""A connection of UDP is an address that is kept: nothing is sent."""


def test_a_page_asks_no_other_computer_for_anything(weights: Path) -> None:
    """From its start to the end of a visit, as Python reports what it does."""
    asked: list[Any] = []
    watching = True

    def note(event: str, given: tuple[Any, ...]) -> None:
        if watching and event in SENT:
            address = given[0] if event == "socket.getaddrinfo" else given[1]
            asked.append(address[0] if isinstance(address, tuple) else address)

    sys.addaudithook(note)  # there is no way to take it back
    try:
        server = start(weights=str(weights), device="cpu")
        try:
            with asyncio.Runner() as runner:
                runner.run(visit(server.url))
        finally:
            server.close()
    finally:
        watching = False
    assert asked
    names = {"localhost", None}
    assert [a for a in asked if a not in names and not ipaddress.ip_address(a).is_loopback] == []


def test_a_connection_to_another_computer_is_seen(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: what it says is not read")
    log = tmp_path / "calls"
    subprocess.run([*traced(log), sys.executable, "-c", UNSENT], check=True)
    assert away(log.read_text()) == ["connect 192.0.2.1"]


def test_only_other_computers_are_away() -> None:
    lines = """
7 connect(3, {sa_family=AF_UNIX, sun_path="/run/x"}, 110) = 0
7 connect(3, {sa_family=AF_INET, sin_port=htons(1), sin_addr=inet_addr("127.0.0.9")}, 16) = 0
8 sendto(3, "x", 1, 0, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("9.9.9.9")}, 16)
8 connect(4, {sa_family=AF_INET6, sin6_port=htons(1), inet_pton(AF_INET6, "fd00::1", &sin6)}, 28)
8 connect(4, {sa_family=AF_INET6, sin6_port=htons(1), inet_pton(AF_INET6, "::1", &sin6)}, 28)
"""
    assert away(lines) == ["sendto 9.9.9.9", "connect fd00::1"]
