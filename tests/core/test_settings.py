"""Every control is complete, its bounds hold, and every refusal says what to do."""

from __future__ import annotations

import dataclasses
import inspect
import json
import subprocess
import sys
from contextlib import suppress
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st
from properties import any_settings

from ftddm_core import settings
from ftddm_core.errors import SettingsError
from ftddm_core.model.schedule import NoiseSchedule
from ftddm_core.samplers import SAMPLERS
from ftddm_core.settings import Control, SamplerSettings, controls

NUMBERS = [control for control in controls() if control.bounds is not None]


def named(control: Control) -> str:
    return control.name


def test_defaults_are_those_of_the_method() -> None:
    assert SamplerSettings().to_dict() == {
        "upscale": None,
        "tau_flow": settings.DEFAULT_TAU_FLOW,
        "tau_diffusion": settings.DEFAULT_TAU_DIFFUSION,
        "t_trunc": 100,
        "steps": None,
        "samples": 1,
        "seed": 0,
        "consistency": "noise",
        "noise": None,
        "mri_weight": None,
        "detail": None,
        "sampler": "automatic",
    }


def test_names_agree_with_the_sampler_and_the_schedule() -> None:
    known = {control.name: control for control in controls()}
    assert SAMPLERS.keys() < set(known["sampler"].choices)
    assert known["t_trunc"].bounds == (0, NoiseSchedule().n_train_steps)
    assert [control.name for control in controls()] == list(
        inspect.signature(SamplerSettings).parameters
    )


@pytest.mark.parametrize("control", controls(), ids=named)
def test_every_control_is_complete(control: Control) -> None:
    assert control.type in (float, int, bool, str)
    assert control.label
    assert control.symbol
    assert control.help.endswith(".")
    assert (control.bounds is None) == (control.step is None) == (control.type in (bool, str))
    assert bool(control.choices) == (control.type is str)
    assert (control.default is None) == control.optional
    assert getattr(SamplerSettings(), control.name) == control.default


def test_types_come_from_the_annotations() -> None:
    found = {control.name: (control.type, control.optional) for control in controls()}
    assert found["upscale"] == (float, True)
    assert found["steps"] == (int, True)
    assert found["tau_flow"] == (float, False)
    assert found["detail"] == (float, True)
    assert found["consistency"] == (str, False)
    assert found["sampler"] == (str, False)


@pytest.mark.parametrize("control", NUMBERS, ids=named)
def test_bounds_are_allowed_and_nothing_beyond(control: Control) -> None:
    assert control.bounds is not None
    room = {"t_trunc": 1000} if control.name == "steps" else {}
    for value in control.bounds:
        kept = getattr(SamplerSettings(**{**room, control.name: value}), control.name)
        assert kept == value
        assert type(kept) is control.type
    low, high = control.bounds
    for value in (low - 1, high + 1, np.nextafter(low, -10), float("nan"), float("inf"), 10**400):
        with pytest.raises(SettingsError, match=control.name) as caught:
            SamplerSettings(**{**room, control.name: value})
        assert repr(value) in str(caught.value)
        assert f"{low:.10g} to {high:.10g}" in str(caught.value)


@pytest.mark.parametrize("control", controls(), ids=named)
def test_refuses_other_types(control: Control) -> None:
    wrong = {float: [True, "1", b"1", 1j, [0.5]], int: [True, "1", 1.5, Fraction(3, 2), [1]]}
    wrong |= {bool: [0, 1, "true"], str: [0, True, "", "Ancestral", ["ddim"]]}
    for value in [*wrong[control.type], *([] if control.optional else [None])]:
        with pytest.raises(SettingsError, match=control.name):
            SamplerSettings(**{control.name: value})


def test_numbers_of_a_slider_become_plain_numbers() -> None:
    chosen = SamplerSettings(t_trunc=200.0, seed=np.uint32(7), tau_flow=1, upscale=np.float32(2.5))  # type: ignore[arg-type]
    assert json.dumps(chosen.to_dict()).startswith('{"upscale": 2.5, "tau_flow": 1.0')
    assert (type(chosen.t_trunc), type(chosen.seed)) == (int, int)
    assert chosen == SamplerSettings(t_trunc=200, seed=7, tau_flow=1.0, upscale=2.5)


def test_steps_must_fit_the_chain() -> None:
    assert SamplerSettings(t_trunc=10, steps=10).steps == 10
    with pytest.raises(SettingsError, match=r"is 101 but .* only 100: lower steps to 1..100"):
        SamplerSettings(steps=101)
    with pytest.raises(SettingsError, match=r"\(t_trunc\) is 0, the flow alone, yet 5"):
        SamplerSettings(t_trunc=0, steps=5)
    assert SamplerSettings(t_trunc=0).steps is None


def test_replace_validates_the_result_as_a_whole() -> None:
    live = SamplerSettings(steps=10)
    assert live.replace(t_trunc=5, steps=None) == SamplerSettings(t_trunc=5)
    with pytest.raises(SettingsError, match="steps"):
        live.replace(t_trunc=5)
    assert live == SamplerSettings(steps=10)
    with pytest.raises(dataclasses.FrozenInstanceError):
        live.seed = 1  # type: ignore[misc]


def test_dict_and_json_round_trip() -> None:
    chosen = SamplerSettings(
        upscale=4.5, steps=10, seed=2**32 - 1, consistency="exact", sampler="ddim"
    )
    assert SamplerSettings.from_dict(json.loads(json.dumps(chosen.to_dict()))) == chosen
    assert SamplerSettings.from_dict({}) == SamplerSettings()
    assert hash(SamplerSettings.from_dict(chosen.to_dict())) == hash(chosen)


@given(any_settings())
def test_any_settings_survive_a_file(chosen: SamplerSettings) -> None:
    assert SamplerSettings.from_dict(json.loads(json.dumps(chosen.to_dict()))) == chosen


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


@bounded(max_examples=50)
@given(st.dictionaries(st.sampled_from([c.name for c in controls()]) | st.text(), ANYTHING))
def test_whatever_a_file_holds_is_settings_or_refused(values: dict[str, Any]) -> None:
    with suppress(SettingsError):
        chosen = SamplerSettings.from_dict(values)
        assert SamplerSettings.from_dict(chosen.to_dict()) == chosen


def test_files_and_links_from_before_say_consistency_with_true_and_false() -> None:
    for old, new in ((True, "exact"), (False, "off")):
        assert SamplerSettings.from_dict({"consistency": old}).consistency == new
    assert SamplerSettings.from_dict({}).consistency == "noise"
    with pytest.raises(SettingsError, match="noise, exact, off"):
        SamplerSettings.from_dict({"consistency": "true"})


def test_unknown_names_are_named() -> None:
    with pytest.raises(SettingsError, match=r"tau, 3: remove it; there are upscale, tau_flow"):
        SamplerSettings.from_dict({"tau": 1, 3: 2, "seed": 1})
    with pytest.raises(SettingsError, match="temperature"):
        SamplerSettings().replace(temperature=1)


def test_a_menu_opens_without_torch() -> None:
    code = "import sys, ftddm_core.settings; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
