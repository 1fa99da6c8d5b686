"""Regions and ratios in the window; left and right without one."""

from __future__ import annotations

import csv
import importlib
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lesioned import LESION, STACKS, state_of
from panels import layer
from tiny import load
from windows import finish, settle

from ftddm_core.errors import FormatError
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.regions import grid_of, read
from ftddm_viewer.session.scene import resolve


@pytest.fixture(scope="module")
def layers() -> Any:
    """Return napari's layers, which need no display."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydantic's, of napari and npe2
        pytest.importorskip("napari")
        return importlib.import_module("napari.layers")


def square(place: np.ndarray, axis: int, half: int) -> np.ndarray:
    """Return the corners of a square around a voxel (k, j, i), in its plane across an axis."""
    first, second = (other for other in range(3) if other != axis)
    corners = np.repeat(place[None].astype(float), 4, axis=0)
    corners[:, first] += np.array([-1, -1, 1, 1]) * (half + 0.5)
    corners[:, second] += np.array([-1, 1, 1, -1]) * (half + 0.5)
    return corners


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_what_is_drawn_on_the_left_is_read_there(stack: str, axis: int, layers: Any) -> None:
    """From the layer that napari shows, in planes of every direction, with no window."""
    from napari_ftddm._bridge import image_layer, placement, to_layer
    from napari_ftddm._region_layers import region_in

    state = state_of(STACKS[stack])
    assert state.view is not None
    spec = resolve(state).layer("output")
    assert spec is not None
    made = image_layer(spec.volume, "output", "gray", (0, 9), visible=True, about={})
    image = layers.Image(made[0], **made[1])
    bright = np.argwhere(np.nan_to_num(image.data) > 4)  # tCho is 6 in the lesion, 2 around it
    place = np.rint(bright.mean(0)).astype(int)
    shown = np.array(image.data_to_world(place))
    turn = state.view.prepared.case.frame.turn
    there = (np.linalg.inv(turn) @ [*shown[::-1], 1])[:3]
    np.testing.assert_allclose(there, LESION, atol=4)
    assert there[0] < 0  # R grows to the patient's right: it lies at the left

    grid = grid_of(state.view.prepared)
    shapes = layers.Shapes(ndim=3, **placement(to_layer(grid)[1]))
    shapes.add(square(place, axis, 1), shape_type="rectangle")
    inside = region_in(shapes, grid)
    assert inside.sum() == 9
    reading = read(state, inside, plane=0.0)
    assert reading is not None
    cho, naa, ratio = reading.lines
    assert cho.values["output"].mean == pytest.approx(6)
    assert cho.mirrored["output"].mean == pytest.approx(2)
    assert naa.relative("output") == pytest.approx(0.5)
    assert ratio.relative("output") == pytest.approx(6)


def test_lines_have_no_area_and_ellipses_are_round(layers: Any) -> None:
    from napari_ftddm._bridge import placement, to_layer
    from napari_ftddm._region_layers import region_in

    state = state_of(STACKS["axial"])
    assert state.view is not None
    grid = grid_of(state.view.prepared)
    place = placement(to_layer(grid)[1])
    shapes = layers.Shapes(ndim=3, **place)
    corners = square(np.array([10, 10, 10]), 0, 3)
    shapes.add(corners, shape_type="path")
    assert not region_in(shapes, grid).any()
    shapes.add(corners, shape_type="ellipse")
    held = region_in(shapes, grid)
    index = np.indices(grid.shape)[[0, 1]] - 10.0
    expected = (np.square(index).sum(0) < 3.5**2) & (np.indices(grid.shape)[2] == 10)
    assert np.array_equal(held, expected)
    labels = layers.Labels(held.T.astype(np.uint8) * 4, **place)
    assert np.array_equal(region_in(labels, grid), held)


@pytest.fixture
def docks(opened: Any, viewer: Any) -> Any:
    """Return the docks Ratio and Regions beside the panel."""
    made = [viewer.window.add_plugin_dock_widget("ftddm-viewer", name)[1]
            for name in ("Ratio", "Regions")]  # fmt: skip
    settle()
    yield made
    for dock in made:
        dock.stop()


def cell(dock: Any, row: str, column: int) -> str:
    """Return a cell of the table by the row's name; "" where there is no such row."""
    table = dock.table
    found = [i for i in range(table.rowCount()) if table.item(i, 0).text() == row]
    return str(table.item(found[0], column).text()) if found else ""


