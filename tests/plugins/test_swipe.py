"""The swipe: a pinned output at the left of a divider, the current one at its right."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from panels import layer, said, slide
from tiny import write_study
from windows import finish, settle


@pytest.fixture
def swiped(opened: Any) -> Any:
    """Return the widget with an output pinned, another one current, and the swipe on."""
    opened.panel.toolbar.buttons["pin"].click()
    settle()
    slide(opened, "tau_flow", 1.0)
    finish(opened)
    opened.panel.toolbar.buttons["swipe"].click()
    finish(opened)
    return opened


def halves(viewer: Any) -> list[Any]:
    """Return the copies, that at the left first."""
    return [e for e in viewer.layers if "swipe" in e.metadata.get("ftddm", {})]


def sources(viewer: Any) -> list[Any]:
    return [next(e for e in viewer.layers if e.name.startswith("A (pinned)")),
            layer(viewer, "output")]  # fmt: skip


def edge(viewer: Any, axis: int = 2) -> float:
    """Return where the divider is drawn, in mm."""
    line = next(e for e in viewer.layers if e.name == "Divider of the swipe")
    return float(line.data_to_world(line.data[0, 0])[axis])


def check_halves(viewer: Any, axis: int = 2) -> None:
    """Each copy holds its layer's values on its side of the divider, and nothing on the other."""
    place, grows = edge(viewer, axis), viewer.scene.camera.orientation2d[1] == "right"
    for copy, source, left in zip(halves(viewer), sources(viewer), (True, False), strict=True):
        at = np.indices(source.data.shape)[axis] * np.asarray(source.affine)[axis, axis]
        low = at + np.asarray(source.affine)[axis, -1] < place
        mine = low if left is bool(grows) else ~low
        assert mine.any()
        assert not mine.all()
        np.testing.assert_array_equal(copy.data, np.where(mine, source.data, np.nan))
        assert copy.visible
        assert not source.visible


def dividers(viewer: Any) -> list[Any]:
    """Return what listens to drags of a divider."""
    return [e for e in viewer.mouse_drag_callbacks if "Swipe" in getattr(e, "__qualname__", "")]


def press(viewer: Any, position: Any) -> Any:
    """Take hold of a place in the world; return a function that drags on, and lets go."""
    event = SimpleNamespace(type="mouse_press", button=1, position=tuple(position))
    running = [call(viewer, event) for call in dividers(viewer)]

    def on(kind: str, position: Any) -> None:
        event.type, event.position = kind, tuple(position)
        for each in running:
            next(each, None)

    on("mouse_press", position)
    return on


def test_each_output_is_seen_on_its_own_side(swiped: Any, viewer: Any) -> None:
    left, right = halves(viewer)
    assert left.name.startswith("left: A (pinned)")
    assert right.name.startswith("right: Output")
    check_halves(viewer)
    assert "left: A (pinned) tNAA, right: now, slice" in said(viewer, "title")
    assert said(viewer, "caption").startswith("A: τ_f 0.5 | now: τ_f 1. OUTPUT, AI-generated")
    overlays = viewer.canvas.overlays
    assert overlays["ftddm_swipe_left"].text == "A\n(pinned)"
    assert overlays["ftddm_swipe_right"].text == "now"
    # Radiological: what is at the left of the screen has the larger coordinates.
    half = left.data.shape[-1] // 2
    assert np.isfinite(left.data[..., half:]).any()
    assert not np.isfinite(left.data[..., : half - 1]).any()
    swiped.panel.toolbar.wanted.emit("convention")
    settle()
    check_halves(viewer)
    assert np.isfinite(left.data[..., :half]).any()
    assert not np.isfinite(left.data[..., half + 1 :]).any()


def test_it_follows_settings_slices_and_directions(swiped: Any, viewer: Any) -> None:
    before = halves(viewer)[1].data.copy()
    slide(swiped, "tau_flow", 0.0)
    finish(swiped)
    check_halves(viewer)
    assert not np.array_equal(before, halves(viewer)[1].data, equal_nan=True)
    assert said(viewer, "caption").startswith("A: τ_f 0.5 | now: τ_f 0")
    swiped.session.choose(slice_index=1 - swiped.session.state.slice_index)
    finish(swiped)
    check_halves(viewer)
    swiped.panel.toolbar.wanted.emit("sagittal")
    settle()
    check_halves(viewer, axis=1)
    swiped.panel.toolbar.wanted.emit("axial")
    settle()
    check_halves(viewer)


