"""Regions on the page: where they lie in the patient, what is refused, and what is read of them."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from lesioned import LESION, STACKS, state_of
from tiny import write_study
from visiting import PATIENCE, Visit, open_tab, ready

from ftddm_core.errors import SettingsError
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.scene import resolve
from ftddm_viewer.session.state import State
from ftddm_viewer.web.appearance import Appearance
from ftddm_viewer.web.limits import MOST_POINTS
from ftddm_viewer.web.outlines import contours
from ftddm_viewer.web.painter import Painter
from ftddm_viewer.web.panels import view_box
from ftddm_viewer.web.regions import LETTERS, Regions
from ftddm_viewer.web.regions_tool import EMPTY, RegionsTool, _csv, _told
from ftddm_viewer.web.scripts import script
from ftddm_viewer.web.tab import Tab

BOX = [[-12.0, -9.0], [14.0, 10.0]]


def drawn(regions: Regions, state: State, **changes: Any) -> dict[str, Any]:
    """Return what a browser sends of a box."""
    told = {"shape": "rectangle", "points": BOX, "slice": 1, "study": regions.number(state)}
    return told | changes


def shown(regions: Regions, state: State) -> str:
    return regions.outlines(state, resolve(state))


# ---------------------------------------------------------------- left and right


def lesion_in(stack: str) -> tuple[State, tuple[float, float]]:
    """Return the lesioned head in the slice of its lesion, and where that is in the drawing."""
    state = state_of(STACKS[stack])
    assert state.case is not None
    frame = state.case.frame
    place = frame.turn[:3, :3] @ LESION + frame.turn[:3, 3]
    across, down = (axis for axis in range(3) if axis != frame.axis)
    k = state.case.slice_at(float(place[frame.axis]))
    return replace(state, slice_index=k), (-float(place[across]), -float(place[down]))


@pytest.mark.parametrize("shape", ["ellipse", "rectangle", "polygon"])
@pytest.mark.parametrize("stack", STACKS)
def test_what_is_drawn_on_the_lesion_reads_the_lesion(stack: str, shape: str) -> None:
    """It is on the patient's left, and its mirror image across x = 0 is not."""
    state, (x, y) = lesion_in(stack)
    points = [[x - 6, y - 6], [x + 6, y + 6]]
    if shape == "polygon":
        points = [[x + 7 * math.cos(t), y + 7 * math.sin(t)] for t in np.arange(12) * np.pi / 6]
    regions = Regions()
    regions.move_plane(state, 0)
    told = {"shape": shape, "points": points, "slice": state.slice_index}
    regions.add(state, told | {"study": regions.number(state)})
    (reading,) = regions.readings(state).values()
    assert reading is not None
    assert reading.voxels >= 4
    cho, naa, ratio = reading.lines
    for source in ("reference", "output"):
        assert cho.values[source].mean == pytest.approx(6)  # type: ignore[index]
        assert naa.relative(source) == pytest.approx(0.5)  # type: ignore[arg-type]
        assert ratio.relative(source) == pytest.approx(6)  # type: ignore[arg-type]


@pytest.mark.parametrize("stack", ["axial", "axial, left-handed", "coronal", "oblique"])
def test_the_patients_left_is_at_the_right_of_the_screen(stack: str) -> None:
    """By the outlines that are drawn: the region's at the right, its mirror image's at the left, in
    other slices where the maps are tilted, and nothing in a slice far away."""
    state, (x, y) = lesion_in(stack)
    assert state.case is not None
    regions = Regions()
    regions.add(
        state,
        drawn(regions, state, points=[[x - 6, y - 6], [x + 6, y + 6]], slice=state.slice_index),
    )
    box = view_box(state.case)
    centre = box.x + box.width / 2
    found: dict[str, list[float]] = {}
    for k in range(state.slice_index - 8, state.slice_index + 1):
        now = replace(state, slice_index=k)
        for css, path, name in re.findall(
            r'<g class="([^"]+)"><path d="([^"]+)"/><text[^>]*>(.+?)<', shown(regions, now)
        ):
            assert name == {"region": "A", "region mirror": "A′"}[css]
            assert css == "region mirror" or k == state.slice_index
            corners = [pair.split() for pair in re.split("[MLZ]+", path) if pair]
            found.setdefault(css, []).extend(float(column) for column, _ in corners)
    assert np.mean(found["region"]) == pytest.approx(x, abs=4)
    assert min(found["region"]) > centre
    assert max(found["region mirror"]) < centre
    far = replace(state, slice_index=0)
    assert "path" not in shown(regions, far)
    assert len(regions.readings(far)) == 1


def test_every_drawing_of_a_map_has_the_regions() -> None:
    state, _ = lesion_in("axial")
    made = Painter().paint(state, resolve(state))
    use = '<use href="#regions" class="regions"/>'
    assert made.pair.count(use) == 3
    assert made.swipe.count(use) == 2


