"""The whole volume of what is chosen, as a command for a shell and as a script in Python.

Both name the files by absolute paths and state every choice and setting that is not at its default,
so that they make the same maps on this machine from any folder. A study that is degraded on purpose
has a script only: the command enlarges what was acquired.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from pprint import pformat
from typing import Any

from ftddm_core.assets import asset_folder
from ftddm_core.errors import FormatError
from ftddm_core.imaging.io import Choices
from ftddm_core.saving.notice import NOTICE
from ftddm_core.settings import AUTOMATIC, SamplerSettings, controls
from ftddm_viewer import CASE_UPSCALE
from ftddm_viewer.session.case import Mode
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.origin import Origin, origin_of
from ftddm_viewer.session.state import State

OUT = "ftddm-maps"
"""Folder that the maps are written to, in the current one."""

WIDTH = 96


def as_command(state: State, model: Model, out: str = OUT) -> str:
    """Return the `ftddm run` that makes the whole volume, quoted for a shell.

    Parameters
    ----------
    state
        With an open study.
    model
        The networks in use.
    out
        Folder of the maps.

    Raises
    ------
    FormatError
        If no study is open, it was not read from files, or it is degraded on purpose.
    """
    origin = origin_of(state)
    if state.mode is Mode.RESTORE:
        raise FormatError(
            "A study that is degraded on purpose and restored has no command: copy it as Python."
        )
    words = ["ftddm", "run", *map(str, origin.paths), "--out", out]
    words += _choice_flags(origin.choices)
    if origin.unfilled:
        words.append("--unfill")
    for name, value in _changed(_asked(state)).items():
        words += [f"--{name.replace('_', '-')}", _number(value)]
    weights = lasting_weights(model)
    words += ["--weights", weights] if weights != "small" else []
    words += ["--device", model.device] if model.device != "auto" else []
    words += ["--half"] if model.half else []
    return shlex.join(words)


def as_python(state: State, model: Model, out: str = OUT) -> str:
    """Return a script that makes the whole volume with `ftddm_core`.

    Parameters and errors as for `as_command`; a degraded study has a script, too.
    """
    origin, restore = origin_of(state), state.mode is Mode.RESTORE
    settings, record = _changed(_asked(state)), _record(state, origin)
    imports = ["from ftddm_core import SamplerSettings, SuperResolver, open_study, save_result"]
    operations = ["degrade"] * restore + ["undo_zero_filling"] * origin.unfilled
    if operations:
        imports.append(f"from ftddm_core.imaging.degrade import {', '.join(operations)}")
    choices = origin.choices.to_dict()
    if choices:
        imports.append("from ftddm_core.imaging.io import Choices")
    lines = [f'"""{NOTICE}"""', "", *sorted(imports), ""]
    lines += [f"paths = {_shown([str(path) for path in origin.paths])}"]
    given = f", choices=Choices(**{_shown(choices)})" if choices else ""
    lines += [f"study = open_study(paths{given})"]
    if origin.unfilled:
        lines += ["study = undo_zero_filling(study)"]
    matrix = ""
    if restore:
        lines += ["matrix = study.grid.shape[:2]", f"study = degrade(study, {_factor(state)!r})"]
        matrix = ", matrix=matrix"
    words = ", ".join(f"{name}={value!r}" for name, value in settings.items())
    lines += [f"settings = SamplerSettings({words})"]
    words = f"{lasting_weights(model)!r}, {model.device!r}" + (", half=True" if model.half else "")
    lines += [f"resolver = SuperResolver.load({words})"]
    lines += [f"result = resolver.run(study, settings{matrix})"]
    noted = f", record={record!r}" if record else ""
    lines += [f"print(*save_result(result, study, {out!r}{noted}), sep='\\n')"]
    return "\n".join(lines) + "\n"


def _asked(state: State) -> SamplerSettings:
    """Return the settings of a whole volume, with the factor that is chosen for the user."""
    settings = state.settings
    if state.view is not None and settings.upscale is None:
        return settings.replace(upscale=_factor(state))
    return settings


def _factor(state: State) -> float:
    """Return the factor of what is chosen; that of the view where it is automatic."""
    if state.settings.upscale is not None:
        return state.settings.upscale
    if state.view is not None and state.view.prepared.mode is state.mode:
        return state.view.prepared.upscale
    return CASE_UPSCALE


def _changed(settings: SamplerSettings) -> dict[str, Any]:
    """Return the settings that are not at their defaults."""
    held = settings.to_dict()
    if settings.replace(sampler=AUTOMATIC).sampler_used == settings.sampler_used:
        del held["sampler"]
    default = {control.name: control.default for control in controls()}
    return {name: value for name, value in held.items() if value != default[name]}


def _choice_flags(choices: Choices) -> list[str]:
    words = [f"--role={file}={role}" for file, role in choices.roles.items()]
    words += [f"--exclude={file}" for file in choices.exclude]
    words += [f"--mask-label={label}" for label in choices.mask_labels]
    for name, value in choices.to_dict().items():
        if name not in ("roles", "exclude", "mask_labels"):
            text = value.replace(" ", "-") if name == "crlb_unit" else _number(value)
            words.append(f"--{name.replace('_', '-')}={text}")
    return words


def _number(value: Any) -> str:
    return repr(value) if isinstance(value, int | float) else str(value)


def lasting_weights(model: Model) -> str:
    """Return the name of bundled weights, or the absolute path of others."""
    folder = Path(model.weights)
    bundled = len(folder.parts) == 1 and (asset_folder("weights") / folder).is_dir()
    return model.weights if bundled else str(folder.absolute())


def _record(state: State, origin: Origin) -> dict[str, Any]:
    """Return what the record of every map says besides; see `Finished.files`."""
    found: dict[str, Any] = {"Unfilled": True} if origin.unfilled else {}
    if state.mode is Mode.RESTORE:
        found["DegradedBy"] = _factor(state)
    return found


def _shown(value: Any) -> str:
    return pformat(value, width=WIDTH, sort_dicts=False)
