"""The study panel of the page: what it shows, what it asks, and what the user's choices do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio import Blocks
from layouts import BRAIN, LABELS, metabolite, of_vienna, put, two_sessions, with_labels
from visiting import Visit, ready, upload

from ftddm_core.assets import asset_folder
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.study_choices import LEAVE_OUT
from ftddm_viewer.web.study_draft import Draft
from ftddm_viewer.web.study_form import StudyForm
from ftddm_viewer.web.tab import Tab

PATIENCE = 60.0
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def tab(model: Model, tmp_path: Path) -> Iterator[Tab]:
    """Return a tab of its own, which computes nothing by itself."""
    for name in ("private", "served"):
        (tmp_path / name).mkdir()
    found = Tab(model, tmp_path / "private", tmp_path / "served")
    found.session.choose(live=False)
    yield found
    found.close()


def panel(tab: Tab) -> Draft:
    """Wait for a tab's session, and return its panel as the page would show it."""
    assert tab.session.wait(PATIENCE)
    tab.draft.take_up(tab.session.state.inspection, tab.named)
    return tab.draft


def uploaded(tab: Tab, study: Path) -> Draft:
    tab.open_uploads([str(path) for path in study.iterdir()])
    return panel(tab)


def study_of(tab: Tab) -> Any:
    case = tab.session.state.case
    assert case is not None
    return case.study


def label_of(tab: Tab) -> str:
    case = tab.session.state.case
    return "" if case is None else case.label


def at(draft: Draft, file: str) -> int:
    return next(i for i, row in enumerate(draft.rows) if row.file.endswith(file))


# ---------------------------------------------------------------- questions


def test_labels_of_a_mask_are_asked_for_and_open_the_study(tab: Tab, tmp_path: Path) -> None:
    draft = uploaded(tab, with_labels(tmp_path / "patient"))
    assert tab.session.state.case is None
    assert draft.expanded
    assert "mask.nii.gz has the labels 1 and 2: which are trusted?" in draft.texts["question"]
    field = draft.fields["mask_labels"]
    assert (field.options, field.asked, field.disabled) == (("1", "2"), True, "")
    tab.open_chosen([(lambda draft, value: draft.set_value("mask_labels", value), ["2"])])
    draft = panel(tab)
    assert tab.words == ""
    assert np.array_equal(study_of(tab).mask.data > 0, LABELS == 2)
    assert label_of(tab) == "Uploaded study"
    assert not draft.expanded
    assert draft.texts["question"] == ""
    assert draft.fields["mask_labels"].value == ("2",)


def test_sessions_of_a_zip_are_asked_for(tab: Tab, tmp_path: Path) -> None:
    tree = two_sessions(tmp_path / "tree")
    tab.open_uploads([shutil.make_archive(str(tree), "zip", tree)])
    draft = panel(tab)
    assert "choose session V1 or V2" in draft.texts["question"]
    assert draft.fields["session"].options == ("V1", "V2")
    tab.tidy()
    draft.set_value("session", "V2")
    tab.open_chosen([])
    panel(tab)
    inside = study_of(tab).maps["tNAA"].data[BRAIN]
    assert inside.mean() == pytest.approx(metabolite(6)[BRAIN].mean(), rel=1e-4)
    assert label_of(tab) == "Uploaded study"


def test_a_file_that_is_asked_about_is_the_one_to_edit(tab: Tab, tmp_path: Path) -> None:
    for name, level in (("Glu+Gln", 10), ("GluGln", 11), ("tNAA", 9)):
        put(tmp_path / "patient" / f"{name}.nii.gz", metabolite(level))
    draft = uploaded(tab, tmp_path / "patient")
    assert draft.row is not None
    assert draft.row.file == "Glu+Gln.nii.gz"
    draft.set_role("map")
    draft.set_name("Glx2")
    tab.open_chosen([])
    panel(tab)
    assert set(study_of(tab).maps) == {"Glx", "Glx2", "tNAA"}


# ---------------------------------------------------------------- choices


