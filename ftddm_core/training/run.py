"""A training run from a configuration file: `train` fits a network, `export` exports it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ftddm_core.errors import CheckpointError, FormatError, SettingsError
from ftddm_core.model.checkpoint import (
    TRAINED_VOXEL,
    load_weights,
    save_regression,
    save_weights,
)
from ftddm_core.model.flow import ConditionalGlow
from ftddm_core.model.unet import UNet
from ftddm_core.training.fitting import RECORD, STATE, Network, build, fit_network
from ftddm_core.training.loop import LOG
from ftddm_core.training.plan import FitPlan, Which, fields_of, misfit, read_toml
from ftddm_core.training.pools import pool_folder, read_pools
from ftddm_core.training.render import PoolConfig, render_pool


@dataclass(frozen=True, kw_only=True)
class RunConfig(FitPlan):
    """Networks, patients and fits of a run.

    Parameters
    ----------
    pool, validation
        The patients to render.
    preset, denoiser, flow, regression, prediction, levels
        As for `FitPlan`.
    """

    pool: PoolConfig
    validation: PoolConfig

    @classmethod
    def load(cls, name_or_path: str) -> RunConfig:
        """Read a TOML file, or the bundled configuration of a preset; errors as for `FitPlan`."""
        path, content = read_toml(name_or_path)
        try:
            return cls(
                pool=PoolConfig(**content["pool"]),
                validation=PoolConfig(**content["validation"]),
                **fields_of(content),
            )
        except (KeyError, TypeError) as error:
            raise misfit(path, error) from None


def render_pools(
    config: RunConfig,
    anatomies: Sequence[Path],
    validation: Sequence[Path],
    folder: Path,
    rendering: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Render the missing patients of both sides into `folder`/pool-*.

    Raises
    ------
    FormatError
        If there are no label maps, or one cannot be read.
    SettingsError
        If a label map is given for both training and validation, or the folder holds others.
    """
    if not anatomies or not validation:
        raise FormatError(
            "Training needs label maps: give label maps for training and validation, of "
            "different subjects. For your own patients, give folders for training and validation."
        )
    for path in (*anatomies, *validation):
        if not path.is_file():
            raise FormatError(f"{path} is missing: give label maps (NIfTI).")
    for paths in (anatomies, validation):
        names = [path.name for path in paths]
        if twice := {name for name in names if names.count(name) > 1}:
            raise SettingsError(
                f"Two label maps are called {min(twice)}: the record identifies them by name, "
                "so give each its own name."
            )
    both = {path.resolve() for path in anatomies} & {path.resolve() for path in validation}
    if both:
        raise SettingsError(
            f"{min(both)} is given for training and for validation: keep the subjects apart."
        )
    render_pool(anatomies, config.pool, pool_folder(folder, "training"), rendering)
    render_pool(validation, config.validation, pool_folder(folder, "validation"), rendering)


def train(
    which: Which,
    config: FitPlan,
    folder: Path,
    *,
    start_from: str | None = None,
    device: str = "cpu",
    workers: int = 0,
    progress: Callable[[int, dict[str, float]], None] = lambda step, losses: None,
) -> nn.Module:
    """Fit a network in `folder`/<which> on the patients in `folder`/pool-*, see `fit_network`.

    Raises
    ------
    FormatError, SettingsError
        As `read_pools`.
    CheckpointError, SettingsError
        As `fit_network`.
    """
    training, validation, records = read_pools(folder)
    return fit_network(
        which,
        config,
        training,
        validation,
        folder,
        records,
        start_from=start_from,
        device=device,
        workers=workers,
        progress=progress,
    )


