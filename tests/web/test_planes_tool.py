"""Three planes on the page: they meet in one point, whose value and slice are those said."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
from visiting import Visit, open_tab, ready

from ftddm_viewer.session.hover import value_at
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.planes import PARTLY, box_of
from ftddm_viewer.session.scene import resolve
from ftddm_viewer.web.planes_tool import _move, planes, point_of
from ftddm_viewer.web.tab import Tab

PLANE = re.compile(r'data-axis="(\d)" data-x="(\S+)" data-y="(\S+)"')


@pytest.fixture
def tab(model: Model, tmp_path: Path) -> Any:
    made = Tab(model, tmp_path, tmp_path)
    made.open_bundled()
    assert made.session.wait(60)
    yield made
    made.close()


def drawn(tab: Tab) -> tuple[str, dict[str, tuple[float, float]]]:
    state = tab.session.state
    scene = resolve(state)
    tab.painter.paint(state, scene)
    found = planes(tab, state, scene)
    return found, {axis: (float(x), float(y)) for axis, x, y in PLANE.findall(found)}


def test_a_move_in_one_plane_moves_the_others_and_the_slice(tab: Tab) -> None:
    """The drawings' axes run against the world's; along the slices the point is the slice."""
    case = tab.session.state.case
    assert case is not None
    assert case.frame.axis == 2
    before, marks = drawn(tab)
    assert marks["2"][1] == marks["0"][0]  # y, axial and sagittal
    assert marks["1"][1] == marks["0"][1]  # z, coronal and sagittal
    assert marks["2"][0] == marks["1"][0]  # x, axial and coronal
    z = float(case.positions[5])
    _move(tab, f"2 1 -21.5 {-z - 0.9}")
    _move(tab, "1 1 40 0")  # sent earlier, arrived later
    assert tab.session.wait(60)
    assert tab.session.state.slice_index == 5
    _move(tab, "3 2 -21.5 -13")
    after, marks = drawn(tab)
    assert marks["1"] == pytest.approx((-21.5, -z), abs=0.01)
    assert marks["2"] == pytest.approx((-21.5, -13), abs=0.01)
    output = resolve(tab.session.state).layer("output")
    assert output is not None
    value = value_at(output.volume, (21.5, 13, z))
    said = "outside the mask" if math.isnan(value) else f"{value:.4g} mM"
    assert f"Output tNAA 4×: {said}" in after
    assert PARTLY in after
    assert "slice 6 of 16" in resolve(tab.session.state).title
    for role in ("T1", "output"):
        one, other = (re.search(rf'id="plane-0-{role}"[^>]*>', text) for text in (before, after))
        assert one is not None
        assert other is not None
        assert one[0] != other[0]
    assert after.count("Research use only") >= 4


def test_the_point_stays_in_the_box_and_nonsense_moves_nothing(tab: Tab) -> None:
    case = tab.session.state.case
    assert case is not None
    _, before = drawn(tab)
    for asked in (None, "", "1 2 3", "1 7 0 0", "x 2 0 0", "1 2 nan 0", "1 2 inf 0"):
        _move(tab, asked)
    assert drawn(tab)[1] == before
    _move(tab, "1 2 -1e9 1e9")
    low, high = box_of(case)
    assert point_of(tab, case, resolve(tab.session.state))[:2] == (high[0], low[1])


def test_a_visitor_moves_the_cross_hair(server: Any, visit: Visit) -> None:
    """By mouse and by keys; nothing is sent while another tab is open."""
    page = visit(server.url)
    ready(page, heading="slice 10 of 16")
    assert page.locator("#planes").count() == 0 or page.locator("#planes").inner_html() == ""
    open_tab(page, "Three planes")
    coronal = page.locator("#planes .coronal")
    coronal.wait_for()
    inner = coronal.locator("svg").bounding_box()
    page.mouse.click(inner["x"] + 0.3 * inner["width"], inner["y"] + 0.25 * inner["height"])
    page.wait_for_function(
        "Number(document.querySelector('.heading').textContent.match(/slice (\\d+)/)[1]) > 10"
    )
    words = page.locator("#planes p").first
    before = words.inner_text()
    page.locator("#planes [data-axis='2']").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(
        "(before) => document.querySelector('#planes p').innerText.split('Point')[1] !== before",
        arg=before.split("Point")[1],
    )
    x = [float(re.findall(r"Point: (\S+),", text)[0]) for text in (before, words.inner_text())]
    assert x[1] - x[0] == pytest.approx(3.4, abs=0.11)  # a voxel to the patient's right
    open_tab(page, "Side by side")
    page.locator("#planes .coronal").wait_for(state="detached")
