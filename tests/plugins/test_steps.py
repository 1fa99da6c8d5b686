"""The viewer's slider steps and counts in the maps' slices, whatever else is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panels import layer, said
from properties import save_nifti
from windows import finish, settle

SHAPE = (12, 12, 5)
SIZE = np.array([8.0, 8.0, 9.0])


def opened_with_t1(panel: Any, folder: Path, *, down: bool = False, angle: float = 0.0) -> None:
    """Open maps of five slices, and a T1 of the whole head of 2 mm, tilted by an angle."""
    folder.mkdir()
    affine = np.diag([*SIZE, 1.0])
    affine[:3, 3] = -SIZE * (np.array(SHAPE) - 1) / 2
    if down:
        affine[2] *= -1
    rng = np.random.default_rng(3)
    save_nifti(folder / "tNAA.nii.gz", rng.uniform(1, 2, SHAPE).astype(np.float32), affine)
    head = np.diag([2.0, 2.0, 2.0, 1.0])
    head[:3, :3] @= np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)],
                              [0, np.sin(angle), np.cos(angle)]])  # fmt: skip
    head[:3, 3] = -head[:3, :3] @ np.full(3, 39.5)
    save_nifti(folder / "T1w.nii.gz", rng.uniform(1, 9, (80,) * 3).astype(np.float32), head)
    panel.session.open(folder)
    finish(panel)
    assert panel.session.state.error == ""


def number(viewer: Any) -> tuple[str, str]:
    """Return what napari's slider of the slices says."""
    slider = viewer.window._qt_viewer.dims.slider_widgets[0]
    return slider.curslice_label.text(), slider.totslice_label.text()


@pytest.mark.parametrize("down", [False, True])
def test_slider_and_words_say_the_same_slice(
    down: bool, panel: Any, viewer: Any, tmp_path: Path
) -> None:
    opened_with_t1(panel, tmp_path / "head", down=down)
    session = panel.session
    assert layer(viewer, "T1").data.shape == (80, 80, 80)
    for k in (0, 4, 2):
        session.choose(slice_index=k)
        finish(panel)
        assert f"slice {k + 1} of 5" in said(viewer, "title")
        assert number(viewer) == (str(k + 1), "5")
        assert viewer.dims.current_step[0] == (5 - k if down else k + 1)
    for step in range(5):  # a slice for every step, none twice
        viewer.dims.set_current_step(0, step + 1)
        settle()
        k = 4 - step if down else step
        assert session.state.slice_index == k
        assert f"slice {k + 1} of 5" in said(viewer, "title")
        assert number(viewer) == (str(k + 1), "5")
    # Images to come change nothing about it, nor do layers of others.
    viewer.add_image(np.zeros((40, 50, 60)), name="cells")
    finish(panel)
    assert number(viewer)[1] == "5"
    viewer.layers.remove("cells")
    assert number(viewer)[1] == "5"


def test_a_slider_that_left_the_session_s_slice_returns_to_it(
    panel: Any, viewer: Any, tmp_path: Path
) -> None:
    """As where napari changes the range: what moved the slider was not the user."""
    opened_with_t1(panel, tmp_path / "head")
    session = panel.session
    session.choose(slice_index=1)
    finish(panel)
    with panel.engine._stage._changing():
        viewer.dims.set_current_step(0, 5)
    assert number(viewer)[0] == "5"
    session.update(detail=0.5)
    finish(panel)
    assert session.state.slice_index == 1
    assert number(viewer)[0] == "2"
    assert "slice 2 of 5" in said(viewer, "title")


def test_the_step_before_the_first_slice_leads_back(
    panel: Any, viewer: Any, tmp_path: Path
) -> None:
    opened_with_t1(panel, tmp_path / "head")
    viewer.dims.set_current_step(0, 0)
    finish(panel)
    assert viewer.dims.current_step[0] == 1
    assert viewer.dims.point[0] == pytest.approx(panel.session.state.case.positions[0])
    assert panel.session.state.slice_index == 0


def test_without_our_layers_the_slider_is_naparis(panel: Any, viewer: Any, tmp_path: Path) -> None:
    """But for what lies in the plane: there the whole head can be reached."""
    opened_with_t1(panel, tmp_path / "head")
    assert viewer.dims.nsteps[1] >= 80
    for each in viewer.layers:
        each.visible = False
    assert viewer.dims.nsteps[0] >= 80
    point, k = viewer.dims.point, panel.session.state.slice_index
    layer(viewer, "output").visible = True
    assert viewer.dims.nsteps[0] == 6
    finish(panel)
    # napari's slider alone would have gone to its last step.
    np.testing.assert_allclose(viewer.dims.point, point, atol=5)
    assert panel.session.state.slice_index == k < 4
    assert number(viewer) == (str(k + 1), "5")
    # Nor does the point move in the plane when the T1 goes, whose voxels are smaller.
    viewer.dims.set_point([1, 2], [30.0, -20.0])
    viewer.layers.remove(layer(viewer, "T1"))
    finish(panel)
    np.testing.assert_allclose(viewer.dims.point[1:], (30, -20), atol=4)


def test_a_tilted_head_is_shown_whole(panel: Any, viewer: Any, tmp_path: Path) -> None:
    opened_with_t1(panel, tmp_path / "head", angle=0.3)
    t1 = layer(viewer, "T1")
    lengths = np.ptp(t1.extent.world, axis=0)
    tilted = 158 * (np.cos(0.3) + np.sin(0.3))
    np.testing.assert_allclose(lengths, [tilted, tilted, 158], atol=4.1)
    assert number(viewer)[1] == "5"


def test_one_slice_has_no_slider(panel: Any, viewer: Any, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    affine = np.diag([8.0, 8.0, 9.0, 1.0])
    values = np.random.default_rng(0).uniform(1, 2, (12, 12, 1)).astype(np.float32)
    save_nifti(folder / "tNAA.nii.gz", values, affine)
    save_nifti(folder / "T1w.nii.gz", np.ones((60, 60, 60), np.float32), np.diag([2.0, 2, 2, 1]))
    panel.session.open(folder)
    finish(panel)
    assert viewer.dims.nsteps[0] == 1
    assert "slice 1 of 1" in said(viewer, "title")
    assert np.isfinite(layer(viewer, "output").data).any()