def test_outlines_run_round_the_voxels_and_their_holes() -> None:
    """By the area they enclose; voxels that touch at a corner have outlines that close, too."""
    rng = np.random.default_rng(3)
    for inside in (np.ones((1, 1), bool), rng.random((9, 7)) < 0.5, rng.random((12, 12)) < 0.8):
        area = 0.0
        for corners in contours(inside):
            x, y = np.array(corners, float).T
            area += float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
            steps = np.roll(corners, -1, axis=0) - corners
            assert ((steps == 0).sum(axis=1) == 1).all()  # along rows and columns
            assert ((steps[:, 0] == 0) != np.roll(steps[:, 0] == 0, 1)).all()  # every corner turns
        assert area == inside.sum()
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    assert sorted(map(len, contours(ring))) == [4, 4]


# ---------------------------------------------------------------- what a browser may send


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": "star"},
        {"shape": ["ellipse"]},
        {"points": []},
        {"points": BOX[:1]},
        {"points": BOX, "shape": "polygon"},
        {"points": "0 0 1 1"},
        {"points": [[0, 0], [1, math.nan]]},
        {"points": [[0, 0], [1, math.inf]]},
        {"points": [[0, 0], [1, 1e9]]},
        {"points": [[0, 0], [1, 10**400]]},
        {"points": [[0, 0], [1, "2"]]},
        {"points": [[0, 0], [1, True]]},
        {"points": [[0, 0], [1, 2, 3]]},
        {"points": [[0, 0], {"x": 1}]},
        {"points": [[0, 0]] * (MOST_POINTS + 1), "shape": "polygon"},
        {"slice": "1"},
        {"slice": 1.0},
        {"slice": 20},
        {"slice": -1},
        {"slice": True},
        {"study": 0},
        {"study": None},
    ],
)
def test_what_is_no_region_is_refused(changes: dict[str, Any]) -> None:
    state, _ = lesion_in("axial")
    regions = Regions()
    with pytest.raises(SettingsError):
        regions.add(state, drawn(regions, state, **changes))
    assert regions.of(state) == ()
    regions.add(state, drawn(regions, state))
    assert len(regions.of(state)) == 1


@pytest.mark.parametrize("told", [None, 3, [], "drawn"])
def test_what_is_nothing_is_refused(told: Any) -> None:
    state, _ = lesion_in("axial")
    with pytest.raises(SettingsError, match="This is no region"):
        Regions().add(state, told)
    with pytest.raises(SettingsError, match="No study is open"):
        Regions().add(State(), drawn(Regions(), State()))


def test_the_browser_draws_no_more_points_than_are_taken() -> None:
    assert f"MOST = {MOST_POINTS};" in script("regions")


def test_the_mirror_is_moved_to_positions_only() -> None:
    state, _ = lesion_in("axial")
    regions = Regions()
    for x0 in ("5", None, math.nan, 1e6, True):
        with pytest.raises(SettingsError, match="give a number in mm"):
            regions.move_plane(state, x0)
    regions.move_plane(state, 5)
    assert regions.plane(state) == 5
    with pytest.raises(SettingsError, match="There is no map"):
        regions.compare("T1")


def test_there_is_an_end_to_regions_and_letters_come_back() -> None:
    state, _ = lesion_in("axial")
    regions = Regions()
    for _ in LETTERS:
        regions.add(state, drawn(regions, state))
    with pytest.raises(SettingsError, match="8 regions, which is the limit"):
        regions.add(state, drawn(regions, state))
    regions.remove("C")
    regions.remove({"letter": "A"})
    regions.add(state, drawn(regions, state))
    assert sorted(each.letter for each in regions.of(state)) == [*LETTERS]


def test_another_study_has_no_regions_and_takes_none_of_the_one_before() -> None:
    state, _ = lesion_in("axial")
    other, _ = lesion_in("coronal")
    regions = Regions()
    late = drawn(regions, state)
    regions.add(state, late)
    regions.move_plane(state, 7)
    assert regions.readings(other) == {}
    assert "path" not in shown(regions, other)
    assert regions.plane(other) == pytest.approx(0, abs=0.5)
    with pytest.raises(SettingsError, match="drawn on the study before"):
        regions.add(other, late)


# ---------------------------------------------------------------- what is shown


@pytest.fixture
def tab(model: Model, tmp_path: Path) -> Iterator[Tab]:
    for name in ("private", "served"):
        (tmp_path / name).mkdir()
    made = Tab(model, tmp_path / "private", tmp_path / "served")
    made.session.open(write_study(tmp_path / "patient"), label="<b>patient</b>")
    assert made.session.wait(PATIENCE)
    yield made
    made.close()


