"""Pinned outputs on the page: what is drawn of them, what is said, and what a link says of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr
import pytest
from sessions import done
from tiny import write_study

from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.presets import defaults
from ftddm_viewer.session.scene import resolve
from ftddm_viewer.web.offered_tool import OfferedTool
from ftddm_viewer.web.painter import Painter
from ftddm_viewer.web.permalink import wishes_of
from ftddm_viewer.web.pinned import Comparison, compare
from ftddm_viewer.web.pins_tool import PinsTool
from ftddm_viewer.web.pointing_tool import pointed
from ftddm_viewer.web.tab import Tab
from ftddm_viewer.web.tools import Command, Tool


@pytest.fixture
def tab(model: Model, tmp_path: Path) -> Iterator[Tab]:
    """Return a tab with a small study, in its first slice."""
    folders = [tmp_path / name for name in ("private", "served")]
    for folder in folders:
        folder.mkdir()
    made = Tab(model, *folders)
    made.session.open(write_study(tmp_path / "study"))
    done(made.session)
    made.session.choose(slice_index=0)
    done(made.session)
    yield made
    made.close()


def drawn(tab: Tab) -> tuple[Comparison, str]:
    """Return what the chosen pin looks like, and the images of the current output."""
    state, pin = tab.session.state, tab.pinning.chosen
    assert pin is not None
    scene = resolve(state)
    maps = tab.painter.paint(state, scene).maps
    return compare(pin, state, scene, tab.painter), maps


def pixels(elements: str, name: str) -> str:
    found = re.search(rf'<image id="image-{name}" [^>]*href="([^"]+)"', elements)
    assert found is not None
    return found[1]


def feet(drawings: str) -> list[str]:
    """Return the caption of every drawing."""
    parts = drawings.split('<svg class="drawing ')[1:]
    found = [re.findall(r'<text class="foot"[^>]*>([^<]*)<', part) for part in parts]
    return [" ".join(" ".join(lines).replace("\N{NO-BREAK SPACE}", " ").split()) for lines in found]


def titles(drawings: str) -> list[str]:
    return re.findall(r'<text class="name"[^>]*>([^<]*)<', drawings)


def test_a_pin_stays_as_it_is_beside_what_is_chosen_afterwards(tab: Tab) -> None:
    tab.pinning.pin()
    same, maps = drawn(tab)
    before = pixels(same.images, "pinned")
    assert before == pixels(maps, "output")
    assert all(foot.startswith("A and now: same settings. ") for foot in feet(same.beside))
    tab.session.update(tau_flow=1.0, seed=3)
    done(tab.session)
    found, maps = drawn(tab)
    assert pixels(found.images, "pinned") == before != pixels(maps, "output")
    assert titles(found.beside) == ["A (pinned): Output tNAA 3×", "now: Output tNAA 3×"]
    assert titles(found.swipe) == ["A (pinned) tNAA", "now: Output tNAA 3×"]
    for drawings in (found.beside, found.swipe):
        assert '<use href="#image-pinned"' in drawings.partition('href="#image-output"')[0]
        assert len(feet(drawings)) == 2
        for foot in feet(drawings):
            assert foot.startswith("A: τ_f 0.5, seed 0 | now: τ_f 1, seed 3. ")
            assert "OUTPUT, AI-generated, " in foot
            assert foot.endswith(f"{RESEARCH_ONLY}.")
    mine, current = feet(found.beside)
    assert "A: OUTPUT, AI-generated, 3×, τ_f 0.5," in mine
    assert "now: OUTPUT, AI-generated, 3×, τ_f 1," in current
    (both,) = set(feet(found.swipe))  # either side may be seen alone
    assert both.count("OUTPUT, AI-generated") == 2


def test_a_pin_of_another_slice_says_so_unless_it_has_this_one(tab: Tab) -> None:
    """And below it lies the MRI of its own slice."""
    tab.pinning.pin()
    before = pixels(drawn(tab)[0].images, "pinned")
    tab.session.choose(slice_index=1)
    done(tab.session)
    found, _ = drawn(tab)
    assert pixels(found.images, "pinned") == before
    for foot in (*feet(found.beside), *feet(found.swipe)):
        assert foot.startswith("A and now: same settings. A: slice 1 | now: slice 2. ")
    assert 'href="#image-pinned-T1"' in found.beside
    assert 'id="image-pinned-T1"' in found.images
    tab.pinning.pin()  # its images are those of both slices
    tab.session.choose(slice_index=0)
    found, maps = drawn(tab)
    assert pixels(found.images, "pinned") == pixels(maps, "output") == before
    assert all("slice" not in foot for foot in feet(found.beside))
    assert "image-pinned-T1" not in found.images


def test_equal_colours_are_equal_values_in_maps_of_one_metabolite(tab: Tab) -> None:
    """In another mode the output has other limits; another metabolite keeps its own."""
    tab.pinning.pin()
    tab.session.choose(mode="restore")
    done(tab.session)
    pin, state = tab.pinning.chosen, tab.session.state
    output = resolve(state).layer("output")
    assert pin is not None
    assert output is not None
    assert pin.output.limits != output.limits
    found, _ = drawn(tab)
    linked = Painter()
    linked.paint(pin.state, pin.scene)
    assert all(foot.startswith("A: enlarged") for foot in feet(found.beside))
    assert pixels(found.images, "pinned") != pixels(linked.element(pin.output, pin.scene), "output")
    tab.session.choose(metabolite="tCho")
    done(tab.session)
    found, _ = drawn(tab)
    assert pixels(found.images, "pinned") == pixels(linked.element(pin.output, pin.scene), "output")
    low, high = pin.output.limits
    assert all(f"A: colours from {low:g} to {high:.3g} " in foot for foot in feet(found.beside))


def test_the_value_under_the_pointer_is_the_pins(tab: Tab) -> None:
    tab.pinning.pin()
    box = re.search(r'id="image-pinned" x="(\S+)" y="(\S+)" width="(\S+)" height="(\S+)"',
                    drawn(tab)[0].images)  # fmt: skip
    assert box is not None
    x, y, width, height = map(float, box.groups())
    place = x + width / 2, y + height / 2
    before = pointed(tab, "pinned", *place)
    assert before == f"A (pinned): {pointed(tab, 'output', *place)}"
    tab.session.update(tau_flow=1.0, seed=3)
    done(tab.session)
    assert pointed(tab, "pinned", *place) == before != ""
    tab.pinning.unpin()
    assert pointed(tab, "pinned", *place) == ""


def test_the_newest_pin_is_compared_unless_another_is_chosen(tab: Tab) -> None:
    pinning = tab.pinning
    for _ in range(3):
        pinning.pin()
    assert pinning.chosen is pinning.pins[2]
    pinning.choose("A")
    assert pinning.chosen is pinning.pins[0]
    pinning.unpin()
    assert [pin.letter for pin in pinning.pins] == ["A", "B"]
    assert pinning.chosen is pinning.pins[0]
    pinning.pin()
    assert pinning.chosen is pinning.pins[2]
    tab.do(pinning.pin)
    tab.do(pinning.pin)
    assert "remove one first" in tab.words


def test_a_page_is_followed_until_it_shows_the_pins(tab: Tab) -> None:
    """A pin changes nothing in the session, whose state would end the following."""
    assert tab.follow()
    tab.pinning.pin()
    assert not tab.leave(tab.session.state)
    assert tab.take_news()
    assert tab.leave(tab.session.state)


class Pressed:
    """What a tool's buttons do: see `tools.Events`."""

    def __init__(self, tool: Tool) -> None:
        self.does: dict[str, Command] = {}
        tool.wire(self)

    def commands(self, event: Any, command: Command) -> None:
        self.does[event.__self__.elem_id] = command

    def answers(self, *_: Any, **__: Any) -> None:
        pass


