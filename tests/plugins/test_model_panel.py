"""The window "Model": its card, its facts, other weights, unloading; and the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from panels import layer
from tiny import TINY_FLOW, TINY_UNET
from windows import finish, settle

from ftddm_core.model.checkpoint import save_weights
from ftddm_core.model.flow import ConditionalGlow
from ftddm_core.model.unet import UNet
from ftddm_viewer.session.messages import OUT_OF_MEMORY

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Return weights of a user, with a card."""
    denoiser, flow = UNet(TINY_UNET), ConditionalGlow(TINY_FLOW)
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for network in (denoiser, flow):
            for parameter in network.parameters():
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    folder = tmp_path / "other"
    save_weights(folder, denoiser, flow, {})
    (folder / "README.md").write_text("# My own weights\n\nOf seven patients.\n")
    return folder


@pytest.fixture
def networks(opened: Any) -> Any:
    """Return the window "Model" of the opened panel."""
    opened.panel.toolbar.wanted.emit("model")
    settle()
    assert opened.engine.networks.isVisible()
    return opened.engine.networks


def choose_folder(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    from qtpy.QtWidgets import QFileDialog

    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))


def test_it_shows_what_is_in_use(networks: Any, opened: Any) -> None:
    assert networks.weights.currentData() == opened.session.model.weights
    assert "They have no card" in networks.card.toPlainText()
    assert "in memory" in networks.facts.text()
    assert "cpu, as asked for" in networks.facts.text()
    assert opened.session.model.digest[:12] in networks.facts.text()
    assert not networks.apply.isEnabled()
    networks.weights.setCurrentIndex(networks.weights.findData("small"))
    assert "Trained on simulated patients only" in networks.card.toPlainText()
    assert networks.apply.isEnabled()


def test_own_weights_are_used_on_the_open_study(
    networks: Any, opened: Any, viewer: Any, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = np.array(layer(viewer, "output").data)
    choose_folder(monkeypatch, other)
    networks.folder.click()
    assert "Of seven patients." in networks.card.toPlainText()
    networks.apply.click()
    finish(opened)
    assert opened.session.model.name == "other"
    after = layer(viewer, "output")
    assert not np.allclose(after.data, before, equal_nan=True)
    assert after.metadata["ftddm"]["model"] is opened.session.model
    assert "other (SHA-256" in networks.facts.text()
    assert not networks.apply.isEnabled()


def test_a_folder_without_weights_is_refused(
    networks: Any, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose_folder(monkeypatch, study)
    networks.folder.click()
    assert "holds no weights" in networks.problem.text()
    assert not networks.apply.isEnabled()


def test_unloading_says_so(networks: Any, opened: Any) -> None:
    assert networks.unload.isEnabled()
    networks.unload.click()
    assert not opened.session.model.loaded
    assert "not loaded" in networks.facts.text()
    assert not networks.unload.isEnabled()
    opened.session.update(seed=3)
    finish(opened)
    assert "in memory" in networks.facts.text()


def test_lack_of_memory_is_advised_on(networks: Any, opened: Any) -> None:
    opened.session._replace(error=OUT_OF_MEMORY)
    networks.show_state(opened.session.state)
    assert "choose a smaller upscaling" in networks.advice.text()


def test_the_report_is_written_in_the_colours_on_the_screen(
    opened: Any, viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qtpy.QtWidgets import QFileDialog

    import ftddm_viewer.drawing.report_page as module

    taken = []
    original = module.draw_page
    monkeypatch.setattr(module, "draw_page", lambda page: taken.append(page) or original(page))
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "page"), "PDF (*.pdf)")
    )
    layer(viewer, "output").contrast_limits = (0.5, 2.5)
    layer(viewer, "output").colormap = "magma"
    opened.panel.toolbar.wanted.emit("report")
    settle()
    assert f"The report is in {tmp_path / 'page.pdf'}." in opened.panel.status.text()
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    (output,) = [p for p in taken[0].images if p.column == "Output, AI-generated"]
    assert (output.limits, output.colours) == ((0.5, 2.5), "magma")
