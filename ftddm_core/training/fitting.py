"""Fitting one network of a plan on rendered patients: build, initialise, fit, record."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ftddm_core.errors import CheckpointError, SettingsError
from ftddm_core.model.flow import FLOW_PRESETS, ConditionalGlow
from ftddm_core.model.prediction import Prediction
from ftddm_core.model.unet import UNET_PRESETS, UNet
from ftddm_core.training import parallel
from ftddm_core.training.dataset import Pool
from ftddm_core.training.fit_denoiser import denoiser_loss
from ftddm_core.training.fit_flow import flow_loss
from ftddm_core.training.fit_regression import regression_loss
from ftddm_core.training.loop import LossFunction, fit
from ftddm_core.training.plan import FitPlan, Which
from ftddm_core.training.pools import SIDES, read_record

Network = UNet | ConditionalGlow
RECORD, STATE = "run.json", "state.pt"


def build(which: Which, preset: str, prediction: Prediction = "v") -> Network:
    """Return an untrained network of a preset; its initial weights are always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if which == "flow":
            return ConditionalGlow(FLOW_PRESETS[preset])
        output: Prediction = prediction if which == "denoiser" else "v"
        return UNet(replace(UNET_PRESETS[preset], prediction=output))


def loss_of(which: Which, plan: FitPlan) -> LossFunction:
    """Return the loss of a network of a plan."""
    if which == "denoiser":
        return partial(denoiser_loss, prediction=plan.prediction, levels=plan.levels)
    return flow_loss if which == "flow" else regression_loss


def fit_network(
    which: Which,
    plan: FitPlan,
    training: Pool,
    validation: Pool,
    folder: Path,
    data: Mapping[str, Any],
    *,
    start_from: str | None = None,
    device: str = "cpu",
    workers: int = 0,
    progress: Callable[[int, dict[str, float]], None] = lambda step, losses: None,
) -> nn.Module:
    """Fit a network in `folder`/<which>, or resume an earlier run.

    Parameters
    ----------
    which, plan
        The network, and the plan of its fit.
    training, validation
        Patients.
    folder
        Folder of the run. Its <which>/run.json records the network, its patients and initial
        weights.
    data
        Description of the patients for that record.
    start_from
        Name or folder of exported weights to initialise the network and its average from; a
        regression can start from a denoiser or from a regression.
    device, workers, progress
        As for `loop.fit`.

    Raises
    ------
    CheckpointError
        If the weights to start from cannot be read or have other sizes.
    SettingsError
        If the run in the folder was started from other weights, or has another prediction.
    """
    network = build(which, plan.preset, plan.prediction)
    record: dict[str, Any] = {"preset": plan.preset, "fit": asdict(plan.of(which)), **data}
    if which == "denoiser":
        record |= {"prediction": plan.prediction, "levels": plan.levels}
    if start_from is not None:
        record["start_from"] = start(which, network, start_from)
    own = folder / which
    if (own / STATE).is_file() and (own / RECORD).is_file():
        _check_same_run(own, record)
    if parallel.size() > 1:
        record["processes"] = parallel.size()
    if parallel.rank() == 0:
        own.mkdir(parents=True, exist_ok=True)
        (own / RECORD).write_text(json.dumps(record, indent=2) + "\n")
    return fit(
        network,
        loss_of(which, plan),
        training,
        validation,
        plan.of(which),
        own,
        device=device,
        workers=workers,
        progress=progress,
    )


def start(which: Which, network: Network, weights: str) -> dict[str, Any]:
    """Initialise a network with exported weights; return their name, digest and record.

    Raises
    ------
    CheckpointError
        If the weights cannot be read, or have other sizes or another prediction.
    """
    # Imported here only: fitting needs torch and numpy, but reading weights needs safetensors.
    from ftddm_core.model import checkpoint

    source: Network
    if which == "regression" and checkpoint.is_regression(weights):
        source, digest, record = checkpoint.regression_with_record(weights)
        name = Path(weights).resolve().name
    else:
        loaded = checkpoint.load_weights(weights)
        source = loaded.flow if which == "flow" else loaded.denoiser
        name, digest, record = loaded.name, loaded.digest, dict(loaded.record)
    if source.config != network.config:
        differ = [
            f"{key} {value} there, {asdict(network.config).get(key)} here"
            for key, value in asdict(source.config).items()
            if value != asdict(network.config).get(key)
        ]
        raise CheckpointError(
            f"The {which} cannot start from '{weights}', whose network is different "
            f"({'; '.join(differ)}): use weights of the same preset."
        )
    network.load_state_dict(source.state_dict())
    return {"name": name, "digest": digest, "record": record}


def _check_same_run(folder: Path, record: Mapping[str, Any]) -> None:
    """Refuse to resume a run of another kind, with other patients, or from other weights."""
    before = read_record(folder / RECORD)
    for what in ("preset", "prediction", "levels"):
        if before.get(what) != record.get(what):
            raise SettingsError(
                f"The run in {folder} has {what} '{before.get(what)}', not '{record.get(what)}': "
                "choose another run folder."
            )
    for side in SIDES:
        if side in before and before[side] != record.get(side):
            raise SettingsError(
                f"The run in {folder} was fitted on other {side} patients: its record would name "
                "only the new ones. Choose another run folder."
            )
    held, asked = before.get("start_from") or {}, record.get("start_from") or {}
    if held.get("digest") != asked.get("digest"):
        words = [f"'{s['name']}' {s['digest'][:12]}" if s else "scratch" for s in (held, asked)]
        raise SettingsError(
            f"The run in {folder} was started from {words[0]} and cannot be resumed as one "
            f"from {words[1]}: start from the same weights, or choose another run folder."
        )
