"""What napari shows: where everything lies, left and right, and whose limits are kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from properties import oblique_affine, save_nifti, world_of
from scipy.ndimage import map_coordinates
from test_panel import inputs, layer
from tiny import save_t1, write_study
from windows import finish, settle

from ftddm_viewer import RESEARCH_ONLY
from ftddm_viewer.session.frame import Frame
from ftddm_viewer.session.scene import resolve

MARKERS = np.array([[25.0, 10.0, 30.0], [-22.0, -30.0, 22.0], [12.0, -28.0, 28.0]])
"""Patient positions in mm: right front, left back, right back."""


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


def blobs(shape: tuple[int, int, int], affine: np.ndarray, width: float) -> np.ndarray:
    world = world_of(shape, affine)
    spots = [np.exp(-np.sum((world - m) ** 2, -1) / (2 * width**2)) for m in MARKERS]
    return np.sum(spots, axis=0).astype(np.float32)


@pytest.fixture
def marked(panel: Any, tmp_path: Path) -> Any:
    """Return the widget on maps and a T1 that share markers, on two different oblique grids."""
    folder = tmp_path / "marked"
    folder.mkdir()
    shape, size = (24, 24, 8), (4.0, 4.0, 6.0)
    affine = oblique_affine(shape, size, angles=(8, -12, 25), flip=(-1, 1, 1))
    save_nifti(folder / "tNAA.nii.gz", 0.05 + blobs(shape, affine, 7.0), affine)
    save_nifti(folder / "mask.nii.gz", np.ones(shape, np.float32), affine)
    shape = (100, 104, 70)
    affine = oblique_affine(shape, (1.2, 1.2, 1.2), angles=(-6, 9, -14))
    save_nifti(folder / "T1w.nii.gz", blobs(shape, affine, 3.0), affine)
    panel.session.open(folder)
    finish(panel)
    panel.session.choose(mode="restore")
    finish(panel)
    assert panel.session.state.error == ""
    return panel


# ---------------------------------------------------------------- places


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


def test_letters_follow_the_axes_and_the_camera(opened: Any, viewer: Any) -> None:
    def letters() -> str:
        sides = [viewer.canvas.overlays[f"ftddm_{s}"] for s in ("left", "right", "top", "bottom")]
        return "".join(side.text if side.visible else "-" for side in sides)

    assert letters() == "RLAP"
    viewer.scene.camera.orientation2d = ("up", "right")
    assert letters() == "LRAP"
    viewer.scene.camera.orientation2d = ("down", "left")
    assert letters() == "RLPA"
    viewer.scene.camera.orientation2d = ("up", "left")
    viewer.dims.order = (1, 0, 2)  # coronal
    assert letters() == "RLSI"
    viewer.dims.order = (2, 0, 1)  # sagittal: the front at the left
    assert letters() == "APSI"
    viewer.dims.ndisplay = 3
    assert letters() == "----"
    viewer.dims.ndisplay = 2


def sides(viewer: Any) -> str:
    """Return the letters at the left, right, top and bottom, - for none."""
    overlays = [viewer.canvas.overlays[f"ftddm_{side}"] for side in
                ("left", "right", "top", "bottom")]  # fmt: skip
    return "".join(each.text if each.visible else "-" for each in overlays)


def test_letters_stay_whatever_others_call_the_axes(opened: Any, viewer: Any) -> None:
    """They are of this plugin's layers, and are there as long as one of them is seen."""
    viewer.add_image(np.zeros((4, 5, 6)), axis_labels=("z", "y", "x"), name="cells")
    assert sides(viewer) == "RLAP"
    viewer.add_image(np.zeros((2, 4, 5, 6)), axis_labels=("t", "z", "y", "x"), name="film")
    assert sides(viewer) == "RLAP"
    mine = [each for each in viewer.layers if each.name not in ("cells", "film") and each.visible]
    for each in mine:
        each.visible = False
    assert sides(viewer) == "----"
    mine[0].visible = True
    assert sides(viewer) == "RLAP"


