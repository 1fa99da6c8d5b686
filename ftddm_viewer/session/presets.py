"""Presets: named settings, three that come with the program and the user's own.

Those of the program set the temperatures alone, so that everything else stays as it was chosen. The
user's own hold every setting; they lie in one JSON file in the user's state folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ftddm_core.errors import FtddmError, SettingsError
from ftddm_core.settings import (
    DEFAULT_TAU_DIFFUSION,
    DEFAULT_TAU_FLOW,
    SamplerSettings,
    Value,
)
from ftddm_viewer import live_settings
from ftddm_viewer.session.user_files import state_folder, write_private

MOST_PRESETS = 50
LONGEST_NAME = 40
LARGEST = 400_000
"""In bytes: a larger file is not this program's."""


@dataclass(frozen=True)
class Preset:
    """Settings with a name.

    Parameters
    ----------
    name
        As the user calls it.
    settings
        Setting's name -> value; the others stay as they are.
    words
        What it is for.
    """

    name: str
    settings: Mapping[str, Value]
    words: str = ""


def _temperatures(tau_flow: float, tau_diffusion: float) -> dict[str, Value]:
    return {"tau_flow": tau_flow, "tau_diffusion": tau_diffusion}


BUILT_IN = (
    Preset(
        "Faithful",
        _temperatures(0.0, 0.0),
        "Both temperatures 0: the most cautious map, smoother and nearest to the average of all "
        "that fit the measurement.",
    ),
    Preset(
        "Default",
        _temperatures(DEFAULT_TAU_FLOW, DEFAULT_TAU_DIFFUSION),
        "Both temperatures as the program starts: between faithful and sharp.",
    ),
    Preset(
        "Sharp",
        _temperatures(1.0, 1.0),
        "Both temperatures 1: the most detail, and the most that differs from one seed to the "
        "next. Look at several seeds before you trust a detail.",
    ),
)


def defaults() -> dict[str, Value]:
    """Return every setting as the program starts."""
    return live_settings().to_dict()


def preset_file() -> Path:
    """Return where the user's own presets are kept.

    Raises
    ------
    RuntimeError
        If the user has no home.
    """
    return state_folder() / "presets.json"


def own_presets() -> tuple[Preset, ...]:
    """Return the user's presets, oldest first; those that are damaged are left out."""
    try:
        path = preset_file()
        if path.stat().st_size > LARGEST:
            return ()
        stored = json.loads(path.read_text(encoding="utf-8"))["presets"]
        return tuple(p for name, values in stored.items() if (p := _read(name, values)) is not None)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ()


def keep_preset(name: str, settings: SamplerSettings) -> Preset:
    """Keep settings under a name; an own preset of that name is replaced.

    Raises
    ------
    SettingsError
        If the name is empty, too long or that of a preset of the program, if there are too many,
        or if they cannot be written.
    """
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise SettingsError(f"Give the preset a name of 1 to {LONGEST_NAME} letters.")
    if name.casefold() in (preset.name.casefold() for preset in BUILT_IN):
        raise SettingsError(f"'{name}' comes with the program: choose another name.")
    others = [preset for preset in own_presets() if preset.name != name]
    if len(others) >= MOST_PRESETS:
        raise SettingsError(f"There are {MOST_PRESETS} presets already: remove one first.")
    made = Preset(name, settings.to_dict())
    _store([*others, made])
    return made


def remove_preset(name: str) -> None:
    """Forget an own preset; nothing where there is none.

    Raises
    ------
    SettingsError
        If the file cannot be written.
    """
    before = own_presets()
    if any(preset.name == name for preset in before):
        _store([preset for preset in before if preset.name != name])


def _read(name: str, values: Mapping[str, Value]) -> Preset | None:
    try:
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
            return None
        return Preset(name, SamplerSettings.from_dict(values).to_dict())
    except (FtddmError, TypeError, ValueError):
        return None  # damaged, or of another version


def _store(presets: list[Preset]) -> None:
    kept = {preset.name: dict(preset.settings) for preset in presets}
    try:
        write_private(preset_file(), json.dumps({"presets": kept}, indent=1))
    except (OSError, RuntimeError) as error:
        raise SettingsError(f"The presets could not be written: {error}.") from error
