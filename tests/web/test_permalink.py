"""A link says everything that is chosen, and nothing in it can do harm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import any_settings
from tiny import write_study

from ftddm_core.settings import SamplerSettings, controls
from ftddm_viewer.session.bundled import BUNDLED
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.state import State
from ftddm_viewer.web.permalink import (
    LOOKS,
    UPLOADED,
    Wishes,
    query_of,
    slice_problem,
    wishes_of,
)

MOVED: dict[str, Any] = {
    "upscale": 2.7, "tau_flow": 0.123456789, "tau_diffusion": 0.0, "t_trunc": 1000, "steps": None,
    "samples": 64, "seed": 2**32 - 1, "consistency": "exact", "sampler": "ddim", "noise": 2.5,
    "mri_weight": 0.0, "detail": 0.75,
}  # fmt: skip


@pytest.fixture
def session(weights: Path) -> Iterator[Session]:
    session = Session(Model(str(weights), "cpu"))
    yield session
    assert session.close(60)


def read(query: str) -> dict[str, str]:
    return dict(parse_qsl(query.removeprefix("?"), keep_blank_values=True))


def test_there_is_a_moved_value_for_every_control() -> None:
    assert set(MOVED) == {control.name for control in controls()}


@pytest.mark.parametrize("name", MOVED)
def test_every_control_survives_a_link(name: str, session: Session) -> None:
    session.update(**{name: MOVED[name]})
    query = query_of(session.state)
    assert set(read(query)) == {name}
    assert wishes_of(read(query)).settings == {name: MOVED[name]}


def test_all_controls_survive_together(session: Session) -> None:
    session.update(**MOVED)
    wishes = wishes_of(read(query_of(session.state)))
    assert wishes.problems == []
    session.update(**SamplerSettings().to_dict())
    session.update(**wishes.settings)
    assert session.state.settings == SamplerSettings(**MOVED)


@given(any_settings())
def test_any_settings_survive_a_link(chosen: SamplerSettings) -> None:
    wishes = wishes_of(read(query_of(State(settings=chosen))))
    assert wishes.problems == []
    assert State().settings.replace(**wishes.settings) == chosen


@given(st.dictionaries(st.sampled_from([c.name for c in controls()]) | st.text(), st.text()))
def test_whatever_a_link_holds_is_told_or_valid(query: dict[str, str]) -> None:
    wishes = wishes_of(query)
    State().settings.replace(**wishes.settings)


def test_what_is_looked_at_survives(session: Session, tmp_path: Path) -> None:
    session.open(write_study(tmp_path / "patient"), label=BUNDLED[0].label)
    assert session.wait(60)
    assert query_of(session.state) == "?"
    k = 1 - session.state.slice_index
    session.choose(metabolite="tCho", slice_index=k, mode="restore")
    wishes = wishes_of(read(query_of(session.state)))
    assert (wishes.metabolite, wishes.slice_index, wishes.mode) == ("tCho", k, "restore")
    assert wishes.settings == {}


def test_fading_and_the_ratio_survive(session: Session, tmp_path: Path) -> None:
    session.open(write_study(tmp_path / "patient"), label=BUNDLED[0].label)
    assert session.wait(60)
    session.choose_ratio("tCho", "tNAA")
    session.display(fade=True, limit=35.5, by_deviation=True)
    query = read(query_of(session.state))
    assert query == {"fade": "1", "limit": "35.5", "by_deviation": "1", "ratio": "tCho/tNAA"}
    wishes = wishes_of(query)
    assert wishes.problems == []
    assert wishes.display == {"fade": True, "limit": 35.5, "by_deviation": True}
    assert wishes.ratio == ("tCho", "tNAA")
    awaited = read(query_of(session.state, wishes))
    assert awaited == query | {"study": "upload"}


def test_a_link_follows_the_truncation(session: Session) -> None:
    """As a slider does: fewer timesteps than steps take the steps with them."""
    session.update(t_trunc=3)
    wishes = wishes_of(read(query_of(session.state)))
    assert wishes.settings == {"t_trunc": 3, "steps": 3}
    assert wishes_of({"t_trunc": "3"}).problems == []
    session.update(**wishes_of({"t_trunc": "3"}).settings)
    assert session.state.settings.steps == 3


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"tau_flow": "2"}, "give a number from 0 to 1"),
        ({"tau_flow": "nan"}, "give a number from 0 to 1"),
        ({"seed": "1.5"}, "give a whole number"),
        ({"samples": ""}, "give a whole number"),
        ({"consistency": "perhaps"}, "choose one of noise, exact, off"),
        ({"sampler": "<b>"}, "choose one of"),
        ({"steps": "101"}, "lower steps to 1..100"),
        ({"slice": "first"}, "give its number"),
        ({"colour": "red"}, "Unknown, ignored: colour."),
        ({"limit": "1e3"}, "choose one from 5 to 100 %"),
        ({"limit": "nan"}, "choose one from 5 to 100 %"),
        ({"limit": "<b>"}, "limit is '<b>': give per cent, as in 20."),
        ({"fade": "perhaps"}, "fade is 'perhaps': give 1 or 0."),
        ({"by_deviation": "2"}, "give 1 or 0"),
        ({"ratio": "tCho"}, "give two metabolites, tCho/tNAA"),
    ],
)
def test_what_makes_no_sense_is_told_and_left_out(query: dict[str, str], words: str) -> None:
    wishes = wishes_of({**query, "tau_diffusion": "0.5"} if "steps" not in query else query)
    assert len(wishes.problems) == 1
    assert words in wishes.problems[0]
    assert wishes.settings == ({} if "steps" in query else {"tau_diffusion": 0.5})


@pytest.mark.parametrize(
    ("text", "means"), [("True", "exact"), ("true", "exact"), ("False", "off"), ("noise", "noise")]
)
def test_a_link_of_an_older_page_means_what_it_meant(text: str, means: str) -> None:
    wishes = wishes_of({"consistency": text})
    assert wishes.problems == []
    assert wishes.settings == {"consistency": means}


def test_parameters_of_gradio_itself_are_left_alone() -> None:
    assert wishes_of({"__theme": "dark", "view": "api"}).problems == []


def test_unknown_parameters_are_one_short_line_however_many_and_long() -> None:
    found = wishes_of({f"{'x' * 240}\u202e{i}": "1" for i in range(5000)} | {"seed": "3"})
    assert found.settings == {"seed": 3}
    assert len(found.problems) == 1
    assert "4997 more" in found.problems[0]
    assert len(found.problems[0]) < 140
    assert "\u202e" not in found.problems[0]


def test_pins_that_make_no_sense_are_one_short_line_and_the_others_stay() -> None:
    wrong = ["AB", "", "A,seed:3", "C,tau_flow:2", "C,colour:red", "C,steps:500", "D,seed"]
    found = wishes_of({"pins": "~".join(["A", *wrong, "B,mri_weight:,steps:,t_trunc:5"])})
    assert found.pins["A"] == State().settings
    assert found.pins["B"] == State().settings.replace(steps=None, t_trunc=5)
    assert found.pins.keys() == {"A", "B"}
    assert found.problems == ["Not the settings of a pin, ignored: AB, , A,seed:3 and 4 more."]
    assert len(wishes_of({"pins": "x" * 9999}).problems[0]) < 100
    assert wishes_of({"pins": "A,t_trunc:5"}).pins["A"].steps == 5


@pytest.mark.parametrize("k", [-1, 16])
def test_a_slice_that_is_not_there_is_named_as_the_page_counts(k: int) -> None:
    assert slice_problem(k, 16) == f"There is no slice {k + 1}: give its number, from 1 to 16."
    assert slice_problem(0, 16) == slice_problem(15, 16) == ""


def test_nothing_chosen_needs_nothing_said() -> None:
    assert query_of(State()) == "?"


@pytest.mark.parametrize("label", [UPLOADED, "patient 7"])
def test_a_link_to_an_upload_says_all_that_is_looked_at(
    label: str, session: Session, tmp_path: Path
) -> None:
    """Whatever the user calls it."""
    session.open(write_study(tmp_path / "patient"), label=label)
    assert session.wait(60)
    state = session.state
    query = read(query_of(state))
    assert set(query) == set(LOOKS)
    wishes = wishes_of(query)
    assert wishes.uploaded
    assert wishes.problems == []
    found = (wishes.mode, wishes.metabolite, wishes.slice_index)
    assert found == (state.mode, state.metabolite, state.slice_index)
    assert read(query_of(State(), wishes)) == query


def test_no_other_study_can_be_asked_for() -> None:
    wishes = wishes_of({"study": "/etc"})
    assert wishes.study == BUNDLED[0].name
    assert "There is no bundled case '/etc': choose patient or volunteer." in wishes.problems[0]


def test_every_bundled_case_has_a_link(session: Session, tmp_path: Path) -> None:
    study = write_study(tmp_path / "patient")
    for number, case in enumerate(BUNDLED):
        session.open(study, label=case.label)
        assert session.wait(60)
        query = read(query_of(session.state))
        assert query == ({"study": case.name} if number else {})
        assert wishes_of(query) == Wishes(study=case.name)
