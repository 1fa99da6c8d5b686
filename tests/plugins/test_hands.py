"""Keys, toolbar, help box, presets, and the view."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from panels import inputs, layer, letters, said, shown, slide
from windows import finish, settle

from ftddm_viewer.session.actions import ACTIONS, Group
from ftddm_viewer.session.presets import own_presets
from ftddm_viewer.session.tips import TIPS


def press(viewer: Any, widget: Any, key: str) -> None:
    """Press a key, such as "Shift+N", on a widget that has the focus."""
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    *held, letter = key.split("+")
    modifiers = Qt.KeyboardModifier.NoModifier
    for each in held:
        modifiers |= getattr(Qt.KeyboardModifier, {"Ctrl": "Control"}.get(each, each) + "Modifier")
    QTest.keyClick(widget, getattr(Qt.Key, f"Key_{letter}"), modifiers)
    settle()


def on_canvas(viewer: Any, key: str) -> None:
    """Press a key over the images."""
    press(viewer, viewer.window._qt_window, key)


def menu(panel: Any, group: Group) -> dict[str, Any]:
    """Return the entries of a menu as it opens, by their words."""
    found = panel.panel.toolbar.menus[group]
    found.aboutToShow.emit()
    return {each.text().partition("\t")[0]: each for each in found.actions() if each.text()}


def test_no_key_is_one_of_naparis(opened: Any, viewer: Any) -> None:
    """But for D, which shapes layers use, and there it is theirs; no key is used twice."""
    from napari.layers import Image
    from napari.settings import get_settings
    from napari.utils.key_bindings import KeyBinding

    taken = {
        KeyBinding.from_str(str(key))
        for keys in get_settings().shortcuts.shortcuts.values()
        for key in keys
    }
    taken |= set(type(viewer).class_keymap) | set(Image.class_keymap)
    keys = [KeyBinding.from_str(each.key) for each in ACTIONS if each.key]
    assert len(keys) > 15
    assert len(set(keys)) == len(keys)
    assert set(keys) & taken == {KeyBinding.from_str("D")}
    assert set(keys) <= set(viewer.keymap)


def test_keys_go_through_slices_and_metabolites(opened: Any, viewer: Any) -> None:
    session = opened.session
    session.choose(slice_index=0)
    finish(opened)
    for key, expected in (("PageUp", 1), ("PageUp", 1), ("PageDown", 0), ("PageDown", 0)):
        on_canvas(viewer, key)
        finish(opened)
        assert session.state.slice_index == expected
    names = list(session.state.case.study.maps)
    start = names.index(session.state.metabolite)
    for key, expected in (("N", 1), ("N", 2), ("Shift+N", 1)):
        on_canvas(viewer, key)
        finish(opened)
        assert session.state.metabolite == names[(start + expected) % len(names)]


def test_a_key_is_left_to_a_box_for_numbers(opened: Any, viewer: Any) -> None:
    viewer.window.show()
    settle()
    before = opened.session.state
    box = inputs(opened, "tau_flow_box")
    box.setFocus()
    settle()
    for key in ("N", "PageUp", "K", "Ctrl+Z", "8", "F1"):
        press(viewer, box, key)
    finish(opened)
    after = opened.session.state
    assert (after.metabolite, after.slice_index) == (before.metabolite, before.slice_index)
    assert letters(viewer) == "RLAP"
    slider = inputs(opened, "tau_flow")
    slider.setFocus()
    press(viewer, slider, "N")
    finish(opened)
    assert opened.session.state.metabolite != before.metabolite


def test_a_drag_is_undone_at_once(opened: Any, viewer: Any) -> None:
    toolbar = opened.panel.toolbar
    assert not toolbar.buttons["undo"].isEnabled()
    slider = inputs(opened, "tau_diffusion")
    slider.setSliderDown(True)
    for share in (0.4, 0.3, 0.2):
        slide(opened, "tau_diffusion", share)
        settle()
    slider.setSliderDown(False)
    finish(opened)
    slide(opened, "tau_flow", 0.9)
    finish(opened)
    assert toolbar.buttons["undo"].isEnabled()
    on_canvas(viewer, "Ctrl+Z")
    finish(opened)
    assert (shown(opened, "tau_flow"), shown(opened, "tau_diffusion")) == (0.5, 0.2)
    toolbar.buttons["undo"].click()
    finish(opened)
    assert shown(opened, "tau_diffusion") == 0.5
    assert not toolbar.buttons["undo"].isEnabled()
    assert layer(viewer, "output").metadata["ftddm"]["settings"].tau_diffusion == 0.5
    on_canvas(viewer, "Ctrl+Shift+Z")
    finish(opened)
    assert shown(opened, "tau_diffusion") == 0.2


def test_presets_are_chosen_kept_and_removed(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from qtpy.QtWidgets import QInputDialog

    session = opened.session
    menu(opened, Group.SETTINGS)["Sharp"].trigger()
    finish(opened)
    assert (shown(opened, "tau_flow"), shown(opened, "tau_diffusion")) == (1, 1)
    session.update(seed=3)
    monkeypatch.setattr(QInputDialog, "getText", lambda *_: ("A & B", True))
    menu(opened, Group.SETTINGS)["Keep these settings as…"].trigger()
    assert [preset.name for preset in own_presets()] == ["A & B"]
    menu(opened, Group.SETTINGS)["Reset all settings to their defaults"].trigger()
    finish(opened)
    assert (shown(opened, "tau_flow"), shown(opened, "seed")) == (0.5, 0)
    menu(opened, Group.SETTINGS)["A && B"].trigger()
    finish(opened)
    assert (shown(opened, "tau_flow"), shown(opened, "seed")) == (1, 3)
    monkeypatch.setattr(QInputDialog, "getText", lambda *_: ("sharp", True))
    menu(opened, Group.SETTINGS)["Keep these settings as…"].trigger()
    settle()
    assert "choose another name" in opened.panel.error.text()
    monkeypatch.setattr(QInputDialog, "getItem", lambda *_: ("A & B", True))
    menu(opened, Group.SETTINGS)["Remove a preset…"].trigger()
    assert own_presets() == ()
    assert "A && B" not in menu(opened, Group.SETTINGS)


def test_the_help_box_lists_every_action(opened: Any, viewer: Any) -> None:
    opened.panel.toolbar.buttons["help"].click()
    words = opened.engine._commands._help.text.toPlainText()
    for each in ACTIONS:
        assert each.words in words
        assert each.key in words
    for figure in ("PSNR", "SSIM", "Sharpness", "Self-check gain", "k-space residual"):
        assert f"{figure}." in words


def test_every_part_of_the_panel_has_a_tooltip(opened: Any) -> None:
    from qtpy.QtWidgets import QCheckBox, QComboBox, QPushButton, QToolButton

    parts = [
        part
        for kind in (QPushButton, QToolButton, QComboBox, QCheckBox)
        for part in opened.panel.findChildren(kind)
        if part.window() is opened.panel.window() and not part.objectName().startswith("qt_")
    ]
    assert len(parts) > 20
    for part in parts:
        parent = part.parentWidget()
        assert part.toolTip() or (parent is not None and parent.toolTip()), part.objectName()
    assert "noise alone" in TIPS["metrics"]


def test_views_turn_and_sides_switch(marked: Any, viewer: Any) -> None:
    toolbar, output = marked.panel.toolbar, layer(viewer, "output")
    values = output.data.copy()
    for key, expected, name in (("9", "RLSI", "coronal"), ("0", "APSI", "sagittal")):
        on_canvas(viewer, key)
        assert letters(viewer) == expected
        assert f"{name} view" in said(viewer, "title")
        assert said(viewer, "caption").startswith("OUTPUT ONLY in the slices")
    before = viewer.dims.current_step[2]
    on_canvas(viewer, "PageUp")
    assert viewer.dims.current_step[2] == before + 1
    on_canvas(viewer, "8")
    assert letters(viewer) == "RLAP"
    assert "slice" in said(viewer, "title")
    on_canvas(viewer, "Shift+R")
    assert letters(viewer) == "LRAP"
    toolbar.wanted.emit("coronal")
    assert letters(viewer) == "LRSI"
    np.testing.assert_array_equal(output.data, values)
    toolbar.wanted.emit("axial")


def test_the_side_of_the_right_holds_for_the_next_study(
    marked: Any, viewer: Any, study: Any
) -> None:
    marked.panel.toolbar.wanted.emit("convention")
    marked.session.open(study)
    finish(marked)
    assert letters(viewer) == "LRAP"
    marked.panel.toolbar.wanted.emit("convention")
    assert letters(viewer) == "RLAP"


def test_smoothness_and_contrast(opened: Any, viewer: Any) -> None:
    toolbar, output = opened.panel.toolbar, layer(viewer, "output")
    limits = tuple(output.contrast_limits)
    toolbar.wanted.emit("smooth")
    assert {str(each.interpolation2d) for each in viewer.layers} == {"linear"}
    toolbar.wanted.emit("smooth")
    assert {str(each.interpolation2d) for each in viewer.layers} == {"nearest"}
    output.contrast_limits = (0.1 * limits[1], 0.2 * limits[1])
    output.gamma = 0.5
    viewer.layers.selection.active = output
    (call,) = viewer.mouse_double_click_callbacks
    zoom = viewer.scene.camera.zoom
    call(viewer, None)
    assert tuple(output.contrast_limits) == limits
    assert output.gamma == 1
    assert tuple(layer(viewer, "input").contrast_limits) == limits
    assert viewer.scene.camera.zoom == zoom
    opened.session.choose(slice_index=1 - opened.session.state.slice_index)
    finish(opened)
    assert tuple(output.contrast_limits) == limits


def test_a_closed_panel_gives_keys_and_mouse_back(opened: Any, viewer: Any) -> None:
    opened.engine.stop()
    assert not viewer.keymap
    assert [call.__name__ for call in viewer.mouse_double_click_callbacks] == [
        "double_click_to_zoom"
    ]


def test_the_toolbar_is_no_wider_than_the_panel(opened: Any, viewer: Any) -> None:
    """Even with the menu that is hidden while it has no entries."""
    from napari_ftddm._panel import WIDTH
    from qtpy.QtWidgets import QToolButton

    for button in opened.panel.toolbar.findChildren(QToolButton):
        button.show()
    settle()
    assert opened.panel.minimumSizeHint().width() == WIDTH


def test_the_view_is_known_whatever_axes_are_rolled(opened: Any, viewer: Any) -> None:
    """A layer with time brings axes that can take the place of the patient's."""
    from napari_ftddm._words import stacked_along

    viewer.add_image(np.zeros((3, 2, 4, 5), np.float32), name="film")
    for order, expected in (
        ((0, 1, 2, 3), 2),
        ((1, 0, 2, 3), 2),
        ((0, 2, 1, 3), 1),
        ((1, 2, 0, 3), 1),
    ):
        viewer.dims.order = order
        assert stacked_along(viewer) == expected
    settle()
    assert opened.panel.error.text() == ""
