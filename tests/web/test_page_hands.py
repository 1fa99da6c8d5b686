"""What the visitor's hands do on the page: typing, and nothing that moves under them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlparse

import pytest
from sessions import Brake
from visiting import Visit, enter, holds, ready, shown

# ---------------------------------------------------------------- typed numbers


def box_of(page: Any, name: str) -> Any:
    return page.locator(f"#{name} input[type=number]")


def slider_of(page: Any, name: str) -> float:
    return float(page.locator(f"#{name} input[type=range]").input_value())


def typed(page: Any, name: str, keys: str) -> None:
    """Clear a box and type into it, with a pause that is long enough for an answer of the
    server."""
    box_of(page, name).click()
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    page.wait_for_timeout(600)
    page.keyboard.type(keys)
    page.wait_for_timeout(400)


@pytest.mark.parametrize(
    ("name", "keys", "value", "foot"),
    [
        ("control-tau_flow", "0.3", 0.3, "τ_f 0.3,"),
        ("control-tau_flow", "-3", 0, "τ_f 0,"),
        ("control-t_trunc", "50", 50, "T_trunc 50,"),
        ("control-t_trunc", "25", 25, "T_trunc 25,"),
        ("control-seed", "1.7", 2, "seed 2"),
        ("control-steps", "1e9", 100, "steps 100,"),
    ],
)
def test_a_typed_number_is_what_is_computed_and_shown(
    name: str, keys: str, value: float, foot: str, server: Any, visit: Visit
) -> None:
    """While it is typed the box is the user's, whatever the server says meanwhile."""
    page = visit(server.url)
    ready(page)
    typed(page, name, keys)
    assert box_of(page, name).input_value() == keys
    assert urlparse(page.url).query == ""
    page.keyboard.press("Enter" if value < 50 else "Tab")
    ready(page, foot)
    assert float(box_of(page, name).input_value()) == value
    if name != "control-seed":
        assert slider_of(page, name) == value
    page.wait_for_url(f"**{name.removeprefix('control-')}={value}*")


def test_a_box_is_not_written_into_while_a_number_is_typed(server: Any, visit: Visit) -> None:
    """The number of steps follows T_trunc, but not in the box that is being typed into."""
    page = visit(server.url)
    ready(page)
    typed(page, "control-steps", "3")
    page.evaluate(
        """() => {
          const slider = document.querySelector('#control-t_trunc input[type=range]');
          slider.value = 7;
          slider.dispatchEvent(new Event('input', {bubbles: true}));
        }"""
    )
    ready(page, "T_trunc 7, steps 7")
    assert box_of(page, "control-steps").input_value() == "3"
    page.keyboard.press("Escape")
    holds(page, "control-steps", 7)
    typed(page, "control-steps", "3")
    page.keyboard.press("Enter")
    ready(page, "T_trunc 7, steps 3,")


def test_arrow_keys_in_a_box_count_from_what_was_typed(server: Any, visit: Visit) -> None:
    page = visit(server.url)
    ready(page)
    typed(page, "control-tau_flow", "0.3")
    page.keyboard.press("ArrowUp")
    ready(page, "τ_f 0.31,")


def test_the_full_chain_on_and_off_restores_the_steps(server: Any, visit: Visit) -> None:
    """No more of them than T_trunc has, should it have become smaller meanwhile."""
    page = visit(server.url)
    ready(page)
    enter(page, "steps", 13)
    ready(page, "steps 13,")
    tick = page.locator("#empty-steps input")
    tick.check()
    ready(page, "steps full chain")
    tick.uncheck()
    ready(page, "steps 13,")
    assert shown(page, "steps") == 13
    tick.check()
    ready(page, "steps full chain")
    enter(page, "t_trunc", 5)
    ready(page, "T_trunc 5,")
    tick.uncheck()
    ready(page, "T_trunc 5, steps 5,")


# ---------------------------------------------------------------- nothing moves

PLACES = """() => [...document.querySelectorAll(
  '#controls input, #controls button, .weights input, #pair .drawing, #update, #volume, #cancel'
)].filter((e) => e.checkVisibility() && !e.closest('#upload')).map((e) => {
  const {x, y, width, height} = e.getBoundingClientRect();
  return [e.id || e.ariaLabel || e.className.baseVal || e.type, x, y, width, height]
    .map((v) => typeof v === 'number' ? Math.round(v) : v).join(' ');
})"""


def test_nothing_moves_while_values_change_or_something_is_said(server: Any, visit: Visit) -> None:
    page = visit(server.url)
    ready(page)
    page.wait_for_selector("#study button")
    before = page.evaluate(PLACES)
    assert len(before) > 30
    enter(page, "tau_flow", 0.123)
    enter(page, "seed", 4294967295)
    ready(page, "seed 4294967295")
    assert page.evaluate(PLACES) == before
    enter(page, "seed", -4)
    page.wait_for_selector(".problem")
    holds(page, "control-seed", 4294967295)
    assert page.evaluate(PLACES) == before


def test_a_whole_volume_leaves_cancel_in_place_and_slices_to_look_at(
    server: Any, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings are locked and say why; slices, metabolites and the detail are not."""
    page = visit(server.url)
    ready(page)
    page.wait_for_selector("#study button")
    before = page.evaluate(PLACES)
    brake = Brake(monkeypatch)
    page.locator("#volume").click()
    page.wait_for_function("document.querySelector('.activity').textContent.includes('%')")
    page.wait_for_function("document.querySelector('#control-tau_flow input').disabled")
    assert page.evaluate(PLACES) == before
    box = page.locator("#cancel").bounding_box()
    assert box["y"] + box["height"] <= 800
    assert "Locked until" in page.locator("#control-tau_flow").get_attribute("title")
    assert "Computing the whole volume" in page.locator("#said").text_content()
    box_of(page, "slice").fill("4")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('.heading').textContent.includes('slice 4 of')")
    assert page.locator("#control-detail input[type=range]").is_enabled()
    page.locator("#cancel").click()
    brake.released.set()
    page.wait_for_function("!document.querySelector('#control-tau_flow input').disabled")
    assert page.evaluate(PLACES) == before


# ---------------------------------------------------------------- a narrow screen


def test_on_a_narrow_screen_the_image_comes_first_and_stays(server: Any, visit: Visit) -> None:
    """One image at a time, chosen by hand, above the controls that change it."""
    page = visit("about:blank")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(server.url)
    ready(page)
    visible = "(e) => e.checkVisibility()"
    images = {name: page.locator(f"#pair .{name}") for name in ("input", "output", "reference")}
    assert [images[name].evaluate(visible) for name in images] == [False, True, False]
    box = images["output"].bounding_box()
    assert box["height"] > 300
    assert box["y"] + box["height"] < 700
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.evaluate("window.scrollTo(0, 700)")
    box = images["output"].bounding_box()
    assert box["y"] >= 0
    on_top = "([x, y]) => document.elementFromPoint(x, y).closest('#pair, #actions')?.id"
    for share in (0.05, 0.5, 0.95):  # no control shows through
        assert page.evaluate(on_top, [195, box["y"] + share * box["height"]]) == "pair"
    assert page.evaluate(on_top, [300, 830]) == "actions"
    page.get_by_label("Reference", exact=True).check()
    assert [images[name].evaluate(visible) for name in images] == [False, False, True]
    enter(page, "seed", 3)
    ready(page, "seed 3")
    assert [images[name].evaluate(visible) for name in images] == [False, False, True]