def test_a_file_is_left_out_and_taken_back(tab: Tab, tmp_path: Path) -> None:
    draft = uploaded(tab, of_vienna(tmp_path / "patient"))
    assert set(study_of(tab).crlb) == {"tNAA", "tCr"}
    draft.choose(at(draft, "Cr+PCr_sd_map.nii"))
    draft.set_role(LEAVE_OUT)
    tab.open_chosen([])
    draft = panel(tab)
    assert set(study_of(tab).crlb) == {"tNAA"}
    assert "left out: left out by choice" in draft.texts["files"]
    assert draft.rows[at(draft, "Cr+PCr_sd_map.nii")].role == LEAVE_OUT
    tab.start_over()
    draft = panel(tab)
    assert set(study_of(tab).crlb) == {"tNAA", "tCr"}
    assert {row.role for row in draft.rows} == {"automatic"}


def test_a_study_may_be_given_a_name(tab: Tab, tmp_path: Path) -> None:
    """A link to it remains one to an upload."""
    uploaded(tab, of_vienna(tmp_path / "patient"))
    tab.open_chosen([(lambda draft, value: draft.set_value("label", value), "patient 7")])
    panel(tab)
    assert label_of(tab) == "patient 7"
    assert "study=upload" in tab.query(tab.session.state)


def test_an_impossible_choice_is_told_and_changes_nothing(tab: Tab, tmp_path: Path) -> None:
    draft = uploaded(tab, of_vienna(tmp_path / "patient"))
    before = tab.session.state.case
    tab.open_chosen([(lambda draft, value: draft.set_value("max_crlb", value), -1)])
    assert "give a number that is not negative" in tab.words
    assert tab.session.state.case is before
    assert panel(tab) is draft
    assert draft.fields["max_crlb"].value == -1


def test_a_field_that_is_not_shown_chooses_nothing(tab: Tab, tmp_path: Path) -> None:
    """The page sends what it still holds of another study."""
    uploaded(tab, of_vienna(tmp_path / "patient"))
    values = {"session": "V2", "subject": "01", "mask_labels": ["2"], "label": "patient 7"}
    setters = [
        (lambda draft, value, key=key: draft.set_value(key, value), value)
        for key, value in values.items()
    ]
    tab.open_chosen(setters)
    panel(tab)
    assert tab.words == ""
    assert label_of(tab) == "patient 7"


def test_another_study_replaces_what_was_changed(tab: Tab, tmp_path: Path) -> None:
    draft = uploaded(tab, of_vienna(tmp_path / "first"))
    draft.set_value("label", "patient 7")
    draft.choose(3)
    draft.set_role(LEAVE_OUT)
    draft = uploaded(tab, of_vienna(tmp_path / "second"))
    assert draft.fields["label"].value == ""
    assert draft.at == 0
    assert {row.role for row in draft.rows} == {"automatic"}


@pytest.mark.parametrize("typed", ["", "7,5"])
def test_a_limit_may_be_typed_and_taken_away(typed: str, tab: Tab, tmp_path: Path) -> None:
    """As a text, since an empty box for numbers comes back as 0."""
    uploaded(tab, of_vienna(tmp_path / "patient"))  # its CRLB is 7 %
    setter = [(lambda draft, value: draft.set_value("max_crlb", value), typed)]
    tab.open_chosen(setter)
    draft = panel(tab)
    assert draft.fields["max_crlb"].value == (7.5 if typed else None)
    assert (study_of(tab).mask_of("tNAA").data > 0).sum() == BRAIN.sum()
    with Blocks():
        shown = StudyForm().properties(draft, free=True)["study-max_crlb"]
    assert (shown["value"], shown["placeholder"]) == ("7.5" if typed else "", "no limit")


# ---------------------------------------------------------------- texts


