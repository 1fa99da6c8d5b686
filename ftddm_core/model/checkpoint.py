"""Trained networks on disk: float16 safetensors and a config.json, computed in float32."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from ftddm_core.assets import asset_folder
from ftddm_core.errors import CheckpointError, FormatError
from ftddm_core.model.flow import ConditionalGlow, FlowConfig
from ftddm_core.model.unet import UNet, UNetConfig

FORMAT = 1
"""Version of config.json; a change that old programs cannot read raises it."""

TRAINED_VOXEL = 3.4
"""In-plane voxel in mm at the middle of the training data, to which `upscale` defaults."""

UNFIT = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What the networks raise, in one way or another, when a config.json makes no sense."""


@dataclass(frozen=True, eq=False)
class Weights:
    """A flow and a denoiser that were trained together.

    Parameters
    ----------
    name
        Name of the folder they came from.
    digest
        SHA-256 of config.json and both weight files, one after the other, in hexadecimal.
    denoiser, flow
        The networks, in float32 on the CPU, ready for inference.
    trained_voxel
        In-plane voxel in mm at the middle of the training data.
    """

    name: str
    digest: str
    denoiser: UNet
    flow: ConditionalGlow
    trained_voxel: float = TRAINED_VOXEL


def available_weights() -> list[str]:
    """Return the names of the bundled weights."""
    try:
        folder = asset_folder("weights")
    except FormatError:
        return []
    return sorted(path.parent.name for path in folder.glob("*/config.json"))


def load_weights(name_or_folder: str | Path) -> Weights:
    """Load weights by the name of a bundled set, or from a folder.

    Raises
    ------
    CheckpointError
        If there is no such set, or a file is missing, damaged, or does not fit its config.json.
    """
    folder = Path(name_or_folder)
    if str(name_or_folder) in available_weights():
        folder = asset_folder("weights") / str(name_or_folder)
    if not (folder / "config.json").is_file():
        known = ", ".join(available_weights()) or "none"
        raise CheckpointError(
            f"No weights called '{name_or_folder}': bundled are {known}; "
            "otherwise give a folder that holds config.json."
        )
    config = _read_config(folder / "config.json")
    try:
        denoiser = UNet(_unet_config(config["denoiser"]))
        flow_config = dict(config["flow"])
        flow_config["encoder"] = _unet_config(flow_config["encoder"])
        flow = ConditionalGlow(FlowConfig(**flow_config))
        voxel = float(config.get("trained_voxel", TRAINED_VOXEL))
        if not 0 < voxel < math.inf:
            raise ValueError(f"trained_voxel is {voxel} mm")
    except UNFIT as error:
        raise CheckpointError(
            f"{folder / 'config.json'} describes no network ({_reason(error)}); copy it again."
        ) from None
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for network, path in ((denoiser, "denoiser.safetensors"), (flow, "flow.safetensors")):
        digest.update(_load_into(network, folder / path))
    return Weights(folder.resolve().name, digest.hexdigest(), denoiser, flow, voxel)


def save_weights(
    folder: Path, denoiser: UNet, flow: ConditionalGlow, record: Mapping[str, Any]
) -> None:
    """Write both networks as float16 safetensors, and a config.json that carries `record` along."""
    folder.mkdir(parents=True, exist_ok=True)
    for network, name in ((denoiser, "denoiser"), (flow, "flow")):
        tensors = {
            key: (value.half() if value.is_floating_point() else value).contiguous()
            for key, value in network.state_dict().items()
        }
        (folder / f"{name}.safetensors").write_bytes(save(tensors))
    config = {
        "format": FORMAT,
        "trained_voxel": TRAINED_VOXEL,
        "denoiser": asdict(denoiser.config),
        "flow": asdict(flow.config),
        "record": dict(record),
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}.") from None
    found = config.get("format") if isinstance(config, dict) else None
    if found != FORMAT:
        raise CheckpointError(f"{path} has format {found}, this program reads {FORMAT}: update it.")
    return dict(config)


def _unet_config(values: Mapping[str, Any]) -> UNetConfig:
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return UNetConfig(**fields)


def _reason(error: Exception) -> str:
    """Return an error as the end of a sentence: its kind and the first two lines at most."""
    lines = [line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:2])[:200]}"


def _load_into(network: nn.Module, path: Path) -> bytes:
    """Load a file into a network in float32; return the bytes of the file."""
    try:
        content = path.read_bytes()
        tensors = load(content)
        network.load_state_dict(
            {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
        )
    except FileNotFoundError:
        raise CheckpointError(
            f"{path} is missing from the weights; copy the whole folder."
        ) from None
    except (OSError, SafetensorError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} is damaged or does not fit its config.json ({_reason(error)}); copy it again."
        ) from None
    network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return content