def test_tables_are_made_once_there_is_a_region(
    tab: Tab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Read once for the same images; a region without voxels says so, and is not in the file."""
    with gr.Blocks(), gr.Tabs():
        tool = RegionsTool()
    counted: list[object] = []
    from ftddm_viewer.web import regions as module

    read = module.read
    monkeypatch.setattr(module, "read", lambda *a, **k: counted.append(a) or read(*a, **k))

    def properties() -> dict[str, Any]:
        state = tab.session.state
        scene = resolve(state)
        tab.painter.paint(state, scene)
        found = tool.properties(tab, state, scene)
        return {name: each.get("value", each.get("interactive")) for name, each in found.items()}

    assert properties()["regions-read"] == properties()["drawn-regions"] == ""
    assert not properties()["regions-csv"]
    tab.appearance = Appearance("Regions")
    number = tab.regions.number(tab.session.state)
    assert f'<div data-study="{number}" data-slice="' in properties()["drawn-regions"]
    assert counted == []
    around = [[-23.0, -8.0], [17.0, 32.0]]  # of the head, at (3, -12) of the patient
    k = tab.session.state.slice_index
    for points in (around, [[400, 400], [420, 420]]):
        told = {"shape": "ellipse", "points": points, "slice": k, "study": number}
        _told(tab, {"drawn": told})
    assert tab.problem == ""
    table = properties()["regions-read"]
    assert table.count("<table") == 2
    assert "<th>Lesion/normal</th>" in table
    assert re.search(r"<td>tNAA[^<]*</td><td>[\d.]+ ± [\d.]+, n \d+</td>", table)
    assert EMPTY in table
    assert properties()["regions-csv"]
    assert len(counted) == 1
    path = Path(_csv(tab, None))
    lines = [*csv.reader(path.read_text("utf-8-sig").splitlines())]
    assert path.suffix == ".csv"
    assert "<" not in path.name
    assert {line[0] for line in lines if not line[0].startswith("#")} == {
        "region",
        f"A (ellipse in slice {k + 1})",
    }
    assert str(tmp_path) not in path.read_text("utf-8-sig")
    tab.session.update(upscale=3)  # another output grid of the same study
    assert tab.session.wait(PATIENCE)
    assert properties()["regions-read"].count("<table") == len(counted) == 2
    _told(tab, {"remove": "A"})
    assert properties()["regions-read"].count("<table") == 1
    _told(tab, {"drawn": {"shape": "<b>"}})
    assert tab.problem.startswith("This is no region")
    for nonsense in (None, [], {"remove": ["B"]}):
        _told(tab, nonsense)
    tab.regions.clear()
    assert properties()["regions-read"] == ""


# ---------------------------------------------------------------- in a browser


def test_fading_ratio_and_regions_by_hand_and_by_keys(
    server: Any, visit: Visit, tmp_path: Path
) -> None:
    """From a link: the samples' deviation fades, a ratio is shown, and a region is read."""
    query = "samples=2&steps=2&fade=1&by_deviation=1&limit=5&ratio=tCho%2FtNAA"
    page = visit(f"{server.url}?{query}")
    ready(page, "faded: samples' deviation above 5 %")
    assert page.locator("#pair use[href='#image-veil']").count() == 3
    open_tab(page, "Reliability")
    page.locator("#reliability").filter(has_text="above 5 % in").wait_for()
    page.locator("#fade input").uncheck()
    page.locator("#image-veil").wait_for(state="detached")
    open_tab(page, "Ratio")
    box = page.locator("#drawn-ratio .ratio-output").bounding_box()
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.5 * box["height"])
    page.locator("#pointed span").filter(has_text="Ratio output tCho/tNAA").wait_for()
    open_tab(page, "Regions")
    box = page.locator("#drawn-regions .output").bounding_box()
    x, y = box["x"] + 0.65 * box["width"], box["y"] + 0.4 * box["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 20, y + 25)
    page.mouse.move(x + 40, y + 50)
    page.mouse.up()
    read = page.locator("#regions-read")
    read.locator("caption", has_text="A (ellipse in slice 10)").wait_for()
    page.locator("#drawn-regions .hands").focus()
    for key in ("Enter", "ArrowLeft", "ArrowLeft", "Shift+ArrowDown"):
        page.keyboard.press(key)
    said = page.locator("#region-said").inner_text()
    assert "20 × 22 mm, its centre 4 mm R and 1 mm P" in said
    page.keyboard.press("Enter")
    read.locator("caption", has_text="B (ellipse in slice 10)").wait_for()
    assert "slice 10 of 16" in page.locator("#heading").inner_text()  # arrows turned no slice
    assert page.locator("#outlines .region").count() == 4
    with page.expect_download() as download:
        page.locator("#regions-csv").click()
    download.value.save_as(tmp_path / "regions.csv")
    assert "B (ellipse in slice 10),tNAA,mM," in (tmp_path / "regions.csv").read_text("utf-8-sig")
    read.get_by_role("button", name="Remove region A").click()
    page.wait_for_function("document.querySelectorAll('#outlines .region').length === 2")
    page.locator("#regions-clear").click()
    read.locator("caption").wait_for(state="detached")
    assert "fade" not in page.url
    assert "ratio=tCho%2FtNAA" in page.url
