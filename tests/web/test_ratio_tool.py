"""Ratios on the page: what is offered, what is drawn, and the value under the pointer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from lesioned import LESION, STACKS, state_of
from tiny import write_study
from visiting import PATIENCE

from ftddm_core.errors import SettingsError
from ftddm_core.imaging.metabolites import Ratio
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_viewer.session.hover import NO_RATIO
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.ratios import offered_ratios
from ftddm_viewer.session.scene import resolve
from ftddm_viewer.web.pointing_tool import at
from ftddm_viewer.web.ratio_tool import RatioTool, _choose
from ftddm_viewer.web.tab import Tab

PAIR = Ratio("tCho", "tNAA")


@pytest.fixture
def tab(model: Model, tmp_path: Path) -> Iterator[Tab]:
    for name in ("private", "served"):
        (tmp_path / name).mkdir()
    made = Tab(model, tmp_path / "private", tmp_path / "served")
    made.session.open(write_study(tmp_path / "patient"))
    assert made.session.wait(PATIENCE)
    yield made
    made.close()


def test_a_ratio_is_drawn_while_it_is_chosen(tab: Tab) -> None:
    with gr.Blocks(), gr.Tabs():
        tool = RatioTool()

    def drawn() -> tuple[str, str]:
        state = tab.session.state
        scene = resolve(state)
        made = tab.painter.paint(state, scene)
        return made.maps, tool.properties(tab, state, scene)["drawn-ratio"]["value"]

    choices = tool.steered(tab, tab.session.state)["ratio"]
    assert choices["value"] == ""
    assert [value for _, value in choices["choices"]] == ["", "tCho/tNAA", "tNAA/tCho"]
    assert drawn()[1] == ""
    _choose(tab, "tCho/tNAA")
    assert tab.session.wait(PATIENCE)
    assert tool.steered(tab, tab.session.state)["ratio"]["value"] == "tCho/tNAA"
    maps, row = drawn()
    for kind in ("ratio-input", "ratio-output"):
        assert f'class="drawing {kind}"' in row
        assert f'<use href="#image-{kind}"' in row
        assert f'<image id="image-{kind}"' in maps
    words = row.replace("\xa0", " ")
    assert words.count("RATIO tCho/tNAA") == 2
    assert RESEARCH_ONLY.split(",")[0] in words
    assert "tCho/tNAA" in tab.painter.paint(tab.session.state, resolve(tab.session.state)).bar
    _choose(tab, "")
    assert "ratio" not in "".join(drawn())


@pytest.mark.parametrize("value", ["tCho/water", "tNAA/tNAA", "<b>", ["tCho/tNAA"], 3])
def test_a_ratio_that_there_is_not_is_refused(value: Any, tab: Tab) -> None:
    with pytest.raises(SettingsError, match="There is no ratio"):
        _choose(tab, value)
    assert tab.session.state.ratio is None


def test_the_ratios_that_are_read_most_come_first() -> None:
    state = state_of(STACKS["axial"])
    assert state.case is not None
    assert offered_ratios(state.case.study) == (PAIR, Ratio("tNAA", "tCho"))


@pytest.mark.parametrize("stack", STACKS)
def test_the_ratio_under_the_pointer_is_that_of_the_place(stack: str) -> None:
    """The lesion is on the left: 6/4; its mirror image has 2/8, and outside there is none."""
    state = replace(state_of(STACKS[stack]), ratio=PAIR)
    assert state.case is not None
    frame = state.case.frame

    def said(place: Any, role: str = "ratio-output") -> str:
        x, y, z = frame.turn[:3, :3] @ place + frame.turn[:3, 3]
        point = [x, y, z]
        now = replace(state, slice_index=state.case.slice_at(point[frame.axis]))
        across, down = (axis for axis in range(3) if axis != frame.axis)
        return at(now, role, -point[across], -point[down])

    assert said(LESION).startswith("Ratio output tCho/tNAA: 1.5, tCho 6")
    assert said(LESION, "ratio-reference").startswith("Ratio reference tCho/tNAA: 1.5, tCho 6")
    assert said(LESION * (-1, 1, 1)).startswith("Ratio output tCho/tNAA: 0.25, tCho 2")
    assert said(LESION, "output").startswith("Output tCho 2×: 6 mM")
    assert said(LESION * (1.9, 0, 0)).endswith(NO_RATIO)
