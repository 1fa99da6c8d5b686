"""`ftddm train`: fit a network, or export trained ones."""

from __future__ import annotations

from argparse import Namespace

from tqdm import tqdm

from ftddm_core.errors import SettingsError


def train(options: Namespace) -> None:
    """Train a network, or export two trained ones."""
    import torch

    from ftddm_core.sampling.resolver import pick_device
    from ftddm_core.training.run import RunConfig, export, export_regression
    from ftddm_core.training.run import train as train_network

    if options.what in ("export", "export-regression"):
        if options.weights_out is None:
            raise SettingsError("Say where the weights go: --weights-out DIR.")
        write = export if options.what == "export" else export_regression
        steps = write(options.out, options.weights_out)
        trained = ", ".join(f"{name} {count}" for name, count in steps.items())
        print(f"Weights in {options.weights_out}, after these steps of training: {trained}.")
        return
    config = RunConfig.load(options.config)
    if options.threads:
        torch.set_num_threads(options.threads)
    fit = config.of(options.what)
    fitting = False
    with tqdm(desc="patients", disable=None) as bar:

        def rendering(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        def progress(step: int, losses: dict[str, float]) -> None:
            nonlocal fitting
            # The same bar goes on; its clock starts at the first step of this run.
            if not fitting:
                fitting = True
                bar.set_description(options.what, refresh=False)
                bar.reset(total=fit.steps)
                bar.initial = bar.n = bar.last_print_n = step - 1
            bar.set_postfix({name: f"{value:.3f}" for name, value in losses.items()})
            bar.update(step - bar.n)

        train_network(
            options.what,
            config,
            options.anatomies,
            options.validation,
            options.out,
            start_from=options.start_from,
            device=str(pick_device(options.device)),
            rendering=rendering,
            progress=progress,
        )
