"""The dock of three views and the cross-hair: where they are, what moves them, when they go."""

from __future__ import annotations

import weakref
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from napari_ftddm._parts import say
from panels import layer, letters
from windows import finish, settle

from ftddm_core.saving.notice import RESEARCH_ONLY


def dock_of(viewer: Any) -> Any:
    found = viewer.window.dock_widgets.values()
    return next((each for each in found if each.objectName() == "ftddm_three"), None)


def crosses(viewer: Any) -> list[Any]:
    return [each for each in viewer.layers if "ftddm_cross" in each.metadata]


@pytest.fixture
def three(opened: Any, viewer: Any) -> Any:
    """Return the dock, opened by its button, in a window of a usual size."""
    viewer.window.show()
    viewer.window.resize(1280, 800)
    opened.panel.toolbar.buttons["three"].click()
    settle()
    found = dock_of(viewer)
    found.planes.resize(900, 300)
    return found


def click(three: Any, view: int, x: float, y: float) -> None:
    """Press and release the left button at shares of a plane's width and height."""
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    place, _ = three.planes.panes()[view]
    point = QPoint(place.left() + round(x * place.width()), round(y * place.height()))
    QTest.mouseClick(three.planes, Qt.MouseButton.LeftButton, pos=point)
    settle()


@pytest.mark.parametrize("lines", [1, 3])
def test_the_text_does_not_lie_on_the_planes(opened: Any, viewer: Any, lines: int) -> None:
    viewer.window.show()
    viewer.window.resize(1280, 800)
    opened.panel.toolbar.buttons["three"].click()
    settle()
    three = dock_of(viewer)
    three.setFixedHeight(200)  # what a screen of 800 pixels leaves
    say(three.caption, "\n".join(["what is shown"] * lines))
    settle()
    parts = [part.geometry() for part in (three.planes, three.place, three.caption)]
    for above, below in pairwise(parts):
        assert above.bottom() < below.top()
    assert parts[-1].bottom() <= three.inside.height()
    assert parts[0].height() >= 90


def test_a_click_moves_the_point_in_all_views(three: Any, opened: Any, viewer: Any) -> None:
    """Along the plane's two axes, to within a voxel of the T1, and the session's slice with it."""
    start = np.array(viewer.dims.point)
    fine = max(layer(viewer, "T1").extent.step)
    for view, across, upright in ((0, 2, 1), (1, 2, 0), (2, 1, 0)):
        for x, y in ((0.55, 0.45), (0.45, 0.52)):
            place, pane = three.planes.panes()[view]
            before = np.array(viewer.dims.point)
            expected = pane.point(round(x * place.width()), round(y * place.height()), before[::-1])
            click(three, view, x, y)
            finish(opened)
            after = np.array(viewer.dims.point)
            low, high, _ = viewer.dims.range[upright]
            wanted = np.clip(expected[2 - upright], low, high)
            assert abs(after[across] - expected[2 - across]) <= fine
            step = fine if upright else viewer.dims.range[0].step
            assert abs(after[upright] - wanted) <= step
            (third,) = {0, 1, 2} - {across, upright}
            assert after[third] == before[third]
            case = opened.session.state.case
            assert opened.session.state.slice_index == case.slice_at(after[0])
            (line,) = crosses(viewer)
            at = line.data_to_world(line.data[0, 0])
            assert at[0] == pytest.approx(after[0])
            assert at[2] == pytest.approx(after[2])  # it runs from front to back
    assert not np.array_equal(start, viewer.dims.point)


def test_a_click_on_the_canvas_moves_it_and_a_drag_does_not(three: Any, viewer: Any) -> None:
    def hand(moves: list[tuple[float, ...]]) -> None:
        event = SimpleNamespace(type="mouse_press", button=1, modifiers=(), position=moves[0])
        mine = [e for e in viewer.mouse_drag_callbacks if "Cross" in getattr(e, "__qualname__", "")]
        (running,) = [each(viewer, event) for each in mine]
        next(running, None)
        for place in moves[1:]:
            event.type, event.position = "mouse_move", place
            next(running, None)
        event.type = "mouse_release"
        next(running, None)

    k, a, r = viewer.dims.point
    hand([(k, a + 9, r - 7)])
    np.testing.assert_allclose(viewer.dims.point, (k, a + 9, r - 7), atol=2)
    here = viewer.dims.point
    hand([(k, a, r), (k, a + 8, r), (k, a + 16, r)])
    assert viewer.dims.point == here
    viewer.dims.ndisplay = 3
    hand([(k, a, r)])
    assert viewer.dims.point == here
    viewer.dims.ndisplay = 2


