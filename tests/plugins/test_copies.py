"""Layers that napari copies, projects or converts from ours: their words stay true."""

from __future__ import annotations

from typing import Any

import numpy as np
from panels import layer, said, slide
from windows import finish, settle


def by_napari(viewer: Any, chosen: Any, action: str) -> Any:
    """Use an entry of the menu of napari's list of layers; return the layer it makes."""
    from napari.layers import _layer_actions

    before = list(viewer.layers)
    viewer.layers.selection = {chosen}
    getattr(_layer_actions, action)(viewer.layers)
    settle()
    (made,) = [each for each in viewer.layers if each not in before]
    return made


def test_a_copy_keeps_pixels_and_words(opened: Any, viewer: Any) -> None:
    """Also after the panel was closed and opened again: it is never taken for the output."""
    output = layer(viewer, "output")
    copy = by_napari(viewer, output, "_duplicate_layer")
    values = copy.data.copy()
    assert layer(viewer, "output") is output
    slide(opened, "tau_flow", 1.0)
    finish(opened)
    assert "τ_f 0.5" in said(viewer, "caption")
    np.testing.assert_array_equal(copy.data, values)
    assert not np.array_equal(output.data, values, equal_nan=True)
    copy.visible = False
    assert "τ_f 1," in said(viewer, "caption")


def test_a_copy_made_without_the_panel_is_not_managed_later(opened: Any, viewer: Any) -> None:
    output = layer(viewer, "output")
    viewer.window.remove_dock_widget(opened)
    by_napari(viewer, output, "_duplicate_layer")
    _, again = viewer.window.add_plugin_dock_widget("ftddm-viewer", "FTDDM")
    again.engine.use(opened.session.model)
    finish(again)
    assert layer(viewer, "output") is output
    again.engine.stop()


def test_a_projection_says_what_it_is(opened: Any, viewer: Any) -> None:
    """It is no slice of the output, and is called one nowhere."""
    for role in ("T1", "output"):
        source = layer(viewer, role)
        made = by_napari(viewer, source, "_project")
        assert layer(viewer, role) is source
        assert said(viewer, "caption").startswith("CHANGED BY HAND, from: ")
        assert made.metadata["ftddm"]["caption"].startswith("CHANGED BY HAND, from: ")
    assert "changed by hand" in said(viewer, "title")
    assert "AI-generated" in said(viewer, "caption")


def test_a_projection_says_so_without_the_panel_and_of_a_pin(opened: Any, viewer: Any) -> None:
    """Whoever made the layer that it is made from, and whether or not the panel is open."""
    opened.panel.toolbar.buttons["pin"].click()
    settle()
    (pin,) = [e for e in viewer.layers if e.metadata["ftddm"].get("pinned") == "A"]
    made = by_napari(viewer, pin, "_project")
    assert made.metadata["ftddm"]["caption"].startswith("CHANGED BY HAND, from: ")
    viewer.window.remove_dock_widget(opened)
    made = by_napari(viewer, layer(viewer, "output"), "_project")
    assert made.metadata["ftddm"]["caption"].startswith("CHANGED BY HAND, from: ")
    assert not pin.metadata["ftddm"]["caption"].startswith("CHANGED")
