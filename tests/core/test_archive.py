"""Zip files: what is unpacked is what was packed, and nothing escapes the folder or its limits."""

from __future__ import annotations

import io
import random
import struct
import zipfile

import numpy as np
import pytest
from bad_archives import ARCHIVES, STUDY, packed
from fuzz_readers import damaged

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io import archive as module
from ftddm_core.imaging.io import open_study
from ftddm_core.imaging.io.archive import unpack, unpacked_until_exit


def inside(folder):
    """Return path within the folder -> content of every file."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_was_packed_comes_out(tmp_path, method):
    path = packed(tmp_path / "a.zip", STUDY, method)
    assert unpack(path, tmp_path / "into" / "new") == tmp_path / "into" / "new"
    assert inside(tmp_path / "into" / "new") == dict(STUDY)


def test_the_files_of_a_mac_are_left_out(tmp_path):
    extra = [
        ("__MACOSX/._NAA.nii", b"x"),
        ("._NAA.nii", b"x"),
        ("sub/._T1.nii", b"x"),
        ("a/__MACOSX/b", b"x"),
    ]
    path = packed(tmp_path / "a.zip", [*extra, *STUDY])
    assert inside(unpack(path, tmp_path / "into")) == dict(STUDY)


def test_the_only_folder_is_entered(tmp_path):
    files = [(f"export/patient/{name}", content) for name, content in STUDY]
    path = packed(tmp_path / "a.zip", [("__MACOSX/._export", b"x"), ("export/", b""), *files])
    found = unpack(path, tmp_path / "into")
    assert found == tmp_path / "into" / "export" / "patient"
    assert inside(found) == dict(STUDY)


def test_the_folder_of_arrays_is_not_entered(tmp_path):
    """Within it, the arrays would be taken for the plain layout, with other axes."""
    array = io.BytesIO()
    np.save(array, np.arange(1.0, 25).reshape(2, 4, 3))
    files = [("patient/Met_filtered/NAA.npy", array.getvalue())]
    folder = unpack(packed(tmp_path / "a.zip", files), tmp_path / "into")
    assert folder.name == "patient"
    assert open_study(folder).grid.shape == (4, 3, 2)


def test_windows_separators_make_folders(tmp_path):
    entry = zipfile.ZipInfo("x")
    entry.filename = "sub\\NAA.nii"
    found = unpack(packed(tmp_path / "a.zip", [(entry, b"1"), ("b", b"2")]), tmp_path / "into")
    assert inside(found) == {"sub/NAA.nii": b"1", "b": b"2"}


def test_a_file_is_unpacked_once_and_anew_when_it_changes(tmp_path):
    path = packed(tmp_path / "a.zip", STUDY)
    first = unpacked_until_exit(path)
    assert inside(first) == dict(STUDY)
    assert unpacked_until_exit(path) == first
    packed(path, [*STUDY, ("more", b"3")])
    second = unpacked_until_exit(path)
    assert inside(second) == {**dict(STUDY), "more": b"3"}
    assert inside(first) == dict(STUDY)  # a study of it may be in use


@pytest.mark.parametrize(("make", "said"), ARCHIVES)
def test_what_must_not_be_unpacked_is_refused(tmp_path, make, said):
    make(tmp_path / "bad.zip")
    with pytest.raises(FormatError, match=said) as error:
        unpack(tmp_path / "bad.zip", tmp_path / "into")
    assert str(error.value).startswith(str(tmp_path / "bad.zip"))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "into").exists() or not list((tmp_path / "into").iterdir())
    assert {p.name for p in tmp_path.iterdir()} <= {"into", "bad.zip"}


def test_a_bomb_is_refused_by_its_declared_size(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 1_000_000)
    path = packed(tmp_path / "a.zip", [("a", bytes(600_000)), ("b", bytes(600_000))])
    assert path.stat().st_size < 2000
    monkeypatch.setattr(module, "_write", None)  # nothing is unpacked
    with pytest.raises(FormatError, match=r"unpacks to more than 0\.001 GB"):
        unpack(path, tmp_path / "into")


def test_a_bomb_is_refused_by_what_comes_out(tmp_path, monkeypatch):
    """Even if its sizes pass: here, all are read as 1 byte when they are judged."""
    path = packed(tmp_path / "a.zip", [("a", bytes(600_000)), ("b", bytes(600_000))])
    judge = module._entries
    monkeypatch.setattr(module, "LARGEST", 1_000_000)
    monkeypatch.setattr(module, "_entries", lambda path, archive, most: judge(path, archive, 10**7))
    with pytest.raises(FormatError, match=r"unpacks to more than 0\.001 GB"):
        unpack(path, tmp_path / "into")
    assert not list((tmp_path / "into").iterdir())


def test_a_declared_size_that_is_too_small_is_damage(tmp_path):
    path = packed(tmp_path / "a.zip", [("a", bytes(600_000))])
    content = bytearray(path.read_bytes())
    at = content.find(b"PK\1\2")
    content[at + 24 : at + 28] = struct.pack("<I", 10)
    path.write_bytes(content)
    with pytest.raises(FormatError, match="is damaged"):
        unpack(path, tmp_path / "into")


def test_a_folder_in_use_is_left_as_it_is(tmp_path):
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "mine").write_text("kept")
    with pytest.raises(FormatError, match="is not empty"):
        unpack(packed(tmp_path / "a.zip", STUDY), tmp_path / "into")
    assert inside(tmp_path / "into") == {"mine": b"kept"}
    with pytest.raises(FormatError, match="could not be made"):
        unpack(tmp_path / "a.zip", tmp_path / "into" / "mine")


def test_the_large_format_is_read_and_limited(tmp_path, monkeypatch):
    """Zip64, as some programs write every archive, has a list of entries of its own."""
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    path = packed(tmp_path / "a.zip", STUDY)
    content = bytearray(path.read_bytes())
    assert content[-98:-94] == b"PK\6\6"
    assert inside(unpack(path, tmp_path / "into")) == dict(STUDY)
    content[-58:-50] = struct.pack("<Q", 30_000_000)
    path.write_bytes(content)
    with pytest.raises(FormatError, match="list of entries of 30000000 bytes"):
        unpack(path, tmp_path / "new")


def test_damaged_archives_are_refused_or_open(tmp_path):
    content = packed(tmp_path / "a.zip", [*STUDY, ("c", random.Random(1).randbytes(300))])
    valid = content.read_bytes()
    outcomes = []
    for seed in range(200):
        path = tmp_path / "bad.zip"
        rng = random.Random(seed)
        turned = valid if seed % 2 else valid[::-1]  # the list of entries is at the end
        path.write_bytes(damaged(turned, rng)[:: 1 if seed % 2 else -1])
        try:
            folder = unpack(path, tmp_path / str(seed))
            outcomes.append(sum(map(len, inside(folder).values())) < 10_000)
        except FormatError:
            outcomes.append(None)
    assert False not in outcomes
    assert outcomes.count(None) > 50
    assert outcomes.count(True) > 25