@pytest.mark.usefixtures("unchecked")
def test_the_table_follows_the_shape(opened: Any, viewer: Any, docks: Any, tmp_path: Path) -> None:
    """Live; with the ratio once it is chosen, and empty where nothing was computed."""
    from qtpy.QtGui import QGuiApplication

    ratio, regions = docks
    session = opened.session
    regions.draw.click()
    shapes = viewer.layers["Region"]
    assert shapes.mode == "add_ellipse"
    output = layer(viewer, "output")
    k, j, i = np.argwhere(np.isfinite(output.data)).mean(0).round().astype(int)
    k = int(output.world_to_data(viewer.dims.point)[0].round())
    shapes.add(square(np.array([k, j, i]), 0, 1), shape_type="rectangle")
    settle(lambda: regions.reading is not None)
    values = output.data[k, j - 1 : j + 2, i - 1 : i + 2]
    assert cell(regions, "tNAA", 2).startswith(f"{np.nanmean(values):.4g} ")
    assert cell(regions, "tCho", 2) == ""
    assert cell(regions, "tCho", 1) != ""
    assert "outside the mask of tNAA" in regions.words.text()
    assert viewer.layers["Mirror image of the region"].data.any()
    assert viewer.layers.selection.active is shapes
    before = cell(regions, "tNAA", 2)
    shapes.data = [shapes.data[0] + [0, 0, 2]]
    settle(lambda: cell(regions, "tNAA", 2) != before)

    ratio.ratio.setCurrentIndex(1)
    ratio.ratio.activated.emit(1)
    finish(opened)
    assert session.state.error == ""
    assert tuple(session.state.ratio) == ("tCho", "tNAA")
    settle(lambda: cell(regions, "tCho/tNAA", 2) != "")
    assert cell(regions, "tCho", 2) != ""
    shown = layer(viewer, "ratio output")
    assert shown.visible
    assert viewer.layers.index(shown) > viewer.layers.index(output)
    ratio.look_at["ratio input"].click()
    finish(opened)
    assert not shown.visible
    assert layer(viewer, "ratio input").visible

    regions.copy.click()
    copied = QGuiApplication.clipboard().text().splitlines()
    regions.save_as(tmp_path / "table")
    lines = list(csv.reader((tmp_path / "table.csv").read_text("utf-8-sig").splitlines()))
    assert lines[-1] == copied[-1].split("\t")
    assert lines[-1][0] == "tCho/tNAA"
    assert lines[0][0].startswith("# Study: patient")

    ratio.ratio.setCurrentIndex(0)
    ratio.ratio.activated.emit(0)
    finish(opened)
    assert "ratio output" not in {e.metadata.get("ftddm", {}).get("role") for e in viewer.layers}
    viewer.layers.remove(shapes)
    settle(lambda: regions.reading is None)
    assert regions.table.rowCount() == 0
    assert "Mirror image of the region" not in viewer.layers


