"""All files appear or none, and a study's names become file names that can be read back."""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import oblique_affine
from tiny import files_in

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io import open_study
from ftddm_core.imaging.io.layouts import role_of
from ftddm_core.imaging.io.roles import Role
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.saving.files import check_writable, save_files
from ftddm_core.saving.names import (
    further_names,
    result_names,
    result_stem,
    stale_names,
    study_label,
)
from ftddm_core.saving.results import result_files
from ftddm_core.saving.sidecar import fingerprints
from ftddm_core.saving.studies import study_files

NEW = {"a.json": b"A", "below/b.nii.gz": b"B", "c.json": b"C"}
Shape = (4, 5, 2)


def study_of(*names: str, source: dict[str, str] | None = None) -> Study:
    maps = {name: Volume(np.ones(Shape), oblique_affine(Shape)) for name in names}
    return Study(maps, source=source or {})


def fail_at(call: int, error: BaseException, real: Any) -> Any:
    """Return a function that works, but for its call of this number."""
    calls = []

    def function(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) == call:
            raise error
        return real(*args, **kwargs)

    return function


def test_files_appear_where_they_belong(tmp_path: Path) -> None:
    folder = tmp_path / "some" / "out"
    paths = save_files(NEW, folder)
    assert paths == [folder / name for name in NEW]
    assert files_in(tmp_path / "some") == {f"out/{name}": data for name, data in NEW.items()}
    assert {path.name for path in folder.iterdir()} == {"a.json", "below", "c.json"}
    assert (folder / "a.json").stat().st_mode & 0o444 == 0o444 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
