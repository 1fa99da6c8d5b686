"""Trained networks on disk: float16 safetensors, computed in float32, and a config.json.

A folder holds either a denoiser and a flow (`Weights`), or a regression network for comparison. Its
SHA256SUMS states the SHA-256 of each safetensors file, which is checked before use, see `sums`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from ftddm_core.assets import asset_folder
from ftddm_core.errors import CheckpointError, FormatError
from ftddm_core.model.flow import ConditionalGlow, FlowConfig
from ftddm_core.model.sums import check_sum, write_sums
from ftddm_core.model.unet import UNet, UNetConfig

FORMAT = 1
"""Version of config.json, raised by a change that old programs cannot read."""

TRAINED_VOXEL = 3.4
"""Typical in-plane voxel in mm of the training data, the default target of `upscale`."""

REGRESSION = "regression"
"""The `kind` in config.json of a regression; weights of a denoiser and a flow state none."""

UNFIT = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""Errors that the networks raise for an invalid config.json."""


@dataclass(frozen=True, eq=False)
class Weights:
    """A flow and a denoiser that were trained together.

    Parameters
    ----------
    name
        Name of the folder they came from.
    digest
        SHA-256 of config.json and both weight files, concatenated, in hexadecimal.
    denoiser, flow
        The networks, in float32 on the CPU, ready for inference.
    trained_voxel
        Typical in-plane voxel in mm of the training data.
    record
        Record of their training, from config.json.
    """

    name: str
    digest: str
    denoiser: UNet
    flow: ConditionalGlow
    trained_voxel: float = TRAINED_VOXEL
    record: Mapping[str, Any] = field(default_factory=dict, repr=False)


def available_weights() -> list[str]:
    """Return the names of the bundled weights for super-resolution, without regressions."""
    try:
        folder = asset_folder("weights")
    except FormatError:
        return []
    found = sorted(path.parent for path in folder.glob("*/config.json"))
    return [path.name for path in found if not _says_regression(path)]


def is_regression(name_or_folder: str | Path) -> bool:
    """Return whether weights, by name or folder, are a regression; errors as for `load_weights`."""
    return _says_regression(_folder_of(name_or_folder))


def load_weights(name_or_folder: str | Path) -> Weights:
    """Load a denoiser and a flow by the name of a bundled set, or from a folder.

    Raises
    ------
    CheckpointError
        If there is no such set, it is a regression, or a file is missing, damaged, not the one
        whose SHA-256 is stated, or does not fit its config.json.
    """
    folder = _folder_of(name_or_folder)
    config = _read_config(folder / "config.json")
    if config.get("kind") == REGRESSION:
        raise CheckpointError(
            f"{folder} holds a regression, for comparison only: it draws no samples. "
            "Give weights of a denoiser and a flow."
        )
    try:
        denoiser = UNet(_unet_config(config["denoiser"]))
        flow_config = dict(config["flow"])
        flow_config["encoder"] = _unet_config(flow_config["encoder"])
        flow = ConditionalGlow(FlowConfig(**flow_config))
        voxel = float(config.get("trained_voxel", TRAINED_VOXEL))
        if not 0 < voxel < math.inf:
            raise ValueError(f"trained_voxel is {voxel} mm")
    except UNFIT as error:
        raise _no_network(folder, error) from None
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for network, path in ((denoiser, "denoiser.safetensors"), (flow, "flow.safetensors")):
        digest.update(_load_into(network, folder / path))
    name = folder.resolve().name
    return Weights(name, digest.hexdigest(), denoiser, flow, voxel, _record(config))


def digest_of(name_or_folder: str | Path) -> str:
    """Return the digest that `load_weights` states, from the files alone.

    Raises
    ------
    CheckpointError
        If there is no such set, or a file cannot be read.
    """
    folder, digest = _folder_of(name_or_folder), hashlib.sha256()
    for name in ("config.json", "denoiser.safetensors", "flow.safetensors"):
        try:
            digest.update((folder / name).read_bytes())
        except OSError as error:
            raise CheckpointError(
                f"{folder / name} cannot be read: {error.strerror}; copy the whole folder."
            ) from None
    return digest.hexdigest()


