"""The plugin's settings in napari's preferences."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from napari_ftddm._preferences import PLUGIN, Preferences, preferences
from windows import finish

from ftddm_viewer.session.display import CRLB_BOUNDS
from ftddm_viewer.session.model_card import known_weights


@pytest.fixture
def settings(napari: Any) -> Iterator[Any]:
    """Return the plugin's settings in napari; afterwards they are the defaults again."""
    from napari.settings import get_plugin_settings

    found = get_plugin_settings(PLUGIN)
    yield found
    found.reset()


def test_manifest_and_code_agree(settings: Any) -> None:
    assert preferences() == Preferences()
    stated = {**settings.model.model_dump(), **settings.view.model_dump()}
    assert set(stated) == {field.name for field in dataclasses.fields(Preferences)}
    assert Preferences.weights in known_weights()
    for limit in CRLB_BOUNDS:
        settings.view.crlb_limit = limit
    with pytest.raises(ValueError, match="100"):
        settings.view.crlb_limit = CRLB_BOUNDS[1] + 1


@pytest.mark.usefixtures("unchecked")
def test_they_are_how_a_panel_starts(settings: Any, viewer: Any, study: Path) -> None:
    settings.model.device = "cpu"
    settings.model.weights = "  "
    settings.view.live = False
    settings.view.crlb_limit = 35
    settings.view.smooth = True
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "FTDDM")
    try:
        state = widget.session.state
        assert (widget.session.model.weights, widget.session.model.device) == ("small", "cpu")
        assert not state.live
        assert not widget.panel.live.isChecked()
        assert (state.display.fade, state.display.limit) == (True, 35)
        widget.session.open(study)
        finish(widget)
        shown = [layer for layer in viewer.layers if layer.metadata.get("ftddm")]
        assert shown
        assert {layer.interpolation2d for layer in shown} == {"linear"}
    finally:
        widget.engine.stop()


def test_damage_keeps_no_panel_closed(monkeypatch: pytest.MonkeyPatch, napari: Any) -> None:
    def broken(name: str) -> Any:
        raise KeyError(name)

    monkeypatch.setattr("napari.settings.get_plugin_settings", broken)
    assert preferences() == Preferences()
