"""Files enter a folder together: at whatever moment a program is killed, and beside another one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tiny import files_in

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io.found import find_files
from ftddm_core.saving.exchange import unfinished
from ftddm_core.saving.files import check_writable, save_files
from ftddm_core.saving.turns import LOCK, alone_in

posix = pytest.mark.skipif(os.name != "posix", reason="processes are forked")

OLD = {"a.json": "old A", "a.nii.gz": "old a", "aSd.json": "old S", "aSd.nii.gz": "old s"}
NEW = {"a.json": "A", "a.nii.gz": "a", "in/b.json": "B", "in/b.nii.gz": "b"}
STALE = ["aSd.json", "aSd.nii.gz"]

KILLED = """
import json, os, sys
from pathlib import Path
from ftddm_core.saving.files import save_files
new, stale, root, before = json.loads(sys.argv[1])
EVENTS = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree")
moment = 0
while True:
    moment += 1
    folder = Path(root, f"{moment:03d}")
    if before:
        save_files({name: text.encode() for name, text in before.items()}, folder)
    if not (child := os.fork()):
        seen = [0]
        def hook(event, args):
            if event in EVENTS:
                seen[0] += 1
                if seen[0] == moment:
                    os.kill(os.getpid(), 9)
        sys.addaudithook(hook)
        files = {name: text.encode() for name, text in new.items()}
        save_files(files, folder, overwrite=bool(before), stale=stale)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
"""
"""Kills a program that writes files at every step on the file system, each in another folder."""


def shown(folder: Path) -> dict[str, str]:
    """Return what a reader sees in a folder: hidden files are not results."""
    found = files_in(folder) if folder.is_dir() else {}
    return {name: data.decode() for name, data in found.items() if not name.startswith(".")}


@posix
@pytest.mark.parametrize("before", [{}, OLD], ids=["into nothing", "over results"])
def test_killed_at_every_step(before: dict[str, str], tmp_path: Path) -> None:
    """No map without its record, nothing old beside anything new; the next writer completes it."""
    words = json.dumps([NEW, STALE, str(tmp_path), before])
    subprocess.run([sys.executable, "-c", KILLED, words], check=True, timeout=120)
    states = set()
    folders = sorted(tmp_path.iterdir())
    assert len(folders) > 25
    for folder in folders:
        found = shown(folder)
        old = {name: text for name, text in found.items() if before.get(name) == text}
        new = {name: text for name, text in found.items() if NEW.get(name) == text}
        assert found == (old or new)
        for name, text in found.items():
            if name.endswith(".nii.gz"):
                assert found[name.replace(".nii.gz", ".json")] == text.upper().replace("OLD", "old")
        left = bool(list(unfinished(folder)))
        save_files({"other": b"0"}, folder)
        whole = shown(folder)
        del whole["other"]
        assert whole in ([before, NEW] if left or found == before else [NEW])
        assert not list(folder.rglob(".*"))
        states.add(json.dumps(whole))
    assert len(states) == 2


def test_an_error_while_it_is_turned_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails for good: the next writer finds the journal and turns the rest back."""
    save_files({name: text.encode() for name, text in OLD.items()}, tmp_path)
    real, calls = os.replace, 0

    def fail_from_the_fifth(source: Any, target: Any) -> None:
        nonlocal calls
        calls += 1
        if calls >= 5:
            raise OSError(5, "Input/output error")
        real(source, target)

    files = {name: text.encode() for name, text in NEW.items()}
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail_from_the_fifth)
        patch.setattr("shutil.rmtree", lambda *args, **kwargs: None)
        patch.setattr("tempfile.TemporaryDirectory.__exit__", lambda *args: None)
        patch.setattr("tempfile.TemporaryDirectory._cleanup", lambda *args, **kwargs: None)
        with pytest.raises(FormatError, match="Input/output error"):
            save_files(files, tmp_path, overwrite=True, stale=STALE)
    assert shown(tmp_path) != OLD
    save_files({"other": b"0"}, tmp_path)
    assert shown(tmp_path) == OLD | {"other": "0"}


@posix
def test_of_two_writers_one_wins(tmp_path: Path) -> None:
    """Their files are never mixed, and the second is told."""
    folder, start, outcomes = tmp_path / "out", threading.Barrier(8), []
    refused: list[str] = []

    def write(text: str) -> None:
        files = {f"{number}": text.encode() for number in range(20)}
        start.wait()
        try:
            save_files(files, folder)
            outcomes.append(text)
        except FormatError as error:
            refused.append(str(error))

    writers = [threading.Thread(target=write, args=(str(number),)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(outcomes) == 1
    assert len(refused) == 7
    assert all("exists already" in words for words in refused)
    assert set(shown(folder).values()) == set(outcomes)
    assert len(shown(folder)) == 20


@posix
def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    with alone_in(tmp_path) as first, alone_in(tmp_path, wait=False) as second:
        assert (first, second) == (True, False)
    assert not list(tmp_path.iterdir())
    (tmp_path / LOCK).touch()  # left by a program that was killed
    with alone_in(tmp_path, wait=False) as third:
        assert third
    assert not list(tmp_path.iterdir())


def test_what_others_write_at_the_same_time_stays(tmp_path: Path, monkeypatch: Any) -> None:
    """Where the file system has no locks, a hidden folder may be of a living program."""
    monkeypatch.setattr("ftddm_core.saving.turns.fcntl", None)
    (tmp_path / ".ftddm-1234" / "new").mkdir(parents=True)
    (tmp_path / ".ftddm-1234" / "new" / "a").touch()
    save_files({"b": b"0"}, tmp_path)
    assert set(files_in(tmp_path)) == {".ftddm-1234/new/a", "b"}


def test_a_file_that_was_read_is_never_replaced(tmp_path: Path) -> None:
    """By whatever name: through links to the file or its folder, too."""
    real = tmp_path / "real"
    save_files({"a.nii.gz": b"input"}, real)
    (tmp_path / "link").symlink_to(real)
    (real / "b.nii.gz").symlink_to(real / "a.nii.gz")
    for folder, name in ((real, "a.nii.gz"), (tmp_path / "link", "a.nii.gz"), (real, "b.nii.gz")):
        for inputs in ([real / "a.nii.gz"], [str(tmp_path / "link" / "a.nii.gz")]):
            with pytest.raises(FormatError, match=r"which are never replaced\. Choose another"):
                save_files({name: b"new"}, folder, overwrite=True, inputs=inputs)
            with pytest.raises(FormatError, match="never replaced"):
                check_writable(folder, [name], overwrite=True, inputs=inputs)
    assert (real / "a.nii.gz").read_bytes() == b"input"
    save_files({"c.nii.gz": b"new"}, real, overwrite=True, inputs=[real / "a.nii.gz", "gone"])


def test_hidden_folders_are_no_study(tmp_path: Path) -> None:
    staging = tmp_path / ".ftddm-abcd" / "new"
    staging.mkdir(parents=True)
    (staging / "tNAA.nii.gz").touch()
    assert find_files([tmp_path]) == []
