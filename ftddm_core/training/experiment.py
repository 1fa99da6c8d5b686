"""The experiment behind the denoiser's parametrisation: what it predicts, and at which levels.

Every variant is the same small UNet with the same initial weights, batches and noise; only
`prediction` and `levels` differ. Variants are compared by the quantity that the chain uses: the x0
of an output.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ftddm_core.errors import SettingsError
from ftddm_core.model.prediction import PREDICTIONS, Prediction, x0_of
from ftddm_core.model.unet import UNet, UNetConfig
from ftddm_core.training.batches import draw
from ftddm_core.training.dataset import Pool
from ftddm_core.training.fit_denoiser import LEVELS, SCHEDULE, Levels, denoiser_loss
from ftddm_core.training.loop import FitConfig, fit
from ftddm_core.training.plan import misfit, read_toml

Variant = tuple[Prediction, Levels]
VARIANTS: tuple[Variant, ...] = tuple(product(PREDICTIONS, LEVELS))


@dataclass(frozen=True)
class Experiment:
    """Setup of the comparison, and the fit of each variant.

    Parameters
    ----------
    patients_of
        The configuration whose patients are used.
    unet
        Sizes of the network.
    fit
        Parameters of the fit.
    at
        Levels t at which x0 is evaluated.
    batches
        Number of batches of validation patients for the evaluation.
    """

    patients_of: str
    unet: UNetConfig
    fit: FitConfig
    at: tuple[int, ...]
    batches: int

    def of_steps(self, steps: int) -> Experiment:
        """Return the same experiment with that many steps per variant."""
        return replace(self, fit=replace(self.fit, steps=steps))

    @classmethod
    def load(cls, name_or_path: str) -> Experiment:
        """Read a TOML file, or a bundled one by its name.

        Raises
        ------
        FormatError
            If there is no such file or it is not TOML.
        SettingsError
            If it does not describe an experiment.
        """
        path, content = read_toml(name_or_path)
        try:
            sizes: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in content["unet"].items()
            }
            return cls(
                content["patients_of"],
                UNetConfig(**sizes),
                FitConfig(**content["fit"]),
                tuple(content["at"]),
                content["batches"],
            )
        except (KeyError, TypeError) as error:
            raise misfit(path, error) from None


def compare_variants(
    experiment: Experiment,
    training: Pool,
    validation: Pool,
    folder: Path,
    *,
    device: str = "cpu",
    progress: Callable[[Variant, int], None] = lambda variant, step: None,
) -> dict[Variant, dict[int, float]]:
    """Fit every variant in its own folder and evaluate it; interrupted runs are resumed.

    Returns
    -------
    dict
        Variant -> level t -> `x0_error` of the averaged weights.

    Raises
    ------
    SettingsError
        If a level of the evaluation is not in 1..1000.
    """
    if not all(1 <= t <= SCHEDULE.n_train_steps for t in experiment.at):
        raise SettingsError(f"Levels lie in 1..{SCHEDULE.n_train_steps}, found {experiment.at}.")
    found: dict[Variant, dict[int, float]] = {}
    for variant in VARIANTS:
        prediction, levels = variant
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = UNet(replace(experiment.unet, prediction=prediction))
        averaged = fit(
            network,
            partial(denoiser_loss, prediction=prediction, levels=levels),
            training,
            validation,
            experiment.fit,
            folder / f"{prediction}-{levels}",
            device=device,
            progress=partial(_passed_on, progress, variant),
        )
        found[variant] = {
            t: x0_error(averaged, prediction, validation, t, experiment, device)
            for t in experiment.at
        }
    return found


def _passed_on(
    progress: Callable[[Variant, int], None],
    variant: Variant,
    step: int,
    losses: Mapping[str, float],
) -> None:
    progress(variant, step)


@torch.no_grad()
def x0_error(
    network: nn.Module,
    prediction: Prediction,
    validation: Pool,
    t: int,
    experiment: Experiment,
    device: str = "cpu",
) -> float:
    """Return the root mean square error of x0 inside the mask, in units of `scale`, at level t.

    Over fixed batches of the validation patients, with fixed noise, all voxels with equal weight.
    """
    squared = voxels = 0.0
    target = torch.device(device)
    for i in range(experiment.batches):
        batch, generator = draw(validation, experiment.fit.batch, [2**31, i])
        batch = batch.to(target)
        eps = torch.randn(batch.x0.shape, generator=generator).to(target)
        level = torch.full((len(batch.x0),), t, device=target)
        x_t = SCHEDULE.add_noise(batch.x0, level, eps)
        output = network(x_t, batch.condition, level, batch.upscale)
        error = batch.mask * (x0_of(SCHEDULE, prediction, output, x_t, level) - batch.x0)
        squared += float(error.double().square().sum())
        voxels += float(batch.mask.sum())
    return math.sqrt(squared / voxels)


def to_table(found: Mapping[Variant, Mapping[int, float]]) -> str:
    """Return the errors as a Markdown table, one line per variant; the best at each level is
    bold."""
    at = list(next(iter(found.values())))
    best = {t: min(errors[t] for errors in found.values()) for t in at}

    def shown(t: int, value: float) -> str:
        text = f"{value:.4f}" if value < 10 else f"{value:.0f}"
        return f"**{text}**" if value == best[t] else text

    lines: list[list[Any]] = [
        ["predicts", "levels", *(f"t = {t}" for t in at)],
        ["---"] * (len(at) + 2),
    ]
    for (prediction, levels), errors in found.items():
        lines.append([prediction, levels, *(shown(t, errors[t]) for t in at)])
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
