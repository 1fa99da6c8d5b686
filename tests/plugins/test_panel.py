"""The panel: what it says, opens, computes and saves, and how it ends."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panels import inputs, layer, letters, said, shown, slide
from properties import save_nifti
from sessions import Brake
from tiny import SHAPE, Ftddm, load, sidecar, tiny_maps, write_study
from windows import finish, settle

from ftddm_core.errors import FormatError, SettingsError
from ftddm_core.sampling.self_check import SelfCheck
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_viewer.session.case import MODE_WORDS
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.state import Activity

MAPS, MASK, AFFINE = tiny_maps()


# ---------------------------------------------------------------- beside the controls


def test_the_panel_says_what_the_self_check_found(
    panel: Any, viewer: Any, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a warning where it must; a key and a button show all that is drawn, with no work."""
    go_on, names = threading.Event(), ("tNAA", "tCho")
    gains = {1.0: dict.fromkeys(names, -0.8)}

    def check(*_: Any, progress: Any, **__: Any) -> SelfCheck:
        progress(0.4)
        assert go_on.wait(60)
        return SelfCheck(gains, {1.0: dict.fromkeys(names, 0.2)}, 0.5, 2)

    monkeypatch.setattr(Model, "check", check)
    parts, session = panel.panel, panel.session
    hint = parts.form.hints["t_trunc"].native
    session.open(study)
    settle(lambda: "40% done" in parts.check.text() and session.state.up_to_date)
    assert "bold" not in parts.check.styleSheet()
    assert hint.isHidden()
    go_on.set()
    finish(panel)
    assert "worse than zero-filling" in parts.check.text()
    assert "bold" in parts.check.styleSheet()
    assert "change little" in hint.text()
    assert not hint.isHidden()
    assert shown(panel, "detail") is None
    assert inputs(panel, "detail_box").value() == pytest.approx(0.2)
    some = layer(viewer, "output").data.copy()
    monkeypatch.setattr(session.model, "sample", lambda *a, **k: pytest.fail("sampled"))
    assert parts.show_all.text() == "Show all that is drawn (D)"
    parts.show_all.click()
    settle()
    everything = layer(viewer, "output").data.copy()
    assert not np.array_equal(some, everything, equal_nan=True)
    assert parts.show_all.text() == "Show what the study supports (D)"
    assert hint.isHidden()
    for expected in (some, everything):
        bound = {str(key).upper(): command for key, command in viewer.keymap.items()}
        bound["D"](viewer)
        settle()
        np.testing.assert_array_equal(layer(viewer, "output").data, expected)
    assert session.state.up_to_date


def test_without_live_nothing_is_computed_until_update(opened: Any, viewer: Any) -> None:
    opened.panel.live.click()
    before = layer(viewer, "output").data.copy()
    slide(opened, "tau_diffusion", 0.1)
    finish(opened)
    np.testing.assert_array_equal(layer(viewer, "output").data, before)
    assert "press Update" in opened.panel.status.text()
    assert layer(viewer, "output").metadata["ftddm"]["settings"].tau_diffusion == 0.5
    opened.panel.update_now.click()
    finish(opened)
    assert layer(viewer, "output").metadata["ftddm"]["settings"].tau_diffusion == 0.1
    assert not np.array_equal(layer(viewer, "output").data, before, equal_nan=True)
    assert "Up to date" in opened.panel.status.text()


def test_metabolite_and_mode(opened: Any, viewer: Any) -> None:
    panel = opened.panel
    assert [panel.metabolite.itemText(i) for i in range(2)] == list(
        opened.session.state.case.study.maps
    )
    panel.metabolite.textActivated.emit("tCho")
    finish(opened)
    assert layer(viewer, "output").name.startswith("Output tCho")
    assert "there is no reference" in panel.mode_words.text()
    panel.mode.activated.emit(1)
    finish(opened)
    assert "the original is the reference" in panel.mode_words.text()
    reference = layer(viewer, "reference")
    assert not reference.visible
    panel.mode.activated.emit(0)
    finish(opened)
    assert reference not in viewer.layers


# ---------------------------------------------------------------- the empty panel, and errors


def test_the_empty_panel_says_what_to_do(panel: Any) -> None:
    settle()
    parts = panel.panel
    assert not parts.welcome.isHidden()
    assert parts.study.isHidden()
    assert "Open the folder" in parts.welcome.text()
    assert [parts.mode.itemText(i) for i in range(parts.mode.count())] == list(MODE_WORDS.values())


