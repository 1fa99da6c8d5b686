"""Colours of the maps on the page: shared by all of them, in the link, and no change of a value."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import matplotlib
import numpy as np
import pytest
from PIL import Image
from visiting import Visit, image_of, ready

from ftddm_core.errors import SettingsError
from ftddm_viewer.session.display import COLORMAPS, Display
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.scene import resolve
from ftddm_viewer.web.contrast_tool import _change, form
from ftddm_viewer.web.permalink import query_of, wishes_of
from ftddm_viewer.web.tab import Tab


@pytest.fixture
def tab(model: Model, tmp_path: Path) -> Any:
    made = Tab(model, tmp_path, tmp_path)
    made.open_bundled()
    assert made.session.wait(60)
    yield made
    made.close()


def test_both_toolkits_know_the_colours() -> None:
    napari = pytest.importorskip("napari.utils.colormaps")
    for name in COLORMAPS:
        assert name in matplotlib.colormaps
        assert napari.ensure_colormap(name).name == name
    assert Display().limits((0.0, 12.0)) == (0.0, 12.0)


def test_all_maps_follow_and_nothing_else(tab: Tab) -> None:
    """Also what was drawn before; the bar says the values of the ends."""
    before = resolve(tab.session.state)
    first = tab.painter.paint(tab.session.state, before)
    tab.session.display(layers=frozenset({"difference"}))
    _change(tab, "2 magma 25 75")
    _change(tab, "1 gray 0 100")  # sent earlier, arrived later
    state = tab.session.state
    scene = resolve(state)
    top = before.layers[-1].limits[1]
    for layer in scene.layers:
        old = before.layer(layer.role)
        if layer.role in ("input", "output", "reference"):
            assert old is not None
            assert (layer.colormap, layer.limits) == ("magma", (top / 4, 3 * top / 4))
            assert layer.volume is old.volume
        elif old is not None:
            assert (layer.colormap, layer.limits) == (old.colormap, old.limits)
    drawn = tab.painter.paint(state, scene)
    for role in ("input", "output", "reference"):
        one, other = (re.search(rf'id="image-{role}"[^>]*>', d.maps) for d in (first, drawn))
        assert one is not None
        assert other is not None
        assert one[0] != other[0]
    assert drawn.backdrop == first.backdrop
    assert f"<span>{top / 4:.3g}</span>" in drawn.bar
    assert drawn.bar != first.bar


def test_the_link_has_the_colours_and_brings_them_back(tab: Tab, tmp_path: Path) -> None:
    assert not {"colormap", "low", "high"} & {*tab.parameters}
    _change(tab, "1 cividis 10 80")
    query = query_of(tab.session.state)
    assert query == "?colormap=cividis&low=10&high=80"
    wishes = wishes_of(dict(parse_qsl(query[1:])))
    assert wishes.problems == []
    tab.session.display(**Display().__dict__)
    tab.begin(wishes)
    assert tab.session.state.display.contrast == ("cividis", 10, 80)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"colormap": "jet"}, "no colours 'jet'"),
        ({"colormap": "<script>" * 50}, "no colours"),
        ({"low": "90", "high": "10"}, "from 90 to 10 %"),
        ({"high": "inf"}, "from 0 to inf %"),
        ({"low": "nan"}, "from nan to"),
        ({"low": "much"}, "low is 'much'"),
    ],
)
def test_colours_that_make_no_sense_are_told_and_left_out(
    query: dict[str, str], words: str
) -> None:
    wishes = wishes_of(query)
    assert len(wishes.problems) == 1
    assert words in wishes.problems[0]
    assert len(wishes.problems[0]) < 200
    assert wishes.display == {}
    if "much" not in query.values():
        with pytest.raises(SettingsError, match="choose"):
            Display().changed(**{k: v if k == "colormap" else float(v) for k, v in query.items()})


def test_nonsense_from_the_page_changes_nothing(tab: Tab) -> None:
    for asked in (None, "", "1 magma", "x magma 0 100", "nan magma 0 100", "1 magma 0 <b>"):
        _change(tab, asked)
        assert tab.problem == ""
    _change(tab, "1 jet 0 100")
    assert "no colours 'jet'" in tab.problem
    assert tab.session.state.display == Display()
    assert 'value="100"' in form(Display())


def colours_on_screen(page: Any) -> int:
    """Return how many colours the output is drawn with."""
    shot = Image.open(io.BytesIO(page.locator("#pair .output").screenshot())).convert("RGB")
    return len(shot.getcolors(10**6) or ())


def said_at(page: Any, share: float) -> str:
    """Return what is said where the pointer rests in the output, once it is something else."""
    box = page.locator("#pair .output").bounding_box()
    words = page.locator("#pointed span")
    before = words.inner_text() if words.count() else ""
    page.mouse.move(box["x"] + share * box["width"], box["y"] + 0.5 * box["height"])
    page.wait_for_function(
        "(before) => ![before, undefined].includes("
        "document.querySelector('#pointed span')?.innerText)",
        arg=before,
    )
    return str(words.inner_text())


def test_a_visitor_sets_the_colours(server: Any, visit: Visit) -> None:
    """Colours, range, smoothing and sides; values under the pointer stay those of the place."""
    page = visit(server.url)
    ready(page)
    usual = image_of(page)
    page.locator("#contrast summary").click()
    page.locator("#contrast-colormap").select_option("gray")
    page.wait_for_function("document.getElementById('link-field').value.includes('colormap=gray')")
    grey = image_of(page)
    assert np.array_equal(grey[..., 0], grey[..., 1])
    page.locator("#contrast-high").fill("50")
    page.wait_for_function("document.getElementById('link-field').value.includes('high=50')")
    assert image_of(page)[..., 0].mean() > grey[..., 0].mean()
    page.locator("#contrast [name=reset]").click()
    page.wait_for_function("!document.getElementById('link-field').value.includes('high')")
    assert np.array_equal(image_of(page), usual)
    few = colours_on_screen(page)
    page.locator("#contrast [name=smooth]").check()
    assert colours_on_screen(page) > 2 * few
    letter = page.locator("#pair .output .letter", has_text="R")
    before, here, there = letter.bounding_box(), said_at(page, 0.35), said_at(page, 0.65)
    assert here != there
    page.locator("#contrast [name=mirrored]").check()
    assert letter.bounding_box()["x"] > before["x"] + 100
    assert said_at(page, 0.35) == there
    assert said_at(page, 0.65) == here
    page.goto(f"{server.url}?colormap=magma&low=20")
    ready(page)
    assert page.locator("#contrast-low").input_value() == "20"
    assert page.locator("#contrast-colormap").input_value() == "magma"