def load_regression(name_or_folder: str | Path) -> tuple[UNet, str]:
    """Load a regression by the name of a bundled one, or from a folder; see `regression_x0`.

    Returns
    -------
    network, digest
        In float32 on the CPU, ready for inference; SHA-256 of config.json and
        regression.safetensors, concatenated, in hexadecimal.

    Raises
    ------
    CheckpointError
        If there is none, it is not a regression, or a file is missing, damaged, not the one whose
        SHA-256 is stated, or does not fit its config.json.
    """
    network, digest, _ = regression_with_record(name_or_folder)
    return network, digest


def regression_with_record(name_or_folder: str | Path) -> tuple[UNet, str, dict[str, Any]]:
    """Return the result of `load_regression`, and the record of the network's training."""
    folder = _folder_of(name_or_folder)
    config = _read_config(folder / "config.json")
    if config.get("kind") != REGRESSION:
        raise CheckpointError(
            f"{folder} holds a denoiser and a flow, not a regression. Train one with "
            "`ftddm train regression`, or give its folder."
        )
    try:
        network = UNet(_unet_config(config[REGRESSION]))
    except UNFIT as error:
        raise _no_network(folder, error) from None
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    digest.update(_load_into(network, folder / f"{REGRESSION}.safetensors"))
    return network, digest.hexdigest(), _record(config)


def save_weights(
    folder: Path,
    denoiser: UNet,
    flow: ConditionalGlow,
    record: Mapping[str, Any],
    trained_voxel: float = TRAINED_VOXEL,
) -> None:
    """Write both networks as float16 safetensors, and a config.json that includes `record`."""
    sizes: dict[str, Any] = {"denoiser": asdict(denoiser.config), "flow": asdict(flow.config)}
    del sizes["flow"]["encoder"]["prediction"]  # a trunk has no prediction
    stated = {"trained_voxel": trained_voxel, **sizes}
    _save(folder, {"denoiser": denoiser, "flow": flow}, stated, record)


def save_regression(folder: Path, network: UNet, record: Mapping[str, Any]) -> None:
    """Write a regression as float16 safetensors, and a config.json that includes `record`."""
    stated = {"kind": REGRESSION, REGRESSION: asdict(network.config)}
    _save(folder, {REGRESSION: network}, stated, record)


def _save(
    folder: Path,
    networks: Mapping[str, nn.Module],
    stated: Mapping[str, Any],
    record: Mapping[str, Any],
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, network in networks.items():
        tensors = {
            key: (value.half() if value.is_floating_point() else value).contiguous()
            for key, value in network.state_dict().items()
        }
        files[f"{name}.safetensors"] = save(tensors)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    write_sums(folder, files)
    config = {"format": FORMAT, **stated, "record": dict(record)}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def _folder_of(name_or_folder: str | Path) -> Path:
    """Return the folder of bundled weights of that name, else the folder itself.

    Raises
    ------
    CheckpointError
        If it holds no config.json.
    """
    folder = Path(name_or_folder)
    if len(folder.parts) == 1 and isinstance(name_or_folder, str):
        with suppress(FormatError):
            bundled = asset_folder("weights") / name_or_folder
            folder = bundled if (bundled / "config.json").is_file() else folder
    if not (folder / "config.json").is_file():
        known = ", ".join(available_weights()) or "none"
        raise CheckpointError(
            f"No weights called '{name_or_folder}': bundled are {known}; "
            "otherwise give a folder that holds config.json."
        )
    return folder


def _says_regression(folder: Path) -> bool:
    try:
        return _read_config(folder / "config.json").get("kind") == REGRESSION
    except CheckpointError:  # reported in full on loading
        return False


def _record(config: Mapping[str, Any]) -> dict[str, Any]:
    record = config.get("record")
    return dict(record) if isinstance(record, dict) else {}


def _no_network(folder: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{folder / 'config.json'} describes no network ({_reason(error)}); copy it again."
    )


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
    """Return an error for the end of a sentence: its type and at most its first two lines."""
    lines = [line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:2])[:200]}"


def _load_into(network: nn.Module, path: Path) -> bytes:
    """Load a file into a network in float32, if it is intact; return the bytes of the file."""
    try:
        if path.exists() and not path.is_file():  # reading from a pipe would wait for ever
            raise OSError("not a file")
        content = path.read_bytes()
        check_sum(path, content)
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
