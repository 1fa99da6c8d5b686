"""Fixtures for the panel: a viewer on a display, tiny weights, and patience without a clock."""

from __future__ import annotations

import gc
import importlib
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import TINY_FLOW, TINY_UNET, Ftddm, Outcome, write_study

from ftddm_core.model.checkpoint import save_weights
from ftddm_core.model.flow import ConditionalGlow
from ftddm_core.model.unet import UNet
from ftddm_viewer.cli import main
from ftddm_viewer.model import Model

os.environ.setdefault("QT_API", "pyqt6")

HANGS_AFTER = 120.0
"""In s: what takes longer hangs; no test is about time."""


def settle(until: Callable[[], Any] | None = None) -> None:
    """Run the event loop until something is true, and then until nothing is left to do."""
    from qtpy.QtCore import QCoreApplication
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + HANGS_AFTER
    while until is not None and not until():
        assert time.monotonic() < end, "what was waited for never came"
        QApplication.processEvents()
        time.sleep(0.002)
    for _ in range(5):
        QCoreApplication.sendPostedEvents()
        QApplication.processEvents()


def finish(widget: Any) -> None:
    """Run the event loop until every move has reached the session, and its work is done."""
    engine = widget.engine
    settle(lambda: not engine._pace.waiting and widget.session.wait(0))
    settle()


class Brake:
    """Holds every run up after its first estimate, until it is released."""

    def __init__(self, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
        self.holding, self.released = threading.Event(), threading.Event()
        usual = model.sample

        def sample(*words: Any) -> Iterator[Any]:
            for update in usual(*words):
                yield update
                self.holding.set()
                assert self.released.wait(HANGS_AFTER)

        monkeypatch.setattr(model, "sample", sample)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return weights of a few kB: not trained, but every layer has its say."""
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    denoiser, flow = UNet(TINY_UNET), ConditionalGlow(TINY_FLOW)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for network in (denoiser, flow):
            for parameter in network.parameters():
                parameter += 0.03 * torch.randn(parameter.shape, generator=generator)
    save_weights(folder, denoiser, flow, {"data": "none"})
    return folder


@pytest.fixture
def ftddm(capsys: pytest.CaptureFixture[str]) -> Ftddm:
    """Return the command: words -> exit code, stdout, stderr."""

    def run(*words: Any) -> Outcome:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:  # from argparse
            code = end.code if isinstance(end.code, int) else 1
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Return the folder of an oblique study with maps, mask and T1."""
    return write_study(tmp_path / "patient")


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
    """Return the docked widget after the tiny study was opened and its picture computed."""
    panel.session.open(study)
    finish(panel)
    assert panel.session.state.error == ""
    return panel


@pytest.fixture
def brake(opened: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Brake]:
    """Return what holds up the runs to come of the docked widget."""
    made = Brake(opened.session.model, monkeypatch)
    yield made
    made.released.set()
