"""Presets: those of the program, and the user's own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ftddm_core.errors import SettingsError
from ftddm_core.settings import SamplerSettings
from ftddm_viewer import live_settings
from ftddm_viewer.session.presets import (
    BUILT_IN,
    LARGEST,
    LONGEST_NAME,
    MOST_PRESETS,
    defaults,
    keep_preset,
    own_presets,
    preset_file,
    remove_preset,
)
from ftddm_viewer.session.session import Session

CHOSEN = SamplerSettings(tau_flow=0.3, steps=5, seed=11, detail=0.4)


def test_the_programs_presets_set_the_temperatures_alone(session: Session) -> None:
    session.update(seed=5, t_trunc=60)
    expected = {"Faithful": 0.0, "Default": 0.5, "Sharp": 1.0}
    for preset in BUILT_IN:
        session.update(**preset.settings)
        settings, tau = session.state.settings, expected[preset.name]
        assert settings == live_settings().replace(
            seed=5, t_trunc=60, tau_flow=tau, tau_diffusion=tau
        )
    session.update(**defaults())
    assert session.state.settings == live_settings()


def test_own_presets_come_back_with_every_setting(session: Session) -> None:
    assert own_presets() == ()
    keep_preset("  for  gliomas ", CHOSEN)
    keep_preset("second", CHOSEN.replace(seed=1))
    assert [preset.name for preset in own_presets()] == ["for gliomas", "second"]
    session.update(**own_presets()[0].settings)
    assert session.state.settings == CHOSEN
    keep_preset("for gliomas", CHOSEN.replace(seed=2))
    kept = {preset.name: preset.settings["seed"] for preset in own_presets()}
    assert kept == {"second": 1, "for gliomas": 2}
    remove_preset("second")
    remove_preset("never there")
    assert [preset.name for preset in own_presets()] == ["for gliomas"]


def test_the_file_is_the_users_alone_and_whole() -> None:
    keep_preset("mine", CHOSEN)
    assert [path.name for path in preset_file().parent.iterdir()] == ["presets.json"]
    if os.name == "posix":
        assert preset_file().stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["", "   ", "x" * (LONGEST_NAME + 1), "a\0b", "sharp", "Default"])
def test_a_name_that_cannot_be_kept_is_refused(name: str) -> None:
    with pytest.raises(SettingsError):
        keep_preset(name, CHOSEN)
    assert own_presets() == ()


def test_there_is_an_end_to_them() -> None:
    for number in range(MOST_PRESETS):
        keep_preset(f"{number}", CHOSEN)
    with pytest.raises(SettingsError, match="remove one first"):
        keep_preset("one more", CHOSEN)
    keep_preset("0", CHOSEN.replace(seed=9))
    assert len(own_presets()) == MOST_PRESETS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"presets": 3}',
        '{"presets": ["a"]}',
        "[" * 100_000,
        " " * LARGEST + "{}",
    ],
    ids=["empty", "cut", "list", "null", "number", "names", "deep", "large"],
)
def test_a_damaged_file_is_ignored_and_replaced(text: str) -> None:
    preset_file().parent.mkdir(parents=True)
    preset_file().write_text(text)
    assert own_presets() == ()
    keep_preset("mine", CHOSEN)
    assert [preset.name for preset in own_presets()] == ["mine"]


@pytest.mark.parametrize(
    "values", [{"tau_flow": 7}, {"no such setting": 1}, {"steps": "ten"}, 3, None, [1]]
)
def test_a_damaged_preset_is_left_out(values: Any) -> None:
    keep_preset("mine", CHOSEN)
    stored = json.loads(preset_file().read_text())
    stored["presets"]["damaged"] = values
    preset_file().write_text(json.dumps(stored))
    assert [preset.name for preset in own_presets()] == ["mine"]


def test_a_folder_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(SettingsError, match="could not be written"):
        keep_preset("mine", CHOSEN)
