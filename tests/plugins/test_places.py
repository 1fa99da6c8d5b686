"""Where everything lies in napari: in the patient, on the screen, left and right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from panels import MARKERS, layer
from properties import oblique_affine, save_nifti, world_of
from scipy.ndimage import map_coordinates
from windows import finish, settle

from ftddm_viewer.session.frame import Frame


def to_display(frame: Frame, points: np.ndarray) -> np.ndarray:
    """Return world points (n, 3) as a viewer's (S, A, R)."""
    return (points @ frame.turn[:3, :3].T + frame.turn[:3, 3])[:, ::-1]


def indices(shown: Any, points: np.ndarray) -> np.ndarray:
    """Return the voxel indices (n, 3) of viewer positions in a layer, as napari finds them."""
    return np.array([shown.world_to_data(point) for point in points])


def values(shown: Any, points: np.ndarray) -> np.ndarray:
    data = np.nan_to_num(np.asarray(shown.data, float))
    return map_coordinates(data, indices(shown, points).T, order=1)


def file_values(path: Path, points: np.ndarray) -> np.ndarray:
    """Return what a file holds at world points, by its own affine."""
    image = nib.load(path)
    index = (points - image.affine[:3, 3]) @ np.linalg.inv(image.affine[:3, :3]).T
    return map_coordinates(np.nan_to_num(image.get_fdata()), index.T, order=1)


def best_shift(error: Any, reach: float, step: float) -> np.ndarray:
    """Return the shift (S, A, R) in mm at which an error is smallest."""
    steps = np.arange(-reach, reach + step / 2, step)
    shifts = [np.array([s, a, r]) for s in steps for a in steps for r in steps]
    return min(shifts, key=error)


def test_markers_of_an_oblique_t1_lie_where_the_maps_say(marked: Any, viewer: Any) -> None:
    """Centroids of the same markers, found in T1 and reference, within half a T1 voxel."""
    frame = marked.session.state.case.frame
    assert not np.allclose(frame.turn, np.eye(4), atol=0.05)
    assert layer(viewer, "reference").data.shape == layer(viewer, "output").data.shape
    for role, reach in (("T1", 6.0), ("reference", 9.0)):
        shown = layer(viewer, role)
        index = np.indices(shown.data.shape).reshape(3, -1).T
        where = index @ shown.affine.linear_matrix.T + shown.affine.translate
        weight = np.nan_to_num(np.asarray(shown.data, float)).ravel()
        weight = (weight - weight.min()) ** 2
        for marker in to_display(frame, MARKERS):
            near = np.linalg.norm(where - marker, axis=1) < reach
            centroid = np.average(where[near], axis=0, weights=weight[near])
            np.testing.assert_allclose(centroid, marker, atol=0.6, err_msg=role)


def test_output_and_input_share_the_reference_grid(marked: Any, viewer: Any) -> None:
    affines = [layer(viewer, role).affine.affine_matrix for role in
               ("input", "output", "reference")]  # fmt: skip
    for affine in affines[1:]:
        np.testing.assert_allclose(affine, affines[0], atol=1e-4)
    linear = affines[0][:3, :3]
    np.testing.assert_allclose(linear, np.diag(np.diag(linear)), atol=1e-9)  # nothing oblique


