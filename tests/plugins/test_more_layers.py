"""The dock "Layers and reliability": layers on demand, the veil, and what is saved of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari_ftddm._writer import write_layers
from panels import inputs, layer, said
from tiny import load
from windows import finish, settle

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io import open_study
from ftddm_core.imaging.volume import Study
from ftddm_core.saving.pair import check_pair


@pytest.fixture
def more(opened: Any) -> Any:
    """Return the open dock of the docked widget."""
    inputs(opened.panel, "ftddm_more").click()
    settle()
    return opened.engine.more


@pytest.fixture
def doubtful(panel: Any, study: Path) -> Any:
    """Return the widget on a study whose tNAA is doubtful at low first indices, and fails once."""
    found = open_study(study)
    bound = np.full(found.grid.shape, 10.0)
    bound[:6] = 40
    crlb = {"tNAA": found.grid.with_data(bound)}
    doubted: Study = replace(found, crlb=crlb)
    panel.session.show(doubted, "patient")
    finish(panel)
    return panel


def press(widget: Any, role: str) -> None:
    inputs(widget.engine.more, f"ftddm_show_{role}").click()
    finish(widget)


def roles(viewer: Any) -> list[str]:
    return [each.metadata["ftddm"]["role"] for each in viewer.layers]


def saved(path: Path, shown: Any) -> tuple[np.ndarray, dict[str, Any]]:
    write_layers(str(path), [shown.as_layer_data_tuple()])
    return load(path)[0], json.loads(path.with_name(path.name.split(".")[0] + ".json").read_text())


def test_a_layer_is_made_when_its_button_is_pressed(opened: Any, more: Any, viewer: Any) -> None:
    assert not {"difference", "detail", "flow", "estimate", "veil"} & set(roles(viewer))
    press(opened, "difference")
    found = layer(viewer, "difference")
    seen = [each for each in viewer.layers if each.visible]
    assert [each.metadata["ftddm"]["role"] for each in seen] == ["T1", "difference"]
    assert said(viewer, "caption").startswith("DIFFERENCE, output − input")
    low, high = found.contrast_limits
    assert low == -high
    assert found.contrast_limits_range == [2 * low, 2 * high]
    assert found.colorbar.visible
    assert viewer.layers.selection.active is found
    output, shown = layer(viewer, "output"), layer(viewer, "input")
    np.testing.assert_allclose(found.data, output.data - shown.data, atol=1e-5)


def test_it_follows_live_images_and_the_metabolite(opened: Any, more: Any, viewer: Any) -> None:
    press(opened, "detail")
    found = layer(viewer, "detail")
    before = found.data.copy()
    opened.session.update(seed=5)
    finish(opened)
    assert layer(viewer, "detail") is found
    assert not np.array_equal(found.data, before, equal_nan=True)
    opened.session.choose(metabolite="tCho")
    finish(opened)
    assert layer(viewer, "detail") is found
    assert found.name == "Drawn detail tCho"
    assert found.visible


def test_the_flow_is_asked_for_its_image_only_while_that_is_visible(
    opened: Any, more: Any, viewer: Any
) -> None:
    press(opened, "flow")
    state = opened.session.state
    assert state.display.start
    assert state.image.start is not None
    assert said(viewer, "caption").startswith("FLOW'S IMAGE at T_trunc 100")
    opened.panel.look_at["output"].click()
    opened.session.update(seed=5)
    finish(opened)
    assert not opened.session.state.display.start
    assert opened.session.state.image.start is None
    layer(viewer, "flow").visible = True  # by its eye in the list of layers
    finish(opened)
    assert opened.session.state.image.start is not None


def test_a_layer_that_the_user_removes_stays_away(opened: Any, more: Any, viewer: Any) -> None:
    for role in ("detail", "flow"):
        press(opened, role)
    for role in ("detail", "flow"):
        viewer.layers.remove(layer(viewer, role))
    opened.session.update(seed=5)
    finish(opened)
    assert not {"detail", "flow"} & set(roles(viewer))
    assert opened.session.state.display.layers == frozenset()
    assert opened.session.state.image.start is None
    press(opened, "detail")
    assert layer(viewer, "detail").visible


def test_a_button_that_cannot_act_says_why(opened: Any, more: Any, viewer: Any) -> None:
    button = inputs(more, "ftddm_show_deviation")
    assert not button.isEnabled()
    assert "set several" in button.toolTip()
    opened.session.update(samples=3)
    finish(opened)
    assert button.isEnabled()
    press(opened, "deviation")
    assert said(viewer, "caption").startswith("DEVIATION of the samples. OUTPUT, mean of 3 samples")


# ---------------------------------------------------------------- the veil


def test_unreliable_voxels_are_faded_and_the_caption_says_so(doubtful: Any, viewer: Any) -> None:
    veil = layer(viewer, "veil")
    assert viewer.layers[-1] is veil
    assert veil.visible
    assert "faded: CRLB above 20 %" in said(viewer, "caption")
    assert said(viewer, "caption").startswith("OUTPUT")  # one looks through the veil
    values = np.unique(veil.data[np.isfinite(veil.data)])
    np.testing.assert_allclose(values, [0, 0.75])
    colours = veil.colormap.map(np.array([0.0, 0.75]))
    np.testing.assert_allclose(colours, [[0.4, 0.4, 0.4, 0], [0.4, 0.4, 0.4, 0.75]], atol=0.01)
    assert viewer.layers.selection.active is layer(viewer, "output")


def test_the_limit_moves_the_veil(doubtful: Any, viewer: Any) -> None:
    more = doubtful.engine.more
    inputs(more, "ftddm_limit").setValue(50)
    finish(doubtful)
    assert not np.nan_to_num(layer(viewer, "veil").data).any()
    assert "faded: CRLB above 50 %" in said(viewer, "caption")
    assert any("CRLB above 50 %" in note for note in doubtful.session.state.notes)
    assert "CRLB above 50 % or failed fit in 0%" in more.words.text()


def test_fading_is_switched_off_by_the_toggle_or_by_the_eye(doubtful: Any, viewer: Any) -> None:
    fade, veil = inputs(doubtful.engine.more, "ftddm_fade"), layer(viewer, "veil")
    assert fade.isChecked()
    fade.click()
    finish(doubtful)
    assert not veil.visible
    assert "faded" not in said(viewer, "caption")
    veil.visible = True
    finish(doubtful)
    assert fade.isChecked()
    assert "faded" in said(viewer, "caption")
    veil.visible = False
    finish(doubtful)
    assert not fade.isChecked()
    assert not doubtful.session.state.display.fade


def test_the_veil_lies_on_maps_only(doubtful: Any, viewer: Any) -> None:
    veil, panel = layer(viewer, "veil"), doubtful.panel
    press(doubtful, "flow")
    assert not veil.visible
    assert "faded" not in said(viewer, "caption")
    panel.look_at["input"].click()
    finish(doubtful)
    assert veil.visible
    assert doubtful.session.state.display.fade
    layer(viewer, "input").visible = False  # the MRI alone
    finish(doubtful)
    assert not veil.visible
    layer(viewer, "output").visible = True
    layer(viewer, "output").opacity = 0.5
    doubtful.session.update(seed=3)
    finish(doubtful)
    assert veil.visible
    assert veil.opacity == 0.5
    doubtful.session.choose(metabolite="tCho")  # without a CRLB
    finish(doubtful)
    assert "veil" not in roles(viewer)
    assert "faded" not in said(viewer, "caption")


# ---------------------------------------------------------------- files


def test_a_derived_layer_is_saved_with_its_definition(
    opened: Any, more: Any, viewer: Any, tmp_path: Path
) -> None:
    for role in ("difference", "detail"):
        press(opened, role)
    with pytest.raises(FormatError, match="1 of 2 slices of this detail were not computed"):
        saved(tmp_path / "early.nii.gz", layer(viewer, "detail"))
    opened.panel.volume.click()
    finish(opened)
    output, made = saved(tmp_path / "output.nii.gz", layer(viewer, "output"))
    alone = opened.session.state.finished.result.alone["tNAA"].data
    found, record = saved(tmp_path / "detail.nii.gz", layer(viewer, "detail"))
    condition = opened.session.state.view.prepared.conditions["tNAA"]
    np.testing.assert_allclose(found, (output - alone) * condition.mask, atol=1e-4)
    assert record["Definition"] == "output - estimate from the measurement alone"
    for entry in ("Settings", "Weights", "Weighting", "Notice", "Inputs"):
        assert record[entry] == made[entry]
    found, record = saved(tmp_path / "difference.nii.gz", layer(viewer, "difference"))
    wanted = (output - condition.lowres) * condition.mask
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert record["Definition"] == "output - input"
    assert check_pair(tmp_path / "difference.nii.gz")["Role"] == "difference"


def test_images_at_t_trunc_are_saved_as_far_as_they_go(
    opened: Any, more: Any, viewer: Any, tmp_path: Path
) -> None:
    press(opened, "flow")
    state = opened.session.state
    k = state.slice_index
    found, record = saved(tmp_path / "flow.nii.gz", layer(viewer, "flow"))
    mask = state.view.prepared.conditions["tNAA"].mask[..., k]
    np.testing.assert_allclose(found[..., k], state.image.start.flow * mask, rtol=1e-5)
    assert np.isnan(found[..., 1 - k]).all()
    assert record["SlicesComputed"] == [k]
    assert record["Settings"]["t_trunc"] == 100
    assert "not a map" in record["Definition"]


def test_the_veil_is_saved_with_its_limit(doubtful: Any, viewer: Any, tmp_path: Path) -> None:
    found, record = saved(tmp_path / "veil.nii.gz", layer(viewer, "veil"))
    condition = doubtful.session.state.view.prepared.conditions["tNAA"]
    nearest = np.floor(np.arange(36) / 3 + 0.5)  # of 12 acquired voxels, at 3x
    wanted = np.where(nearest < 6, 0.75, 0)[:, None, None] * condition.mask
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert record["Limit_percent"] == 20
    assert record["Definition"].startswith("1 - reliability by CRLB")


def test_the_dock_can_be_closed_and_opened_again(opened: Any, more: Any, viewer: Any) -> None:
    assert more.parent() is not None
    viewer.window.remove_dock_widget(more)
    press(opened, "difference")
    inputs(opened.panel, "ftddm_more").click()
    settle()
    assert more.parent() is not None
    assert layer(viewer, "difference").visible
