"""A kept session opens the same image again, and says what is not as it was."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from properties import save_nifti
from sessions import PATIENCE, done
from tiny import fine_study

from ftddm_core.errors import FormatError
from ftddm_core.imaging.fourier import zero_fill
from ftddm_core.imaging.io import Choices
from ftddm_core.model.checkpoint import load_weights
from ftddm_viewer.session.bundled import BUNDLED
from ftddm_viewer.session.case import Mode
from ftddm_viewer.session.keeping import keep, kept, named, reopen
from ftddm_viewer.session.kept_file import Kept
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.session import Session

DISPLAY = {"layers": {"output": {"limits": [0.5, 7.25], "visible": False}}}


@pytest.fixture
def bare(model: Model) -> Iterator[Session]:
    """Return a session in which no study makes the self-check by itself."""
    made = Session(model, checks_itself=False)
    yield made
    assert made.close(PATIENCE)


@pytest.fixture
def chosen(bare: Session, study: Path) -> Session:
    """Return a session on the tiny study in which nothing is at its default."""
    bare.open(study, choices=Choices(exclude=(str(study / "T1w.nii.gz"),), label="Anna"))
    done(bare)
    bare.choose(metabolite="tCho", slice_index=1, mode="restore")
    bare.update(upscale=2.0, tau_flow=0.8, seed=5, steps=3, mri_weight=0.5, detail=0.75)
    done(bare)
    return bare


def reopened(path: Path, model: Model) -> Session:
    session = Session(model, checks_itself=False)
    reopen(session, path)
    done(session)
    return session


def said(session: Session, words: str) -> list[str]:
    return [note for note in session.state.notes if words in note]


def change(path: Path, **parts: Any) -> None:
    """Write other values into a session file."""
    record = json.loads(path.read_text())
    for part, value in parts.items():
        record[part] = {**record[part], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(record))


def test_the_same_image_comes_back(chosen: Session, model: Model, tmp_path: Path) -> None:
    path = keep(chosen, tmp_path / "kept", DISPLAY)
    assert path.name == "kept.ftddm.json"
    before, after = chosen.state, reopened(path, model).state
    assert after.place == before.place == (Mode.RESTORE, "tCho", 1)
    assert after.settings == before.settings
    assert before.case is not None
    assert after.case is not None
    assert after.case.label == before.case.label == "Anna"
    assert after.case.study.t1 is None
    assert before.image is not None
    assert after.image is not None
    assert after.image.final
    detail = 0.75
    assert np.array_equal(after.image.shown(detail), before.image.shown(detail))
    assert after.notes == before.notes


def test_it_holds_relative_paths_and_digests_and_no_voxel(
    chosen: Session, study: Path, weights: Path, tmp_path: Path
) -> None:
    path = keep(chosen, tmp_path / "kept", DISPLAY)
    text = path.read_text()
    record = json.loads(text)
    assert str(tmp_path) not in text
    assert record["Study"]["Paths"] == ["./patient"]
    assert record["Study"]["Choices"] == {"exclude": ["./patient/T1w.nii.gz"], "label": "Anna"}
    assert record["Weights"]["SHA256"] == load_weights(weights).digest
    assert record["Display"] == DISPLAY
    assert set(record["Study"]["Inputs"]) == {"tNAA", "tCho", "mask"}
    assert len(text) < 5000
    beside = json.loads(keep(chosen, study / "inside").read_text())
    assert beside["Study"]["Paths"] == ["./."]


def test_study_and_session_move_together(chosen: Session, model: Model, tmp_path: Path) -> None:
    keep(chosen, tmp_path / "kept")
    other = tmp_path / "elsewhere"
    other.mkdir()
    for name in ("patient", "kept.ftddm.json"):
        shutil.move(tmp_path / name, other / name)
    session = reopened(other / "kept.ftddm.json", model)
    assert session.state.case is not None
    assert session.state.case.study.t1 is None
    assert not said(session, "session")


def test_bundled_cases_are_known_by_name(bare: Session, tmp_path: Path) -> None:
    bare.choose(live=False)
    for case in BUNDLED:
        bare.open(case.folder, label=case.label)
        done(bare)
        record = kept(bare.state, bare.model, beside=tmp_path)["Study"]
        assert (record["Bundled"], record["Paths"]) == (case.name, [])
        path = keep(bare, tmp_path / case.name)
        assert Kept.read(path).files().paths == (case.folder,)
        older = path.read_text().replace(f'"Bundled": "{case.name}"', '"Bundled": true')
        path.write_text(older)
        assert Kept.read(path).files().paths == (BUNDLED[0].folder,)


def test_undone_zero_filling_is_undone_again(bare: Session, model: Model, tmp_path: Path) -> None:
    acquired = np.random.default_rng(3).uniform(1, 2, (12, 10, 1)).astype(np.float32)
    (tmp_path / "a").mkdir()
    filled = zero_fill(acquired, (24, 20))
    save_nifti(tmp_path / "a" / "tNAA.nii.gz", filled, np.diag([3, 3, 5, 1.0]))
    bare.open(tmp_path / "a")
    done(bare)
    bare.unfill()
    state = done(bare)
    assert state.case is not None
    assert state.case.study.grid.shape == (12, 10, 1)
    again = reopened(keep(bare, tmp_path / "kept"), model).state
    assert again.case is not None
    assert again.case.unfilled
    assert again.case.study.grid.shape == (12, 10, 1)


# ---------------------------------------------------------------- what is not as it was


def test_a_changed_and_a_missing_input_are_named(
    chosen: Session, model: Model, study: Path, tmp_path: Path
) -> None:
    path = keep(chosen, tmp_path / "kept")
    image = nib.load(study / "tNAA.nii.gz")
    save_nifti(study / "tNAA.nii.gz", 2 * np.asarray(image.get_fdata(), np.float32), image.affine)
    (study / "tCho.nii.gz").unlink()
    session = reopened(path, model)
    assert session.state.metabolite == "tNAA"
    assert session.state.slice_index == 1
    assert session.state.settings.seed == 5
    assert said(session, "session") == [
        "missing since the session was kept, and left out: tCho.nii.gz.",
        "changed since the session was kept, so that images differ: tNAA.nii.gz.",
        "the map shown in the session, tCho, is not in this study.",
    ]


def test_a_missing_study_is_one_clear_sentence(
    chosen: Session, model: Model, study: Path, tmp_path: Path
) -> None:
    path = keep(chosen, tmp_path / "kept")
    shutil.rmtree(study)
    session = Session(model)
    with pytest.raises(FormatError, match=r"The study of kept.ftddm.json cannot be opened: .*is"):
        reopen(session, path)
    assert session.state.case is None


def test_other_weights_are_named(chosen: Session, model: Model, tmp_path: Path) -> None:
    path = keep(chosen, tmp_path / "kept")
    change(path, Weights={"Name": "mine", "SHA256": "0123456789abcdef"})
    session = reopened(path, model)
    (words,) = said(session, "session")
    assert "other weights, 'mine' of SHA-256 01234567…" in words
    assert session.state.image is not None


def test_another_version_opens_as_far_as_it_is_known(
    chosen: Session, model: Model, tmp_path: Path
) -> None:
    path = keep(chosen, tmp_path / "kept")
    change(path, Version=2, Settings={"magic": 3, "tau_flow": 7}, View={"Mode": "guess"})
    session = reopened(path, model)
    assert said(session, "session") == [
        "the session is of another version: what this one knows was restored, but not tau_flow, "
        "magic."
    ]
    assert session.state.settings.tau_flow == 0.5
    assert session.state.settings.seed == 5
    assert session.state.metabolite == "tCho"
    change(path, Version=1, Software={"ftddm-viewer": "0.0.1"}, Settings={"tau_flow": 0.8})
    record = json.loads(path.read_text())
    del record["Settings"]["magic"]
    path.write_text(json.dumps(record))
    (words,) = said(reopened(path, model), "session")
    assert words.startswith("the session was kept with version 0.0.1, this is ")


@pytest.mark.parametrize("choices", [[3], {"roles": {"a.nii": "hat"}}, {"max_crlb": "x"}])
def test_damaged_choices_are_left_out(
    choices: Any, chosen: Session, model: Model, tmp_path: Path
) -> None:
    path = keep(chosen, tmp_path / "kept")
    change(path, Study={"Choices": choices})
    session = reopened(path, model)
    assert "the session's choices about the files are damaged and were left out." in said(
        session, "session"
    )
    assert said(session, "new since the session was kept") == [
        "new since the session was kept, and used: T1w.nii.gz."
    ]


def test_reopening_leaves_what_is_remembered_of_the_files(
    model: Model, study: Path, tmp_path: Path
) -> None:
    session = Session(model, checks_itself=False, remembers=True)
    session.open(study)
    done(session)
    path = keep(session, tmp_path / "plain")
    session.open(study, choices=Choices(exclude=(str(study / "T1w.nii.gz"),)))
    done(session)
    reopen(session, path)
    assert done(session).case.study.t1 is not None  # type: ignore[union-attr]
    session.open(study)
    assert done(session).case.study.t1 is None  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"Format": "ftddm-session", "Study": 3}', "\0"])
def test_what_is_no_session_is_refused(text: str, session: Session, tmp_path: Path) -> None:
    path = tmp_path / "odd.ftddm.json"
    path.write_text(text)
    with pytest.raises(FormatError, match="is not a session that can be reopened"):
        reopen(session, path)


def test_what_came_from_memory_cannot_be_kept(bare: Session, study: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    with pytest.raises(FormatError, match="No study is open"):
        keep(bare, tmp_path / "kept")
    bare.show(replace(fine_study(study), source={}))
    done(bare)
    with pytest.raises(FormatError, match="not read from files"):
        keep(bare, tmp_path / "kept")


def test_a_study_of_another_program_is_known_by_its_files(
    bare: Session, model: Model, study: Path, tmp_path: Path
) -> None:
    """As napari's own menu opens one: the session was given no paths."""
    from ftddm_core.imaging.io import open_study

    bare.show(open_study(study, mask=study / "mask.nii.gz"), "B")
    done(bare)
    path = keep(bare, tmp_path / "kept")
    session = reopened(path, model)
    assert not said(session, "session")
    assert session.state.case is not None
    assert bare.state.case is not None
    assert session.state.case.inputs == bare.state.case.inputs
    assert session.state.case.label == "B"


def test_names_get_the_ending_of_a_session() -> None:
    assert named(Path("a.FTDDM.json")) == Path("a.FTDDM.json")
    assert named(Path("b/a.json")) == Path("b/a.ftddm.json")
    assert os.fspath(named(Path("b/a"))) == os.path.join("b", "a.ftddm.json")
