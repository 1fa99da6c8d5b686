"""Uploaded files and zip files: where they go, what they are called, and how long they are kept."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from tiny import write_study

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io import survey
from ftddm_viewer.session.model import Model
from ftddm_viewer.web.tab import Tab
from ftddm_viewer.web.uploads import as_uploaded, take

PATIENCE = 60.0


@pytest.fixture
def tab(model: Model, tmp_path: Path) -> Iterator[Tab]:
    """Return a tab of its own, which shows nothing yet."""
    for name in ("private", "served"):
        (tmp_path / name).mkdir()
    found = Tab(model, tmp_path / "private", tmp_path / "served")
    yield found
    found.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


def zipped(folder: Path) -> Path:
    """Return a zip file of a folder, beside it."""
    return Path(shutil.make_archive(str(folder), "zip", folder))


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_zip_keeps_the_folders_of_its_files(place: Path, tmp_path: Path) -> None:
    """Here only they tell one session from the other."""
    for session in ("V1", "V2"):
        write_study(tmp_path / "tree" / "sub-07" / f"ses-{session}" / "mrsi")
    archive = zipped(tmp_path / "tree")
    (opened,) = take([archive], place)
    (asked,) = survey(opened).questions
    assert (asked.key, asked.options) == ("session", ("V1", "V2"))
    assert not [*place.rglob("*.zip")]


def test_files_and_zips_are_opened_together(place: Path, tmp_path: Path) -> None:
    """What a zip holds may have the name of another file, as it is in a folder of its own."""
    study = write_study(tmp_path / "patient")
    archive = zipped(study)
    opened = take([archive, study / "T1w.nii.gz"], place)
    assert [path.relative_to(place).as_posix() for path in opened] == [
        "study/T1w.nii.gz",
        "study/patient",
    ]


@pytest.mark.parametrize("name", ["...zip", " .zip"])
def test_a_zip_with_a_name_of_dots_stays_in_its_folder(
    name: str, place: Path, tmp_path: Path
) -> None:
    archive = zipped(write_study(tmp_path / "patient")).rename(tmp_path / name)
    assert take([archive], place) == [place / "study" / "archive"]
    assert [path.name for path in place.iterdir()] == ["study"]


def test_two_uploads_of_one_name_are_refused(place: Path, tmp_path: Path) -> None:
    ours, theirs = (write_study(tmp_path / name) / "tNAA.nii.gz" for name in "ab")
    with pytest.raises(FormatError, match=r"Two of the files are called tNAA\.nii\.gz"):
        take([ours, theirs], place)


def test_a_damaged_zip_is_named_as_the_user_knows_it(tab: Tab, tmp_path: Path) -> None:
    bad = tmp_path / "patient.zip"
    bad.write_bytes(b"PK no zip at all")
    tab.open_uploads([str(bad)])
    assert tab.words.startswith("patient.zip is damaged, or not a zip file")
    assert left_in(tmp_path / "private") == []


def test_a_zip_that_leads_out_of_its_folder_leaves_nothing(tab: Tab, tmp_path: Path) -> None:
    bad = tmp_path / "patient.zip"
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("../../tNAA.nii.gz", b"")
    tab.open_uploads([str(bad)])
    assert "leads out of its folder" in tab.words
    assert str(tmp_path) not in tab.words
    assert left_in(tmp_path / "private") == []


def test_uploads_are_kept_as_long_as_they_may_be_opened_again(
    tab: Tab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a study that asks something belong to no open study, and are still needed."""
    study = write_study(tmp_path / "patient")
    for name in ("mask", "T1w"):
        (study / f"{name}.nii.gz").unlink()
    (study / "tNAA.nii.gz").rename(study / "NAA_over_Cr.nii.gz")
    (study / "tCho.nii.gz").unlink()
    tab.open_uploads([str(path) for path in study.iterdir()])
    assert tab.session.wait(PATIENCE)
    assert tab.words.startswith("NAA_over_Cr.nii.gz is a ratio")
    tab.tidy()
    assert left_in(tmp_path / "private") == ["NAA_over_Cr.nii.gz"]
    tab.open_bundled()
    assert tab.session.wait(PATIENCE)
    tab.tidy()
    assert left_in(tmp_path / "private") == []