def test_a_layer_with_time_does_not_stand_in_the_way(
    panel: Any, viewer: Any, study: Path, caplog: pytest.LogCaptureFixture
) -> None:
    viewer.add_image(np.zeros((3, 5, 40, 40), np.float32), name="film")
    panel.session.open(study)
    finish(panel)
    assert panel.session.state.error == panel.panel.error.text() == ""
    assert panel.panel.label.text() == "patient"
    assert np.isfinite(layer(viewer, "output").data).any()
    assert sides(viewer) == "RLAP"
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


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_slices_follow_the_viewer_and_lead_it(
    order: tuple[int, int, int], panel: Any, viewer: Any, tmp_path: Path
) -> None:
    """Both ways, for slices along any axis of the world, and in either sense."""
    folder = tmp_path / "slices"
    folder.mkdir()
    shape = (12, 12, 5)
    plain = np.diag([8.0, 8.0, -9.0, 1.0])
    affine = plain.copy()
    affine[:3, :3] = np.eye(3)[list(order)] @ plain[:3, :3]
    rng = np.random.default_rng(3)
    save_nifti(folder / "tNAA.nii.gz", rng.uniform(1, 2, shape).astype(np.float32), affine)
    panel.session.open(folder)
    finish(panel)
    session, axis = panel.session, viewer.dims.order[0]
    along = int(np.abs(affine[:3, 2]).argmax())
    assert axis == 2 - along
    for k in (0, 4, 2):
        session.choose(slice_index=k)
        finish(panel)
        assert viewer.dims.point[axis] == pytest.approx(affine[along, 3] + k * affine[along, 2])
        output = layer(viewer, "output")
        place = output.world_to_data(viewer.dims.point)
        assert np.isfinite(np.take(output.data, round(place[axis]), axis=axis)).any()
    for k in (3, 1):
        viewer.dims.set_point(axis, affine[along, 3] + (k + 0.3) * affine[along, 2])
        assert session.state.slice_index == k
        there = viewer.dims.point[axis]
        finish(panel)
        assert viewer.dims.point[axis] == there  # not pulled to the slice's centre


# ---------------------------------------------------------------- whose layers


def test_studies_come_and_go(opened: Any, viewer: Any, tmp_path: Path) -> None:
    """A study read by napari: its T1 is adopted, its maps hidden; the others' are in place."""
    session = opened.session
    output = layer(viewer, "output")
    second = write_study(tmp_path / "second")
    viewer.open(str(second), plugin="ftddm-viewer")
    finish(opened)
    assert session.state.case.label == "second"
    assert layer(viewer, "output") is output
    study = session.state.case.study
    for each in viewer.layers:
        known = each.metadata["ftddm"]
        if known["role"] in ("map", "mask"):
            assert not each.visible
        if known.get("managed"):
            assert known["study"] is study
    assert [e.name for e in viewer.layers if e.visible and e.metadata["ftddm"]["role"] == "T1"] == [
        layer(viewer, "T1").name
    ]
    shown = [each.metadata["ftddm"]["role"] for each in viewer.layers
             if each.metadata["ftddm"].get("managed")]  # fmt: skip
    assert shown == ["T1", "input", "output"]
    # A third: the reader's layers of the second stay, hidden.
    viewer.open(str(write_study(tmp_path / "third")), plugin="ftddm-viewer")
    finish(opened)
    assert session.state.case.label == "third"
    for each in viewer.layers:
        if each.visible:
            assert each.metadata["ftddm"]["study"] is session.state.case.study


def test_a_readers_t1_is_never_overwritten(panel: Any, viewer: Any, tmp_path: Path) -> None:
    """Study A by napari's reader, study B by the panel: A's T1 stays A's, hidden."""
    viewer.open(str(write_study(tmp_path / "a")), plugin="ftddm-viewer")
    finish(panel)
    first = layer(viewer, "T1")
    known, before = first.metadata["ftddm"], first.data.copy()
    folder = write_study(tmp_path / "b")
    save_t1(folder / "T1w.nii.gz", (5.0, -8.0, 20.0))
    panel.session.open(folder)
    finish(panel)
    assert first in viewer.layers
    assert not first.visible
    np.testing.assert_array_equal(first.data, before)
    assert first.metadata["ftddm"]["study"] is known["study"]
    second = layer(viewer, "T1")
    assert second is not first
    assert second.visible
    assert second.metadata["ftddm"]["label"] == "b"
    # Back to the first: its layer is taken up again.
    panel.session.show(known["study"])
    finish(panel)
    assert layer(viewer, "T1") is first
    assert first.visible
    assert second not in viewer.layers


@pytest.mark.parametrize("by_reader", [False, True])
def test_without_a_t1_the_flair_is_seen(
    by_reader: bool, opened: Any, viewer: Any, tmp_path: Path
) -> None:
    folder = write_study(tmp_path / "flair")
    (folder / "T1w.nii.gz").rename(folder / "FLAIR.nii.gz")
    if by_reader:
        viewer.open(str(folder), plugin="ftddm-viewer")
    else:
        opened.session.open(folder)
    finish(opened)
    assert opened.session.state.error == ""
    assert layer(viewer, "FLAIR").visible


def test_the_stage_follows_what_is_to_be_seen(opened: Any, viewer: Any) -> None:
    """But only where the scene changes its mind: what the user hid stays hidden."""
    engine, state = opened.engine, opened.session.state
    scene = resolve(state)
    for wanted in (False, True):
        layers = tuple(replace(e, visible=wanted) if e.role == "T1" else e for e in scene.layers)
        engine._stage.apply(state, replace(scene, layers=layers))
        assert layer(viewer, "T1").visible is wanted
    layer(viewer, "T1").visible = False
    inputs(opened, "tau_flow").setValue(7)
    finish(opened)
    assert not layer(viewer, "T1").visible