def export(
    folder: Path, out: Path, *, blend: float = 1.0, start_from: str | None = None
) -> dict[str, int]:
    """Write a run's last averaged denoiser and flow as a weights folder; return the steps of each.

    The record in its config.json contains the label maps, the patients and the settings of the fit,
    the losses on the validation patients, and the weights that a network was started from with
    their record.

    Parameters
    ----------
    folder
        Of the run.
    out
        Folder of the weights.
    blend
        Share of the trained denoiser; the rest is its initial network. The mean of a network and
        its fine-tuned version keeps much of the performance of both (Wortsman et al. 2022, "Robust
        fine-tuning of zero-shot models").
    start_from
        Weights of the initial network; needed for a share below 1.

    Raises
    ------
    CheckpointError
        If one of the two networks was not trained in `folder`, or did not start from `start_from`.
    SettingsError
        If the share is not between 0 and 1, or there is no initial network to blend with.
    """
    if not 0 <= blend <= 1:
        raise SettingsError(
            f"The share of the trained denoiser is {blend:g}: give one from 0 to 1."
        )
    (denoiser, steps, record), (flow, flow_steps, flow_record) = (
        _trained(folder, which) for which in ("denoiser", "flow")
    )
    if not isinstance(denoiser, UNet) or not isinstance(flow, ConditionalGlow):
        raise CheckpointError(f"{folder} does not hold a denoiser and a flow.")
    counts = {"denoiser": steps, "flow": flow_steps}
    records = {"denoiser": record, "flow": flow_record}
    voxel = record["training"].get("voxel", TRAINED_VOXEL)
    stated: dict[str, Any] = {"data": _data(record), "steps": counts, "runs": records}
    if blend < 1:
        stated["blend"] = {"denoiser": blend, "with": _blend(denoiser, record, blend, start_from)}
    save_weights(out, denoiser, flow, stated, voxel)
    return counts


def _blend(denoiser: UNet, record: Mapping[str, Any], share: float, start_from: str | None) -> str:
    """Mix a denoiser with its initial network; return the digest of those weights."""
    began = record.get("start_from") or {}
    if start_from is None or not began:
        raise SettingsError(
            "A share below 1 needs a denoiser that was started from other weights: name these "
            "weights."
        )
    weights = load_weights(start_from)
    if weights.digest != began["digest"]:
        raise CheckpointError(
            f"The denoiser did not start from '{weights.name}' {weights.digest[:12]} but from "
            f"'{began['name']}' {began['digest'][:12]}: give those."
        )
    with torch.no_grad():
        for own, other in zip(denoiser.parameters(), weights.denoiser.parameters(), strict=True):
            own.lerp_(other, 1 - share)
    return weights.digest


def export_regression(folder: Path, out: Path) -> dict[str, int]:
    """Write a run's last averaged regression as a separate folder; otherwise like `export`."""
    network, steps, record = _trained(folder, "regression")
    if not isinstance(network, UNet):
        raise CheckpointError(f"{folder} does not hold a regression.")
    counts = {"regression": steps}
    runs = {"regression": record}
    save_regression(out, network, {"data": _data(record), "steps": counts, "runs": runs})
    return counts


def _data(record: Mapping[str, Any]) -> str:
    return "measured" if "measured" in record["training"] else "simulated"


def _curve(log: Path) -> list[dict[str, float]]:
    """Return the step and the losses on the validation patients of every line of a log."""
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    return [
        {name: value for name, value in line.items() if name == "step" or name.startswith("valid")}
        for line in lines
    ]


def _trained(folder: Path, which: Which) -> tuple[Network, int, dict[str, Any]]:
    """Return a network with its last averaged weights, its steps and its record."""
    state_path, record_path = folder / which / STATE, folder / which / RECORD
    for needed in (state_path, record_path):
        if not needed.is_file():
            raise CheckpointError(f"{needed} is missing: run `ftddm train {which}` first.")
    state = torch.load(state_path, map_location="cpu", weights_only=True)
    record: dict[str, Any] = json.loads(record_path.read_text())
    record["curve"] = _curve(folder / which / LOG)
    network = build(which, record["preset"], record.get("prediction", "v"))
    network.load_state_dict(state["average"])
    return network, int(state["step"]), record
