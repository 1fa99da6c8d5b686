"""Who may reach the page, where it is, and what is left when it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from ending import heed_signals
from tiny import Ftddm

from ftddm_core.errors import FtddmError, SettingsError
from ftddm_viewer.web import start
from ftddm_viewer.web.access import (
    check_exposure,
    free_port,
    is_loopback,
    near_host,
    reach,
)
from ftddm_viewer.web.leftovers import Folder, sweep_leftovers
from ftddm_viewer.web.serving import checked_proxy

FTDDM = Path(sys.executable).with_name("ftddm")

LONG = pytest.mark.long


# ---------------------------------------------------------------- who may reach it


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.53", "LOCALHOST"])
def test_this_computer_is_not_the_world(host: str) -> None:
    assert is_loopback(host)
    check_exposure(host, share=False, auth=None, uploads=True, no_password=False)


@pytest.mark.parametrize(
    ("host", "share"), [("0.0.0.0", False), ("::", False), ("192.168.1.5", False),
                        ("example.org", False), ("127.0.0.1", True)],
)  # fmt: skip
def test_the_world_may_not_upload_by_accident(host: str, share: bool) -> None:
    """And there are three ways out, each of which works."""
    careless: dict[str, Any] = {"auth": None, "uploads": True, "no_password": False}
    with pytest.raises(SettingsError) as refusal:
        check_exposure(host, share=share, **careless)
    for way in ("--auth FILE", "--no-uploads", "--no-password"):
        assert way in str(refusal.value)
    for change in ({"auth": Path("f")}, {"uploads": False}, {"no_password": True}):
        check_exposure(host, share=share, **{**careless, **change})


def test_the_command_refuses_in_one_line(ftddm: Ftddm) -> None:
    outcome = ftddm("web", "--host", "0.0.0.0")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert outcome.err.startswith("ftddm: Anybody who can reach this page")


@pytest.mark.parametrize("host", ["", " ", "[]"])
def test_no_address_is_refused(host: str, ftddm: Ftddm) -> None:
    outcome = ftddm("web", "--host", host)
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert outcome.err.startswith("ftddm: --host is empty: give an address")


@pytest.mark.parametrize(
    ("words", "reason"),
    [(("--weights", "nonsense"), "No weights called 'nonsense'"), (("--device", "tpu"), "tpu")],
)
def test_what_no_visitor_could_use_is_told_at_the_start(
    words: tuple[str, str], reason: str, ftddm: Ftddm, weights: Path
) -> None:
    outcome = ftddm("web", "--port", "0", "--weights", weights, *words)
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert reason in outcome.err


@pytest.mark.parametrize(
    ("given", "known"),
    [("10.0.0.0/8", "10.0.0.0/8"), ("192.168.1.5", "192.168.1.5"), ("Proxy.lan", "proxy.lan"),
     ("fd00::/8", "fd00::/8")],
)  # fmt: skip
def test_a_proxy_is_an_address_or_a_network(given: str, known: str) -> None:
    assert checked_proxy(given) == known


@pytest.mark.parametrize("given", ["10.0.0.1/8", "10.0.0.0/99", "proxy.lan/8", "*", "0/0/0"])
def test_what_is_no_proxy_is_refused(given: str) -> None:
    with pytest.raises(SettingsError):
        checked_proxy(given)


# ---------------------------------------------------------------- where it is


def test_a_port_in_use_is_an_error_in_words(weights: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(FtddmError, match=rf"port {port}: .*in use.*--port 0"):
            start(port=port, weights=str(weights))
    assert free_port("127.0.0.1", port) == port


def has_ipv6() -> bool:
    try:
        free_port("::1", 0)
    except (OSError, FtddmError):
        return False
    return True


@pytest.mark.parametrize("host", ["::1", "[::1]", "::"])
def test_an_address_of_ipv6_is_one_as_well(host: str, weights: Path) -> None:
    if not has_ipv6():
        pytest.skip("this computer has no IPv6")
    server = start(host, weights=str(weights), device="cpu", uploads=False)
    try:
        assert server.url.startswith("http://[::1]:")
        assert httpx.get(server.url).status_code == 200
    finally:
        server.close()


@pytest.mark.parametrize(
    ("host", "near", "words"),
    [
        ("127.0.0.1", "127.0.0.1", ""),
        ("::1", "::1", ""),
        ("0.0.0.0", "127.0.0.1", "any of this computer's addresses"),
        ("::", "::1", "any of this computer's addresses"),
        ("192.168.1.5", "192.168.1.5", "at 192.168.1.5."),
        ("fd00::5", "fd00::5", "at [fd00::5]."),
    ],
)
def test_where_others_find_it(host: str, near: str, words: str) -> None:
    """An address that stands for all of them is none to type."""
    assert near_host(host) == near
    found = reach(host)
    assert words in found
    assert bool(found) == bool(words)
    assert "0.0.0.0" not in found


def test_an_address_of_another_computer_is_an_error_in_words() -> None:
    with pytest.raises(FtddmError, match=r"Cannot serve on 192\.0\.2\.1"):
        free_port("192.0.2.1", 0)


def test_without_uploads_no_file_is_taken(weights: Path) -> None:
    server = start(weights=str(weights), uploads=False)
    try:
        components = httpx.get(f"{server.url}config").json()["components"]
        assert "upload" not in [c["props"].get("elem_id") for c in components]
        sent = httpx.post(f"{server.url}gradio_api/upload", files={"files": ("a.nii", b"x")})
        assert sent.status_code in (403, 413)
    finally:
        server.close()


def test_nothing_can_be_called_from_outside_the_page(weights: Path) -> None:
    server = start(weights=str(weights))
    try:
        found = httpx.get(f"{server.url}gradio_api/info").json()
        assert found == {"named_endpoints": {}, "unnamed_endpoints": {}}
    finally:
        server.close()


# ---------------------------------------------------------------- how it ends


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
@pytest.mark.parametrize(
    "ends",
    [
        pytest.param(["SIGINT"], marks=LONG),
        ["SIGTERM", "SIGHUP", "SIGINT"],
        pytest.param(["SIGTERM"], marks=LONG),
        pytest.param(["SIGHUP"], marks=LONG),
        pytest.param(["SIGINT", "SIGINT"], marks=LONG),
    ],
    ids=" ".join,
)
def test_it_ends_in_order_and_leaves_nothing(
    ends: list[str], weights: Path, tmp_path: Path
) -> None:
    """However often it is asked to, while it is closing too."""
    words = [FTDDM, "web", "--port", "0", "--weights", weights, "--device", "cpu"]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        words,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_signals,
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        assert process.stdout.readline().endswith("Research use only, not for clinical use.\n")
        assert httpx.get(url).status_code == 200
        (root,) = tmp_path.glob("ftddm-web-*")
        assert root.stat().st_mode & 0o777 == 0o700
        for end in ends:
            process.send_signal(signal.Signals[end])
            time.sleep(0.03)
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()  # where it did not end, leaving the block would wait for it
    assert process.returncode == 0, err
    assert out.strip() == "The page is closed."
    assert err == ""
    assert not list(tmp_path.glob("ftddm-web-*"))


def test_what_a_killed_server_left_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But nothing of one that runs, of another program, or behind a link."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    running, killed = Folder(), Folder()
    (killed.path / "private").mkdir()
    (killed.path / "private" / "patient.nii.gz").write_bytes(b"patient")
    assert killed._lock is not None
    killed._lock.close()  # as the system does
    (tmp_path / "ftddm-web-new").mkdir()  # just made, not yet locked
    (tmp_path / "other").mkdir()
    (tmp_path / "ftddm-web-link").symlink_to(tmp_path / "other")
    assert sweep_leftovers() == [killed.path.name]
    left = {"ftddm-web-new", "ftddm-web-link", "other", running.path.name}
    assert {path.name for path in tmp_path.iterdir()} == left
    running.remove()
    assert not running.path.exists()