def test_the_divider_is_dragged_and_moved_by_keys(swiped: Any, viewer: Any) -> None:
    start = edge(viewer)
    point = np.array(viewer.dims.point)
    point[2] = start + 1 / viewer.scene.camera.zoom
    on = press(viewer, point)
    assert viewer.scene.camera.mouse_pan is False
    point[2] = start - 22.0
    on("mouse_move", point)
    assert edge(viewer) == pytest.approx(start - 22.0)
    check_halves(viewer)
    on("mouse_release", point)
    assert viewer.scene.camera.mouse_pan is True
    # Elsewhere a drag moves the image, not the divider.
    point[2] = edge(viewer) + 60 / viewer.scene.camera.zoom
    on = press(viewer, point)
    assert viewer.scene.camera.mouse_pan is True
    on("mouse_move", point + 5)
    on("mouse_release", point)
    assert edge(viewer) == pytest.approx(start - 22.0)
    here = edge(viewer)
    swiped.panel.toolbar.wanted.emit("divider_left")  # the larger coordinates are at the left
    assert edge(viewer) > here
    swiped.panel.toolbar.wanted.emit("divider_right")
    assert edge(viewer) == pytest.approx(here)
    for _ in range(40):
        swiped.panel.toolbar.wanted.emit("divider_right")
    left, right = halves(viewer)
    assert np.isfinite(left.data).sum() == np.isfinite(sources(viewer)[0].data).sum()
    assert not np.isfinite(right.data).any()


def test_limits_are_linked_and_values_read_on_both_sides(swiped: Any, viewer: Any) -> None:
    left, right = halves(viewer)
    a, output = sources(viewer)
    right.contrast_limits = (0.5, 3.0)
    assert {tuple(e.contrast_limits) for e in (left, right, a, output)} == {(0.5, 3.0)}
    left.colormap = "magma"
    assert {e.colormap.name for e in (left, right, a, output)} == {"magma"}
    viewer.mouse_over_canvas = True
    k = round(output.world_to_data(viewer.dims.point)[0])
    for half, source in zip((left, right), (a, output), strict=True):
        index = (k, *np.argwhere(np.isfinite(half.data[k]))[0])
        viewer.cursor.position = tuple(output.data_to_world(index))
        viewer.update_status_from_cursor()
        assert f"{half.name}: {source.data[index]:.4g} " in f"{viewer.status} "


def test_a_half_is_not_saved(swiped: Any, viewer: Any, tmp_path: Path) -> None:
    from napari_ftddm._record import files_of

    from ftddm_core.errors import FormatError

    swiped.session.compute_volume()
    finish(swiped)
    known = halves(viewer)[1].metadata["ftddm"]
    with pytest.raises(FormatError, match="one half of the swipe"):
        files_of(known, known["volume"], True)


def check_ended(viewer: Any, widget: Any) -> None:
    """Nothing of a swipe is left, and a drag moves the image again."""
    finish(widget)
    assert halves(viewer) == []
    assert not [each for each in viewer.layers if "ivider" in each.name]
    assert not [name for name in viewer.canvas.overlays if "swipe" in name]
    assert not dividers(viewer)
    assert widget.panel.error.text() == ""


@pytest.mark.long
def test_it_ends_and_leaves_nothing(swiped: Any, viewer: Any, tmp_path: Path) -> None:
    """In whatever way: by its own key, by another layout, by a layer that goes, with the study."""
    do = swiped.panel.toolbar.wanted.emit
    output = layer(viewer, "output")
    ways = {
        "swipe": lambda: do("swipe"),
        "flicker": lambda: do("flicker"),
        "side by side": lambda: do("side_by_side"),
        "line": lambda: viewer.layers.remove("Divider of the swipe"),
        "half": lambda: viewer.layers.remove(halves(viewer)[0]),
        "look": swiped.panel.look_at["input"].click,
        "unpin": lambda: do("unpin"),
    }
    for way, end in ways.items():
        assert len(halves(viewer)) == 2, way
        end()
        check_ended(viewer, swiped)
        if way in ("swipe", "line", "half", "unpin"):
            assert output.visible, way
        if viewer.canvas.grid.enabled:
            assert way == "side by side"
        if way != "unpin":
            do("swipe")
            finish(swiped)
    do("swipe")
    check_ended(viewer, swiped)  # there is nothing pinned
    do("pin")
    do("swipe")
    finish(swiped)
    swiped.session.open(write_study(tmp_path / "other"))
    check_ended(viewer, swiped)
    do("pin")
    finish(swiped)
    do("swipe")
    finish(swiped)
    viewer.layers.remove(layer(viewer, "output"))
    check_ended(viewer, swiped)


def test_it_ends_with_the_panel(swiped: Any, viewer: Any) -> None:
    swiped.engine.stop()
    check_ended(viewer, swiped)
    assert layer(viewer, "output").visible