class Tags(HTMLParser):
    """The elements of a text, and its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.add(tag)
        assert {name for name, _ in attrs} <= {"class", "tabindex", "role"}

    def handle_data(self, data: str) -> None:
        self.words += data


def test_names_of_files_are_only_text(tab: Tab, tmp_path: Path) -> None:
    """In every part of the panel, in the folders of a zip too."""
    folder = tmp_path / "tree" / f"{HOSTILE}1"
    put(folder / f"{HOSTILE}.nii.gz", metabolite(9))
    put(folder / f"tNAA_desc-{HOSTILE}_mask.nii.gz", BRAIN)
    put(tmp_path / "tree" / "b" / "mask.nii.gz", LABELS)
    tab.open_uploads([shutil.make_archive(str(tmp_path / "tree"), "zip", tmp_path / "tree")])
    draft = panel(tab)
    tags = Tags("".join(draft.texts.values()))
    assert tags.found <= {"div", "b", "table", "thead", "tbody", "tr", "th", "td", "ul", "li"}
    assert f"{HOSTILE}1/{HOSTILE}.nii.gz" in tags.words
    assert f"{HOSTILE} left out" in tags.words


def test_the_bundled_case_shows_what_it_is(tab: Tab) -> None:
    tab.open_bundled()
    draft = panel(tab)
    files = Tags(draft.texts["files"]).words
    about = Tags(draft.texts["about"]).words
    for path in asset_folder("case").glob("*.nii.gz"):
        assert path.name in files
    assert "FLAIR" in files
    shape = study_of(tab).grid.shape
    assert f"Matrix{shape[0]} x {shape[1]} x {shape[2]}" in about
    assert "Missing" not in about  # it has everything but CRLB
    assert not draft.expanded
    tab.open_bundled("volunteer")
    panel(tab)
    assert study_of(tab).grid.shape[2] == 12
    assert tab.parameters["study"] == "volunteer"


def test_a_study_of_the_users_is_never_called_simulated(tab: Tab, tmp_path: Path) -> None:
    draft = uploaded(tab, put(tmp_path / "patient" / "tNAA.nii.gz", BRAIN).parent)
    draft.label = "Simulated patient"
    tab.open_chosen([])
    panel(tab)
    case = tab.session.state.case
    assert case is not None
    assert case.label == "Uploaded study"


def test_no_folder_of_the_server_is_named(tab: Tab, tmp_path: Path) -> None:
    """Not even where nothing is left to open."""
    for study in (asset_folder("case"), put(tmp_path / "patient" / "tNAA.nii.gz", BRAIN).parent):
        if study == asset_folder("case"):
            tab.open_bundled()
            draft = panel(tab)
        else:
            draft = uploaded(tab, study)
        for index in range(len(draft.rows)):
            draft.choose(index)
            draft.set_role(LEAVE_OUT)
        tab.open_chosen([])
        draft = panel(tab)
        assert "no metabolite map" in tab.words
        for words in (tab.words, *draft.texts.values()):
            assert str(asset_folder("case").parent) not in words
            assert str(tmp_path) not in words


# ---------------------------------------------------------------- in a browser


def test_questions_are_answered_on_the_page(server: Any, visit: Visit, tmp_path: Path) -> None:
    """Which file is a map, and which labels are trusted; then all is given up again."""
    study = with_labels(tmp_path / "patient")
    (study / "tNAA.nii.gz").rename(study / f"{HOSTILE}.nii.gz")
    page = visit(server.url)
    page.on("dialog", lambda _: pytest.fail("A file's name was run as a script."))
    ready(page)
    assert not page.locator("#study-files").is_visible()
    upload(page, Path(shutil.make_archive(str(study), "zip", study)))
    page.wait_for_selector("#study .question")
    assert "holds no metabolite map" in page.locator("#study .question").inner_text()
    assert f"{HOSTILE}.nii.gz" in page.locator("#study-files").inner_text()
    page.locator("#study-file input").click()
    page.get_by_role("option", name=f"{HOSTILE}.nii.gz", exact=True).click()
    page.locator("#study-role input").click()
    page.get_by_role("option", name="metabolite map", exact=True).click()
    page.wait_for_selector("#study-name :is(input, textarea):enabled")
    page.locator("#study-name").locator("input, textarea").fill("tNAA")
    page.locator("#study-open").click()
    page.locator("#study .question").filter(has_text="which are trusted?").wait_for()
    page.locator("#study-mask_labels").get_by_label("2").check()
    page.locator("#study-open").click()
    ready(page, heading="Uploaded study: tNAA, slice")
    page.wait_for_selector("#study-open", state="hidden")
    assert page.locator("img[src=x]").count() == 0
    page.locator("#study > button").click()
    page.wait_for_selector("#study-files", state="visible")
    row = page.locator("#study-files tr").filter(has_text=HOSTILE).locator("td")
    cells = [f"{HOSTILE}.nii.gz", "metabolite map of tNAA", "chosen", "used"]
    assert row.all_inner_texts() == cells
    page.locator("#study-again").click()
    page.wait_for_selector("#study .question")