@pytest.mark.long
def test_the_real_case_is_aligned(
    unchecked: None, panel: Any, viewer: Any, shared_data: Path
) -> None:
    """Every layer fits its file best where the affines put it, to half a T1 voxel."""
    folder = shared_data / "real-mrsi-oryx-K01"
    panel.session.open(folder)
    finish(panel)
    state = panel.session.state
    assert state.error == ""
    assert not any(each.metadata["ftddm"]["role"] == "FLAIR" for each in viewer.layers)
    frame, grid = state.case.frame, state.case.study.grid
    half = min(nib.load(folder / "T1w.nii.gz").header.get_zooms()) / 2

    t1 = layer(viewer, "T1")
    rng = np.random.default_rng(0)
    inside = rng.uniform(0.15, 0.85, (4000, 3)) * (np.array(t1.data.shape) - 1)
    display = inside @ t1.affine.linear_matrix.T + t1.affine.translate
    back = np.linalg.inv(frame.turn)
    world = display[:, ::-1] @ back[:3, :3].T + back[:3, 3]
    expected = file_values(folder / "T1w.nii.gz", world)

    def error_of_t1(shift: np.ndarray) -> float:
        return float(np.mean((values(t1, display + shift) - expected) ** 2))

    assert np.abs(best_shift(error_of_t1, 2 * half, half)).max() <= half

    # The acquired voxels' centres: there the zero-filled input is the acquired map.
    centres = world_of(grid.shape, grid.affine).reshape(-1, 3)
    trusted = state.case.trusted[state.metabolite].ravel()
    measured = state.case.study.maps[state.metabolite].data.ravel()[trusted]
    places = to_display(frame, centres[trusted])
    shown = layer(viewer, "input")
    assert np.corrcoef(values(shown, places), measured)[0, 1] > 0.99

    def error_of_input(shift: np.ndarray) -> float:
        return float(np.mean((values(shown, places + shift * (0, 1, 1)) - measured) ** 2))

    assert np.abs(best_shift(error_of_input, 4 * half, half)[1:]).max() <= half
    output = layer(viewer, "output")
    np.testing.assert_array_equal(output.affine.affine_matrix, shown.affine.affine_matrix)
    assert output.data.shape == shown.data.shape


@pytest.mark.parametrize("flip", [(1, 1, 1), (-1, 1, 1), (-1, -1, 1), (1, 1, -1)])
def test_left_and_right_from_file_to_screen_to_file(
    flip: tuple[int, int, int], panel: Any, viewer: Any, tmp_path: Path
) -> None:
    """A spot on the patient's right, in front, is at the left, above; letters and file agree."""
    folder = tmp_path / "spot"
    folder.mkdir()
    shape = (16, 16, 4)
    affine = oblique_affine(shape, (10.0, 10.0, 10.0), angles=(0, 0, 0), flip=flip)
    centre = np.array([3.0, -12.0, 25.0])
    world = world_of(shape, affine) - centre
    spot = np.exp(-np.sum((world - (45.0, 30.0, 0.0)) ** 2, -1) / (2 * 12.0**2))
    save_nifti(folder / "tNAA.nii.gz", (0.02 + spot).astype(np.float32), affine)
    save_nifti(folder / "mask.nii.gz", np.ones(shape, np.float32), affine)
    panel.session.open(folder)
    finish(panel)
    panel.panel.look_at["input"].click()
    viewer.window.show()
    viewer.window.resize(1200, 800)
    for _ in range(20):
        settle()
    viewer.reset_view(margin=0.14)
    words = {name: viewer.canvas.overlays[f"ftddm_{name}"] for name in
             ("left", "right", "top", "bottom", "title", "caption")}  # fmt: skip
    letters = {name: words[name].text for name in ("left", "right", "top", "bottom")}
    assert letters == {"left": "R", "right": "L", "top": "A", "bottom": "P"}
    for word in words.values():
        word.visible = False
    viewer.canvas.overlays.scale_bar.visible = False
    settle()
    pixels = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    bright = (pixels[..., 0] > 150) & (pixels[..., 1] > 180) & (pixels[..., 2] < 120)
    rows, columns = np.nonzero(bright)
    assert bright.sum() > 50
    height, width = bright.shape
    assert columns.mean() < 0.45 * width
    assert rows.mean() < 0.45 * height

    path = tmp_path / "saved.nii.gz"
    layer(viewer, "input").save(str(path), plugin="ftddm-viewer")
    image = nib.load(path)
    brightest = np.unravel_index(np.argmax(image.get_fdata()), image.shape)
    found = nib.affines.apply_affine(image.affine, brightest) - centre
    assert found[0] > 30
    assert found[1] > 15
