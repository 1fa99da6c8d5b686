"""Small studies as producers write them, uploaded to the page: it says what must be said of each.

One visitor uploads them one after the other, folders as zip files, and reads the study panel. What
the page does not show, such as a map's mean, is taken from the session behind it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest
from cases import NAMES, make_cases, trusted
from visiting import image_of, ready, upload

from ftddm_core.imaging.io import read_volume
from ftddm_core.imaging.volume import Study
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.state import Activity
from ftddm_viewer.web.tab import Tab
from ftddm_viewer.web.tabs import Tabs

ZIPPED = ("vienna", "bids-two-signals", "pair-hdr-img", "same-output-name", "symlink-loop")
"""Cases without subfolders that are uploaded as zip files, too."""

PATIENCE = 20.0

SHOWN = """(wanted) => Object.entries(wanted).every(([name, html]) => {
  const plain = (text) => text.replaceAll(/\\s/g, '');
  const page = document.createElement('template');
  page.innerHTML = html;
  return plain(document.querySelector(`#study-${name}`)?.textContent ?? '')
    === plain(page.content.textContent);
})"""
"""Whether the page has received the newest texts of the study panel."""

NAME = "#study-name :is(input, textarea)"
CHOSEN = "([name, text]) => document.querySelector(`#study-${name} input`).value == text"


class Visitor:
    """One page in a browser, and its tab on the server."""

    def __init__(self, page: Any, tab: Tab, folder: Path, table: dict[str, Any]) -> None:
        self.page, self.tab, self.folder, self.table = page, tab, folder, table

    def upload(self, name: str) -> None:
        """Upload a case as a visitor can, and wait until the page shows what became of it."""
        place = self.folder / name / self.table[name].get("open", "")
        before = self.tab.session.state.inspection
        nested = any(path.is_dir() for path in place.iterdir())
        if nested or name in ZIPPED:
            upload(self.page, Path(shutil.make_archive(str(self.folder / name), "zip", place)))
        else:
            upload(self.page, *sorted(path for path in place.iterdir() if path.is_file()))
        self.settle(before)

    def settle(self, before: Any) -> None:
        """Wait for another inspection than one before, and until the page shows it."""
        end = monotonic() + PATIENCE
        while not self._sent(before):
            assert monotonic() < end, f"Nothing was opened: {self.tab.words}"
            sleep(0.02)
        files = self.page.locator("#study-files")
        if not self.tab.draft.expanded:  # the panel closes once a study opens that did not
            files.wait_for(state="hidden")
            self.page.locator("#study > button").click()
        files.wait_for(state="visible")
        self.page.wait_for_function(SHOWN, arg=dict(self.tab.draft.texts))
        while not self.tab.draft.expanded:
            assert monotonic() < end, "The page did not say that the panel is open."
            sleep(0.02)

    def _sent(self, before: Any) -> bool:
        """Return whether everything about another inspection is on its way to the page."""
        state = self.tab.session.state
        done = state.activity is Activity.IDLE and not self.tab.followed
        return done and state.inspection is not before and self.tab.draft.found is state.inspection

    @property
    def study(self) -> Study:
        case = self.tab.session.state.case
        assert case is not None
        return case.study

    @property
    def rows(self) -> dict[str, list[str]]:
        """File, as it is shown -> what it was taken for, why, and its use."""
        cells = self.page.evaluate(
            "[...document.querySelectorAll('#study-files tbody tr')]"
            ".map((row) => [...row.cells].map((cell) => cell.innerText))"
        )
        return {row[0]: row[1:] for row in cells}

    def use(self, ending: str) -> str:
        """Return what happens to the only file whose name ends so."""
        (use,) = (row[2] for file, row in self.rows.items() if file.endswith(ending))
        return use

    @property
    def facts(self) -> dict[str, str]:
        terms, words = (
            self.page.locator(f"#study-about {tag}").all_inner_texts() for tag in ("dt", "dd")
        )
        return dict(zip(terms, words, strict=True))

    @property
    def maps(self) -> list[str]:
        return [re.sub(r" \(.*", "", name) for name in self.facts["Maps"].split(", ")]

    @property
    def warnings(self) -> list[str]:
        return list(self.page.locator("#study-about .warnings li").all_inner_texts())

    @property
    def heading(self) -> str:
        return str(self.page.locator("#study > button").inner_text())

    @property
    def problem(self) -> str:
        return " ".join(self.page.locator(".problem").all_inner_texts())

    @property
    def question(self) -> str:
        return " ".join(self.page.locator("#study-question .question").all_inner_texts())

    def choose(self, name: str, text: str) -> None:
        """Choose an option of the study panel."""
        self.page.locator(f"#study-{name} input").click()
        self.page.get_by_role("option", name=text, exact=True).click()
        self.page.wait_for_function(CHOSEN, arg=[name, text])

    def open_chosen(self) -> None:
        before = self.tab.session.state.inspection
        self.page.locator("#study-open").click()
        self.settle(before)

    def downloads(self, folder: Path) -> list[Path]:
        """Compute the whole volume, and return its files without the archive."""
        self.page.locator("#volume").click()
        self.page.wait_for_selector("#files a[download$='.zip']")
        found = []
        for link in self.page.locator("#files a[download]").all()[1:]:
            with self.page.expect_download() as download:
                link.click()
            found.append(folder / download.value.suggested_filename)
            download.value.save_as(found[-1])
        return found


@pytest.fixture(scope="module")
def visitor(
    server: Any, browser: Any, known: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Visitor]:
    """Return a page whose study panel is open."""
    folder, table = make_cases(tmp_path_factory.mktemp("cases"))
    tabs: list[Tab] = []
    opened = Tabs.open

    def opening(self: Tabs, key: str | None, *whose: str) -> Tab:
        tabs.append(opened(self, key, *whose))
        return tabs[-1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Tabs, "open", opening)
        patched.setitem(Session.__init__.__kwdefaults__, "checks_itself", False)
        page = known.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(f"{server.url}?mri_weight=1&detail=1")  # whole volumes need no check
        ready(page)
    yield Visitor(page, tabs[-1], folder, table)
    page.close()


# ---------------------------------------------------------------- every case


@pytest.mark.parametrize("name", NAMES)
def test_the_page_says_of_a_case_what_must_be_said(visitor: Visitor, name: str) -> None:
    wanted = visitor.table[name]
    visitor.upload(name)
    said = visitor.page.locator("body").inner_text()
    assert str(visitor.tab.session.state.inspection.paths[0].parents[2]) not in said
    if words := wanted.get("ask") or wanted.get("refused"):
        assert "needs a choice" in visitor.heading
        assert words in visitor.question
        assert words in visitor.problem
        assert "\n" not in visitor.problem
        for warning in wanted.get("warn", ()):
            assert warning in visitor.problem
        return
    for words in wanted.get("warn", ()):
        assert any(words in warning for warning in visitor.warnings), visitor.warnings
    if name == "mask-inverted":  # which may also open
        assert "does not open" in visitor.heading
        assert "This study does not open" in visitor.question
        assert "no signal inside the mask" in visitor.problem
        return
    assert_open(visitor, name)


def assert_open(visitor: Visitor, name: str) -> None:
    """Compare the open study with the table, as far as possible by what the page says."""
    wanted, study = visitor.table[name], visitor.study
    assert (visitor.problem, visitor.question) == ("", "")
    ready(visitor.page, heading="Uploaded study")
    taken = [words for words, _, use in visitor.rows.values() if use == "used"]
    count = f"{len(visitor.rows)} file{'s' * (len(visitor.rows) > 1)}, {len(taken)} used"
    assert count in visitor.heading
    of_maps = {words.split()[3] for words in taken if words.startswith("metabolite map")}
    assert sorted(visitor.maps) == sorted(of_maps) == sorted(study.maps)
    assert np.isfinite(image_of(visitor.page)).all()
    if wanted["maps"]:
        assert set(visitor.maps) == set(wanted["maps"])
        means = {n: v.data[trusted(study, n)].mean() for n, v in study.maps.items()}
        assert means == pytest.approx(wanted["maps"], rel=2e-3)
    if "maps_named" in wanted:
        assert visitor.maps == wanted["maps_named"]
    assert not set(wanted.get("never", ())) & set(visitor.maps)
    if wanted["trusted"] is not None:
        assert f"{wanted['trusted']} voxels trusted" in visitor.facts["Mask"]
    if "crlb" in wanted:
        bounds = [words.split()[2] for words in taken if words.startswith("CRLB of")]
        assert sorted(bounds) == sorted(study.crlb) == sorted(wanted["crlb"])
        assert visitor.facts["CRLB"].startswith("of every map, in per cent")
    for metabolite, percent in wanted.get("crlb_percent", {}).items():
        assert study.crlb[metabolite].data.max() == pytest.approx(percent)
    if "t1" in wanted:
        (t1,) = (file for file, row in visitor.rows.items() if row[0] == "T1" and row[2] == "used")
        assert wanted["t1"] in t1
    if "offered" in wanted:
        last = wanted["offered"].split()[-1].removesuffix(".nii.gz")
        assert any("offered" in words or last in words for words in visitor.warnings)
    if "enlarged_axes" in wanted:
        assert [study.grid.stored[axis] for axis in (0, 1)] == wanted["enlarged_axes"]
        assert visitor.facts["Matrix"] == "12 x 14 x 4"
    if "finite" in wanted:
        image = visitor.tab.session.state.image
        assert image is not None
        assert np.isfinite(image.shown(1.0)).all()
    if "either" in wanted:
        assert any(wanted["either"].partition("warning: ")[2] in w for w in visitor.warnings)


# ---------------------------------------------------------------- more than is shown at once


def test_a_damaged_file_is_not_said_to_be_used(visitor: Visitor, tmp_path: Path) -> None:
    """Nor do the results name a folder of the server."""
    visitor.upload("damaged-crlb")
    assert visitor.use("tNAA_crlb.nii.gz") == "left out: damaged or not readable"
    assert "3 files, 2 used" in visitor.heading
    for path in visitor.downloads(tmp_path):
        if path.suffix == ".json":
            text = path.read_text()
            assert "left out: tNAA_crlb.nii.gz is truncated" in text
            assert "/study/" not in text


def test_the_page_shows_where_the_mri_lies(visitor: Visitor) -> None:
    """Nothing without an MRI, and another image for another place."""
    shown = visitor.page.locator("#study-placement img")
    found = []
    for name in ("t1-elsewhere", "t1-names"):
        visitor.upload("rounding")
        shown.wait_for(state="detached")
        visitor.upload(name)
        shown.wait_for()
        assert shown.evaluate("image => image.complete && image.naturalWidth > 300")
        found.append(shown.get_attribute("src"))
    assert found[0] != found[1]
    small = shown.bounding_box()["width"]
    shown.click()
    assert shown.bounding_box()["width"] > 2 * small
    shown.blur()
    assert shown.bounding_box()["width"] == small
    visitor.page.locator("#study > button").click()
    shown.wait_for(state="hidden")
    visitor.page.locator("#study > button").click()
    shown.wait_for()
    assert shown.get_attribute("src") == found[1]


def test_results_are_named_after_the_subject(visitor: Visitor, tmp_path: Path) -> None:
    visitor.upload("git-annex")
    label = visitor.table["git-annex"]["label"]
    assert {path.name.partition("_met-")[0] for path in visitor.downloads(tmp_path)} == {label}


def test_results_without_orientation_claim_none(visitor: Visitor, tmp_path: Path) -> None:
    visitor.upload("codes-zero")
    codes = visitor.table["codes-zero"]["output_codes"]
    maps = [path for path in visitor.downloads(tmp_path) if path.name.endswith(".nii.gz")]
    assert len(maps) == 2
    for path in maps:
        header = read_volume(path).header
        assert (int(header["sform_code"]), int(header["qform_code"])) == (codes, codes)


def test_a_tree_without_its_folders_is_asked_for_as_a_zip(visitor: Visitor) -> None:
    """Files of one name are in several of its folders."""
    inside = sorted((visitor.folder / "fslmrs-root").rglob("*.nii.gz"))
    upload(visitor.page, *inside)
    words = visitor.page.locator(".problem").filter(has_text="Two of the files are called")
    words.wait_for()
    assert "upload the folder that holds them as one .zip" in words.inner_text()


# ---------------------------------------------------------------- answers


def test_the_session_is_chosen(visitor: Visitor) -> None:
    visitor.upload("bids-two-sessions")
    visitor.choose("session", "V2")
    visitor.open_chosen()
    assert visitor.maps == ["tNAA"]
    assert visitor.use("ses-V1_met-NAANAAG_desc-signal_mrsi.nii.gz") == (
        "left out: of another session"
    )
    assert visitor.use("ses-V2_met-NAANAAG_desc-signal_mrsi.nii.gz") == "used"


def test_a_ratio_is_said_to_be_a_map(visitor: Visitor) -> None:
    visitor.upload("ratio-input")
    visitor.choose("role", "metabolite map")
    visitor.page.wait_for_selector(f"{NAME}:enabled")
    visitor.open_chosen()
    assert "tNAA_over_tCr" in visitor.maps
    assert any("is a ratio" in warning for warning in visitor.warnings)


def test_one_of_two_maps_is_left_out(visitor: Visitor) -> None:
    visitor.upload("same-output-name")
    visitor.choose("role", "leave out")
    visitor.open_chosen()
    assert visitor.maps == ["Glx"]
    assert visitor.use("Glu+Gln.nii.gz") == "left out: left out by choice"


def test_an_inverted_mask_is_left_out(visitor: Visitor) -> None:
    visitor.upload("mask-inverted")
    visitor.choose("file", "mask.nii.gz")
    visitor.choose("role", "leave out")
    visitor.open_chosen()
    assert visitor.problem == ""
    assert visitor.facts["Mask"].startswith("none")
    ready(visitor.page, heading="Uploaded study: tNAA")
