"""What is to be said of the networks: their card, the device and why it was chosen, the memory."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ftddm_core.assets import asset_folder
from ftddm_core.errors import CheckpointError
from ftddm_viewer.session.messages import OUT_OF_MEMORY
from ftddm_viewer.session.state import Activity, State

if TYPE_CHECKING:
    from ftddm_viewer.session.model import Model

AUTO = "auto"
FLOAT32 = 4
"""Bytes of a number."""

LACKING = (OUT_OF_MEMORY, "does not have enough memory")
"""Parts of the errors that mean too little memory."""

LARGEST_CARD = 200_000
"""In bytes: more of a file is not shown."""


def folder_of(weights: str) -> Path:
    """Return the folder of weights: that of bundled ones of this name, else the path itself."""
    folder = Path(weights)
    bundled = asset_folder("weights") / weights
    return bundled if len(folder.parts) == 1 and bundled.is_dir() else folder


def card_of(weights: str) -> str:
    """Return the card of weights, in Markdown: their README.md, else what their record states.

    Raises
    ------
    CheckpointError
        If the folder holds no weights.
    """
    folder = folder_of(weights)
    try:
        record = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        entries = dict(record.get("record") or {})
    except (OSError, ValueError, TypeError, AttributeError):
        raise CheckpointError(
            f"{folder} holds no weights: choose the folder with config.json, "
            "denoiser.safetensors and flow.safetensors."
        ) from None
    try:
        return (folder / "README.md").read_text(encoding="utf-8")[:LARGEST_CARD]
    except (OSError, ValueError):
        pass
    lines = [f"# Weights `{folder.absolute().name}`", "", "They have no card (README.md)."]
    voxel = record.get("trained_voxel")
    lines += [f"- trained for voxels of {voxel} mm"] if voxel else []
    for network, steps in dict(entries.get("steps") or {}).items():
        lines.append(f"- {network}: {steps} optimiser steps in the last run")
    return "\n".join(lines) + "\n"


def known_weights() -> list[str]:
    """Return the names of the bundled weights."""
    from ftddm_core.model.checkpoint import available_weights

    return available_weights()


def devices() -> list[str]:
    """Return what can be asked for as a device here, "auto" first."""
    import torch

    found = [AUTO, "cpu"]
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return found


def device_words(model: Model) -> str:
    """Return the device of a model, and why it was chosen."""
    import torch

    from ftddm_core.sampling.device import pick_device

    if model.device != AUTO:
        return f"{model.device}, as asked for"
    device = pick_device()
    if device.type == "cuda":
        return f"{device}, the fastest here: {torch.cuda.get_device_name(device)}"
    if device.type == "mps":
        return f"{device}, the fastest here: Apple's GPU"
    if torch.version.cuda is None and torch.version.hip is None:
        return "cpu: the installed torch has no support for a GPU"
    return "cpu: torch finds no GPU on this machine"


def facts(model: Model, state: State) -> dict[str, str]:
    """Return what is known of the networks: "Device" -> "cpu, as asked for", and so on.

    Raises
    ------
    CheckpointError
        If the weights cannot be read.
    """
    found = {
        "Weights": f"{model.name} (SHA-256 {model.digest[:12]}…)",
        "State": "in memory" if model.loaded else "not loaded: the next image loads them",
        "Device": device_words(model),
        "Precision": "half (float16)" if model.half else "single (float32)",
    }
    if held := _held(model):
        found["Memory of the networks"] = _size(held)
    if need := _needed(state):
        found["Memory of one slice at work"] = f"about {_size(need)}"
    if free := _free(model):
        found["Free memory"] = _size(free)
    return found


def advice(model: Model, state: State) -> str:
    """Return what to do about too little memory, "" where there is no lack of it."""
    need, free = _needed(state), _free(model)
    lacking = any(part in state.error for part in LACKING)
    if not lacking and not (need and free and need > free):
        return ""
    what = "The memory did not suffice" if lacking else "The free memory may not suffice"
    ways = ["choose a smaller upscaling"]
    on_gpu = model.device not in (AUTO, "cpu") or (model.place or "cpu").partition(",")[0] != "cpu"
    if on_gpu:
        ways += ["close other programs that use the GPU", "or compute on the CPU (slower)"]
    else:
        ways += ["or close other programs and studies"]
    return f"{what}: {', '.join(ways)}."


def _held(model: Model) -> int:
    """Return the bytes of the networks' parameters, 0 while they are not loaded."""
    if not model.loaded:
        return 0
    weights = model.load().weights
    networks = (weights.denoiser, weights.flow)
    return FLOAT32 * sum(int(p.numel()) for each in networks for p in each.parameters())


def _needed(state: State) -> int:
    """Return the bytes planned for one slice of the open study, 0 without one."""
    from ftddm_core.sampling.device import BYTES_PER_VOXEL

    if state.view is None or state.activity is Activity.OPENING:
        return 0
    height, width = state.view.prepared.conditions[state.metabolite].channels.shape[1:3]
    return int(BYTES_PER_VOXEL * height * width)


def _free(model: Model) -> int:
    """Return the free bytes of the device in use, 0 if unknown."""
    if model.loaded:
        from ftddm_core.sampling.device import free_memory

        device = model.load().device
        if device.type != "cpu":
            return free_memory(device)
    try:
        return int(os.sysconf("SC_AVPHYS_PAGES")) * int(os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):  # not on this system
        return 0


def _size(count: int) -> str:
    """Return a number of bytes in words.

    >>> _size(37_500_000), _size(4_000_000_000)
    ('38 MB', '4.0 GB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
