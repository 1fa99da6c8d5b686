"""One training loop: Adam, warm-up and final decay, weight averaging, checkpoints, a log."""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ftddm_core.errors import CheckpointError
from ftddm_core.training.dataset import Batch, Pool

LossFunction = Callable[[nn.Module, Batch, torch.Generator], dict[str, Tensor]]
"""(network, batch, generator) -> named losses; "loss" is minimised, the others are logged."""


@dataclass(frozen=True)
class FitConfig:
    """How a network is fitted.

    Parameters
    ----------
    steps
        Optimiser steps in all.
    batch
        Slices a step.
    learning_rate
        Of Adam, after `warmup` steps and before the decay.
    warmup
        Steps of linear increase.
    decay
        Share of all steps, at the end, over which the rate falls linearly to 0.
    average
        Decay of the exponential moving average of the weights (EMA).
    clip
        Largest norm of the gradient.
    validate_every
        Steps between validations and checkpoints.
    seed
        Of batches, levels and noise.
    """

    steps: int = 8000
    batch: int = 8
    learning_rate: float = 3e-4
    warmup: int = 200
    decay: float = 0.4
    average: float = 0.998
    clip: float = 1.0
    validate_every: int = 500
    seed: int = 0

    def rate(self, step: int) -> float:
        """Return the learning rate of a step counted from 0."""
        rise = min(1.0, (step + 1) / self.warmup)
        fall = min(1.0, (self.steps - step) / max(1.0, self.decay * self.steps))
        return self.learning_rate * rise * fall


class Average:
    """Exponential moving average of a network's weights, short at first so that it starts fast."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the network's current weights; buffers are copied."""
        decay = min(self.decay, (step + 1) / (step + 10))
        for mean, value in zip(self.network.parameters(), network.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)
        for held, current in zip(self.network.buffers(), network.buffers(), strict=True):
            held.copy_(current)


def fit(
    network: nn.Module,
    loss: LossFunction,
    training: Pool,
    validation: Pool,
    config: FitConfig,
    folder: Path,
    *,
    device: str = "cpu",
    progress: Callable[[int, dict[str, float]], None] = lambda step, losses: None,
) -> nn.Module:
    """Fit a network and return its averaged weights; resumes from `folder` if it holds a state.

    The folder gets `state.pt` (everything needed to go on) and `log.jsonl` (losses of training and
    validation). Batches and noise of step i depend on (seed, i) alone, so an interrupted run sees
    the same data as an uninterrupted one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = torch.device(device)
    network = network.to(target, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    average = Average(network, config.average)
    optimiser = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    first = 0
    state_path = folder / "state.pt"
    if state_path.exists():
        state = torch.load(state_path, map_location=target, weights_only=True)
        try:
            network.load_state_dict(state["network"])
            average.network.load_state_dict(state["average"])
            optimiser.load_state_dict(state["optimiser"])
        except (RuntimeError, ValueError, KeyError):
            raise CheckpointError(
                f"{state_path} belongs to a network of other sizes: choose another --out."
            ) from None
        first = int(state["step"])

    running: dict[str, float] = {}
    started = time.monotonic()
    for step in range(first, config.steps):
        for group in optimiser.param_groups:
            group["lr"] = config.rate(step)
        batch, generator = _draw(training, config.batch, [config.seed, step], target)
        losses = loss(network, batch, generator)
        optimiser.zero_grad(set_to_none=True)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(network.parameters(), config.clip)
        if bool(torch.isfinite(norm)):
            optimiser.step()
            average.update(network, step)
        for name, value in losses.items():
            value_now = float(value.detach())
            running[name] = 0.98 * running.get(name, value_now) + 0.02 * value_now
        progress(step + 1, running)
        if (step + 1) % config.validate_every == 0 or step + 1 == config.steps:
            record = {f"train_{name}": value for name, value in running.items()}
            record |= validate(average.network, loss, validation, config, target)
            record |= {"step": step + 1, "seconds": time.monotonic() - started}
            with (folder / "log.jsonl").open("a") as log:
                log.write(json.dumps({k: round(v, 5) for k, v in record.items()}) + "\n")
            state = {
                "network": network.state_dict(),
                "average": average.network.state_dict(),
                "optimiser": optimiser.state_dict(),
                "step": step + 1,
            }
            torch.save(state, state_path.with_suffix(".part"))
            os.replace(state_path.with_suffix(".part"), state_path)
    return average.network


@torch.no_grad()
def validate(
    network: nn.Module,
    loss: LossFunction,
    validation: Pool,
    config: FitConfig,
    device: torch.device,
    batches: int = 12,
) -> dict[str, float]:
    """Return the mean losses over fixed batches of the validation pool."""
    totals: dict[str, float] = {}
    for i in range(batches):
        batch, generator = _draw(validation, config.batch, [2**31, i], device)
        for name, value in loss(network, batch, generator).items():
            totals[f"valid_{name}"] = totals.get(f"valid_{name}", 0.0) + float(value) / batches
    return totals


def _draw(
    pool: Pool, size: int, seed: list[int], device: torch.device
) -> tuple[Batch, torch.Generator]:
    """Return a batch and a generator on the CPU that depend on the seed alone."""
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    return pool.draw(rng, size).to(device), generator