@pytest.mark.parametrize("call", [1, 2, 3])
@pytest.mark.parametrize("stage", ["write", "exchange"])
@pytest.mark.parametrize("before", [{}, {"mine": b"0"}, {"c.json": b"old C", "a.json": b"old A"}])
def test_a_failure_leaves_no_trace(
    error: BaseException,
    call: int,
    stage: str,
    before: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whenever the disk is full or Ctrl-C is hit, all is as it was."""
    folder = tmp_path / "some" / "out"
    if before:
        save_files(before, folder)
    with monkeypatch.context() as patch:
        if stage == "write":
            patch.setattr(Path, "write_bytes", fail_at(call, error, Path.write_bytes))
        else:
            patch.setattr(os, "replace", fail_at(call, error, os.replace))
        expected = FormatError if isinstance(error, OSError) else KeyboardInterrupt
        with pytest.raises(expected):
            save_files(NEW, folder, overwrite=True)
    if before:
        assert files_in(folder) == before
        assert {path.name for path in folder.iterdir()} == set(before)
    else:
        assert list(tmp_path.iterdir()) == []


def test_the_message_of_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(Path, "write_bytes", fail_at(1, full, Path.write_bytes))
    with pytest.raises(FormatError, match=r"out: No space left on device. Choose another folder"):
        save_files(NEW, tmp_path / "out")


def test_a_folder_that_is_a_file_system_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are renamed inside the folder only: a mounted --out is on another device."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    real = os.replace

    def replace(source: Path, target: Path) -> None:
        if folder not in Path(source).parents or folder not in Path(target).parents:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    save_files(NEW, folder)
    assert files_in(folder) == NEW


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    save_files({"c.json": b"old"}, tmp_path)
    with pytest.raises(FormatError, match=r"c\.json exists already; choose another folder"):
        save_files(NEW, tmp_path)
    assert files_in(tmp_path) == {"c.json": b"old"}
    save_files(NEW, tmp_path, overwrite=True)
    assert files_in(tmp_path) == NEW


STALE = {"sd.json": b"S", "below/sd.nii.gz": b"D"}


def test_what_is_stale_goes_with_what_is_replaced(tmp_path: Path) -> None:
    before = {"a.json": b"old", "mine": b"0"} | STALE
    save_files(before, tmp_path)
    with pytest.raises(FormatError, match=r"a\.json exists already; choose another folder"):
        save_files(NEW, tmp_path, stale=[*STALE])
    assert files_in(tmp_path) == before
    save_files(NEW, tmp_path, overwrite=True, stale=[*STALE, "never there"])
    assert files_in(tmp_path) == {"mine": b"0"} | NEW


def test_what_is_stale_alone_is_refused_too(tmp_path: Path) -> None:
    save_files(STALE, tmp_path)
    with pytest.raises(FormatError, match=r"sd\.json exists already; choose another folder"):
        save_files(NEW, tmp_path, stale=[*STALE])
    assert files_in(tmp_path) == STALE


@pytest.mark.parametrize("call", range(1, 7))
@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
def test_what_is_stale_comes_back_after_a_failure(
    call: int, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {"a.json": b"old"} | STALE
    save_files(before, tmp_path)
    expected = FormatError if isinstance(error, OSError) else KeyboardInterrupt
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail_at(call, error, os.replace))
        with pytest.raises(expected):
            save_files(NEW, tmp_path, overwrite=True, stale=[*STALE])
    assert files_in(tmp_path) == before
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", "sd.json", "below"}


def test_a_link_whose_target_is_elsewhere_is_a_file_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As git-annex leaves them for files whose content it dropped."""
    link = tmp_path / "c.json"
    link.symlink_to("objects/not-here")
    with pytest.raises(FormatError, match=r"c\.json exists already"):
        save_files(NEW, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail_at(4, KeyboardInterrupt(), os.replace))
        with pytest.raises(KeyboardInterrupt):
            save_files(NEW, tmp_path, overwrite=True)
    assert os.readlink(link) == "objects/not-here"
    save_files(NEW, tmp_path, overwrite=True)
    assert files_in(tmp_path) == NEW
    assert not link.is_symlink()


def test_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_writable(Path("out"), NEW)
    check_writable(Path(), NEW)
    save_files(NEW, Path("out"))
    save_files({"d": b"D"}, Path())
    assert files_in(tmp_path) == {"d": b"D"} | {f"out/{name}": data for name, data in NEW.items()}


@pytest.mark.parametrize(
    ("path", "label"),
    [
        (
            "x/sub-01_ses-A_space-orig_met-NAANAAG_desc-signal_mrsi.nii.gz",
            "sub-01_ses-A_space-orig",
        ),
        ("x/patient 7/tNAA.nii.gz", "patient-7"),
        ("x/data/sub-07_tNAA.nii.gz", "sub-07"),
        ("x/data/sub-07_ses-V2_tNAA.nii.gz", "sub-07_ses-V2"),
        ("x/Müller, Jörg/tNAA.nii.gz", "M-ller-J-rg"),
        ("x/$(reboot)/tNAA.nii.gz", "reboot"),
        ("x/日本/tNAA.nii.gz", "study"),
        ("x/a/../b/tNAA.nii.gz", "b"),
        ("x/../../sub 1;_met-tNAA.nii.gz", "sub-1"),
        ("/tNAA.nii.gz", "study"),
    ],
)
def test_labels(path: str, label: str) -> None:
    assert study_label(study_of("tNAA", source={"t1": "y/T1.nii", "tNAA": path})) == label


def test_a_file_in_the_current_folder_is_named_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub-9" / "inside").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "sub-9" / "inside")
    assert study_label(study_of("tNAA", source={"tNAA": "tNAA.nii.gz"})) == "inside"
    assert study_label(study_of("tNAA", source={"tNAA": "../tNAA.nii.gz"})) == "sub-9"


def test_a_symbolic_link_has_the_name_that_it_was_given(tmp_path: Path) -> None:
    """Data sets under git-annex keep their files elsewhere, named by their content."""
    stored = tmp_path / ".git" / "annex" / "objects" / "SHA256E-s3--abc.nii.gz"
    stored.parent.mkdir(parents=True)
    stored.write_bytes(b"map")
    given = tmp_path / "sub-04" / "tNAA.nii.gz"
    given.parent.mkdir()
    given.symlink_to(stored)
    study = study_of("tNAA", source={"tNAA": str(given)})
    assert study_label(study) == "sub-04"
    assert result_names(study, samples=1)[0] == "sub-04_met-tNAA_desc-ftddm_mrsi.json"
    digest = hashlib.sha256(b"map").hexdigest()
    assert fingerprints(study) == {"tNAA": {"Name": "tNAA.nii.gz", "SHA256": digest}}


def test_a_study_that_states_its_label() -> None:
    study = study_of("tNAA", source={"tNAA": "x/sub-01_met-tNAA_desc-signal_mrsi.nii.gz"})
    assert study_label(replace(study, label="case 7/left")) == "case-7-left"


def test_a_file_that_is_gone_has_no_fingerprint(tmp_path: Path) -> None:
    study = study_of("tNAA", source={"tNAA": str(tmp_path / "tNAA.nii")})
    with pytest.raises(FormatError, match=r"tNAA\.nii, from which .* again: No such file"):
        fingerprints(study)


def test_a_study_without_files_has_a_label() -> None:
    assert study_label(study_of("tNAA")) == "study"


@given(st.text(min_size=1, max_size=8), st.text(max_size=12))
def test_every_name_is_safe_and_can_be_read_back(metabolite: str, label: str) -> None:
    """Whatever is in a header: one file name, no folder, known again as this map's result."""
    source = {metabolite: f"{label.replace('/', '')}_met-x.nii"}
    name = result_names(study_of(metabolite, source=source), samples=1)[0]
    assert name.isascii()
    assert Path(name).name == name
    assert not name.startswith((".", "-"))
    role, found = role_of(Path(name))
    assert role is Role.DERIVED
    assert f"_met-{found}_desc-ftddm_mrsi" in name


def test_several_samples_bring_their_deviation() -> None:
    names = result_names(study_of("tNAA", "NAA+NAAG"), samples=2)
    assert names == [
        f"study_met-{name}_desc-{what}_mrsi{ending}"
        for name in ("tNAA", "NAANAAG")
        for what in ("ftddm", "ftddmSd", "ftddmError")
        for ending in (".json", ".nii.gz")
    ]


def test_what_an_earlier_result_may_have_left() -> None:
    """Standard deviation, error and other forms, of the same label and metabolites only."""
    names = result_names(study_of("tNAA", "NAA+NAAG"), samples=1)
    both = ("tNAA", "NAANAAG")
    left = [
        f"study_met-{name}_desc-{what}_mrsi{ending}"
        for name in both
        for what in ("ftddmSd", "ftddmError", "ftddmT1")
        for ending in (".json", ".nii.gz")
    ]
    left += [f"study_met-{name}_desc-ftddm_mrsi.dcm" for name in both]
    assert sorted(stale_names([*names, "demo.png"])) == sorted(left)
    further = further_names(names, ["t1", "dicom"])
    assert len(further) == len(set(further)) == 6
    assert set(left) - set(stale_names([*names, *further])) == set(further)
    assert further_names(names, []) == []
    several = result_names(study_of("tNAA", "NAA+NAAG"), samples=2)
    assert sorted(stale_names(several)) == sorted(further)


@pytest.mark.parametrize(("one", "other"), [("NAA+NAAG", "NAANAAG"), ("α", "β"), ("Ins", "ins.")])
def test_two_maps_never_share_a_file(one: str, other: str) -> None:
    with pytest.raises(FormatError, match=r"would both be written as .*rename one"):
        result_names(study_of(one, "Glu", other), samples=1)


def test_nor_when_a_session_saves_them() -> None:
    """Found before anything is written: the second map would replace the first."""
    study = study_of("Glu+Gln", "GluGln")
    result: Any = SimpleNamespace(maps=study.maps)
    with pytest.raises(FormatError, match=r"'Glu\+Gln' and 'GluGln' would both be written"):
        result_files(result, study)


def test_stem_of_a_name_without_letters() -> None:
    assert result_stem("sub-1", "α", "ftddmSd") == "sub-1_met-unnamed_desc-ftddmSd_mrsi"


def test_a_study_written_is_a_study_read(tmp_path: Path) -> None:
    """Values to float32, affine and roles survive; the record stands beside them."""
    rng = np.random.default_rng(0)
    affine = oblique_affine(Shape)
    fine = oblique_affine((9, 8, 7), (1.5, 1.5, 2.0), angles=(3, 5, 60))
    maps = {name: Volume(rng.random(Shape), affine, "mM") for name in ("tNAA", "tCho")}
    before = Study(
        maps,
        mask=Volume((rng.random(Shape) > 0.4).astype(float), affine),
        t1=Volume(rng.random((9, 8, 7)), fine),
        flair=Volume(rng.random((9, 8, 7)), fine),
    )
    files = study_files(before, "sub-sim01", {"Notice": "SIMULATED"})
    assert files == study_files(before, "sub-sim01", {"Notice": "SIMULATED"})
    save_files(files, tmp_path)
    after = open_study(tmp_path)
    assert set(after.maps) == set(maps)
    pairs = [(after.maps[name], maps[name]) for name in maps]
    pairs += [(after.t1, before.t1), (after.flair, before.flair), (after.mask, before.mask)]
    for read, written in pairs:
        assert isinstance(read, Volume)
        assert isinstance(written, Volume)
        np.testing.assert_array_equal(read.data, written.data.astype(np.float32))
        np.testing.assert_allclose(read.affine, written.affine, atol=1e-5)
    assert study_label(after) == "sub-sim01"
