"""One run of the benchmark: all measurements on every device, as one record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from typing import Any

from ftddm_core.imaging.volume import Study
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_viewer import CASE_UPSCALE, live_settings
from ftddm_viewer.bench.calls import calls, seconds_of_call
from ftddm_viewer.bench.comparisons import comparisons
from ftddm_viewer.bench.growth import growth, volumes
from ftddm_viewer.bench.inputs import Inputs
from ftddm_viewer.bench.live import drag, moves, mri_weights, opened
from ftddm_viewer.bench.machine import machine
from ftddm_viewer.bench.memory import memory
from ftddm_viewer.bench.plan import Plan
from ftddm_viewer.bench.record import FORMAT, Record
from ftddm_viewer.bench.sweeps import sweeps
from ftddm_viewer.bench.targets import targets
from ftddm_viewer.bench.timing import Stage
from ftddm_viewer.bench.tradeoff import tradeoff
from ftddm_viewer.bench.watch import WatchedModel
from ftddm_viewer.session.jobs import apart


def measure(
    study: Study, weights: str, devices: Sequence[str], plan: Plan, stage: Stage, command: str = ""
) -> Record:
    """Run all measurements and return the record.

    Parameters
    ----------
    study
        High-resolution study with a mask: the bundled case, or a part of it.
    weights
        Name or folder.
    devices
        Devices, measured one after the other.
    plan
        Sizes and numbers of repeats.
    stage
        Shows the progress of each part.
    command
        The command that makes the record again.

    Raises
    ------
    CheckpointError, SettingsError
        If there are no such weights, or no such device.
    """
    inputs = Inputs(study)
    models = [WatchedModel(weights, device) for device in devices]
    first = models[0].load()
    shape = inputs.condition.shape
    runs = [_run(model, inputs, weights, plan, stage) for model in models]
    with stage("trade-off") as progress:
        table = apart(partial(tradeoff, first, inputs, plan, progress))
    return {
        "format": FORMAT,
        "software": version("ftddm-viewer"),
        "command": command,
        "plan": _plain(asdict(plan)),
        "weights": {"name": first.weights.name, "sha256": first.weights.digest},
        "machine": machine(),
        "live": live_settings().exact(CASE_UPSCALE).to_dict(),
        "case": {
            "matrix": [*shape[:2]],
            "slices": shape[2],
            "metabolites": len(inputs.prepared.conditions),
            "metabolite": inputs.metabolite,
            "k": inputs.k,
            "upscale": CASE_UPSCALE,
        },
        "devices": runs,
        "tradeoff": table,
    }


def _run(model: WatchedModel, inputs: Inputs, weights: str, plan: Plan, stage: Stage) -> Record:
    """Return the measurements of one device."""
    resolver: SuperResolver = model.load()
    name = str(resolver.device)
    run: Record = {"device": name}
    with stage(f"{name}: memory") as progress:
        run["memory"] = memory(weights, name, plan)
        progress(1)
    # Everything except the session runs on threads that end: see `jobs.apart`.
    with stage(f"{name}: calls"):
        run["calls"] = apart(partial(calls, resolver, inputs, plan))
    call = seconds_of_call(run["calls"])
    with opened(model, inputs) as watch:
        with stage(f"{name}: moves") as progress:
            run["moves"] = moves(watch, inputs, call, plan, progress)
        with stage(f"{name}: MRI weights") as progress:
            run["mri_weights"] = mri_weights(watch, plan, progress)
        run["drag"] = drag(watch, model, call, plan)
    with stage(f"{name}: sweeps") as progress:
        run["sweeps"] = sweeps(model, inputs, plan, progress)
    with stage(f"{name}: one slice") as progress:
        run["comparisons"] = apart(partial(comparisons, resolver, inputs, plan, progress))
    with stage(f"{name}: volumes") as progress:
        run["volumes"] = apart(partial(volumes, resolver, inputs, plan, progress))
    with stage(f"{name}: growth") as progress:
        run["growth"] = apart(partial(growth, resolver, inputs, plan, progress))
    run["targets"] = targets(run)
    return run


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with lists in place of tuples, as in JSON."""
    return {key: [*value] if isinstance(value, tuple) else value for key, value in values.items()}
