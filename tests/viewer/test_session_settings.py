"""The settings of a session: every control is heard, and an invalid one changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sessions import done

from ftddm_core.errors import FormatError, SettingsError
from ftddm_core.settings import controls
from ftddm_viewer import LIVE_STEPS
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.state import State


def shown(state: State) -> Any:
    """Return the map that is looked at, as it is shown."""
    assert state.image is not None
    assert state.view is not None
    return state.image.shown(state.view.detail(state.metabolite))


@pytest.mark.parametrize("control", controls(), ids=lambda control: control.name)
def test_every_control_is_heard(control: Any, opened: Session) -> None:
    """The image that follows was made with the new value, and is another one."""
    before = shown(opened.state)
    value: Any = {
        "upscale": 2.0, "tau_flow": 0.1, "tau_diffusion": 0.1, "t_trunc": 37, "steps": 3,
        "samples": 2, "seed": 2**32 - 1, "consistency": "off", "sampler": "ddim", "noise": 9.0,
        "mri_weight": 0.3, "detail": 0.9,
    }[control.name]  # fmt: skip
    opened.update(**{control.name: value})
    state = done(opened)
    after = shown(state)
    assert state.image is not None
    assert state.view is not None
    assert getattr(state.view.settings, control.name) == value
    assert after.shape != before.shape or np.abs(after - before).max() > 1e-3 * before.max()
    assert (state.image.deviation is not None) == (control.name == "samples")


def test_steps_follow_the_truncation_and_come_back(opened: Session) -> None:
    opened.choose(live=False)
    expected = {3: 3, 0: None, 50: LIVE_STEPS, 1: 1, 100: LIVE_STEPS}
    for t_trunc, steps in expected.items():
        opened.update(t_trunc=t_trunc)
        assert (opened.state.settings.t_trunc, opened.state.settings.steps) == (t_trunc, steps)
    opened.update(t_trunc=2)
    opened.update(steps=1)  # what is asked for while it is low, holds
    opened.update(t_trunc=100)
    assert opened.state.settings.steps == 1
    opened.update(steps=None, t_trunc=40)
    assert opened.state.shown_value("steps") == 40


@pytest.mark.parametrize(
    "wrong", [{"tau_flow": 1.5}, {"steps": 500}, {"nothing": 1}, {"t_trunc": 5, "steps": 10}]
)
def test_an_invalid_setting_changes_nothing(wrong: dict[str, Any], opened: Session) -> None:
    before = opened.state
    with pytest.raises(SettingsError):
        opened.update(**wrong)
    assert opened.state is before
    opened.update(seed=1)
    assert done(opened).settings == before.settings.replace(seed=1)


@pytest.mark.parametrize(
    "wrong", [{"metabolite": "gold"}, {"slice_index": 99}, {"slice_index": -1}, {"mode": "guess"}]
)
def test_a_choice_that_is_not_there_changes_nothing(wrong: dict[str, Any], opened: Session) -> None:
    before = opened.state
    with pytest.raises(SettingsError):
        opened.choose(**wrong)
    assert opened.state is before


def test_commands_before_anything_is_open_do_no_harm(session: Session, tmp_path: Path) -> None:
    session.update(tau_flow=0.2)
    session.choose(slice_index=3, metabolite="tNAA")
    session.refresh()
    session.compute_volume()
    session.unfill()
    session.cancel()
    with pytest.raises(FormatError, match="whole volume first"):
        session.save(tmp_path)
    assert done(session).settings.tau_flow == 0.2
