"""A training run from a configuration file: `train` fits one network, `export` ships both."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from ftddm_core.errors import CheckpointError, FormatError, SettingsError
from ftddm_core.model.checkpoint import save_weights
from ftddm_core.model.flow import FLOW_PRESETS, ConditionalGlow
from ftddm_core.model.unet import UNET_PRESETS, UNet
from ftddm_core.training.dataset import Pool, PoolConfig, pool_record, render_pool
from ftddm_core.training.fit_denoiser import denoiser_loss
from ftddm_core.training.fit_flow import flow_loss
from ftddm_core.training.loop import FitConfig, LossFunction, fit

Which = Literal["denoiser", "flow"]
LOSSES: dict[Which, LossFunction] = {"denoiser": denoiser_loss, "flow": flow_loss}


@dataclass(frozen=True)
class RunConfig:
    """What is trained on what, and how.

    Parameters
    ----------
    preset
        Sizes of the networks, a key of `UNET_PRESETS` and `FLOW_PRESETS`.
    pool, validation
        The patients that are rendered.
    denoiser, flow
        How each network is fitted.
    """

    preset: str
    pool: PoolConfig
    validation: PoolConfig
    denoiser: FitConfig
    flow: FitConfig

    @classmethod
    def load(cls, name_or_path: str) -> RunConfig:
        """Read a TOML file, or the bundled configuration of a preset.

        Raises
        ------
        FormatError
            If there is no such file or it is not TOML.
        SettingsError
            If it names something that does not exist.
        """
        bundled = Path(__file__).parent / f"{name_or_path}.toml"
        path = bundled if bundled.is_file() else Path(name_or_path)
        try:
            content: dict[str, Any] = tomllib.loads(path.read_text())
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise FormatError(f"The configuration {path} cannot be read: {error}.") from None
        try:
            config = cls(
                preset=content["preset"],
                pool=PoolConfig(**content["pool"]),
                validation=PoolConfig(**content["validation"]),
                denoiser=FitConfig(**content["denoiser"]),
                flow=FitConfig(**content["flow"]),
            )
        except (KeyError, TypeError) as error:
            raise SettingsError(
                f"{path} does not fit: {error}. Compare with the bundled small.toml."
            ) from None
        if config.preset not in UNET_PRESETS:
            raise SettingsError(
                f"{path}: unknown preset '{config.preset}', there are {', '.join(UNET_PRESETS)}."
            )
        return config


def build(which: Which, preset: str) -> nn.Module:
    """Return an untrained network of a preset; its first weights are always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if which == "denoiser":
            return UNet(UNET_PRESETS[preset])
        return ConditionalGlow(FLOW_PRESETS[preset])


def train(
    which: Which,
    config: RunConfig,
    anatomies: Sequence[Path],
    validation: Sequence[Path],
    folder: Path,
    *,
    device: str = "cpu",
    rendering: Callable[[int, int], None] = lambda done, total: None,
    progress: Callable[[int, dict[str, float]], None] = lambda step, losses: None,
) -> nn.Module:
    """Render the patients into `folder`/pool-*, then fit a network in `folder`/<which>.

    Both go on where an earlier run stopped.

    Raises
    ------
    FormatError
        If there are no label maps, or one cannot be read.
    SettingsError
        If a label map is given for both training and validation, or the folder holds others.
    """
    if not anatomies or not validation:
        raise FormatError(
            "Training needs label maps: give --anatomies FILE... and --validation FILE..., "
            "of different subjects."
        )
    for path in (*anatomies, *validation):
        if not path.is_file():
            raise FormatError(f"{path} is missing: give label maps (NIfTI).")
    both = {path.resolve() for path in anatomies} & {path.resolve() for path in validation}
    if both:
        raise SettingsError(
            f"{min(both)} is given for training and for validation: keep the subjects apart."
        )
    training_files = render_pool(anatomies, config.pool, folder / "pool-training", rendering)
    validation_files = render_pool(
        validation, config.validation, folder / "pool-validation", rendering
    )
    fit_config = config.denoiser if which == "denoiser" else config.flow
    record = {
        "preset": config.preset,
        "fit": asdict(fit_config),
        "training": pool_record(anatomies, config.pool),
        "validation": pool_record(validation, config.validation),
    }
    (folder / which).mkdir(parents=True, exist_ok=True)
    (folder / which / "run.json").write_text(json.dumps(record, indent=2) + "\n")
    return fit(
        build(which, config.preset),
        LOSSES[which],
        Pool(training_files),
        Pool(validation_files),
        fit_config,
        folder / which,
        device=device,
        progress=progress,
    )


def export(config: RunConfig, folder: Path, out: Path) -> dict[str, int]:
    """Write a run's last averaged weights as a weights folder; return the steps of each network.

    The record in its config.json names the label maps, the patients and the settings of the fit.

    Raises
    ------
    CheckpointError
        If one of the two networks has not been trained in `folder`.
    """
    networks: dict[Which, nn.Module] = {}
    steps: dict[str, int] = {}
    records: dict[str, Any] = {}
    for which in LOSSES:
        path, record = folder / which / "state.pt", folder / which / "run.json"
        for needed in (path, record):
            if not needed.is_file():
                raise CheckpointError(f"{needed} is missing: run `ftddm train {which}` first.")
        state = torch.load(path, map_location="cpu", weights_only=True)
        records[which] = json.loads(record.read_text())
        networks[which] = build(which, config.preset)
        networks[which].load_state_dict(state["average"])
        steps[which] = int(state["step"])
    denoiser, flow = networks["denoiser"], networks["flow"]
    if not isinstance(denoiser, UNet) or not isinstance(flow, ConditionalGlow):
        raise CheckpointError(f"{folder} does not hold a denoiser and a flow.")
    save_weights(out, denoiser, flow, {"data": "simulated", "steps": steps, "runs": records})
    return steps
