"""`ftddm train`: prepare patients, fit a network, compare parametrisations, or export weights."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from tqdm import tqdm

from ftddm_core.errors import SettingsError

if TYPE_CHECKING:
    from ftddm_core.training.run import RunConfig


def train(options: Namespace) -> None:
    """Run a training task; the patients are prepared first, unless they exist."""
    import torch

    if options.threads:
        torch.set_num_threads(options.threads)
    if options.what.startswith("export"):
        _export(options)
    elif options.what == "compare-parametrisations":
        _compare(options)
    else:
        _fit(options)


def _export(options: Namespace) -> None:
    from ftddm_core.training.run import export, export_regression

    if options.weights_out is None:
        raise SettingsError("Name the folder for the weights: --weights-out DIR.")
    if options.what == "export":
        how = {"blend": options.blend, "start_from": options.start_from}
        steps = export(options.out, options.weights_out, **how)
    else:
        steps = export_regression(options.out, options.weights_out)
    trained = ", ".join(f"{name} {count}" for name, count in steps.items())
    print(f"Weights in {options.weights_out}, trained for these steps: {trained}.")


def _fit(options: Namespace) -> None:
    from ftddm_core.sampling.device import pick_device
    from ftddm_core.training.run import RunConfig
    from ftddm_core.training.run import train as train_network

    config = RunConfig.load(options.config or "small")
    if options.what == "pool":
        _make_pools(options, config)
        return
    if options.steps:
        config = config.changed(options.what, steps=options.steps)
    if options.bf16:
        config = config.changed(options.what, bf16=True)
    _make_pools(options, config)
    with tqdm(desc=options.what, total=config.of(options.what).steps, disable=None) as bar:
        begun = False

        def progress(step: int, losses: dict[str, float]) -> None:
            nonlocal begun
            # The clock of the bar starts at the first step of this run.
            if not begun:
                begun = True
                bar.reset()
                bar.initial = bar.n = bar.last_print_n = step - 1
            bar.set_postfix({name: f"{value:.3f}" for name, value in losses.items()})
            bar.update(step - bar.n)

        train_network(
            options.what,
            config,
            options.out,
            start_from=options.start_from,
            device=str(pick_device(options.device)),
            workers=options.workers,
            progress=progress,
        )


def _make_pools(options: Namespace, config: RunConfig) -> None:
    """Render simulated patients or convert measured ones, unless the run's folder holds them."""
    from ftddm_core.training.own import convert_pools
    from ftddm_core.training.pools import RECORD, SIDES, pool_folder
    from ftddm_core.training.run import render_pools

    own = (options.patients, options.validation_patients)
    if any(own) and (options.anatomies or options.validation):
        raise SettingsError("Give label maps (--anatomies) or patients (--patients), not both.")
    if any(own) and not all(own):
        raise SettingsError("Give both --patients DIR and --validation-patients DIR.")
    there = all((pool_folder(options.out, side) / RECORD).is_file() for side in SIDES)
    if there and not (any(own) or options.anatomies or options.validation):
        return
    with tqdm(desc="patients", disable=None) as bar:

        def done(count: int, total: int) -> None:
            bar.total = total
            bar.update(count - bar.n)

        if all(own):
            convert_pools(*own, options.out, done)
        else:
            render_pools(config, options.anatomies, options.validation, options.out, done)


def _compare(options: Namespace) -> None:
    from ftddm_core.sampling.device import pick_device
    from ftddm_core.training.experiment import (
        VARIANTS,
        Experiment,
        Variant,
        compare_variants,
        to_table,
    )
    from ftddm_core.training.pools import read_pools
    from ftddm_core.training.run import RunConfig

    experiment = Experiment.load(options.config or "parametrisation")
    if options.steps:
        experiment = experiment.of_steps(options.steps)
    _make_pools(options, RunConfig.load(experiment.patients_of))
    training, validation, _ = read_pools(options.out)
    total = len(VARIANTS) * experiment.fit.steps
    with tqdm(desc="variants", total=total, disable=None) as bar:

        def progress(variant: Variant, step: int) -> None:
            bar.set_description("-".join(variant), refresh=False)
            bar.update(VARIANTS.index(variant) * experiment.fit.steps + step - bar.n)

        found = compare_variants(
            experiment,
            training,
            validation,
            options.out / "parametrisation",
            device=str(pick_device(options.device)),
            progress=progress,
        )
    print(to_table(found))
