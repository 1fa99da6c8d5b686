"""The dock of the trade-off explorer: what it starts, shows, sets and saves."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog
from windows import finish, settle

from ftddm_viewer.drawing.trade_off import position
from ftddm_viewer.session.model import Model

VALUES = {"tau_flow": "0, 1", "tau_diffusion": "0, 0.5; 1", "t_trunc": "0, 100"}


@pytest.fixture
def explorer(viewer: Any, unchecked: None, opened: Any) -> Any:
    """Return the docked explorer beside the panel, on the tiny study."""
    opened.session.update(steps=2, upscale=2.0)
    opened.session.choose(mode="restore")
    finish(opened)
    _, made = viewer.window.add_plugin_dock_widget("ftddm-viewer", "Trade-off explorer")
    settle()
    for name, words in VALUES.items():
        made.rows[name][1].setText(words)
    return made


def swept(explorer: Any, panel: Any) -> Any:
    explorer.start.click()
    finish(panel)
    found = panel.session.state.exploration
    assert found is not None
    assert found.problem == ""
    return found


def clicked(explorer: Any, point: Any, panel: Any) -> None:
    x, y = explorer._axes.transData.transform(position(point, "psnr"))
    explorer._clicked(SimpleNamespace(inaxes=explorer._axes, x=x, y=y))
    finish(panel)


def test_without_the_panel_it_says_what_to_do(viewer: Any) -> None:
    _, made = viewer.window.add_plugin_dock_widget("ftddm-viewer", "Trade-off explorer")
    assert "Open the panel FTDDM" in made.problem.text()
    settle()


def test_it_sweeps_what_is_ticked(explorer: Any, opened: Any) -> None:
    explorer.rows["t_trunc"][0].setChecked(False)
    found = swept(explorer, opened)
    assert found.sweep.values == {"tau_flow": (0.0, 1.0), "tau_diffusion": (0.0, 0.5, 1.0)}
    assert "6 of 6 points." in explorer._said.text()
    assert not explorer.cancel.isEnabled()
    assert [explorer.measure.itemData(i) for i in range(2)] == ["psnr", "nrmse"]


def test_a_click_sets_the_sliders_and_the_mark_moves_there(explorer: Any, opened: Any) -> None:
    found = swept(explorer, opened)
    point = max(found.points, key=lambda p: p.figures["psnr"])
    near = [p for p in found.points if position(p, "psnr") == position(point, "psnr")]
    clicked(explorer, point, opened)
    state = opened.session.state
    assert state.settings in [p.settings for p in near]
    assert state.up_to_date
    assert state.exploration.here.settings == state.settings


def test_what_cannot_be_swept_is_said_in_words(explorer: Any, opened: Any) -> None:
    explorer.rows["tau_flow"][1].setText("0, much")
    explorer.start.click()
    assert "'0, much' is not a list of numbers" in explorer.problem.text()
    explorer.rows["tau_flow"][1].setText("0, 3")
    explorer.start.click()
    assert "Flow temperature (tau_flow) cannot be 3" in explorer.problem.text()
    assert opened.session.state.exploration is None


def test_it_saves_table_and_figure(
    explorer: Any, opened: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = swept(explorer, opened)
    names = iter((tmp_path / "a.csv", tmp_path / "a.png"))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(next(names)), ""))
    explorer.csv.click()
    explorer.png.click()
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert len(rows) == len(found.points) == 2 * 3 + 2
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_another_slice_has_no_mark(explorer: Any, opened: Any) -> None:
    swept(explorer, opened)
    assert "settings of the sliders" in legend_of(explorer)
    state = opened.session.state
    opened.session.choose(
        metabolite=next(n for n in state.case.study.maps if n != state.metabolite)
    )
    finish(opened)
    assert "Another slice is shown now" in explorer._said.text()
    assert "settings of the sliders" not in legend_of(explorer)


def legend_of(explorer: Any) -> list[str]:
    return [text.get_text() for text in explorer._axes.get_legend().get_texts()]


def test_it_lies_below_the_canvas_beside_the_sliders(explorer: Any) -> None:
    dock = explorer.parent()
    assert dock.parent().dockWidgetArea(dock) == Qt.DockWidgetArea.BottomDockWidgetArea


def test_a_closed_explorer_follows_nothing(viewer: Any, explorer: Any, opened: Any) -> None:
    """napari keeps its widget, which would draw on unseen."""
    viewer.window.remove_dock_widget(explorer)
    settle()
    assert explorer.engine is None
    opened.session.explore({"tau_flow": [0.0, 1.0]})
    finish(opened)
    assert opened.session.state.exploration.points
    assert not explorer.figure.axes


def test_it_lets_go_of_a_closed_viewer(viewer: Any, explorer: Any, opened: Any) -> None:
    swept(explorer, opened)
    viewer.close()
    settle()
    opened.session.update(seed=3)  # nothing is left to show it
    settle()


def test_it_goes_on_with_the_panel_that_is_opened_next(
    viewer: Any, explorer: Any, opened: Any, weights: Path, study: Path
) -> None:
    """Nothing of a closed panel stays in the dock, and Start sweeps for the new one."""
    swept(explorer, opened)
    viewer.window.remove_dock_widget(opened)
    settle()
    assert "Open the panel FTDDM" in explorer.problem.text()
    assert not explorer.figure.axes
    assert not explorer.start.isEnabled()
    viewer.layers.clear()
    _, again = viewer.window.add_plugin_dock_widget("ftddm-viewer", "FTDDM")
    again.engine.use(Model(str(weights), "cpu"))
    again.session.open(study)
    finish(again)
    assert explorer.start.isEnabled()
    explorer.rows["t_trunc"][0].setChecked(False)
    explorer.rows["tau_diffusion"][0].setChecked(False)
    assert len(swept(explorer, again).points) == 2
    again.engine.stop()