def test_the_point_stays_when_the_view_is_turned(three: Any, opened: Any, viewer: Any) -> None:
    click(three, 0, 0.55, 0.4)
    point = viewer.dims.point
    for direction in ("coronal", "sagittal", "axial"):
        opened.panel.toolbar.wanted.emit(direction)
        finish(opened)
        np.testing.assert_allclose(viewer.dims.point, point)
        (line,) = crosses(viewer)
        ends = np.array([line.data_to_world(each) for each in line.data[:, 0]])
        first, second = viewer.dims.displayed
        # One line along each displayed axis, both through the point in the other.
        assert {round(float(e), 4) for e in ends[:, viewer.dims.order[0]]} == {
            round(point[viewer.dims.order[0]], 4)
        }
        assert ends[0, second] == pytest.approx(point[second])
        assert ends[1, first] == pytest.approx(point[first])


def test_the_wheel_steps_through_a_views_planes(three: Any, opened: Any, viewer: Any) -> None:
    from qtpy.QtCore import QPoint, QPointF, Qt
    from qtpy.QtGui import QWheelEvent

    opened.session.choose(slice_index=0)
    finish(opened)
    place, _ = three.planes.panes()[0]
    middle = QPointF(place.center())
    for turn, expected in ((120, 1), (120, 1), (-120, 0), (-120, 0)):
        event = QWheelEvent(
            middle,
            middle,
            QPoint(),
            QPoint(0, turn),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        three.planes.wheelEvent(event)
        finish(opened)
        assert opened.session.state.slice_index == expected


def test_words_and_value_are_those_of_the_layer_on_top(
    three: Any, opened: Any, viewer: Any
) -> None:
    assert RESEARCH_ONLY in three.caption.text()
    assert "OUTPUT, AI-generated" in three.caption.text()
    assert "slice " in three.caption.text()
    output = layer(viewer, "output")
    k = round(output.world_to_data(viewer.dims.point)[0])
    j, i = np.argwhere(np.isfinite(output.data[k]))[3]
    viewer.dims.set_point([0, 1, 2], output.data_to_world((k, j, i)))
    settle()
    index = tuple(np.floor(np.array(output.world_to_data(viewer.dims.point)) + 0.5).astype(int))
    assert f"mm. {output.data[index]:.4g}" in three.place.text()
    world = np.linalg.inv(opened.session.state.case.frame.turn)[:3] @ [*viewer.dims.point[::-1], 1]
    assert f"{'R' if world[0] >= 0 else 'L'} {abs(world[0]):.1f}, " in three.place.text()
    opened.panel.look_at["input"].click()
    settle()
    assert "INPUT, as acquired" in three.caption.text()
    viewer.layers.clear()
    settle()
    assert three.planes.panes() == []
    assert "Open a study first" in three.place.text()


def test_the_same_button_closes_it_and_nothing_is_left(
    three: Any, opened: Any, viewer: Any
) -> None:
    button = opened.panel.toolbar.buttons["three"]
    assert len(crosses(viewer)) == 1
    gone = weakref.ref(three)
    assert viewer.window.add_plugin_dock_widget("ftddm-viewer", "Three views")[1] is three
    button.click()
    settle()
    assert dock_of(viewer) is None
    assert crosses(viewer) == []
    assert not [e for e in viewer.mouse_drag_callbacks if "Cross" in getattr(e, "__qualname__", "")]
    opened.session.choose(slice_index=0)
    finish(opened)
    button.click()
    settle()
    assert dock_of(viewer) is not gone()
    assert len(crosses(viewer)) == 1
    # Without the panel, it goes on showing what is seen.
    opened.engine.stop()
    settle()
    found = dock_of(viewer)
    assert found.engine is None
    assert len(found.planes.panes()) == 3
    assert letters(viewer) == "RLAP"
    viewer.window.remove_dock_widget(found)
    settle()
    assert crosses(viewer) == []
