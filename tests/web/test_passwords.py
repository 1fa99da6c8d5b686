"""Logins: the file with hashed passwords, guesses, and whose a session is."""

from __future__ import annotations

import asyncio
import io
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
from tiny import Ftddm

from ftddm_core.errors import FormatError, SettingsError
from ftddm_viewer.web import limits, start
from ftddm_viewer.web.passwords import (
    Failures,
    Hash,
    add_user,
    doubt_about,
    password_check,
    read_passwords,
)


def right(known: dict[str, Hash], name: str, password: str) -> bool:
    return bool(asyncio.run(password_check(known)(name, password)))  # type: ignore[arg-type]


def test_no_password_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "users"
    assert not add_user(path, "anna", "geheim:ü 1")
    assert not add_user(path, " bob ", "geheim:ü 1")
    text = path.read_text()
    assert "geheim" not in text
    first, second = text.splitlines()
    assert first.partition(":")[2] != second.partition(":")[2]  # salted
    known = read_passwords(path)
    assert [*known] == ["anna", "bob"]
    assert right(known, "anna", "geheim:ü 1")
    for name, password in (("anna", "geheim:ü 2"), ("carl", "geheim:ü 1"), ("", ""), ("anna", "")):
        assert not right(known, name, password)
    assert add_user(path, "anna", "another one")
    assert right(read_passwords(path), "anna", "another one")
    assert right(read_passwords(path), "bob", "geheim:ü 1")


def test_the_hash_is_scrypt_as_published() -> None:
    """RFC 7914, section 12: N = 16384, r = 8, p = 1."""
    salt = Hash(b"SodiumChloride", b"x" * 64)
    import hashlib

    found = hashlib.scrypt(b"pleaseletmein", salt=salt.salt, n=16384, r=8, p=1, maxmem=2**26)
    assert found.hex().startswith("7023bdcb3afd7348461c06cd81fd38eb")
    assert salt.again("pleaseletmein") == found
    assert Hash.read(str(Hash(salt.salt, found))).fits("pleaseletmein")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no lines"),
        ("\n \n", "has no lines"),
        ("anna:secret", "Line 1.*plain text.*--add-user"),
        ("anna:scrypt:16384:8:1:secret", "Line 1.*plain text"),
        ("anna:scrypt:16384:8:1:c2FsdA==:not base 64", "Line 1.*plain text"),
        ("anna:scrypt:99999999999:8:1:c2FsdA==:c2FsdA==", "Line 1.*plain text"),
        ("secret-without-colon", "Line 1 .*not that of a user"),
        (":secret", "Line 1"),
        ("anna:", "Line 1"),
        (
            "anna:scrypt:16384:8:1:c2FsdA==:c2FsdA==\nanna:scrypt:16384:8:1:c2FsdA==:c2FsdA==",
            "anna a second time",
        ),
        (b"\xff\xfe", "not text"),
    ],
)
def test_a_file_of_passwords_that_cannot_be_used(
    text: str | bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "users"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(FormatError, match=words) as refusal:
        read_passwords(path)
    assert "secret" not in str(refusal.value)


def test_a_file_of_passwords_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="Check the path"):
        read_passwords(tmp_path / "nothing")


def test_others_who_can_read_the_file_are_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "users"
    add_user(path, "anna", "geheim 12")
    assert doubt_about(path) == ""
    path.chmod(0o640)
    assert "chmod 600" in doubt_about(path)


