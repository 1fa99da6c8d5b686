"""How the browser shows the images: in the link, told by the browser, and shown in another one."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import pytest
from visiting import Visit, open_tab, ready

from ftddm_viewer.session.state import State
from ftddm_viewer.web.appearance import TABS, USUAL, Appearance
from ftddm_viewer.web.permalink import query_of, wishes_of

OTHER = Appearance("Regions", "FLAIR", 40, smooth=True, neurological=True)


def test_any_appearance_survives_a_link() -> None:
    query = query_of(State(), appearance=OTHER)
    wishes = wishes_of(dict(parse_qsl(query[1:])))
    assert (wishes.appearance, wishes.problems) == (OTHER, [])
    assert query_of(State(), appearance=USUAL) == "?"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"tab": "<b>"}, "There is no tab '<b>': choose Side by side, Swipe"),
        ({"background": "T2"}, "There is no background 'T2': choose T1, FLAIR, None."),
        ({"overlay": "-1"}, "overlay is '-1': give per cent, from 0 to 100."),
        ({"overlay": "101"}, "from 0 to 100"),
        ({"overlay": "٣"}, "from 0 to 100"),
        ({"smooth": "maybe"}, "smooth is 'maybe': give 1 or 0."),
    ],
)
def test_nonsense_of_a_link_is_told_and_left_out(query: dict[str, str], words: str) -> None:
    wishes = wishes_of(query)
    assert wishes.appearance == USUAL
    (problem,) = wishes.problems
    assert words in problem


@pytest.mark.parametrize("told", [None, "x", [], {"tab": "x"}, {"overlay": {}}, {"smooth": None}])
def test_nonsense_of_a_browser_changes_nothing(told: object) -> None:
    assert OTHER.told(told) == OTHER


def test_what_a_browser_tells_is_taken_up() -> None:
    told = {"tab": "Regions", "background": "FLAIR", "overlay": 40.0, "smooth": 1, "x": 2}
    assert USUAL.told(told | {"neurological": 1}) == OTHER


def test_a_fresh_browser_shows_what_the_link_says(server: Any, visit: Visit) -> None:
    page = visit(server.url)
    ready(page)
    found = page.locator("#views [role=tab], #views .overflow-dropdown button").all_inner_texts()
    names = [name.strip() for name in found if name.strip()]
    assert names == [name for name in TABS if name in names]
    assert set(TABS) - set(names) == {"A|B", "Deviation"}  # nothing is pinned, nor sampled twice
    page.locator("#background input[value=FLAIR]").check()
    page.locator("#overlay input[type=number]").fill("40")
    page.locator("#overlay input[type=number]").press("Enter")
    page.locator("#contrast summary").click()
    page.locator("#contrast [name=smooth]").check()
    page.locator("#contrast [name=mirrored]").check()
    open_tab(page, "Difference")
    page.wait_for_function(
        """() => ['tab=Difference', 'background=FLAIR', 'overlay=40', 'smooth=1', 'neurological=1']
          .every((part) => document.querySelector('#link-field').value.includes(part))"""
    )
    other = visit(page.locator("#link-field").input_value(), apart=True)
    ready(other)
    other.locator("#drawn-difference svg.drawing").first.wait_for()
    other.wait_for_function(
        """() => {
          const { backdrop, smooth, sides } = document.getElementById('images').dataset;
          const overlay = document.getElementById('images').style.getPropertyValue('--overlay');
          return `${backdrop} ${smooth} ${sides} ${overlay}` === 'FLAIR yes neurological 0.4';
        }"""
    )