@pytest.mark.usefixtures("unchecked")
def test_compute_all_fills_the_table(opened: Any, viewer: Any, docks: Any) -> None:
    _, regions = docks
    opened.session.update(mri_weight=1, detail=1)
    finish(opened)
    regions.draw.click()
    data = layer(viewer, "output").data
    viewer.layers["Region"].add(square(np.array(data.shape) // 2, 0, 1), shape_type="ellipse")
    regions.whole.click()
    finish(opened)
    assert opened.session.state.finished is not None
    settle(lambda: all(cell(regions, row, 2) for row in ("tNAA", "tCho", "tCho/tNAA")))


def test_docks_without_the_panel_say_so(viewer: Any) -> None:
    from napari_ftddm._dock import WITHOUT_PANEL
    from napari_ftddm._ratio import RatioDock
    from napari_ftddm._regions import RegionsDock

    for made in (RatioDock(viewer), RegionsDock(viewer)):
        assert made.problem.text() == WITHOUT_PANEL
        made.stop()


@pytest.mark.usefixtures("unchecked")
def test_docks_follow_the_panel_that_is_open(
    opened: Any, viewer: Any, docks: Any, weights: Path, study: Path
) -> None:
    """Nothing is read for a closed panel; a new one is read without a press."""
    ratio, regions = docks
    regions.draw.click()
    shapes, output = viewer.layers["Region"], layer(viewer, "output")
    place = np.array(output.data.shape) // 2
    place[0] = round(output.world_to_data(viewer.dims.point)[0])
    shapes.add(square(place, 0, 1), shape_type="rectangle")
    settle(lambda: regions.reading is not None)
    viewer.window.remove_dock_widget(opened)
    settle(lambda: regions.reading is None)
    assert regions.table.rowCount() == 0
    assert ratio.ratio.count() == 1
    for each in list(viewer.layers):
        if each is not shapes:
            viewer.layers.remove(each)
    _, again = viewer.window.add_plugin_dock_widget("ftddm-viewer", "FTDDM")
    again.engine.use(Model(str(weights), "cpu"))
    again.session.open(study)
    again.session.update(seed=5)
    finish(again)
    settle(lambda: not regions._timer.isActive())
    state = again.session.state
    expected = np.nanmean(layer(viewer, "output").data[regions._inside.transpose(2, 1, 0)])
    assert cell(regions, state.metabolite, 2).startswith(f"{expected:.4g} ")
    assert ratio.ratio.count() == 3
    again.engine.stop()


@pytest.mark.usefixtures("unchecked")
def test_the_pointer_reads_value_and_ratio(opened: Any, viewer: Any) -> None:
    opened.session.choose_ratio("tCho", "tNAA")
    finish(opened)
    opened.engine.show_only("output")
    finish(opened)
    output, ratio = layer(viewer, "output"), layer(viewer, "ratio output")
    k = int(output.world_to_data(viewer.dims.point)[0].round())
    held = np.argwhere(np.isfinite(ratio.data[k]))
    index = (k, *held[len(held) // 2])
    viewer.mouse_over_canvas = True
    viewer.cursor.position = output.data_to_world(index)
    viewer.update_status_from_cursor()
    said = str(viewer.status)
    assert said.startswith(f"{output.name}: {output.data[index]:.4g}")
    assert said.endswith(f"tCho/tNAA {ratio.data[index]:.4g}")


@pytest.mark.usefixtures("unchecked")
def test_a_ratio_is_saved_as_one(opened: Any, viewer: Any, tmp_path: Path) -> None:
    """With what it is and how it was formed; the output's only when every slice has it."""
    session = opened.session
    session.choose_ratio("tCho", "tNAA")
    finish(opened)
    for role in ("ratio input", "ratio output"):
        viewer.layers.selection = {layer(viewer, role)}
        path = tmp_path / f"{role}.nii.gz"
        if role == "ratio output":
            with pytest.raises(FormatError, match="1 of 2 slices of this ratio"):
                viewer.layers.save(str(path), selected=True, plugin="ftddm-viewer")
            session.compute_volume()
            finish(opened)
        viewer.layers.save(str(path), selected=True, plugin="ftddm-viewer")
        data, _ = load(path)
        back = session.state.case.frame.restore(layer(viewer, role).metadata["ftddm"]["volume"])
        np.testing.assert_allclose(data, back.data, rtol=1e-6)
        record = json.loads((tmp_path / f"{role}.json").read_text())
        assert record["Ratio"] == "tCho/tNAA"
        assert "Metabolite" not in record
        assert ("AI-generated" in record["Caption"]) == (role == "ratio output")
