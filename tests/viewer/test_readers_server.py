"""The server of a reader study: what it tells, what it keeps, and what it refuses."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from ending import heed_signals
from reading import METHODS, START, write_small

from ftddm_core.errors import FtddmError
from ftddm_viewer.readers.serving import LONGEST, start
from ftddm_viewer.readers.store import Store

Ask = Callable[..., tuple[int, bytes]]
GOOD = {"trial": 1, "scale": "noise", "value": "4", "answered_at": START, "seconds": 1.5,
        "display": {"pixel_ratio": 2, "odd": [1]}}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    write_small(tmp_path / "study")
    return Store(tmp_path / "study")


@pytest.fixture
def ask(store: Store) -> Iterator[Ask]:
    """Return a function (path, body=None) -> status and content, below the study's address."""
    server = start(store)
    address = urlsplit(server.url)

    def request(path: str, body: Any = None, *, whole: bool = False) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        place = path if whole else f"{address.path}{path}"
        connection.request("GET" if body is None else "POST", place, content)
        reply = connection.getresponse()
        found = reply.status, reply.read()
        connection.close()
        return found

    yield request
    server.close()


def test_the_page_and_its_images(ask: Ask, store: Store) -> None:
    status, page = ask("")
    assert status == 200
    assert b"Research use only" in page
    assert not any(method.encode() in page for method in METHODS)
    code = store.trials[1].images[0]
    assert ask(f"images/{code}.png") == (200, store.image(code))


def test_an_answer_is_kept_and_told_to_its_reader_alone(ask: Ask, store: Store) -> None:
    assert ask("answers", {"reader": "Ann", "answer": GOOD})[0] == 200
    (kept,) = store.answers()
    assert (kept.reader, kept.value, kept.seconds, kept.source) == ("Ann", "4", 1.5, "page")
    assert kept.display == {"pixel_ratio": 2}
    found = json.loads(ask("answers?reader=ann")[1])
    assert found == {
        "reader": "Ann",
        "answers": [{"trial": 1, "scale": "noise", "value": "4"}],
    }
    assert json.loads(ask("answers?reader=Bo")[1]) == {"reader": "Bo", "answers": []}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"[" * 10_000,
        b"\xff",
        {},
        {"reader": "Ann"},
        {"reader": "Ann", "answer": GOOD | {"value": "7"}},
        {"reader": "Ann", "answer": GOOD | {"value": 4}},
        {"reader": "Ann", "answer": GOOD | {"seconds": float("inf")}},
        {"reader": "Ann", "answer": GOOD | {"trial": "1"}},
        {"reader": "", "answer": GOOD},
    ],
)
def test_what_is_no_answer_is_not_kept(ask: Ask, store: Store, body: Any) -> None:
    status, found = ask("answers", body)
    assert status == 400
    assert json.loads(found)["problem"]
    assert store.answers() == []


def test_too_long_an_answer(ask: Ask) -> None:
    assert ask("answers", b" " * (LONGEST + 1))[0] == 413


def test_without_the_address_there_is_nothing(ask: Ask, store: Store) -> None:
    code = store.trials[1].images[0]
    for path in ("/", "/answers?reader=Ann", f"/images/{code}.png", "/wrong/"):
        assert ask(path, whole=True)[0] == 404
    assert ask("/answers", {"reader": "Ann", "answer": GOOD}, whole=True)[0] == 404
    assert store.answers() == []


def test_no_other_file_is_served(ask: Ask, store: Store) -> None:
    (store.folder / "other.png").write_bytes(b"secret")
    for path in (
        "images/../other.png",
        "images/..%2fother.png",
        "images/other.png",
        "study.sqlite3",
    ):
        status, content = ask(path)
        assert status in (400, 404)
        assert b"secret" not in content


def test_a_port_in_use_is_told(store: Store) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    with taken, pytest.raises(FtddmError, match="--port 0"):
        start(store, port=taken.getsockname()[1])
    with pytest.raises(FtddmError, match="Cannot serve"):
        start(store, "203.0.113.7")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGINT for another process")
def test_serving_from_the_shell_ends_with_ctrl_c(store: Store) -> None:
    words = [sys.executable, "-m", "ftddm_viewer", "readers", "serve", str(store.folder)]
    with subprocess.Popen(
        [*words, "--port", "0"], stdout=subprocess.PIPE, text=True, preexec_fn=heed_signals
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        found = re.search(r"at (http://127\.0\.0\.1:\d+/[\w-]{16}/)", first)
        assert found, first
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 0
    assert "all answers are kept" in rest
