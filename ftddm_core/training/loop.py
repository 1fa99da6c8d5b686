"""One training loop: Adam, warm-up and final decay, weight averaging, checkpoints, a log.

It runs in one process, or in several started by torchrun, see `parallel`.
"""

from __future__ import annotations

import copy
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ftddm_core.errors import CheckpointError, SettingsError
from ftddm_core.training import parallel
from ftddm_core.training.batches import batches, draw
from ftddm_core.training.dataset import Batch, Pool

LossFunction = Callable[[nn.Module, Batch, torch.Generator], dict[str, Tensor]]
"""(network, batch, generator) -> named losses; "loss" is minimised, the others are logged."""


LOG = "log.jsonl"
"""Log file in the folder of a run: one line of JSON per validation."""

MOST_SKIPPED = 100
"""Number of consecutive steps without a finite gradient after which a run has diverged."""


@dataclass(frozen=True)
class FitConfig:
    """Parameters of a fit.

    Parameters
    ----------
    steps
        Total number of optimiser steps.
    batch
        Slices per step in each process.
    learning_rate
        Learning rate of Adam, after `warmup` steps and before the decay.
    warmup
        Steps of linear increase.
    decay
        Final share of the steps over which the rate falls linearly to 0.
    average
        Decay of the exponential moving average (EMA) of the weights.
    clip
        Largest norm of the gradient.
    validate_every
        Steps between validations and checkpoints.
    seed
        Seed of batches, levels and noise.
    bf16
        Compute the network in bfloat16 where torch's autocast does; weights, losses and
        validation stay in float32.
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
    bf16: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "warmup", "validate_every"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise SettingsError(f"{name} is {value!r}: give a whole number of 1 or more.")
        if not self.learning_rate >= 0:
            raise SettingsError(f"learning_rate is {self.learning_rate}: give one of 0 or more.")
        for name in ("decay", "average"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name} is {getattr(self, name)}: give a share from 0 to 1.")

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        rise = min(1.0, (step + 1) / self.warmup)
        fall = min(1.0, (self.steps - step) / max(1.0, self.decay * self.steps))
        return self.learning_rate * rise * fall


class Average:
    """Exponential moving average of a network's weights, with a shorter window at the start."""

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


class Losses(nn.Module):
    """A network and its loss as one module, (batch, generator) -> named losses.

    Thus a loss may call any method of the network, and torch still averages its gradients.
    """

    def __init__(self, network: nn.Module, loss: LossFunction, bf16: bool) -> None:
        super().__init__()
        self.network = Bfloat16(network) if bf16 else network
        self.loss = loss

    def forward(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses of a batch."""
        return self.loss(self.network, batch, generator)


class Bfloat16(nn.Module):
    """A network under torch's autocast to bfloat16, with float32 output."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, *more: Tensor) -> Tensor:
        """Return the network's output."""
        with torch.autocast(x.device.type, torch.bfloat16):
            answer: Tensor = self.network(x, *more)
        return answer.float()


def fit(
    network: nn.Module,
    loss: LossFunction,
    training: Pool,
    validation: Pool,
    config: FitConfig,
    folder: Path,
    *,
    device: str = "cpu",
    workers: int = 0,
    progress: Callable[[int, dict[str, float]], None] = lambda step, losses: None,
) -> nn.Module:
    """Fit a network and return its averaged weights; resume from `folder` if it holds a state.

    The folder gets `state.pt` (everything needed to resume) and `LOG` (losses of training and
    validation). Batches and noise of step i depend only on (seed, i, rank), so an interrupted run
    sees the same data as an uninterrupted one.

    Parameters
    ----------
    network, loss
        The network, with its initial values, and the loss.
    training, validation
        Patients.
    config
        How.
    folder
        Folder of this network's state and log.
    device
        A torch device.
    workers
        Processes that draw batches in advance, see `batches`.
    progress
        Called after every step by rank 0, with running means of the finite losses and, if any, the
        number of steps `skipped` because the gradient was not finite.

    Raises
    ------
    CheckpointError
        If the folder holds the state of a network of other sizes, or the run diverges.
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
                f"{state_path} belongs to a network of other sizes: choose another run folder."
            ) from None
        first = int(state["step"])

    losses_of: nn.Module = Losses(network, loss, config.bf16)
    rank = parallel.rank()
    if parallel.size() > 1 and first == 0:
        # Layers initialised by their first batch (ActNorm) use that of rank 0 in all processes.
        batch, generator = draw(training, config.batch, [config.seed, 0])
        with torch.no_grad():
            losses_of(batch.to(target), generator)
    losses_of = parallel.averaged(losses_of)
    running: dict[str, float] = {}
    skipped = in_a_row = 0
    started = time.monotonic()
    steps = range(first, config.steps)
    seeds = [[config.seed, step, rank] if rank else [config.seed, step] for step in steps]
    drawn = batches(training, config.batch, seeds, workers)
    for step, (batch, generator) in zip(steps, drawn, strict=True):
        for group in optimiser.param_groups:
            group["lr"] = config.rate(step)
        losses: dict[str, Tensor] = losses_of(batch.to(target), generator)
        optimiser.zero_grad(set_to_none=True)
        losses["loss"].backward()
        norm = nn.utils.clip_grad_norm_(network.parameters(), config.clip)
        if bool(torch.isfinite(norm)):
            optimiser.step()
            average.update(network, step)
            in_a_row = 0
        else:  # a rare batch; its step is skipped and counted
            skipped, in_a_row = skipped + 1, in_a_row + 1
        if in_a_row == MOST_SKIPPED:
            raise CheckpointError(
                f"The gradient was not finite in {in_a_row} steps in a row, up to step {step + 1}: "
                f"the run has diverged. Lower the learning rate ({config.learning_rate:g}), or "
                "start again from other weights; the last saved state is of step "
                f"{(step + 1) // config.validate_every * config.validate_every}."
            )
        if rank:
            continue
        for name, value in losses.items():
            value_now = float(value.detach())
            if math.isfinite(value_now):
                running[name] = 0.98 * running.get(name, value_now) + 0.02 * value_now
        progress(step + 1, running | ({"skipped": float(skipped)} if skipped else {}))
        if (step + 1) % config.validate_every == 0 or step + 1 == config.steps:
            record = {f"train_{name}": value for name, value in running.items()}
            record |= validate(average.network, loss, validation, config, target)
            record |= {"step": step + 1, "seconds": time.monotonic() - started}
            if skipped:
                record["skipped"] = skipped
            with (folder / LOG).open("a") as log:
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
    count: int = 12,
) -> dict[str, float]:
    """Return the mean losses over `count` fixed batches of the validation pool."""
    totals: dict[str, float] = {}
    for i in range(count):
        batch, generator = draw(validation, config.batch, [2**31, i])
        for name, value in loss(network, batch.to(device), generator).items():
            totals[f"valid_{name}"] = totals.get(f"valid_{name}", 0.0) + float(value) / count
    return totals
