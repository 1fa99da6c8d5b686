"""Left and right, front and back, head and feet, from file to pixel in every layout of the window.

The maps hold random values, so that a voxel is known by its value; the T1 is oblique to them and
holds clouds that no flip maps onto themselves. Expected colours are computed from the files'
own affines and from the camera alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import nibabel as nib
import numpy as np
import pytest
from panels import layer, letters
from properties import oblique_affine, save_nifti, world_of
from scipy.ndimage import gaussian_filter, map_coordinates
from windows import finish, settle

from ftddm_viewer.session.regions import grid_of, read

SHAPE, SIZE = (14, 12, 6), (9.0, 9.0, 11.0)
ENDS = {"R": (2, 1), "L": (2, -1), "A": (1, 1), "P": (1, -1), "S": (0, 1), "I": (0, -1)}
"""Letter -> axis of the viewer's world (S, A, R), and towards which end."""

VIRIDIS = matplotlib.colormaps["viridis"]
NEAR = 12
"""Of 255: how far a colour may be from the expected one, for rounding in the colour table."""

GRIDS = {
    "aligned": ((0, 0, 0), (-1, 1, 1)),
    "oblique": ((7, -10, 18), (1, -1, -1)),
}


@pytest.fixture(params=[pytest.param("aligned", marks=pytest.mark.long), "oblique"])
def sided(request: Any, panel: Any, viewer: Any, tmp_path: Path) -> Any:
    """Return the widget on random maps with a reference, and an oblique T1; drawn on the screen."""
    angles, flip = GRIDS[request.param]
    folder = tmp_path / "sided"
    folder.mkdir()
    affine = oblique_affine(SHAPE, SIZE, angles, flip=flip)
    rng = np.random.default_rng(8)
    save_nifti(folder / "tNAA.nii.gz", rng.uniform(1, 2, SHAPE).astype(np.float32), affine)
    save_nifti(folder / "mask.nii.gz", np.ones(SHAPE, np.float32), affine)
    shape = (72, 76, 70)
    place = oblique_affine(shape, (2.5, 2.5, 2.5), (-6, 9, -14))
    clouds = gaussian_filter(rng.normal(size=shape), 4.0)
    save_nifti(folder / "T1w.nii.gz", (clouds - clouds.min()).astype(np.float32), place)
    panel.session.choose(mode="restore")
    panel.session.open(folder)
    finish(panel)
    panel.session.choose(mode="restore")
    finish(panel)
    assert panel.session.state.error == ""
    viewer.window.show()
    viewer.window.resize(1100, 800)
    for _ in range(20):
        settle()
    return panel


def screen(viewer: Any) -> np.ndarray:
    """Return the canvas as it is drawn, without words."""
    for overlay in viewer.canvas.overlays.values():
        overlay.visible = False
    settle()
    return viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)


def on_screen(viewer: Any, pixels: np.ndarray, points: np.ndarray, column: int = 0,
              columns: int = 1) -> np.ndarray:  # fmt: skip
    """Return row and column of viewer positions (n, 3), in one of several views side by side."""
    height, width = pixels.shape[:2]
    width //= columns
    camera, (down, across) = viewer.scene.camera, viewer.dims.displayed
    vertical, horizontal = (str(each) for each in camera.orientation2d)
    rows = (points[:, down] - camera.center[1]) * camera.zoom * (1 if vertical == "down" else -1)
    right = 1 if horizontal == "right" else -1
    beside = (points[:, across] - camera.center[2]) * camera.zoom * right
    return np.stack([height / 2 + rows, width * (column + 0.5) + beside], axis=1)


def check_letters(viewer: Any) -> None:
    """Each letter stands where the world grows towards its end."""
    found = letters(viewer)
    assert len(set(found)) == 4
    origin = np.zeros((1, 3))
    blank = np.zeros((100, 100, 3))
    for letter, (row, column) in zip(found, ((0, -1), (0, 1), (-1, 0), (1, 0)), strict=True):
        axis, end = ENDS[letter]
        there = origin.copy()
        there[0, axis] = end
        moved = on_screen(viewer, blank, there) - on_screen(viewer, blank, origin)
        np.testing.assert_allclose(np.sign(moved[0]), (row, column), atol=1e-9)