def test_the_link_has_the_settings_of_the_pins(tab: Tab) -> None:
    tab.pinning.pin()
    tab.session.update(tau_flow=0.2, t_trunc=5, noise=None, sampler="ddim")
    done(tab.session)
    tab.pinning.pin()
    tab.session.update(**defaults())
    done(tab.session)
    query = tab.query(tab.session.state)
    assert "pins=A~B,tau_flow:0.2,t_trunc:5,steps:5,sampler:ddim" in query
    wishes = wishes_of(dict(parse_qsl(query[1:], keep_blank_values=True)))
    assert wishes.problems == []
    assert wishes.pins == {pin.letter: pin.view.asked for pin in tab.pinning.pins}


def test_a_link_offers_the_settings_of_pins_and_computes_none(tab: Tab) -> None:
    before, query = tab.session.state.settings, {"pins": "A~C,tau_flow:0.2,t_trunc:5"}
    with gr.Blocks(analytics_enabled=False):
        tool = OfferedTool()
        pressed = Pressed(tool)
    tab.begin(wishes_of(query))
    state = done(tab.session)
    assert state.settings == before
    assert tab.parameters == {"pins": "A~C,tau_flow:0.2,t_trunc:5,steps:5"}
    found = tool.properties(tab, state, resolve(state))
    visible = {name for name, each in found.items() if each["visible"]}
    assert visible == {"offered", "offered-A", "offered-C"} <= tool.shown.keys()
    assert found["offered-A"]["value"] == "A: defaults"
    assert found["offered-C"]["value"] == "C: τ_f 0.2, T_trunc 5, steps 5"
    pressed.does["offered-C"](tab)
    state = done(tab.session)
    assert state.settings == before.replace(tau_flow=0.2, t_trunc=5, steps=5)
    tab.history.undo()
    assert done(tab.session).settings == before


def test_buttons_act_where_there_is_something_to_pin_or_to_compare(tab: Tab) -> None:
    with gr.Blocks(analytics_enabled=False):
        tool = PinsTool()
        with gr.Tabs():
            tool.add_tab()
        tool.listen()
        pressed = Pressed(tool)

    def now() -> dict[str, dict[str, Any]]:
        state = tab.session.state
        scene = resolve(state)
        tab.painter.paint(state, scene)
        return dict(tool.properties(tab, state, scene))

    assert now()["pin"] == {"interactive": True}
    assert now()["unpin"] == {"interactive": False}
    assert now()["beside_tab"] == {"visible": False}
    assert "swipe" not in now()
    for _ in range(2):
        pressed.does["pin"](tab)
    assert now()["against"] == {"visible": True, "choices": ["A", "B"], "value": "B"}
    assert now()["beside_tab"] == {"visible": True}
    assert "B (pinned)" in now()["swipe"]["value"]
    pressed.does["unpin"](tab)
    assert not now()["against"]["visible"]
    tab.session.reopen(None)  # as another study
    done(tab.session)
    assert now()["unpin"] == {"interactive": False}
