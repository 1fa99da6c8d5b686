"""Pinned outputs in the window: flicker, side by side, words, colours, files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panels import layer, said, slide
from tiny import load, write_study
from windows import finish, settle


def pinned(viewer: Any) -> list[Any]:
    """Return the layers of pins, the lowest first."""
    return [e for e in viewer.layers if e.metadata.get("ftddm", {}).get("pinned", "") in "ABCD"
            and "pinned" in e.metadata.get("ftddm", {})]  # fmt: skip


def maps_seen(viewer: Any) -> list[str]:
    """Return the names of the maps that are visible."""
    return [e.name for e in viewer.layers if e.visible and e.name not in ("T1", "FLAIR")]


@pytest.fixture
def two(opened: Any) -> Any:
    """Return the widget with an output pinned, and another one current."""
    opened.panel.toolbar.buttons["pin"].click()
    settle()
    slide(opened, "tau_flow", 1.0)
    finish(opened)
    return opened


def test_flicker_shows_one_at_a_time(two: Any, viewer: Any) -> None:
    output, (a,) = layer(viewer, "output"), pinned(viewer)
    flicker = two.panel.toolbar.buttons["flicker"]
    values, shown = a.data.copy(), []
    assert not a.visible
    assert not np.array_equal(values, output.data, equal_nan=True)
    for _ in range(3):
        flicker.click()
        settle()
        shown.append((maps_seen(viewer), said(viewer, "caption")))
    assert [names for names, _ in shown] == [[a.name], [output.name], [a.name]]
    assert a.name == f"A (pinned): {output.name}"
    both = "A: τ_f 0.5 | now: τ_f 1. "
    assert shown[0][1].startswith(f"{both}A: OUTPUT, AI-generated, 3×, τ_f 0.5")
    assert shown[1][1].startswith(f"{both}OUTPUT, AI-generated, 3×, τ_f 1")
    assert "A (pinned) tNAA, slice" in said(viewer, "title")
    two.panel.look_at["input"].click()
    settle()
    assert maps_seen(viewer) == [layer(viewer, "input").name]
    np.testing.assert_array_equal(a.data, values)


def test_flicker_without_a_pin_is_between_input_and_output(opened: Any, viewer: Any) -> None:
    flicker = opened.panel.toolbar.buttons["flicker"]
    for role in ("input", "output", "input"):
        flicker.click()
        settle()
        assert maps_seen(viewer) == [layer(viewer, role).name]


def test_several_pins_are_shown_in_turn(two: Any, viewer: Any) -> None:
    two.panel.toolbar.buttons["pin"].click()
    settle()
    assert said(viewer, "caption").startswith("B and now: same settings. OUTPUT")
    seen = []
    for _ in range(3):
        two.panel.toolbar.buttons["flicker"].click()
        settle()
        seen.append(maps_seen(viewer)[0][0])
    assert seen == ["A", "B", "O"]


def test_side_by_side_and_back(two: Any, viewer: Any) -> None:
    output, (a,), grid = layer(viewer, "output"), pinned(viewer), viewer.canvas.grid
    before = [each.name for each in viewer.layers]
    beside = two.panel.toolbar.buttons["side_by_side"]
    beside.click()
    settle()
    layers = list(viewer.layers)
    assert grid.enabled
    assert grid.actual_shape(layers) == (1, 2)
    assert grid.position(layers.index(output), layers) == (0, 0)
    assert grid.position(layers.index(a), layers) == (0, 1)
    (below,) = (e for e in layers if e.name == "T1 (below the pinned output)")
    assert grid.position(layers.index(below), layers) == (0, 1)
    np.testing.assert_array_equal(below.data, layer(viewer, "T1").data)
    assert "left: now, right: A (pinned) tNAA" in said(viewer, "title")
    assert said(viewer, "caption").startswith("now: τ_f 1 | A: τ_f 0.5. A: OUTPUT, AI-generated")
    viewer.add_points(np.zeros((1, 3)), name="mark")
    layers = list(viewer.layers)
    assert grid.position(layers.index(a), layers) == (0, 1)
    assert grid.position(layers.index(viewer.layers["mark"]), layers) == (0, 0)
    viewer.layers.remove("mark")
    beside.click()
    settle()
    assert not grid.enabled
    assert maps_seen(viewer) == [output.name]
    assert [each.name for each in viewer.layers] == before


def test_equal_colours_are_equal_values_for_one_metabolite_only(two: Any, viewer: Any) -> None:
    output, (a,) = layer(viewer, "output"), pinned(viewer)
    top = float(output.contrast_limits[1])
    a.contrast_limits = (0.0, 0.5 * top)
    assert tuple(output.contrast_limits) == (0.0, 0.5 * top)
    output.contrast_limits = (0.0, 0.7 * top)
    assert tuple(a.contrast_limits) == (0.0, 0.7 * top)
    two.session.choose(metabolite="tCho")
    finish(two)
    assert output.contrast_limits[1] != pytest.approx(0.7 * top)
    assert tuple(a.contrast_limits) == (0.0, 0.7 * top)
    two.session.choose(metabolite="tNAA")
    finish(two)
    assert tuple(output.contrast_limits) == tuple(a.contrast_limits) == (0.0, 0.7 * top)


def test_a_pin_goes_with_its_layer_and_with_its_study(
    two: Any, viewer: Any, tmp_path: Path
) -> None:
    pins = two.engine._commands._pins
    viewer.layers.remove(pinned(viewer)[0])
    settle()
    assert pins.pins == ()
    assert said(viewer, "caption").startswith("OUTPUT")
    two.panel.toolbar.buttons["pin"].click()
    settle()
    two.panel.toolbar.buttons["side_by_side"].click()
    settle()
    two.session.open(write_study(tmp_path / "other"))
    finish(two)
    assert pinned(viewer) == []
    assert not viewer.canvas.grid.enabled
    assert not [each for each in viewer.layers if "below" in each.name]
    assert not two.panel.toolbar.buttons["side_by_side"].isEnabled()
    assert two.panel.error.text() == ""


def test_a_pin_is_saved_with_its_own_record(two: Any, viewer: Any, tmp_path: Path) -> None:
    two.session.compute_volume()
    finish(two)
    two.panel.toolbar.buttons["pin"].click()
    slide(two, "tau_flow", 0.2)
    finish(two)
    b = pinned(viewer)[-1]
    (path,) = (Path(p) for p in b.save(str(tmp_path / "pinned.nii.gz"), plugin="ftddm-viewer")
               if p.endswith(".gz"))  # fmt: skip
    values, _ = load(path)
    assert np.isfinite(values).all()
    record = (tmp_path / "pinned.json").read_text()
    assert '"tau_flow": 1.0' in record
    assert b.metadata["ftddm"]["settings"].tau_flow == 1.0


def test_a_panel_opened_again_begins_without_pins(two: Any, viewer: Any) -> None:
    from napari_ftddm._pinned import Pinned

    two.engine.stop()
    assert len(pinned(viewer)) == 1
    Pinned(viewer, two.engine._stage, two.engine._commands._pins)
    assert pinned(viewer) == []