def display(panel: Any, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return a file's voxel centres as viewer positions, and its values."""
    image, turn = nib.load(path), panel.session.state.case.frame.turn
    world = world_of(image.shape, image.affine).reshape(-1, 3)
    return (world @ turn[:3, :3].T + turn[:3, 3])[:, ::-1], image.get_fdata().reshape(-1)


def in_the_plane(viewer: Any, points: np.ndarray, thickness: tuple[float, ...]) -> np.ndarray:
    axis = viewer.dims.order[0]
    return np.abs(points[:, axis] - viewer.dims.point[axis]) < 0.45 * thickness[axis]


def check_colours(
    pixels: np.ndarray, places: np.ndarray, values: np.ndarray, limits: tuple[float, float]
) -> int:
    """Each place on the screen has its value's colour; return how many there are."""
    rows, columns = np.floor(places).astype(int).T
    inside = (rows >= 0) & (rows < pixels.shape[0]) & (columns >= 0) & (columns < pixels.shape[1])
    low, high = limits
    colours = 255 * VIRIDIS(np.clip((values - low) / (high - low), 0, 1))[:, :3]
    error = np.abs(pixels[rows[inside], columns[inside]] - colours[inside]).max(axis=1)
    assert error.max(initial=0) < NEAR
    return int(inside.sum())


def views(panel: Any, viewer: Any) -> Iterator[str]:
    """Turn to every direction, in both conventions, through a voxel off the middle."""
    positions, _ = display(panel, Path(panel.session.state.case.study.source["tNAA"]))
    point = positions[np.ravel_multi_index((9, 4, 3), SHAPE)]
    for convention in ("radiological", "neurological"):
        for direction in ("axial", "coronal", "sagittal"):
            panel.panel.toolbar.wanted.emit(direction)
            viewer.dims.set_point([0, 1, 2], point)
            finish(panel)
            yield f"{convention} {direction}"
        panel.panel.toolbar.wanted.emit("convention")


def test_every_voxel_of_the_file_is_where_letters_say(sided: Any, viewer: Any) -> None:
    folder = Path(sided.session.state.case.study.source["tNAA"])
    points, values = display(sided, folder)
    sided.panel.look_at["reference"].click()
    reference, t1 = layer(viewer, "reference"), layer(viewer, "T1")
    limits = tuple(reference.contrast_limits)
    thickness = SIZE[::-1]
    seen = {}
    for view in views(sided, viewer):
        check_letters(viewer)
        seen[view] = letters(viewer)
        here = in_the_plane(viewer, points, thickness)
        reference.visible, t1.visible = True, False
        pixels = screen(viewer)
        places = on_screen(viewer, pixels, points[here])
        assert check_colours(pixels, places, values[here], limits) >= 60, view
        # The same pixels, mirrored, are not those of the file.
        with pytest.raises(AssertionError):
            check_colours(pixels[:, ::-1], places, values[here], limits)
        reference.visible, t1.visible = False, True
        check_t1(sided, viewer, screen(viewer))
    assert [seen[f"radiological {each}"] for each in ("axial", "coronal", "sagittal")] == [
        "RLAP", "RLSI", "APSI"]  # fmt: skip
    assert [seen[f"neurological {each}"] for each in ("axial", "coronal", "sagittal")] == [
        "LRAP", "LRSI", "PASI"]  # fmt: skip


def check_t1(panel: Any, viewer: Any, pixels: np.ndarray) -> None:
    """The grey of the screen is what the T1's file holds there, and is not so when mirrored."""
    image = nib.load(panel.session.state.case.study.source["t1"])
    turn = panel.session.state.case.frame.turn
    rng = np.random.default_rng(1)
    points = np.array(viewer.dims.point) + rng.uniform(-55, 55, (3000, 3))
    axis = viewer.dims.order[0]
    points[:, axis] = viewer.dims.point[axis]
    world = (points[:, ::-1] - turn[:3, 3]) @ turn[:3, :3]
    index = (world - image.affine[:3, 3]) @ np.linalg.inv(image.affine[:3, :3]).T
    expected = map_coordinates(image.get_fdata(), index.T, order=1)
    places = np.floor(on_screen(viewer, pixels, points)).astype(int)
    inside = ((places >= 0) & (places < pixels.shape[:2])).all(axis=1)
    rows, columns = places[inside].T
    high = layer(viewer, "T1").contrast_limits[1]
    grey = 255 * np.clip(expected[inside] / high, 0, 1)
    error = np.abs(pixels[rows, columns, 0] - grey).mean()
    mirrored = np.abs(pixels[rows, pixels.shape[1] - 1 - columns, 0] - grey).mean()
    assert len(rows) > 1000
    assert error < 8
    assert mirrored > 3 * error


@pytest.mark.long
def test_both_halves_of_side_by_side_and_swipe(sided: Any, viewer: Any) -> None:
    """The pinned output and the current one, each where its voxels are."""
    session = sided.session
    session.update(detail=0.0)
    finish(sided)
    do = sided.panel.toolbar.wanted.emit
    do("pin")
    session.update(detail=1.0, tau_flow=1.0)
    finish(sided)
    output, t1 = layer(viewer, "output"), layer(viewer, "T1")
    pinned = next(each for each in viewer.layers if each.name.startswith("A (pinned)"))
    limits, axis = tuple(output.contrast_limits), 0
    k = round(output.world_to_data(viewer.dims.point)[axis])
    index = np.array([(k, j, i) for j, i in np.ndindex(*output.data.shape[1:])])
    points = index @ output.affine.linear_matrix.T + output.affine.translate
    now, then = (each.data[tuple(index.T)] for each in (output, pinned))
    assert np.abs(now - then).mean() > 0.02 * limits[1]
    for _ in range(2):
        do("side_by_side")
        finish(sided)
        check_letters(viewer)
        for each in viewer.layers:
            each.visible = each in (output, pinned)
        pixels = screen(viewer)
        assert viewer.canvas.grid.enabled
        for column, values in enumerate((now, then)):
            places = on_screen(viewer, pixels, points, column, 2)
            near = places[:, 1] // (pixels.shape[1] // 2) == column
            assert check_colours(pixels, places[near], values[near], limits) >= 60
        do("side_by_side")
        do("swipe")
        finish(sided)
        check_letters(viewer)
        t1.visible = False
        line = next(e for e in viewer.layers if "ftddm_divider" in e.metadata)
        middle = on_screen(viewer, pixels, 1000 * line.data[:, 0])[0, 1]
        pixels = screen(viewer)
        places = on_screen(viewer, pixels, points)
        counted = 0
        for values, side in ((then, places[:, 1] < middle - 6), (now, places[:, 1] > middle + 6)):
            counted += check_colours(pixels, places[side], values[side], limits)
        assert counted > 100
        do("swipe")
        do("convention")
        finish(sided)


def test_the_three_views_show_the_files_voxels(sided: Any, viewer: Any) -> None:
    """In the dock, in both conventions, with the letters of each plane."""
    points, values = display(sided, Path(sided.session.state.case.study.source["tNAA"]))
    sided.panel.look_at["reference"].click()
    layer(viewer, "T1").visible = False
    limits = tuple(layer(viewer, "reference").contrast_limits)
    sided.panel.toolbar.wanted.emit("three")
    settle()
    _, dock = viewer.window.add_plugin_dock_widget("ftddm-viewer", "Three views")
    planes = dock.planes
    point = points[np.ravel_multi_index((9, 4, 3), SHAPE)]
    for left in (True, False):
        viewer.dims.set_point([0, 1, 2], point)
        finish(sided)
        planes.resize(1000, 330)
        pixels = grabbed(planes)
        for rect, pane in planes.panes():
            axis = 2 - pane.axis
            here = np.abs(points[:, axis] - viewer.dims.point[axis]) < 0.45 * SIZE[::-1][axis]
            places = np.array([pane.pixel(p[::-1])[::-1] for p in points[here]])
            part = pixels[rect.top() : rect.bottom() + 1, rect.left() : rect.right() + 1]
            x, y = pane.pixel(np.array(viewer.dims.point)[::-1])
            clear = (np.abs(places - (y, x)) > 3).all(axis=1)  # off the lines
            clear &= ((places > 22) & (places < np.array(part.shape[:2]) - 22)).all(axis=1)
            assert check_colours(part, places[clear], values[here][clear], limits) >= 30
            with pytest.raises(AssertionError):
                check_colours(part[:, ::-1], places[clear], values[here][clear], limits)
            # The letter at the left is the end towards which what is drawn there lies.
            for letter, away in zip(pane.letters, ((-1, 0), (1, 0), (0, -1), (0, 1)), strict=True):
                along, end = ENDS[letter]
                moved = np.zeros(3)
                moved[2 - along] = end
                at = np.subtract(pane.pixel(moved), pane.pixel(np.zeros(3)))
                np.testing.assert_allclose(np.sign(at), away, atol=1e-9)
        assert ("R" in [pane.letters[0] for _, pane in planes.panes()]) is left
        sided.panel.toolbar.wanted.emit("convention")
    sided.panel.toolbar.wanted.emit("three")


def grabbed(widget: Any) -> np.ndarray:
    """Return a widget as it paints itself."""
    from qtpy.QtGui import QImage

    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    data = image.constBits().asarray(image.sizeInBytes())
    whole = np.frombuffer(bytes(data), np.uint8).reshape(image.height(), image.bytesPerLine())
    return whole[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).astype(int)


def test_read_out_mirror_and_saved_file_agree_on_sides(
    sided: Any, viewer: Any, tmp_path: Path
) -> None:
    """The value under the pointer, a region and its mirror image, and the file that is written."""
    source = Path(sided.session.state.case.study.source["tNAA"])
    points, values = display(sided, source)
    sided.panel.look_at["reference"].click()
    reference = layer(viewer, "reference")
    viewer.mouse_over_canvas = True
    k = sided.session.state.slice_index
    for index in ((2, 3), (11, 3), (2, 9)):
        number = np.ravel_multi_index((*index, k), SHAPE)
        viewer.cursor.position = tuple(points[number])
        viewer.update_status_from_cursor()
        assert f"{values[number]:.4g}" in str(viewer.status)
    state = sided.session.state
    grid = grid_of(state.view.prepared)
    inside = np.zeros(grid.shape, bool)
    number = np.ravel_multi_index((10, 6, k), SHAPE)
    place = np.linalg.inv(grid.affine)[:3] @ [*points[number][::-1], 1.0]
    inside[tuple(np.rint(place).astype(int))] = True
    world = world_of(SHAPE, nib.load(source).affine).reshape(-1, 3)
    plane = float(world[number][0] + 18.0)
    reading = read(state, inside, plane)
    (line,) = (each for each in reading.lines if each.name == "tNAA")
    assert line.values["reference"].mean == pytest.approx(values[number], rel=1e-5)
    across = world[number] * (-1, 1, 1) + (2 * plane, 0, 0)
    twin = int(np.linalg.norm(world - across, axis=1).argmin())
    if np.linalg.norm(world[twin] - across) < 0.1:  # on the grid: the maps lie along the world
        assert line.mirrored["reference"].mean == pytest.approx(values[twin], rel=1e-5)
    path = tmp_path / "saved.nii.gz"
    reference.save(str(path), plugin="ftddm-viewer")
    saved, original = nib.load(path), nib.load(source)
    np.testing.assert_allclose(saved.affine, original.affine, atol=1e-4)
    np.testing.assert_allclose(saved.get_fdata(), original.get_fdata(), rtol=1e-5)
    t1_path = tmp_path / "t1.nii.gz"
    layer(viewer, "T1").save(str(t1_path), plugin="ftddm-viewer")
    t1, own = nib.load(t1_path), nib.load(state.case.study.source["t1"])
    rng = np.random.default_rng(4)
    world = own.affine[:3, 3] + rng.uniform(15, 55, (500, 3)) @ own.affine[:3, :3].T
    held = []
    for image in (t1, own):
        index = (world - image.affine[:3, 3]) @ np.linalg.inv(image.affine[:3, :3]).T
        held.append(map_coordinates(image.get_fdata(), index.T, order=1))
    np.testing.assert_allclose(held[0], held[1], atol=0.03 * own.get_fdata().max())