def test_the_sample_button_opens_the_simulated_case(unchecked: None, panel: Any) -> None:
    panel.panel.sample.click()
    finish(panel)
    assert panel.panel.label.text() == "Simulated patient"
    assert not panel.panel.study.isHidden()
    panel.panel.sample.menu().actions()[1].trigger()
    finish(panel)
    assert panel.panel.label.text() == "Simulated volunteer"


def bad_mask(folder: Path) -> Path:
    save_nifti(folder / "mask.nii.gz", 0 * MASK, AFFINE)
    return folder


def damaged(folder: Path) -> Path:
    path = folder / "tNAA.nii.gz"
    path.write_bytes(path.read_bytes()[:300])
    return folder


def no_signal(folder: Path) -> Path:
    for name in MAPS:
        save_nifti(folder / f"{name}.nii.gz", -np.ones(SHAPE, np.float32), AFFINE)
    return folder


@pytest.mark.parametrize(
    "spoil", [damaged, no_signal, bad_mask, lambda folder: folder / "none"], ids=range(4)
)
def test_errors_are_those_of_the_shell(
    spoil: Any, panel: Any, tmp_path: Path, weights: Path, ftddm: Ftddm
) -> None:
    path = spoil(write_study(tmp_path / "bad"))
    outcome = ftddm("run", path, "--out", tmp_path / "out", "--weights", weights)
    assert outcome.code == 2
    panel.session.open(path)
    finish(panel)
    words = panel.panel.error.text()
    assert words
    assert words in outcome.err
    assert not panel.panel.error.isHidden()


def test_an_error_leaves_the_open_study(opened: Any, viewer: Any, tmp_path: Path) -> None:
    before = layer(viewer, "output").data
    opened.session.open(tmp_path / "none")
    finish(opened)
    assert "does not exist" in opened.panel.error.text()
    assert layer(viewer, "output").data is before
    slide(opened, "tau_flow", 0.03)
    finish(opened)
    assert opened.panel.error.text() == ""


