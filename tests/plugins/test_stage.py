"""The managed layers: which slice they show, whose they are, and whose limits are kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from panels import layer, letters, said, slide
from properties import save_nifti
from tiny import save_t1, write_study
from windows import finish, settle

from ftddm_viewer.session.scene import resolve


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
    # A third: the reader's layers of the second go.
    viewer.open(str(write_study(tmp_path / "third")), plugin="ftddm-viewer")
    finish(opened)
    assert session.state.case.label == "third"
    for each in viewer.layers:
        assert each.metadata["ftddm"]["study"] is session.state.case.study


def test_what_does_not_open_is_not_seen(
    opened: Any, viewer: Any, brake: Any, tmp_path: Path
) -> None:
    """A study read by napari during a whole volume is refused: its T1 lies below no other map."""
    opened.panel.volume.click()
    settle(brake.holding.is_set)
    before = {each.name for each in viewer.layers if each.visible}
    viewer.open(str(write_study(tmp_path / "second")), plugin="ftddm-viewer")
    settle()
    assert "volume" in opened.panel.error.text()
    assert {each.name for each in viewer.layers if each.visible} == before
    brake.released.set()
    finish(opened)
    study = opened.session.state.case.study
    for each in viewer.layers:
        assert each.metadata["ftddm"]["study"] is study or not each.visible


def test_a_readers_t1_is_never_overwritten(panel: Any, viewer: Any, tmp_path: Path) -> None:
    """Study A by napari's reader, study B by the panel: A's T1 goes, and stays A's."""
    viewer.open(str(write_study(tmp_path / "a")), plugin="ftddm-viewer")
    finish(panel)
    first = layer(viewer, "T1")
    known, before = first.metadata["ftddm"], first.data.copy()
    folder = write_study(tmp_path / "b")
    save_t1(folder / "T1w.nii.gz", (5.0, -8.0, 20.0))
    panel.session.open(folder)
    finish(panel)
    assert first not in viewer.layers
    np.testing.assert_array_equal(first.data, before)
    assert first.metadata["ftddm"]["study"] is known["study"]
    second = layer(viewer, "T1")
    assert second is not first
    assert second.visible
    assert second.metadata["ftddm"]["label"] == "b"
    # Back to the first: it is shown again, in a layer of its own.
    panel.session.show(known["study"])
    finish(panel)
    assert layer(viewer, "T1").visible
    np.testing.assert_array_equal(layer(viewer, "T1").data, before)


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
    slide(opened, "tau_flow", 0.07)
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


def test_a_removed_layer_comes_back_with_its_next_image(opened: Any, viewer: Any) -> None:
    for role in ("output", "T1"):
        viewer.layers.remove(layer(viewer, role))
        settle()
    opened.panel.link.click()
    opened.panel.link.click()
    opened.session.choose(live=False)
    finish(opened)
    left = [e for e in viewer.layers if e.metadata.get("ftddm", {}).get("managed")]
    assert left == [layer(viewer, "input")]
    opened.session.choose(live=True)
    slide(opened, "tau_flow", 0.05)
    finish(opened)
    assert "Output" in layer(viewer, "output").name


# ---------------------------------------------------------------- limits and links


def test_the_users_limits_survive(opened: Any, viewer: Any) -> None:
    output = layer(viewer, "output")
    output.contrast_limits = (1.0, 3.5)
    output.colormap = "inferno"
    output.opacity = 0.6
    layer(viewer, "input").visible = False
    slide(opened, "tau_diffusion", 0.2)
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


def test_nothing_of_another_study_stays_until_the_first_image(
    opened: Any, viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new study's output is empty before its first image, and not the last patient's."""
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


def test_limits_survive_a_change_of_metabolite_and_back(opened: Any, viewer: Any) -> None:
    output = layer(viewer, "output")
    untouched = tuple(output.contrast_limits)
    chosen = (0.1 * untouched[1], 0.6 * untouched[1])
    output.contrast_limits = chosen
    opened.session.choose(metabolite="tCho")
    finish(opened)
    other = tuple(output.contrast_limits)
    assert other == pytest.approx(opened.session.state.view.prepared.top("tCho") * np.array([0, 1]))
    opened.session.choose(metabolite="tNAA")
    finish(opened)
    assert tuple(output.contrast_limits) == pytest.approx(chosen)
    assert tuple(layer(viewer, "input").contrast_limits) == pytest.approx(chosen)
    opened.session.choose(metabolite="tCho")
    finish(opened)
    assert tuple(output.contrast_limits) == pytest.approx(other)


def test_what_was_deleted_comes_back_when_it_is_asked_for(opened: Any, viewer: Any) -> None:
    viewer.layers.remove(layer(viewer, "output"))
    settle()
    opened.panel.look_at["output"].click()
    finish(opened)
    assert layer(viewer, "output").visible
    assert np.isfinite(layer(viewer, "output").data).any()
    # A cleared list comes back whole, at the slice that the title names.
    before, k = [each.name for each in viewer.layers], opened.session.state.slice_index
    viewer.layers.clear()
    settle()
    opened.panel.look_at["output"].click()
    finish(opened)
    assert [each.name for each in viewer.layers] == before
    assert letters(viewer) == "RLAP"
    assert opened.session.state.slice_index == k
    assert f"slice {k + 1} of 2" in said(viewer, "title")
    slide(opened, "tau_flow", 0.3)
    finish(opened)
    assert opened.panel.error.text() == ""


@pytest.mark.parametrize("by_napari", [False, True])
def test_three_studies_in_a_row(by_napari: bool, panel: Any, viewer: Any, tmp_path: Path) -> None:
    """Only the last one's layers stay, whoever opened them; title, slice and layers agree."""
    for name in "abc":
        folder = write_study(tmp_path / name)
        if by_napari:
            viewer.open(str(folder), plugin="ftddm-viewer")
        else:
            panel.session.open(folder)
    finish(panel)
    state = panel.session.state
    assert (state.error, state.case.label) == ("", "c")
    studies = {id(each.metadata["ftddm"]["study"]) for each in viewer.layers}
    assert studies == {id(state.case.study)}
    k = state.slice_index
    assert said(viewer, "title").startswith(f"c: {state.metabolite}, slice {k + 1} of ")
    assert state.case.slice_at(viewer.dims.point[0]) == k
