"""The page's tools: value under the pointer, slices by wheel and keys, undo, views, what to take
along; and which actions of the program the page has."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import write_study
from visiting import READY, Visit, holds, open_tab, ready

from ftddm_core.assets import asset_folder
from ftddm_viewer.session.actions import ACTIONS
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.scene import resolve
from ftddm_viewer.session.session import Session
from ftddm_viewer.web.painter import Painter
from ftddm_viewer.web.parity import IN_THE_WINDOW_ONLY, ON_PAGE
from ftddm_viewer.web.pointing_tool import at
from ftddm_viewer.web.tab import Tab
from ftddm_viewer.web.taking_tool import without_places

FLICKERS = """(side) => {
  const right = document.querySelector('#swipe .swipe .right');
  const seen = right && getComputedStyle(right).visibility === 'visible';
  return document.getElementById('images').dataset.flicker === side && seen === (side === 'right');
}"""
"""Whether a side is seen, and the other one covered by it or hidden."""


@pytest.fixture
def session(model: Model) -> Iterator[Session]:
    made = Session(model)
    made.open(asset_folder("case"))
    assert made.wait(60)
    yield made
    assert made.close(60)


def test_both_front_ends_have_the_same_actions_or_say_why(server: Any, visit: Visit) -> None:
    """The one table of actions against the elements of the page."""
    names = {action.name for action in ACTIONS}
    assert names == ON_PAGE.keys() | IN_THE_WINDOW_ONLY.keys()
    assert not ON_PAGE.keys() & IN_THE_WINDOW_ONLY.keys()
    assert all(IN_THE_WINDOW_ONLY.values())
    page = visit(server.url)
    ready(page)
    labels = page.get_by_role("tab").all_inner_texts()
    for name, element in ON_PAGE.items():
        found = page.locator(f"#{element}, [id='{element}-button']").count()
        assert found or element.startswith("view-"), name
    assert {"Difference", "Drawn detail", "Flow's image", "First estimate"} <= set(labels)


def test_the_value_is_that_of_the_voxel_that_is_drawn_there(session: Session) -> None:
    """For every voxel of the drawing, by its place in mm."""
    state = session.state
    scene = resolve(state)
    maps = Painter().paint(state, scene).maps
    attributes = re.search(
        r'id="image-output" x="(\S+)" y="(\S+)" width="(\S+)" height="(\S+)"', maps
    )
    assert attributes is not None
    x, y, width, height = map(float, attributes.groups())
    layer = scene.layer("output")
    assert layer is not None
    values = layer.volume.data[:, :, state.slice_index]
    columns, rows = values.shape
    seen = 0
    for i, j in [(10, 20), (30, 40), (32, 20), (44, 31), (20, 33)]:
        right, down = columns - 1 - i, rows - 1 - j  # the drawing's axes run against the world's
        words = at(
            state, "output", x + (right + 0.5) * width / columns, y + (down + 0.5) * height / rows
        )
        value = float(values[i, j])
        if math.isnan(value):
            assert words.endswith("outside the mask")
        else:
            seen += 1
            assert f": {value:.4g} mM" in words
    assert seen >= 2


@pytest.mark.parametrize("asked", [("nothing", 0, 0), ("output", math.nan, 0), ("output", 1e9, 0)])
def test_there_is_no_value_where_there_is_no_image(
    asked: tuple[str, float, float], session: Session
) -> None:
    words = at(session.state, *asked)
    assert words == "" or words.endswith("outside the mask")


def test_the_pointer_the_wheel_and_the_arrow_keys(server: Any, visit: Visit) -> None:
    page = visit(server.url)
    ready(page, heading="slice 10 of 16")
    box = page.locator("#pair .output").bounding_box()
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.55 * box["height"])
    page.locator("#pointed span").filter(has_text="Output tNAA").wait_for()
    page.mouse.wheel(0, -100)
    ready(page, heading="slice 11 of 16")
    page.mouse.wheel(0, 100)
    ready(page, heading="slice 10 of 16")
    page.locator("#pair .hands").focus()
    page.keyboard.press("ArrowDown")
    ready(page, heading="slice 9 of 16")
    page.keyboard.press("PageUp")
    ready(page, heading="slice 10 of 16")
    assert page.evaluate("window.scrollY") == 0


def test_settings_are_undone_and_named(server: Any, visit: Visit) -> None:
    page = visit(server.url)
    ready(page)
    assert page.locator("#undo").is_disabled()
    page.locator("#preset-sharp").click()
    ready(page, "τ_f 1, τ_d 1,")
    page.keyboard.press("Control+Z")
    ready(page, "τ_f 0.5, τ_d 0.5,")
    holds(page, "control-tau_flow", 0.5)
    page.locator("#redo").click()
    ready(page, "τ_f 1, τ_d 1,")


def test_an_output_is_pinned_and_compared(server: Any, visit: Visit) -> None:
    """By keys, but not while something is typed; a reload keeps the pins."""
    page = visit(server.url)
    ready(page)
    page.locator("#control-tau_flow input[type=number]").press("k")
    page.locator("#pair .hands").press("w")
    for side in ("left", "right", "left"):
        page.wait_for_function(FLICKERS, arg=side)
    assert page.locator(".swipe .left .name").text_content() == "Input tNAA"
    assert page.get_by_role("tab", name="A|B").count() == 0
    page.keyboard.press("w")
    page.wait_for_selector("#images:not([data-flicker])")
    page.keyboard.press("k")
    open_tab(page, "A|B")
    page.locator("#preset-sharp").click()
    words = "A: τ_f 0.5, τ_d 0.5 | now: τ_f 1, τ_d 1."
    page.wait_for_function(READY, arg={"#beside": words, ".activity": "Up to date"})
    page.keyboard.press("k")
    page.locator("#against").get_by_label("A", exact=True).check()
    page.wait_for_function(READY, arg={"#beside": "A (pinned): Output", "#swipe": "A (pinned)"})
    place = page.locator("#flicker").bounding_box()
    assert place["x"] + place["width"] <= 1280
    page.locator("#reset").click()
    page.wait_for_function(READY, arg={"#beside": "A and now: same settings."})
    page.wait_for_url(re.compile(r"/\?pins=A~B,tau_flow:1.0,tau_diffusion:1.0&tab=A%7CB$"))
    page.reload()
    open_tab(page, "A|B")
    page.wait_for_function(READY, arg={"#beside": "A (pinned): Output tNAA"})
    page.keyboard.press("Shift+K")
    page.keyboard.press("Shift+K")
    page.get_by_role("tab", name="A|B").wait_for(state="detached")


def test_derived_images_are_computed_while_their_tab_is_open(server: Any, visit: Visit) -> None:
    """Every image says what it is; one that is not looked at is not sent."""
    page = visit(server.url)
    ready(page)
    assert page.locator("#image-difference").count() == 0
    for name, role, words in (
        ("Difference", "difference", "output − reference, in mM"),
        ("First estimate", "estimate", "FIRST ESTIMATE at T_trunc 100, where"),
    ):
        open_tab(page, name)
        page.locator(f"#image-{role}").wait_for(state="attached")
        shown = page.locator(f"#drawn-{role} .{role}")
        shown.wait_for()
        found = "".join(shown.text_content().split())
        assert "".join(words.split()) in found
        assert "Researchuseonly" in found
    open_tab(page, "Side by side")
    page.locator("#image-estimate").wait_for(state="detached")


def test_what_is_shown_is_taken_along(server: Any, visit: Visit, tmp_path: Path) -> None:
    """A script to the clipboard, a page as PDF; what has no command says so."""
    page = visit(server.url)
    ready(page)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#copy_python").click()
    page.wait_for_function("document.querySelector('#said').innerText.includes('Copied')")
    script = page.evaluate("navigator.clipboard.readText()")
    compile(script, "script", "exec")
    assert "paths = ['simulated-patient']" in script
    page.locator("#copy_command").click()
    page.wait_for_selector(".problem")
    assert "copy it as Python" in page.locator(".problem").inner_text()
    with page.expect_download() as download:
        page.locator("#report-pdf").click()
    assert download.value.suggested_filename == "Simulated-patient-tNAA-slice-10.pdf"
    download.value.save_as(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_no_text_to_copy_names_a_place_of_the_server(model: Model, tmp_path: Path) -> None:
    from ftddm_viewer.session.repeating import as_command, as_python

    folders = [tmp_path / name for name in ("private", "served")]
    for folder in folders:
        folder.mkdir()
    tab = Tab(model, *folders)
    try:
        tab.open_uploads([str(path) for path in sorted(write_study(tmp_path / "p").iterdir())])
        assert tab.session.wait(60)
        for make in (as_command, as_python):
            words = without_places(make(tab.session.state, model), tab)
            assert "tNAA.nii.gz" in words
            assert str(tmp_path) not in words
            assert str(Path(model.weights).parent.absolute()) not in words
    finally:
        tab.close()
    assert np.all([not any(folder.iterdir()) for folder in folders])
