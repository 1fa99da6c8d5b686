"""Words on the canvas: letters of the sides, title, caption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panels import layer, letters, said
from windows import finish, settle

from ftddm_core.saving.notice import RESEARCH_ONLY


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
    assert said(viewer, "caption").startswith("OUTPUT, AI-generated")
    opened.panel.look_at["input"].click()
    assert said(viewer, "caption").startswith("INPUT, as acquired")
    opened.panel.look_at["output"].click()
    assert said(viewer, "caption").startswith("OUTPUT, AI-generated")
    # Without live images there is nothing of the other slice: what is seen is not the output.
    opened.panel.live.click()
    other = 1 - opened.session.state.slice_index
    opened.session.choose(slice_index=other)
    finish(opened)
    assert opened.session.state.image is None
    assert said(viewer, "caption").startswith("OUTPUT not computed for this slice")
    # That holds without the panel too, and the title follows the slice.
    case = opened.session.state.case
    opened.engine.stop()
    for k, words in ((1 - other, "OUTPUT, AI-generated"), (other, "OUTPUT not computed")):
        viewer.dims.set_point(0, case.positions[k])
        assert said(viewer, "caption").startswith(words)
        assert f"slice {k + 1} of 2" in said(viewer, "title")


def test_a_study_opened_without_the_panel_is_shown_as_radiologists_are_used_to(
    napari: Any, viewer: Any, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(napari, "current_viewer", lambda: viewer)
    viewer.open(str(study), plugin="ftddm-viewer")
    settle()
    assert letters(viewer) == "RLAP"
    assert said(viewer, "caption") == f"tNAA, as acquired. {RESEARCH_ONLY}."
    assert said(viewer, "title").startswith("patient: tNAA, slice ")
    assert viewer.canvas.overlays.scale_bar.visible
    seen = [each.name for each in viewer.layers if each.visible]
    assert seen[-1] == "tNAA"
    viewer.layers.clear()
    settle()
    assert letters(viewer) == "----"
    assert said(viewer, "caption") == said(viewer, "title") == ""
    assert not viewer.canvas.overlays.scale_bar.visible


@pytest.mark.parametrize("size", [(900, 600), (1600, 1000)])
def test_words_fit_the_canvas(size: tuple[int, int], opened: Any, viewer: Any) -> None:
    """On every line, as they are drawn, in a box that makes them readable on a light canvas."""
    viewer.theme = "light"
    viewer.window.show()
    viewer.window.resize(*size)
    for _ in range(20):
        settle()
    for each in viewer.layers:
        each.opacity = 0
    pixels = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int).sum(-1)
    height, width = pixels.shape
    dark = pixels < 500
    for rows in (slice(0, height // 3), slice(2 * height // 3, height)):  # title, caption
        columns = np.nonzero(dark[rows].any(0))[0]
        assert columns.min() > 3
        assert columns.max() < width - 4
    viewer.theme = "dark"


@pytest.mark.parametrize("words", [22, 36])
def test_the_box_encloses_every_line(words: int, opened: Any, viewer: Any) -> None:
    """A caption of many lines is readable on a light canvas too."""
    viewer.theme = "light"
    viewer.window.show()
    viewer.window.resize(1000, 700)
    layer(viewer, "output").metadata["ftddm"]["caption"] = "HHHHHH " * words
    for each in viewer.layers:
        each.opacity = 0
    opened.engine._words.refresh()
    for _ in range(20):
        settle()
    assert viewer.canvas.overlays["ftddm_caption"].text.count("\n") >= 3
    pixels = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int).sum(-1)
    below = pixels[pixels.shape[0] // 2 :] < 500
    wide = np.nonzero(below.sum(axis=1) > below.shape[1] // 2)[0]  # not the letter above
    columns = np.nonzero(below[wide[0]])[0]
    assert below[wide[0] + 1, columns[0] + 2 : columns[-1] - 1].all()
    viewer.theme = "dark"


def test_the_read_out_has_a_unit_and_words_for_what_is_missing(opened: Any, viewer: Any) -> None:
    viewer.mouse_over_canvas = True
    output = layer(viewer, "output")
    values = np.asarray(output.data)
    k = int(np.rint(output.world_to_data(viewer.dims.point)[0]))
    inside = np.argwhere(np.isfinite(values[k]))[0]
    outside = np.argwhere(np.isnan(values[k]))[0]

    def status(index: Any) -> str:
        viewer.cursor.position = tuple(output.data_to_world((k, *index)))
        viewer.update_status_from_cursor()
        return str(viewer.status)

    unit = output.metadata["ftddm"]["unit"]
    assert status(inside) == f"{output.name}: {values[k][tuple(inside)]:.4g} {unit}".rstrip()
    assert status(outside) == f"{output.name}: outside the mask"
    opened.panel.live.click()
    opened.session.choose(slice_index=1 - opened.session.state.slice_index)
    finish(opened)
    k = int(np.rint(output.world_to_data(viewer.dims.point)[0]))
    assert status(inside) == f"{output.name}: not computed"
    # What arrives is read at once, without the pointer moving.
    opened.panel.live.click()
    opened.session.refresh()
    finish(opened)
    value = np.asarray(output.data)[k][tuple(inside)]
    assert str(viewer.status) == f"{output.name}: {value:.4g} {unit}".rstrip()


def test_words_on_the_canvas(opened: Any, viewer: Any) -> None:
    assert RESEARCH_ONLY in said(viewer, "caption")
    k = opened.session.state.slice_index
    assert f"slice {k + 1} of 2" in said(viewer, "title")
    assert viewer.canvas.overlays.scale_bar.visible
    assert {str(unit) for each in viewer.layers for unit in each.units} == {"millimeter"}
