"""Words on the canvas: letters of the sides, title, caption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panels import layer, letters
from windows import finish, settle

from ftddm_viewer import RESEARCH_ONLY


def test_letters_follow_the_axes_and_the_camera(opened: Any, viewer: Any) -> None:
    assert letters(viewer) == "RLAP"
    viewer.scene.camera.orientation2d = ("up", "right")
    assert letters(viewer) == "LRAP"
    viewer.scene.camera.orientation2d = ("down", "left")
    assert letters(viewer) == "RLPA"
    viewer.scene.camera.orientation2d = ("up", "left")
    viewer.dims.order = (1, 0, 2)  # coronal
    assert letters(viewer) == "RLSI"
    viewer.dims.order = (2, 0, 1)  # sagittal: the front at the left
    assert letters(viewer) == "APSI"
    viewer.dims.ndisplay = 3
    assert letters(viewer) == "----"
    viewer.dims.ndisplay = 2


def test_letters_stay_whatever_others_call_the_axes(opened: Any, viewer: Any) -> None:
    """They are of this plugin's layers, and are there as long as one of them is seen."""
    viewer.add_image(np.zeros((4, 5, 6)), axis_labels=("z", "y", "x"), name="cells")
    assert letters(viewer) == "RLAP"
    viewer.add_image(np.zeros((2, 4, 5, 6)), axis_labels=("t", "z", "y", "x"), name="film")
    assert letters(viewer) == "RLAP"
    mine = [each for each in viewer.layers if each.name not in ("cells", "film") and each.visible]
    for each in mine:
        each.visible = False
    assert letters(viewer) == "----"
    mine[0].visible = True
    assert letters(viewer) == "RLAP"


def test_a_layer_with_time_does_not_stand_in_the_way(
    panel: Any, viewer: Any, study: Path, caplog: pytest.LogCaptureFixture
) -> None:
    viewer.add_image(np.zeros((3, 5, 40, 40), np.float32), name="film")
    panel.session.open(study)
    finish(panel)
    assert panel.session.state.error == panel.panel.error.text() == ""
    assert panel.panel.label.text() == "patient"
    assert np.isfinite(layer(viewer, "output").data).any()
    assert letters(viewer) == "RLAP"
    for k in (0, 1):
        panel.session.choose(slice_index=k)
        finish(panel)
        output = layer(viewer, "output")
        place = output.world_to_data(viewer.dims.point[-3:])
        assert np.isfinite(output.data[round(place[0])]).any()
    viewer.dims.set_point(1, output.data_to_world((0, 0, 0))[0])
    settle()
    assert panel.session.state.slice_index != 1
    assert panel.panel.error.text() == ""
    assert "could not be shown" not in caplog.text


def test_the_caption_is_that_of_the_layer_on_top(opened: Any, viewer: Any) -> None:
    def caption() -> str:
        settle()
        return " ".join(viewer.canvas.overlays["ftddm_caption"].text.split())

    assert caption().startswith("OUTPUT, AI-generated")
    opened.panel.look_at["input"].click()
    assert caption().startswith("INPUT, as acquired")
    opened.panel.look_at["output"].click()
    assert caption().startswith("OUTPUT, AI-generated")
    # Without live pictures there is nothing of the other slice: what is seen is not the output.
    opened.panel.live.click()
    opened.session.choose(slice_index=1 - opened.session.state.slice_index)
    finish(opened)
    assert opened.session.state.picture is None
    assert caption().startswith("OUTPUT not computed for this slice")


def test_words_on_the_canvas(opened: Any, viewer: Any) -> None:
    caption = viewer.canvas.overlays["ftddm_caption"].text
    assert RESEARCH_ONLY in " ".join(caption.split())
    assert "slice 1 of 2" in " ".join(viewer.canvas.overlays["ftddm_title"].text.split()) or (
        "slice 2 of 2" in " ".join(viewer.canvas.overlays["ftddm_title"].text.split())
    )
    assert viewer.canvas.overlays.scale_bar.visible
    assert {str(unit) for each in viewer.layers for unit in each.units} == {"millimeter"}
