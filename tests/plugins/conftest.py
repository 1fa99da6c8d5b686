"""Fixtures for the panel: a viewer on a display, and the docked widget with tiny weights."""

from __future__ import annotations

import gc
import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panels import blobs
from properties import oblique_affine, save_nifti
from sessions import Brake
from windows import HANGS_AFTER, finish, settle

from ftddm_viewer.session.model import Model
from ftddm_viewer.session.session import Session

os.environ.setdefault("QT_API", "pyqt6")


@pytest.fixture(scope="session")
def napari(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return napari, with settings of its own; skip where it cannot open a window."""
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        pytest.skip("no display: napari needs one to draw on; run the tests under xvfb-run")
    os.environ["NAPARI_CONFIG"] = str(tmp_path_factory.mktemp("napari") / "settings.yaml")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydantic's, of napari and npe2
        found = pytest.importorskip("napari")
        importlib.import_module("napari._qt.qt_main_window")
    return found


@pytest.fixture
def viewer(napari: Any) -> Iterator[Any]:
    """Return a viewer; afterwards nothing of it may be left."""
    from napari._qt.qt_viewer import QtViewer

    made = napari.Viewer(show=False, show_welcome_screen=False)
    yield made
    if QtViewer._instances:  # not closed by the test itself
        made.close()
    del made
    settle()
    gc.collect()
    left = len(QtViewer._instances)
    QtViewer._instances.clear()
    assert left == 0, "the viewer was not freed"


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no session made from here on check the model by itself: it takes its time."""
    monkeypatch.setitem(Session.__init__.__kwdefaults__, "checks_itself", False)


@pytest.fixture
def panel(viewer: Any, weights: Path) -> Iterator[Any]:
    """Return the docked widget, with tiny weights."""
    _, widget = viewer.window.add_plugin_dock_widget("ftddm-viewer", "FTDDM")
    widget.engine.use(Model(str(weights), "cpu"))
    yield widget
    session = widget.session
    widget.engine.stop()
    assert session.wait(HANGS_AFTER), "work went on after the panel was closed"


@pytest.fixture
def opened(panel: Any, study: Path) -> Any:
    """Return the docked widget after the tiny study was opened and its image computed."""
    panel.session.open(study)
    finish(panel)
    assert panel.session.state.error == ""
    return panel


@pytest.fixture
def brake(opened: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Brake]:
    """Return what holds up the runs to come of the docked widget."""
    made = Brake(monkeypatch)
    yield made
    made.released.set()


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
