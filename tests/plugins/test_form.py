"""The form: every control moves the image, and what is shown is what is chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panels import drag, enter, inputs, layer, shown, slide
from windows import finish

from ftddm_core.settings import controls
from ftddm_viewer.session.messages import NO_SPREAD

NAMES = [control.name for control in controls()]


def test_every_control_has_its_row(panel: Any) -> None:
    assert [each.name for each in panel.panel.form if not each.name.endswith("_hint")] == NAMES
    for control in controls():
        assert inputs(panel, control.name).accessibleName() == control.label
        assert control.help in panel.panel.form[control.name].tooltip
        if control.optional:
            assert inputs(panel, f"{control.name}_empty").text() == control.empty


def test_every_control_moves_the_image(opened: Any, viewer: Any) -> None:
    """The last value wins, the controls show it, and the image is made with it."""
    session = opened.session
    for control in controls():
        before = layer(viewer, "output").data.copy()
        old = getattr(session.state.settings, control.name)
        drag(opened, control.name)
        finish(opened)
        state = session.state
        assert state.error == ""
        assert getattr(state.settings, control.name) != old, control.name
        for each in NAMES:
            value = getattr(state.settings, each)
            assert shown(opened, each) == (pytest.approx(value, abs=1e-5) if value else value), each
        output = layer(viewer, "output")
        same = output.data.shape == before.shape and np.array_equal(
            output.data, before, equal_nan=True
        )
        assert not same, control.name
        assert output.metadata["ftddm"]["settings"] == state.view.settings
        assert state.view.asked == state.settings
        k = state.slice_index
        made = state.view.stacked(state.metabolite).data
        assert np.isfinite(output.data).any()
        assert np.nanmax(output.data) <= np.nanmax(made), k


def test_steps_follow_a_lower_truncation_and_come_back(opened: Any) -> None:
    box = inputs(opened, "t_trunc_box")
    for t_trunc, steps in ((4, 4), (300, 10)):
        box.setValue(t_trunc)
        finish(opened)
        assert shown(opened, "steps") == opened.session.state.settings.steps == steps


def test_a_truncation_of_zero_leaves_steps_empty(opened: Any) -> None:
    """The flow draws alone then: what belongs to the denoising steps cannot be moved."""
    inputs(opened, "t_trunc_box").setValue(0)
    finish(opened)
    assert shown(opened, "steps") is None
    assert opened.session.state.error == ""
    for name in ("steps", "steps_box", "steps_empty", "tau_diffusion", "sampler"):
        assert not inputs(opened, name).isEnabled(), name
    assert "the flow draws the map alone" in opened.panel.form["steps"].tooltip
    inputs(opened, "t_trunc_box").setValue(20)
    finish(opened)
    assert inputs(opened, "steps").isEnabled()
    assert "the flow draws" not in opened.panel.form["steps"].tooltip


def test_a_sampler_without_noise_has_no_diffusion_temperature(opened: Any) -> None:
    assert inputs(opened, "tau_diffusion").isEnabled()
    sampler = inputs(opened, "sampler")
    sampler.setCurrentIndex(sampler.findText("ddim"))
    finish(opened)
    assert opened.session.state.settings.sampler == "ddim"
    assert not inputs(opened, "tau_diffusion").isEnabled()
    assert "DDIM adds no noise" in opened.panel.form["tau_diffusion"].tooltip


def test_samples_without_temperature_say_that_there_is_no_spread(opened: Any, viewer: Any) -> None:
    hint = opened.panel.form.hints["samples"].native
    enter(opened, "samples", 3)
    finish(opened)
    assert hint.isHidden()
    assert np.nanmax(layer(viewer, "deviation").data) > 0
    for name in ("tau_flow", "tau_diffusion"):
        slide(opened, name, 0)
        finish(opened)
    assert not hint.isHidden()
    assert hint.text() == NO_SPREAD
    assert np.nanmax(layer(viewer, "deviation").data) == pytest.approx(0, abs=1e-4)


def test_a_seed_that_is_too_large_is_refused(opened: Any, viewer: Any) -> None:
    """It is not changed into another in silence; the words are those of the settings."""
    before = layer(viewer, "output").data
    inputs(opened, "seed").setValue(2**32)
    finish(opened)
    assert "cannot be 4294967296: give a whole number from 0 to 4294967295" in (
        opened.panel.error.text()
    )
    assert shown(opened, "seed") == 0
    assert layer(viewer, "output").data is before
    inputs(opened, "seed").setValue(2**32 - 1)
    finish(opened)
    assert opened.panel.error.text() == ""
    assert opened.session.state.settings.seed == 2**32 - 1


def test_there_are_no_more_steps_to_choose_than_t_trunc(opened: Any) -> None:
    slider, box = inputs(opened, "steps"), inputs(opened, "steps_box")
    for t_trunc in (30, 7, 60):
        inputs(opened, "t_trunc_box").setValue(t_trunc)
        finish(opened)
        slider.setValue(slider.maximum())
        finish(opened)
        assert opened.session.state.settings.steps == box.maximum() == t_trunc
        assert opened.session.state.error == ""


def test_an_empty_value_shows_what_it_stands_for(opened: Any) -> None:
    assert shown(opened, "upscale") is None
    stands_for = opened.session.state.shown_value("upscale")
    assert inputs(opened, "upscale_box").value() == pytest.approx(stands_for, abs=0.01)
    inputs(opened, "upscale").setValue(0)
    finish(opened)
    assert opened.session.state.settings.upscale == 2
    inputs(opened, "upscale_empty").click()
    finish(opened)
    assert opened.session.state.settings.upscale is None


def test_without_mri_there_is_nothing_to_weigh(opened: Any, study: Path) -> None:
    assert inputs(opened, "mri_weight").isEnabled()
    (study / "T1w.nii.gz").rename(study.parent / "T1w.nii.gz")
    opened.session.open(study)
    finish(opened)
    for name in ("mri_weight", "mri_weight_box", "mri_weight_empty"):
        assert not inputs(opened, name).isEnabled()
    assert "neither T1 nor FLAIR" in opened.panel.form["mri_weight"].tooltip
    assert inputs(opened, "detail").isEnabled()
    (study.parent / "T1w.nii.gz").rename(study / "T1w.nii.gz")
    opened.session.open(study)
    finish(opened)
    assert inputs(opened, "mri_weight").isEnabled()
    assert "neither T1" not in opened.panel.form["mri_weight"].tooltip


def test_the_wheel_moves_nothing_that_was_not_chosen(opened: Any) -> None:
    """Who scrolls through the panel passes over its inputs."""
    from qtpy.QtCore import QPoint, QPointF, Qt
    from qtpy.QtGui import QWheelEvent
    from qtpy.QtWidgets import QApplication

    before = opened.session.state
    places = [inputs(opened, name) for name in (*NAMES, "tau_flow_box", "steps_box")]
    for place in (*places, opened.panel.mode, opened.panel.metabolite):
        event = QWheelEvent(
            QPointF(3, 3), QPointF(3, 3), QPoint(0, 0), QPoint(0, -120),
            Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(place, event)
        assert not event.isAccepted(), place.objectName()
    finish(opened)
    assert opened.session.state.settings == before.settings
    assert opened.session.state.metabolite == before.metabolite


@pytest.mark.parametrize("language", ["English", "German"])
@pytest.mark.parametrize("text", ["0.7", "0,7"])
def test_both_decimal_signs_are_understood(text: str, language: str, opened: Any) -> None:
    from qtpy.QtCore import QLocale

    box = inputs(opened, "tau_flow_box")
    box.setLocale(QLocale(getattr(QLocale.Language, language)))
    box.lineEdit().setText(text)
    box.interpretText()
    box.editingFinished.emit()
    finish(opened)
    assert opened.session.state.settings.tau_flow == 0.7


def test_fast_moves_become_few_updates_and_the_last_gets_through(
    opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    update = opened.session.update
    monkeypatch.setattr(opened.session, "update", lambda **c: (asked.append(c), update(**c)))
    slider = inputs(opened, "tau_flow")
    for stop in range(60, 20, -1):  # without an event in between
        slider.setValue(stop * slider.maximum() // 100)
    assert len(asked) == 1
    finish(opened)
    assert asked == [{"tau_flow": 0.6}, {"tau_flow": 0.21}]
    assert opened.session.state.settings.tau_flow == 0.21