def test_both_files_of_a_pair_are_one_image(place: Path, tmp_path: Path) -> None:
    """A browser sends both, as they were chosen."""
    values, affine = np.ones((4, 5, 3), np.float32), np.diag([8.0, 8.0, 10.0, 1.0])
    (tmp_path / "patient").mkdir()
    nib.save(nib.Nifti1Pair(values, affine), tmp_path / "patient" / "tNAA.hdr")
    paths = sorted((tmp_path / "patient").iterdir())
    assert [path.suffix for path in paths] == [".hdr", ".img"]
    (entry,) = survey(take(paths, place)).entries
    assert (entry.path.name, entry.name, entry.listed) == ("tNAA.hdr", "tNAA", True)


@pytest.mark.parametrize("slash", ["/", "\\"])
def test_an_upload_is_called_as_the_user_knows_it(slash: str) -> None:
    private: Any = Path("/tmp/private")
    path = slash.join([str(private), "tmpab_12", "study", "tNAA.nii.gz"])
    words = f"Cannot read {path}: it is damaged."
    assert as_uploaded(words, private) == "Cannot read tNAA.nii.gz: it is damaged."


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "[Errno 2] No such file or directory: '/tmp/ftddm-web-x1/served/0a1b2c/tNAA.nii.gz'",
            "[Errno 2] No such file or directory: 'tNAA.nii.gz'",
        ),
        (r"Cannot read C:\Users\me\AppData\served\T1.nii.", "Cannot read T1.nii."),
        ("T1/FLAIR and tNAA/tCr, in 1/s.", "T1/FLAIR and tNAA/tCr, in 1/s."),
        ("See https://example.org/a/b for more.", "See https://example.org/a/b for more."),
        ("below sub-07/ses-V1/tNAA.nii.gz", "below sub-07/ses-V1/tNAA.nii.gz"),
    ],
)
def test_no_message_names_a_folder_of_the_server(words: str, said: str) -> None:
    assert as_uploaded(words, Path("/tmp/private")) == said


def test_two_visitors_may_upload_the_same_file(model: Model, tmp_path: Path) -> None:
    """Gradio stores both under one name: neither may take it from the other."""
    for name in ("private", "served"):
        (tmp_path / name).mkdir()
    study = write_study(tmp_path / "served" / "0123abcd")
    paths = [str(path) for path in sorted(study.iterdir())]
    tabs = [Tab(model, tmp_path / "private", tmp_path / "served") for _ in range(2)]
    try:
        for tab in tabs:
            tab.open_uploads(paths)
            assert tab.session.wait(PATIENCE)
            assert tab.words == ""
            assert tab.session.state.case is not None
        tabs[0].close()
        tabs[1].open_uploads(paths)
        assert tabs[1].session.wait(PATIENCE)
        assert tabs[1].words == ""
    finally:
        for tab in tabs:
            tab.close()
    assert len(left_in(study)) == 4


def test_an_upload_that_was_swept_is_named_without_its_place(tab: Tab, tmp_path: Path) -> None:
    tab.open_uploads([str(tmp_path / "served" / "0123abcd" / "tNAA.nii.gz")])
    assert tab.words == "tNAA.nii.gz has not been used for too long: upload it again."


def test_no_more_is_written_than_there_is_room(place: Path, tmp_path: Path) -> None:
    """Nor may a zip unpack to more."""
    (tmp_path / "big.nii").write_bytes(bytes(5000))
    with pytest.raises(FormatError, match="no room for these files"):
        take([tmp_path / "big.nii"], place, room=4000)
    with zipfile.ZipFile(tmp_path / "big.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "big.nii", "big.nii")
    again = tmp_path / "again"
    again.mkdir()
    with pytest.raises(FormatError, match=r"unpacks to more than .* no room"):
        take([tmp_path / "big.zip"], again, room=4000)
    assert left_in(again) == []