def test_the_command_adds_a_user(
    ftddm: Ftddm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "users"
    monkeypatch.setattr("sys.stdin", io.StringIO("geheim 12\n"))
    outcome = ftddm("web", "--auth", path, "--add-user", "anna")
    assert (outcome.code, outcome.out) == (0, f"anna was added in {path}.\n")
    assert path.stat().st_mode & 0o777 == 0o600
    assert right(read_passwords(path), "anna", "geheim 12")
    for words, given, said in (
        (("--add-user", "anna"), "x", "--auth FILE"),
        (("--auth", path, "--add-user", "anna"), "short", "8 letters"),
        (("--auth", path, "--add-user", "a:b"), "long enough", "without a colon"),
    ):
        monkeypatch.setattr("sys.stdin", io.StringIO(given))
        outcome = ftddm("web", *words)
        assert outcome.code == 2
        assert said in outcome.err


def test_a_name_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    for name in ("", " ", "a:b", "a\nb", "x" * 65):
        with pytest.raises(SettingsError):
            add_user(tmp_path / "users", name, "long enough")


# ---------------------------------------------------------------- guesses


def test_guesses_take_longer_and_longer(caplog: pytest.LogCaptureFixture) -> None:
    now = [100.0]
    failures = Failures(lambda: now[0])
    with caplog.at_level(logging.WARNING, "ftddm.web"):
        for _ in range(limits.FREE_FAILURES):
            assert failures.wait("192.0.2.7") == 0
            failures.failed("192.0.2.7", "anna\n")
    assert "Wrong password for 'anna\\n' from 192.0.2.7" in caplog.text
    pauses = []
    for _ in range(12):
        pauses.append(failures.wait("192.0.2.7"))
        failures.failed("192.0.2.7", "anna")
    assert pauses[:4] == [1, 2, 4, 8]
    assert pauses[-1] == limits.LONGEST_WAIT
    assert failures.wait("192.0.2.8") == 0
    now[0] += limits.LONGEST_WAIT
    assert failures.wait("192.0.2.7") == 0
    failures.entered("192.0.2.7")
    failures.failed("192.0.2.7", "anna")
    assert failures.wait("192.0.2.7") == 0


def login(client: httpx.Client, url: str, name: str, password: str) -> int:
    sent = {"username": name, "password": password}
    return client.post(f"{url}login", data=sent).status_code


def test_two_logins_are_apart(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No session of one can be used or ended by the other, nor by somebody without a login."""
    path = tmp_path / "users"
    for name in ("anna", "bob"):
        add_user(path, name, f"geheim ü {name}")
    server = start(weights=str(weights), auth=path)
    api = f"{server.url}gradio_api/"
    try:
        assert httpx.get(f"{server.url}config").status_code == 401
        assert httpx.get(f"{api}heartbeat/annas").status_code == 401
        with httpx.Client() as anna, httpx.Client() as bob:
            assert login(anna, server.url, "anna", "wrong") == 400
            assert anna.get(f"{server.url}config").status_code == 401
            sent = {"username": "anna", "password": "geheim ü anna"}
            answer = anna.post(f"{server.url}login", data=sent)
            assert answer.status_code == 200
            for cookie in answer.headers.get_list("set-cookie"):
                assert "HttpOnly" in cookie
                assert "SameSite=Lax" in cookie
            assert login(bob, server.url, "bob", "geheim ü bob") == 200
            config = anna.get(f"{server.url}config").json()["dependencies"]
            (begin, *_) = (d["id"] for d in config if [t[1] for t in d["targets"]] == ["load"])
            call: dict[str, Any] = {"data": [""], "fn_index": begin, "session_hash": "annas"}
            with anna.stream("GET", f"{api}heartbeat/annas") as held:
                assert held.status_code == 200
                assert anna.post(f"{api}run/predict", json=call).status_code == 200
                for asked in (
                    bob.get(f"{api}heartbeat/annas"),
                    bob.get(f"{api}queue/data", params={"session_hash": "annas"}),
                    bob.post(f"{api}run/predict", json=call),
                    bob.post(f"{api}queue/join", json=call),
                    bob.post(f"{api}cancel", json={**call, "event_id": "x"}),
                ):
                    assert asked.status_code == 403
            monkeypatch.setattr(limits, "FREE_FAILURES", 1)
            assert login(bob, server.url, "bob", "wrong") == 400
            assert login(bob, server.url, "bob", "geheim ü bob") == 429
    finally:
        server.close()