def test_a_failed_run_can_be_tried_again(
    opened: Any, viewer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel, model = opened.panel, opened.session.model
    assert panel.update_now.isHidden()

    def fail(*_: Any, **__: Any) -> Any:
        raise FormatError("The weights are gone.")

    with monkeypatch.context() as broken:
        broken.setattr(model, "sample", fail)
        slide(opened, "tau_flow", 0.07)
        finish(opened)
    assert panel.error.text() == "The weights are gone."
    assert "press Update" in panel.status.text()
    assert panel.live.isChecked()
    assert not panel.update_now.isHidden()
    panel.update_now.click()
    finish(opened)
    assert panel.error.text() == ""
    assert "Up to date" in panel.status.text()
    assert panel.update_now.isHidden()
    assert layer(viewer, "output").metadata["ftddm"]["settings"].tau_flow == pytest.approx(0.07)


def test_a_fault_while_showing_is_said_and_logged(
    opened: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of the stage is not raised through Qt, and does not blank the panel."""

    def fail(*_: Any) -> None:
        raise IndexError("no such axis")

    with monkeypatch.context() as broken:
        broken.setattr(opened.engine._stage, "apply", fail)
        slide(opened, "tau_flow", 0.07)
        finish(opened)
        assert "Unexpected IndexError: no such axis." in opened.panel.error.text()
        assert "Up to date" in opened.panel.status.text()
    assert "A state could not be shown." in caplog.text
    slide(opened, "tau_flow", 0.08)
    finish(opened)
    assert opened.panel.error.text() == ""


# ---------------------------------------------------------------- the whole volume


def test_volume_and_save(
    opened: Any, viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qtpy.QtWidgets import QFileDialog, QMessageBox

    panel, out = opened.panel, tmp_path / "out"
    assert not panel.save.isEnabled()
    panel.volume.click()
    settle()
    finish(opened)
    assert not np.isnan(layer(viewer, "output").data).all(axis=(1, 2)).any()
    assert panel.save.isEnabled()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(out))
    panel.save.click()
    settle()
    assert f"4 files written to {out}" in panel.status.text()
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    # Once more: replaced if the user says so, otherwise left alone.
    asked = []
    answer = QMessageBox.StandardButton.No
    monkeypatch.setattr(QMessageBox, "question", lambda *words: (asked.append(words), answer)[1])
    first = next(iter(out.iterdir()))
    first.write_bytes(b"mine")
    panel.save.click()
    settle()
    assert first.read_bytes() == b"mine"
    answer = QMessageBox.StandardButton.Yes
    panel.save.click()
    settle()
    assert len(asked) == 2
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    # So is what an earlier result of several samples left, even alone.
    for path in out.iterdir():
        path.unlink()
    spread = out / "patient_met-tNAA_desc-ftddmSd_mrsi.nii.gz"
    spread.write_bytes(b"of several")
    panel.save.click()
    settle()
    words = f"Files of an earlier result are in {out} already, 1 in all. Replace them?"
    assert asked[2][2] == words
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert sidecar(out, "tNAA")["Settings"]["steps"] == 10
    # A move afterwards: what would be saved is said.
    inputs(opened, "seed").setValue(5)
    finish(opened)
    assert "seed 0" in panel.made.text()
    assert not panel.made.isHidden()


def test_a_volume_can_be_cancelled(opened: Any, brake: Brake) -> None:
    panel, session = opened.panel, opened.session
    panel.volume.click()
    settle(brake.holding.is_set)
    assert session.state.activity is Activity.VOLUME
    assert not panel.form.enabled
    assert "Controls are locked until it finishes" in panel.status.text()
    assert not panel.volume.isEnabled()
    assert not panel.cancel.isHidden()
    panel.cancel.click()
    brake.released.set()
    finish(opened)
    assert session.state.finished is None
    assert session.state.activity is Activity.IDLE
    assert panel.form.enabled
    assert panel.volume.isEnabled()
    assert panel.progress.isHidden()


def test_what_is_saved_is_what_the_user_was_asked_about(
    opened: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer volume that is finished while the dialog is open does not take its place."""
    from qtpy.QtWidgets import QFileDialog

    opened.panel.volume.click()
    finish(opened)

    def choose(*_: Any) -> str:
        opened.session.update(seed=5)
        opened.session.compute_volume()
        assert opened.session.wait(60)
        return str(tmp_path / "out")

    monkeypatch.setattr(QFileDialog, "getExistingDirectory", choose)
    opened.panel.save.click()
    finish(opened)
    assert opened.session.state.finished.result.settings.seed == 5
    assert sidecar(tmp_path / "out", "tNAA")["Settings"]["seed"] == 0


def test_the_saved_volume_is_that_of_the_shell(
    opened: Any, study: Path, tmp_path: Path, weights: Path, ftddm: Ftddm
) -> None:
    opened.panel.volume.click()
    finish(opened)
    opened.session.save(tmp_path / "panel")
    outcome = ftddm("run", study, "--out", tmp_path / "shell", "--weights", weights,
                    "--device", "cpu", "--steps", 10)  # fmt: skip
    assert outcome.code == 0
    for path in sorted((tmp_path / "shell").glob("*.nii.gz")):
        expected, affine = load(path)
        found, placed = load(tmp_path / "panel" / path.name)
        np.testing.assert_allclose(found, expected, atol=1e-4 * expected.max())
        np.testing.assert_array_equal(placed, affine)


# ---------------------------------------------------------------- the end


def test_closing_the_viewer_in_the_middle_of_a_run(opened: Any, viewer: Any, brake: Brake) -> None:
    opened.panel.volume.click()
    session = opened.session
    settle(brake.holding.is_set)
    assert session.state.activity is Activity.VOLUME
    viewer.close()
    settle()
    assert not session.wait(0)
    brake.released.set()
    assert session.wait(60)
    assert session.state.case is None


def test_closing_the_dock_in_the_middle_of_a_run(opened: Any, viewer: Any, brake: Brake) -> None:
    from napari._qt.widgets.qt_viewer_dock_widget import QtViewerDockWidget

    names = {each.name for each in viewer.layers}
    opened.panel.volume.click()
    settle(brake.holding.is_set)
    dock = opened.parent()
    while not isinstance(dock, QtViewerDockWidget):
        dock = dock.parent()
    dock.title.close_button.click()
    settle()
    brake.released.set()
    assert opened.session.wait(60)
    assert opened.session.state.case is None
    # The images are the user's to keep, and go on saying what they are.
    assert {each.name for each in viewer.layers} == names
    assert letters(viewer) == "RLAP"
    assert RESEARCH_ONLY in said(viewer, "caption")
    assert viewer.canvas.overlays.scale_bar.visible
    viewer.dims.set_point(0, 20.0)  # and nobody listens any more
    # Opened again, it goes on with the same study, in the same layers.
    _, again = viewer.window.add_plugin_dock_widget("ftddm-viewer", "FTDDM")
    assert again is not opened
    again.engine.use(opened.session.model)
    finish(again)
    assert again.session.state.case is not None
    assert {each.name for each in viewer.layers} == names
    again.engine.stop()
    assert again.session.wait(60)


def test_a_second_panel_in_a_viewer_stands_back(opened: Any, viewer: Any) -> None:
    """It says so and does nothing; closing it leaves the first, and its words, as they are."""
    from napari_ftddm._widget import SECOND, FtddmWidget
    from qtpy.QtWidgets import QLabel

    names = [each.name for each in viewer.layers]
    second = FtddmWidget(viewer)
    dock = viewer.window.add_dock_widget(second, name="again")
    settle()
    assert second.findChild(QLabel).text() == SECOND
    assert second.session is opened.session
    viewer.window.remove_dock_widget(dock)
    second.deleteLater()
    del second, dock
    settle()
    assert "ftddm_caption" in viewer.canvas.overlays
    assert [each.name for each in viewer.layers] == names
    slide(opened, "tau_flow", 0.07)
    finish(opened)
    assert layer(viewer, "output").metadata["ftddm"]["settings"].tau_flow == pytest.approx(0.07)


def test_files_of_a_study_need_the_study(tmp_path: Path) -> None:
    from napari_ftddm import show_window

    with pytest.raises(SettingsError, match=r"--t1, --mask belongs to a study, and none is given"):
        show_window(t1=tmp_path / "t1.nii", flair=None, mask=tmp_path / "mask.nii")


def test_the_window_of_the_command(
    unchecked: None, napari: Any, study: Path, tmp_path: Path, weights: Path
) -> None:
    """`ftddm view`: there at once, errors said in the panel, the given weights used."""
    from napari._qt.qt_viewer import QtViewer
    from napari_ftddm._window import LEAST_SIZE, TITLE, show_window

    for paths, label in (([study], "patient"), ((), "Simulated patient")):
        viewer, widget = show_window(paths, weights=str(weights), device="cpu", block=False)
        assert viewer.title == TITLE
        width, height = viewer.window.geometry()[2:]
        assert width >= LEAST_SIZE[0]
        assert height >= LEAST_SIZE[1]
        finish(widget)
        state = widget.session.state
        assert (state.error, state.case.label) == ("", label)
        assert widget.session.model.weights == str(weights)
        assert layer(viewer, "output").metadata["ftddm"]["model"] is widget.session.model
        widget.session.open(tmp_path / "none", mask=tmp_path / "no_mask.nii.gz")
        finish(widget)
        assert "does not exist" in widget.panel.error.text()
        viewer.close()
        settle()
        assert widget.session.wait(60)
    QtViewer._instances.clear()


def test_nothing_is_cut_off_in_large_type(opened: Any, viewer: Any) -> None:
    """The panel is never narrower than what is inside, whatever type napari is set to."""
    from napari.settings import get_settings
    from qtpy.QtWidgets import QScrollArea

    appearance = get_settings().appearance
    before = appearance.font_size
    viewer.window.show()
    viewer.window.resize(1600, 1000)
    try:
        for size in (before, 14):
            appearance.font_size = size
            for _ in range(20):
                settle()
            scroll = opened.panel.findChild(QScrollArea)
            assert scroll.viewport().width() >= scroll.widget().minimumSizeHint().width()
            for name in ("t_trunc_box", "noise_box"):
                box = inputs(opened, name)
                text = box.fontMetrics().horizontalAdvance(box.text())
                assert box.lineEdit().width() >= text, (name, size)
    finally:
        appearance.font_size = before


def test_a_script_that_ends_with_a_window_open_ends_quietly(napari: Any, study: Path) -> None:
    import subprocess
    import sys

    script = f"from napari_ftddm import show_window; show_window([{str(study)!r}], block=False)"
    command = [sys.executable, "-W", "ignore", "-c", script]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0
    assert "QTimer" not in ended.stderr
    assert "Traceback" not in ended.stderr
