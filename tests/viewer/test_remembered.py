"""Decisions about a study's files: reopened with, remembered and forgotten."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from layouts import BRAIN, metabolite, of_vienna, put, two_sessions, with_labels
from sessions import PATIENCE, done

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io import Choices
from ftddm_viewer.session import remembered
from ftddm_viewer.session.inspection import inspect
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.remembered import forget, recall, remember, state_file
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.state import State

EVERY_CHOICE = Choices(
    roles={"magnitude.nii": "t1", "cho2naa.nii": "map:Lac"},
    exclude=("Cr+PCr_sd_map.nii",),
    label="P7",
    mask_threshold=0.25,
    crlb_unit="per cent",
    max_crlb=20.0,
    space="qform",
)


@pytest.fixture
def sessions(model: Model) -> Iterator[Any]:
    """Return what makes sessions that remember."""
    made: list[Session] = []

    def make(**how: Any) -> Session:
        made.append(Session(model, checks_itself=False, **{"remembers": True, **how}))
        return made[-1]

    yield make
    for session in made:
        assert session.close(PATIENCE)


def opened(session: Session, *args: Any, **kwargs: Any) -> State:
    session.open(*args, **kwargs)
    return done(session)


def refused(session: Session) -> State:
    assert session.wait(PATIENCE)
    assert session.state.error
    return session.state


# ---------------------------------------------------------------- the file


def test_every_choice_comes_back_for_the_same_files(tmp_path: Path) -> None:
    folder = of_vienna(tmp_path / "P7")
    found = inspect(folder, choices=EVERY_CHOICE)
    remember(found)
    again = recall([folder])
    assert again is not None
    assert inspect(folder, choices=again).files() == found.files()
    for key in ("label", "mask_threshold", "crlb_unit", "max_crlb", "space"):
        assert getattr(again, key) == getattr(EVERY_CHOICE, key)
    assert recall([folder / "mask.nii"]) is None
    labels = inspect(with_labels(tmp_path / "L"), choices=Choices(mask_labels=(1,)))
    remember(labels)
    assert recall([tmp_path / "L"]) == Choices(mask_labels=(1,))


def test_no_path_is_in_the_file_and_only_the_user_reads_it(tmp_path: Path) -> None:
    folder = of_vienna(tmp_path / "Surname_Given")
    remember(inspect(folder, choices=EVERY_CHOICE))
    text = state_file().read_text()
    assert not [part for part in ("Surname", "magnitude", "Cr+PCr", ".nii") if part in text]
    assert "map:Lac" in text
    if os.name == "posix":
        assert state_file().stat().st_mode & 0o077 == 0
    assert [path.name for path in state_file().parent.iterdir()] == ["studies.json"]


def test_it_lies_in_the_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_file() == tmp_path / "ftddm" / "studies.json"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert state_file() == tmp_path / ".local" / "state" / "ftddm" / "studies.json"


def test_the_oldest_studies_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MOST_STUDIES", 3)
    folders = [with_labels(tmp_path / str(n)) for n in range(4)]
    for n in (0, 1, 2, 0, 3):
        remember(inspect(folders[n], choices=Choices(mask_labels=(1,))))
    assert [recall([folder]) is None for folder in folders] == [False, True, False, False]


@pytest.mark.parametrize(
    "damage",
    [
        "{",
        "[1]",
        '{"studies": 3}',
        '{"studies": {"KEY": 3}}',
        '{"studies": {"KEY": {"mask_labels": ["a"]}}}',
        '{"studies": {"KEY": {"roles": ["a"]}}}',
        '{"studies": {"KEY": {"subject": 5}}}',
        '{"studies": {"KEY": {"max_crlb": "5"}}}',
        '{"studies": {"KEY": {"mask_threshold": 7}}}',
        "[" * 100_000,
    ],
)
def test_a_damaged_file_is_ignored_and_replaced(tmp_path: Path, damage: str) -> None:
    folder = with_labels(tmp_path / "study")
    found = inspect(folder, choices=Choices(mask_labels=(2,)))
    remember(found)
    (key,) = json.loads(state_file().read_text())["studies"]
    state_file().write_text(damage.replace("KEY", key))
    assert recall([folder]) is None
    remember(found)
    assert recall([folder]) == Choices(mask_labels=(2,))


def test_what_was_decided_about_a_file_that_is_gone_is_left_out(tmp_path: Path) -> None:
    folder = of_vienna(tmp_path)
    remember(inspect(folder, choices=EVERY_CHOICE))
    (folder / "magnitude.nii").unlink()
    again = recall([folder])
    assert again is not None
    assert [Path(file).name for file in again.roles] == ["cho2naa.nii"]


def test_a_file_that_cannot_be_written_is_no_error(tmp_path: Path, caplog: Any) -> None:
    state_file().parent.parent.mkdir(exist_ok=True)
    state_file().parent.write_text("a file where a folder is needed")
    found = inspect(with_labels(tmp_path / "a"), choices=Choices(mask_labels=(2,)))
    remember(found)
    assert "could not be stored" in caplog.text
    assert recall([tmp_path / "a"]) is None


# ---------------------------------------------------------------- sessions


def test_a_later_session_uses_what_an_earlier_one_was_told(sessions: Any, tmp_path: Path) -> None:
    folder, first = two_sessions(tmp_path), sessions()
    first.open(folder)
    assert refused(first).inspection.question.key == "session"
    assert recall([folder]) is None
    first.reopen(Choices(session="V2"))
    assert not done(first).inspection.remembered
    later = sessions()
    state = opened(later, folder)
    assert state.inspection.remembered
    assert state.case.study.maps["tNAA"].data[BRAIN].mean() == pytest.approx(6, rel=0.05)
    later.reopen(None)  # starts over
    state = refused(later)
    assert state.inspection.question.key == "session"
    assert not state.inspection.remembered
    assert recall([folder]) is None


def test_only_a_session_that_remembers_does(sessions: Any, tmp_path: Path) -> None:
    folder = with_labels(tmp_path)
    opened(sessions(remembers=False), folder, choices=Choices(mask_labels=(1,)))
    assert recall([folder]) is None
    opened(sessions(), folder, choices=Choices(mask_labels=(1,)))
    assert recall([folder]) == Choices(mask_labels=(1,))
    other = sessions(remembers=False)
    other.open(folder)
    assert refused(other).inspection.question.key == "mask_labels"
    given = opened(sessions(), folder, choices=Choices(mask_labels=(2,)))
    assert not given.inspection.remembered
    assert given.inspection.choices.mask_labels == (2,)


def test_remembered_choices_never_block_a_study(sessions: Any, tmp_path: Path) -> None:
    folder = put(tmp_path / "P7" / "tNAA.nii", metabolite(9)).parent
    mask = put(folder / "mask.nii", BRAIN * 3)
    opened(sessions(), folder, choices=Choices(mask_labels=(3,)))
    put(mask, BRAIN)  # exported again: there is no label 3 any more
    state = opened(sessions(), folder)
    assert not state.inspection.remembered
    assert state.inspection.choices == Choices()


def test_choices_with_which_nothing_can_be_computed_are_not_remembered(
    sessions: Any, tmp_path: Path
) -> None:
    session = sessions()
    session.open(of_vienna(tmp_path), choices=Choices(max_crlb=6))  # every voxel has 7
    assert "no signal inside the mask" in refused(session).error
    assert recall([tmp_path]) is None


def test_files_given_with_a_role_are_there_when_the_study_is_reopened(
    sessions: Any, tmp_path: Path
) -> None:
    folder = put(tmp_path / "P7" / "tNAA.nii", metabolite(9)).parent
    t1 = put(tmp_path / "elsewhere" / "brain.nii", 500 * BRAIN)
    session = sessions()
    state = opened(session, folder, t1=t1, label="Shown")
    session.reopen(Choices(roles={**state.inspection.choices.roles, "tNAA.nii": "map:NAA"}))
    state = done(session)
    assert (list(state.case.study.maps), state.case.label) == (["NAA"], "Shown")
    assert state.case.study.t1 is not None
    session.reopen(Choices(roles={str(t1): "mask"}, label="Other"))
    state = done(session)
    assert (state.case.study.t1, state.case.label) == (None, "Other")
    session.reopen(None)
    state = done(session)
    assert state.case.study.t1 is not None
    assert list(state.case.study.maps) == ["tNAA"]


def test_the_open_study_stays_where_other_choices_fail(sessions: Any, tmp_path: Path) -> None:
    session = sessions()
    case = opened(session, with_labels(tmp_path), choices=Choices(mask_labels=(1,))).case
    session.reopen(Choices(mask_labels=(7,)))
    state = refused(session)
    assert "has no label 7" in state.error
    assert "has no label 7" in state.inspection.problem
    assert state.case is case
    assert recall([tmp_path]) == Choices(mask_labels=(1,))
    forget([tmp_path])
    assert recall([tmp_path]) is None


def test_nothing_can_be_reopened_before_anything_was_inspected(sessions: Any) -> None:
    with pytest.raises(FormatError, match="open its folder first"):
        sessions().reopen(None)