def test_the_sample_by_napari_itself(panel: Any, viewer: Any) -> None:
    viewer.open_sample("ftddm-viewer", "simulated_case")
    finish(panel)
    assert panel.session.state.case.label == "Simulated patient"
    assert "Simulated patient" in viewer.canvas.overlays["ftddm_title"].text
    visible = [each.name for each in viewer.layers if each.visible]
    assert visible[0] == "T1 (simulated)"
    assert [name.split()[0] for name in visible[1:]] == ["Input", "Output"]


def test_a_removed_layer_comes_back_with_its_next_picture(opened: Any, viewer: Any) -> None:
    for role in ("output", "T1", "input"):
        viewer.layers.remove(layer(viewer, role))
        settle()
    opened.panel.link.click()
    opened.panel.link.click()
    opened.panel.look_at["output"].click()
    opened.session.choose(live=False)
    finish(opened)
    assert not [e for e in viewer.layers if e.metadata.get("ftddm", {}).get("managed")]
    opened.session.choose(live=True)
    inputs(opened, "tau_flow").setValue(5)
    finish(opened)
    assert "Output" in layer(viewer, "output").name


# ---------------------------------------------------------------- limits and links


def test_the_users_limits_survive(opened: Any, viewer: Any) -> None:
    output = layer(viewer, "output")
    output.contrast_limits = (1.0, 3.5)
    output.colormap = "inferno"
    output.opacity = 0.6
    layer(viewer, "input").visible = False
    inputs(opened, "tau_diffusion").setValue(20)
    finish(opened)
    opened.session.choose(slice_index=0)
    finish(opened)
    assert output.contrast_limits == [1.0, 3.5]
    assert output.colormap.name == "inferno"
    assert output.opacity == 0.6
    assert not layer(viewer, "input").visible


def test_input_and_output_share_colours_until_unlinked(opened: Any, viewer: Any) -> None:
    first, second, t1 = (layer(viewer, role) for role in ("input", "output", "T1"))
    assert first.contrast_limits == second.contrast_limits
    before = t1.contrast_limits
    second.contrast_limits = (0.5, 4.0)
    second.colormap = "plasma"
    second.gamma = 0.7
    assert (first.contrast_limits, first.colormap.name, first.gamma) == ([0.5, 4.0], "plasma", 0.7)
    assert t1.contrast_limits == before
    opened.panel.link.click()
    second.contrast_limits = (0.0, 2.0)
    assert first.contrast_limits == [0.5, 4.0]
    opened.panel.link.click()
    assert second.contrast_limits == first.contrast_limits
    # Another layer of the kind joins in.
    opened.panel.mode.activated.emit(1)
    finish(opened)
    layer(viewer, "reference").contrast_limits = (0.2, 1.2)
    assert first.contrast_limits == second.contrast_limits == [0.2, 1.2]


def test_look_at_one_of_them(marked: Any, viewer: Any) -> None:
    for role in ("input", "reference", "output"):
        marked.panel.look_at[role].click()
        seen = [e.metadata["ftddm"]["role"] for e in viewer.layers if e.visible]
        assert seen == ["T1", role]


def test_nothing_of_another_study_stays_until_the_first_picture(
    opened: Any, viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new study's output is empty before its first picture, and not the last patient's."""
    held, model = Event(), opened.session.model
    usual = model.sample
    monkeypatch.setattr(
        model, "sample", lambda *given, **how: (held.wait(60), usual(*given, **how))[1]
    )
    output = layer(viewer, "output")
    opened.session.open(write_study(tmp_path / "next"))
    settle(lambda: np.isnan(output.data).all())
    assert layer(viewer, "output") is output
    assert output.metadata["ftddm"]["label"] == opened.session.state.case.label == "next"
    held.set()
    finish(opened)
    assert np.isfinite(output.data).any()


def test_zero_filling_is_undone_in_place(marked: Any, viewer: Any) -> None:
    session, button = marked.session, marked.panel.unfill
    before, t1, shape = layer(viewer, "input"), layer(viewer, "T1"), session.state.case.study.grid
    assert session.state.case.zero_filled is not None
    assert not button.isHidden()
    button.click()
    finish(marked)
    case = session.state.case
    assert (session.state.error, case.unfilled) == ("", True)
    assert case.study.grid.shape < shape.shape
    assert button.isHidden()
    assert layer(viewer, "input") is before
    assert layer(viewer, "T1") is t1
    assert before.metadata["ftddm"]["study"] is case.study
