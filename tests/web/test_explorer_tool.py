"""The page's explorer: points where their figures are, which can be chosen; sweeps that yield."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from visiting import Visit, holds, open_tab, ready

from ftddm_viewer import live_settings
from ftddm_viewer.session.exploration import SWEPT, table_of
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.sweep_words import said_of
from ftddm_viewer.web.explorer_tool import LONG, NONSENSE, _choose, _csv, _png, _start, form
from ftddm_viewer.web.tab import Tab
from ftddm_viewer.web.trade_off import trade_off

POINT = re.compile(
    r'data-n="(\d+)" role="button" tabindex="(\S+)" aria-pressed="(\w+)" aria-label="([^"]+)" '
    r'transform="translate\((\S+) (\S+)\)'
)


def asked(**values: str) -> str:
    """Return what the form sends: every setting, those named ticked."""
    return json.dumps([[name, name in values, values.get(name, "")] for name in SWEPT])


@pytest.fixture(scope="module")
def opened(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(Session.__init__.__kwdefaults__, "checks_itself", False)
        made = Tab(model, *(tmp_path_factory.mktemp(name) for name in ("private", "served")))
    made.open_bundled()
    assert made.session.wait(60)
    yield made
    made.close()


@pytest.fixture
def tab(opened: Tab) -> Tab:
    """Return a page with the simulated case, where nothing was done."""
    opened.session._replace(exploration=None)
    opened.do(lambda: opened.session.update(**live_settings().to_dict()))
    assert opened.session.wait(60)
    opened.kept.clear()
    return opened


@pytest.fixture
def explored(tab: Tab) -> Tab:
    _start(tab, asked(tau_flow="0; 1", t_trunc="0, 20"))
    assert tab.problem == ""
    assert tab.session.wait(60)
    return tab


def test_every_point_lies_where_its_figures_are(explored: Tab) -> None:
    state = explored.session.state
    found = state.exploration
    assert found is not None
    assert found.here is not None
    drawn = trade_off(found, "psnr", state.settings, here=True)
    points = {int(each[0]): each for each in POINT.findall(drawn)}
    assert len(points) == len(found.points) == 4
    known = {found.sweep.points.index(p.settings): p.figures for p in found.points}
    for axis, name, sign in ((4, "sharpness", 1), (5, "psnr", -1)):
        places = np.array([float(points[n][axis]) for n in known])
        values = np.array([figures[name] for figures in known.values()])
        slope, start = np.polyfit(values, places, 1)
        assert slope * sign > 0
        assert np.abs(slope * values + start - places).max() < 0.1
    ring = re.search(r'class="here" cx="(\S+)" cy="(\S+)"', drawn)
    assert ring is not None
    assert "τ_f 0, T_trunc 0: sharpness" in drawn
    assert [each[1] for each in POINT.findall(drawn)].count("0") == 1
    elsewhere = trade_off(found, "nrmse", state.settings, here=False)
    assert 'class="here"' not in elsewhere
    assert "NRMSE against" in elsewhere


def test_a_point_sets_the_sliders_and_is_marked(explored: Tab) -> None:
    found = explored.session.state.exploration
    assert found is not None
    n = next(n for n, s in enumerate(found.sweep.points) if (s.tau_flow, s.t_trunc) == (1, 0))
    _choose(explored, f"point {n}")
    assert explored.session.wait(60)
    state = explored.session.state
    assert (state.settings.tau_flow, state.settings.t_trunc) == (1, 0)
    assert state.exploration is not None
    assert state.exploration.here is not None
    drawn = trade_off(state.exploration, "psnr", state.settings, here=True)
    pressed = [each for each in POINT.findall(drawn) if each[2] == "true"]
    assert [each[0] for each in pressed] == [str(n)]
    ring = re.search(r'class="here" cx="(\S+)" cy="(\S+)"', drawn)
    assert ring is not None
    assert ring.groups() == pressed[0][4:6]
    explored.do(explored.history.undo)
    assert explored.session.state.settings.tau_flow == 0.5
    for nonsense in ("point 99", "point x", "point", "measure <b>", None, "point ²"):
        _choose(explored, nonsense)
    assert explored.session.state.settings.tau_flow == 0.5


def test_the_page_is_followed_until_the_last_point(tab: Tab, brake: Any) -> None:
    """Else points would appear only when the user does something."""
    assert tab.follow()
    while not tab.leave(tab.session.state):  # what other tests kept
        pass
    _start(tab, asked(tau_flow="0, 1"))
    assert tab.follow()
    assert not tab.leave(tab.session.state)
    brake.released.set()
    assert tab.session.wait(60)
    assert tab.follow() == 0  # as after any command
    assert not tab.leave(tab.session.state)
    assert tab.take_news()
    assert tab.leave(tab.session.state)
    assert "2 of 2 points." in said_of(tab.session.state)


def test_a_long_sweep_is_asked_for_twice(tab: Tab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tab.session, "_longest_unasked", 1e-9)
    for values in ("0, 1", "0, 0.5, 1"):
        _start(tab, asked(tau_flow=values))
        assert tab.problem.startswith(LONG.partition("{")[0])
        assert tab.session.state.exploration is None
    _start(tab, asked(tau_flow="0, 0.5, 1"))
    assert tab.problem == ""
    assert tab.session.wait(60)
    found = tab.session.state.exploration
    assert found is not None
    assert len(found.points) == 3
    assert found.here is None  # the image itself takes too long to be computed unasked
    assert not tab.session.exploring


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (None, NONSENSE), ("[1, 2]", NONSENSE), ("{}", NONSENSE), ("[" * 100_000, NONSENSE),
        ('[["tau_flow", true, "0"]]', NONSENSE),
        (asked(tau_flow="a <b>"), "is not a list of numbers"),
        (asked(tau_flow="nan"), "cannot be nan"),
        (asked(), "nothing to sweep"),
        (asked(tau_flow=""), "nothing to sweep"),
        (asked(tau_flow="7"), "tau_flow"),
        (asked(t_trunc=",".join(map(str, range(900)))), "more than 500"),
    ],
)  # fmt: skip
def test_what_cannot_be_swept_is_told(words: Any, problem: str, tab: Tab) -> None:
    _start(tab, words)
    assert problem in tab.problem
    assert len(tab.problem) < 400
    assert tab.session.state.exploration is None


def test_what_was_typed_is_no_markup() -> None:
    found = form([(name, True, '"><script>') for name in SWEPT])
    assert "<script>" not in found


def test_the_table_and_the_figure_are_handed_out(explored: Tab) -> None:
    found = explored.session.state.exploration
    assert found is not None
    table, figure = Path(_csv(explored, None)), Path(_png(explored, None))
    assert table.name == "Simulated-patient-tNAA-slice-10-trade-off.csv"
    assert table.read_text() == table_of(found)
    assert figure.read_bytes().startswith(b"\x89PNG")
    explored.open_bundled()
    assert explored.session.wait(60)
    assert explored.session.state.exploration is None
    assert not isinstance(_csv(explored, None), str)


def test_two_pages_sweep_side_by_side_until_they_are_closed(model: Model, tmp_path: Path) -> None:
    """Points of one come while the other still lacks some."""
    tabs = [Tab(model, tmp_path, tmp_path) for _ in range(2)]
    together = Event()

    def look(*_: Any) -> None:
        found = [tab.session.state.exploration for tab in tabs]
        if all(f is not None and f.points and f.missing for f in found):
            together.set()

    try:
        for tab in tabs:
            tab.open_bundled()
            assert tab.session.wait(60)
            tab.session.changed.connect(look)
        for tab in tabs:
            _start(tab, asked(tau_flow="0,.1,.2,.3,.4,.5,.6,.7,.8,.9,1", t_trunc="0,10,20"))
        assert together.wait(60)
    finally:
        for tab in tabs:
            tab.close()
    assert not any(tab.session.exploring for tab in tabs)
    assert all(tab.session.wait(60) for tab in tabs)


def test_a_visitor_sweeps_and_chooses_a_point(server: Any, visit: Visit, tmp_path: Path) -> None:
    """By mouse and by keys; the sliders and the image beside the points follow."""
    page = visit(server.url)
    ready(page)
    open_tab(page, "Trade-off")
    page.locator("#sweep-form [name=tau_diffusion]").uncheck()
    assert page.locator("#values-tau_diffusion").is_disabled()
    page.locator("#values-t_trunc").fill("0, 30")
    page.locator("#values-t_trunc").press("Enter")
    page.wait_for_function("document.querySelectorAll('#trade-off .point').length === 6")
    page.wait_for_function("document.querySelector('#trade-off .here') !== null")
    point = page.locator("#trade-off .point[aria-label^='τ_f 1, T_trunc 30']")
    point.click()
    holds(page, "control-tau_flow", 1)
    holds(page, "control-t_trunc", 30)
    page.wait_for_function(
        "document.querySelector('#explored').textContent.replaceAll(/\\s/g, '').includes('τ_f1,')"
    )
    page.wait_for_function("document.activeElement.ariaPressed === 'true'")
    page.keyboard.press("Home")
    words = page.evaluate("document.activeElement.ariaLabel")
    page.keyboard.press("Enter")
    value = float(re.findall(r"τ_f (\S+),", words)[0])
    holds(page, "control-tau_flow", value)
    page.get_by_role("button", name="NRMSE").click()
    page.locator("#trade-off [aria-label^='NRMSE against']").wait_for()
    with page.expect_download() as download:
        page.locator("#sweep-csv").click()
    download.value.save_as(tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text().count("\n") == 7
