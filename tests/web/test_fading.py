"""Fading on the page: where the grey lies, what is said of it, and where nothing is known."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from lesioned import STACKS, state_of
from PIL import Image
from properties import world_of
from tiny import write_study
from visiting import PATIENCE

from ftddm_core.errors import SettingsError
from ftddm_core.imaging.volume import Volume
from ftddm_viewer.session.derived import NO_SAMPLES
from ftddm_viewer.session.display import Display
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.reliability import VEIL, share_words
from ftddm_viewer.session.scene import resolve
from ftddm_viewer.session.state import State
from ftddm_viewer.web.appearance import Appearance
from ftddm_viewer.web.fading_tool import FadingTool, _limit
from ftddm_viewer.web.painter import Drawings, Painter
from ftddm_viewer.web.tab import Tab

LEFT = 60.0
"""CRLB in per cent of the patient's left half; that of the right is 10 %."""


def doubted(stack: str, **display: Any) -> State:
    """Return the lesioned head with a CRLB that is too large on the patient's left, in slice 10."""
    state = state_of(STACKS[stack])
    assert state.view is not None
    prepared = state.view.prepared
    grid = prepared.case.study.grid
    left = world_of(grid.shape, grid.affine)[..., 0] < 0
    bound = Volume(np.where(left, LEFT, 10.0), grid.affine)
    study = replace(prepared.case.study, crlb={"tCho": bound})
    view = replace(state.view, prepared=replace(prepared, case=replace(prepared.case, study=study)))
    return replace(state, view=view, slice_index=10, display=Display(**display))


def painted(state: State) -> Drawings:
    return Painter().paint(state, resolve(state))


@pytest.mark.parametrize("stack", ["axial", "axial, left-handed", "coronal", "oblique"])
def test_the_patients_left_fades_at_the_right_of_the_screen(stack: str) -> None:
    """In the shade of grey and as strongly as in the window: 1 - 20 / (2 x 60)."""
    found = re.search(r'id="image-veil"[^>]*base64,([^"]+)"', painted(doubted(stack, fade=True))[1])
    assert found is not None
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))))
    assert (pixels[..., :3] == round(255 * VEIL)).all()
    opacity, middle = pixels[..., 3] / 255, pixels.shape[1] // 2
    margin = 3  # the plane between the halves is oblique, too
    assert opacity[:, : middle - margin].max() == 0
    right = opacity[:, middle + margin :]
    assert np.unique(right[right > 0]).tolist() == pytest.approx([1 - 20 / 120], abs=0.002)
    assert (right > 0).sum() > 50


def test_the_grey_lies_over_fitted_values_only_and_the_caption_says_so() -> None:
    shown, hidden = painted(doubted("axial", fade=True)), painted(doubted("axial"))
    over = '<use href="#image-veil" class="map"/>'
    assert shown.pair.count(over) == 3
    assert shown.swipe.count(over) == 2
    assert "CRLB above 20 %" in re.sub(r"<[^>]*>|\s+", " ", shown.pair).replace("\xa0", " ")
    assert "image-veil" not in "".join(hidden)
    lenient = painted(doubted("axial", fade=True, limit=80.0)).maps
    found = re.search(r'id="image-veil"[^>]*base64,([^"]+)"', lenient)
    assert found is not None
    assert not np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))))[..., 3].any()


def test_the_share_beyond_the_limit_is_said() -> None:
    """Of the trusted voxels half are on the left; the samples' share is that of the slice."""
    assert share_words(doubted("axial")) == (
        "tCho: CRLB above 20 % or failed fit in 50% of the trusted voxels."
    )
    assert share_words(state_of(STACKS["axial"])).startswith("This study has no CRLB map of tCho")
    assert share_words(State()) == ""
    state = doubted("axial", by_deviation=True)
    assert state.view is not None
    images = dict(state.view.images)
    image = images["tCho", 10]
    images["tCho", 10] = replace(image, deviation=image.drawn)  # 100 % everywhere
    view = replace(state.view, asked=state.view.asked.replace(samples=2), images=images)
    state = replace(state, view=replace(view, _stacked={}))
    assert share_words(state).endswith(
        "CRLB or samples' deviation above 20 % in 100% of this slice."
    )


@pytest.fixture
def tab(model: Model, tmp_path: Path) -> Iterator[Tab]:
    """Return a tab with the tiny study, which has no CRLB."""
    for name in ("private", "served"):
        (tmp_path / name).mkdir()
    made = Tab(model, tmp_path / "private", tmp_path / "served")
    made.session.open(write_study(tmp_path / "patient"))
    assert made.session.wait(PATIENCE)
    yield made
    made.close()


def test_where_nothing_is_known_nothing_can_be_chosen_and_it_says_why(tab: Tab) -> None:
    with gr.Blocks(), gr.Tabs():
        tool = FadingTool()
    state = tab.session.state
    assert not any(each["interactive"] for each in tool.steered(tab, state).values())
    said = tool.properties(tab, state, resolve(state))
    assert "no CRLB map of tNAA" in said["reliability"]["value"]
    assert NO_SAMPLES in said["reliability"]["value"]
    assert said["drawn-reliability"]["value"] == ""  # its tab is not open
    tab.appearance = Appearance("Reliability")
    tab.painter.paint(state, resolve(state))
    said = tool.properties(tab, state, resolve(state))
    assert 'class="drawing output"' in said["drawn-reliability"]["value"]
    tab.session.update(samples=2)
    assert tab.session.wait(PATIENCE)
    tab.session.display(by_deviation=True)
    chosen = tool.steered(tab, tab.session.state)
    assert all(each["interactive"] for each in chosen.values())
    assert chosen["by_deviation"]["value"] is True


@pytest.mark.parametrize("value", ["much", None, [20], float("nan"), 4.9, 101, 1e999])
def test_a_limit_that_is_none_is_refused(value: Any, tab: Tab) -> None:
    with pytest.raises(SettingsError):
        _limit(tab, value)
    assert tab.session.state.display == Display()
    _limit(tab, 35)
    assert tab.session.state.display.limit == 35
