"""A reader study of two readers from its images to its statistics, in a real browser.

One reads from the server, by keyboard alone; the other one from the plain file, with the mouse.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from reading import write_small
from tiny import Ftddm

from ftddm_viewer.readers.items import SCALES
from ftddm_viewer.readers.serving import Server, start
from ftddm_viewer.readers.store import Store

Visit = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path, ftddm: Ftddm) -> Path:
    """Return a study of one slice of two maps of the bundled case, by two methods."""
    words: list[Any] = ["readers", "new", "--out", tmp_path / "reading", "--html", "--order", 3]
    words += ["--slice", 8, "--metabolite", "tNAA", "--metabolite", "tCho", "--method"]
    words += ["zero-filling", "--method", "ftddm:steps=2,mri_weight=1,detail=1"]
    assert ftddm(*words, "--device", "cpu").code == 0
    return tmp_path / "reading"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Server]:
    """Return a study that is being served, whose images cannot be drawn."""
    write_small(tmp_path / "small")
    server = start(Store(tmp_path / "small"))
    yield server
    server.close()


def at(page: Any, words: str) -> None:
    """Wait until the page says where the reader is."""
    from playwright.sync_api import TimeoutError  # a test that lacks it is skipped before this

    try:
        page.wait_for_function(
            "words => document.querySelector('#count').textContent === words",
            arg=words,
            timeout=30_000,
        )
    except TimeoutError:
        found = page.locator("#count").text_content()
        raise AssertionError(f"The page is at {found} instead of {words}.") from None


def begin(page: Any, name: str) -> None:
    page.locator("#name").fill(name)
    page.keyboard.press("Enter")


def told(page: Any, words: str) -> None:
    """Wait until the page tells of a problem."""
    page.wait_for_function(
        "words => document.querySelector('#problem').textContent.includes(words)", arg=words
    )


def images_are_drawn(page: Any) -> None:
    page.wait_for_function(
        "() => [...document.querySelectorAll('#images img')]"
        ".every(image => image.complete && image.naturalWidth)"
    )


def test_two_readers_from_the_images_to_the_statistics(
    folder: Path, visit: Visit, ftddm: Ftddm, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    problems: list[str] = []
    served = start(Store(folder))
    request.addfinalizer(served.close)
    ann = visit(served.url, apart=True)
    ann.on("pageerror", lambda error: problems.append(str(error)))
    begin(ann, "Ann")
    at(ann, "Rating 1 of 6, 0 answered")
    images_are_drawn(ann)
    assert ann.locator("#images figure").count() == 2  # with the T1w image
    ann.keyboard.type("54")
    ann.wait_for_function(
        "() => document.querySelectorAll('#scales input:checked').length === 2"
        " && document.body.dataset.pending === '0'"
    )
    assert ann.locator("#next").is_disabled()

    ann.reload()  # in the middle of an image
    begin(ann, "ann")
    at(ann, "Rating 1 of 6, 0 answered")
    assert ann.locator("#scales input:checked").count() == 2
    assert ann.locator("fieldset.active legend").text_content() == SCALES[2].question
    ann.keyboard.type("321")
    at(ann, "Rating 1 of 6, 1 answered")
    for n in (2, 3, 4):
        ann.keyboard.press("Enter")
        at(ann, f"Rating {n} of 6, {n - 1} answered")
        ann.keyboard.type("33345")
        at(ann, f"Rating {n} of 6, {n} answered")
    ann.keyboard.press("Backspace")
    at(ann, "Rating 3 of 6, 4 answered")
    ann.keyboard.type("1")  # the first scale again
    ann.keyboard.press("Enter")
    at(ann, "Rating 4 of 6, 4 answered")
    for n, key in ((5, "ArrowLeft"), (6, "ArrowRight")):
        ann.keyboard.press("Enter")
        at(ann, f"Comparison {n} of 6, {n - 1} answered")
        images_are_drawn(ann)
        ann.keyboard.press(key)
        at(ann, f"Comparison {n} of 6, {n} answered")
    ann.keyboard.press("Enter")
    at(ann, "All 6 answered")
    assert ann.locator("#end").is_visible()

    bo = visit((folder / "study.html").as_uri(), apart=True)
    bo.on("pageerror", lambda error: problems.append(str(error)))
    begin(bo, "Bo")
    for n in range(1, 5):
        at(bo, f"Rating {n} of 6, {n - 1} answered")
        for scale in SCALES:
            bo.locator(f"#scale-{scale.name} input[value='4']").click()
        if n == 2:  # closed in the middle
            at(bo, "Rating 2 of 6, 2 answered")
            bo.reload()
            begin(bo, "Bo")
            continue
        bo.locator("#next").click()
    for n in (5, 6):
        at(bo, f"Comparison {n} of 6, {n - 1} answered")
        images_are_drawn(bo)
        bo.locator("figure.choice img").first.click()
        bo.locator("#next").click()
    at(bo, "All 6 answered")
    with bo.expect_download() as waiting:
        bo.locator("#save-end").click()
    assert waiting.value.suggested_filename == "answers-Bo.json"
    waiting.value.save_as(tmp_path / "bo.json")
    assert not problems

    added = ftddm("readers", "add", folder, tmp_path / "bo.json")
    assert "22 new answers of Bo" in added.out
    assert ftddm("readers", "export", folder, "--out", tmp_path / "out").code == 0
    with (tmp_path / "out" / "answers.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    ann_rows = [row for row in rows if row["reader"] == "Ann"]
    assert len(ann_rows) == 4 * 5 + 2 + 1
    first = {r["scale"]: r["value"] for r in ann_rows if (r["trial"], r["counts"]) == ("1", "yes")}
    assert list(first.values()) == ["5", "4", "3", "2", "1"]
    again = [r for r in ann_rows if (r["trial"], r["scale"]) == ("3", "sharpness")]
    assert [(r["value"], r["counts"]) for r in again] == [("3", "no"), ("1", "yes")]
    sides = {(r["reader"], r["trial"]): r["side"] for r in rows if r["scale"] == "preferred"}
    assert [sides["Ann", n] for n in "56"] == ["left", "right"]
    assert [sides["Bo", n] for n in "56"] == ["left", "left"]
    assert all(json.loads(row["display"])["image_width"] > 100 for row in rows)
    assert all(0 <= float(row["seconds"]) < 600 for row in rows)
    record = json.loads((tmp_path / "out" / "statistics.json").read_text())
    assert [row["trials answered"] for row in record["Readers"]] == [6, 6]
    assert record["Agreement"][0]["answered by all"] == 4


def test_an_answer_that_is_not_kept_is_told_and_asked_again(
    small: Server, visit: Visit, tmp_path: Path
) -> None:
    page = visit(small.url, apart=True)
    begin(page, "Cy")
    at(page, "Rating 1 of 12, 0 answered")
    page.route("**/answers", lambda route: route.abort())
    page.keyboard.press("4")
    told(page, "not kept")
    assert page.locator("#scales input:checked").count() == 0
    page.unroute("**/answers")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("4")
    page.wait_for_function("() => document.querySelector('#problem').textContent === ''")
    (kept,) = Store(tmp_path / "small").answers()
    assert (kept.scale, kept.value) == ("sharpness", "4")


def test_a_saved_file_goes_on_in_another_browser(visit: Visit, tmp_path: Path) -> None:
    write_small(tmp_path / "study", page=True)
    place = (tmp_path / "study" / "study.html").as_uri()
    one = visit(place, apart=True)
    begin(one, "Di")
    one.keyboard.type("12345")
    at(one, "Rating 1 of 12, 1 answered")
    with one.expect_download() as waiting:
        one.locator("#save").click()
    waiting.value.save_as(tmp_path / "di.json")
    other = visit(place, apart=True)
    other.locator("#load").set_input_files(str(tmp_path / "di.json"))
    at(other, "Rating 2 of 12, 1 answered")
    (tmp_path / "wrong.json").write_text('{"study": "another"}')
    third = visit(place, apart=True)
    third.locator("#load").set_input_files(str(tmp_path / "wrong.json"))
    told(third, "another")


def test_a_wrong_name_is_told(small: Server, visit: Visit) -> None:
    page = visit(small.url, apart=True)
    begin(page, "=1+1")
    told(page, "name")
    assert page.locator("#start").is_visible()
