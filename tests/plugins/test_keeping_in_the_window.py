"""A session is kept and reopened from the window, with the display of its layers."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panels import layer
from windows import finish, settle

from ftddm_viewer.session.case import Mode
from ftddm_viewer.session.model import Model

pytestmark = pytest.mark.usefixtures("unchecked")


def answer(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Let the user choose a file wherever one is asked for."""
    from qtpy.QtWidgets import QFileDialog

    for name in ("getSaveFileName", "getOpenFileName"):
        monkeypatch.setattr(QFileDialog, name, lambda *_: (str(path), ""))


def press(widget: Any, name: str) -> None:
    widget.panel.toolbar.wanted.emit(name)
    settle()


@pytest.fixture
def kept(viewer: Any, opened: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Keep a session that shows its reference in other colours; return its file."""
    opened.session.choose(mode="restore", metabolite="tCho", slice_index=1)
    opened.session.update(seed=4)
    finish(opened)
    opened.panel.link.setChecked(False)
    settle()
    reference, output = layer(viewer, "reference"), layer(viewer, "output")
    reference.visible, reference.colormap, reference.gamma = True, "magma", 0.5
    output.visible, output.contrast_limits = False, (0.25, 1.5)
    layer(viewer, "T1").opacity = 0.75
    answer(monkeypatch, tmp_path / "mine")
    press(opened, "keep")
    path = tmp_path / "mine.ftddm.json"
    assert f"The session is kept in {path}." in opened.panel.status.text()
    return path


def test_reopening_brings_image_and_display_back(viewer: Any, opened: Any, kept: Path) -> None:
    image = np.array(layer(viewer, "output").data)
    opened.engine.open_sample()
    finish(opened)
    opened.panel.link.setChecked(True)
    layer(viewer, "T1").opacity = 1.0
    opened.engine.keeping.open(kept)
    finish(opened)
    state = opened.session.state
    assert state.place == (Mode.RESTORE, "tCho", 1)
    assert state.settings.seed == 4
    assert not opened.panel.link.isChecked()
    reference, output = layer(viewer, "reference"), layer(viewer, "output")
    assert (reference.visible, reference.colormap.name, reference.gamma) == (True, "magma", 0.5)
    assert not output.visible
    np.testing.assert_allclose(output.contrast_limits, (0.25, 1.5))
    assert output.colormap.name == "viridis"
    assert layer(viewer, "T1").opacity == 0.75
    np.testing.assert_array_equal(output.data[..., 1], image[..., 1])


def test_the_display_is_the_users_again_afterwards(viewer: Any, opened: Any, kept: Path) -> None:
    opened.engine.keeping.open(kept)
    finish(opened)
    layer(viewer, "output").visible = True
    opened.session.update(seed=5)
    finish(opened)
    assert layer(viewer, "output").visible


def test_a_session_whose_study_is_gone_leaves_the_open_one(opened: Any, kept: Path) -> None:
    record = json.loads(kept.read_text())
    record["Study"]["Paths"] = ["./nowhere"]
    kept.write_text(json.dumps(record))
    before = opened.session.state
    opened.engine.keeping.open(kept)
    settle()
    assert "cannot be opened" in opened.panel.error.text()
    assert opened.session.state.case is before.case
    assert opened.session.state.settings == before.settings


def test_the_button_reopens_where_nothing_is_open(
    panel: Any, study: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    panel.session.open(study)
    finish(panel)
    assert panel.panel.reopen.isHidden()
    answer(monkeypatch, tmp_path / "mine.ftddm.json")
    press(panel, "keep")
    panel.session.close()
    panel.engine._relay.post()
    settle()
    assert not panel.panel.reopen.isHidden()
    panel.panel.reopen.click()
    finish(panel)
    assert panel.session.state.case is not None
    assert panel.session.state.image is not None


def test_text_goes_to_the_clipboard(opened: Any, study: Path) -> None:
    from qtpy.QtGui import QGuiApplication

    opened.session.choose(mode="enlarge")
    finish(opened)
    press(opened, "copy_command")
    text = QGuiApplication.clipboard().text()
    assert shlex.split(text)[:3] == ["ftddm", "run", str(study)]
    assert "The command is on the clipboard." in opened.panel.status.text()
    press(opened, "copy_python")
    assert "open_study(paths" in QGuiApplication.clipboard().text()
    opened.session.choose(mode="restore")
    finish(opened)
    press(opened, "copy_command")
    assert "copy it as Python" in opened.panel.error.text()


def test_view_opens_a_session(
    napari: Any, kept: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_ftddm import show_window

    viewer, widget = show_window([kept], weights=str(weights), device="cpu", block=False)
    try:
        finish(widget)
        assert widget.session.state.place == (Mode.RESTORE, "tCho", 1)
        assert isinstance(widget.session.model, Model)
        assert layer(viewer, "reference").colormap.name == "magma"
    finally:
        widget.engine.stop()
        viewer.close()
        settle()
