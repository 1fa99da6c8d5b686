"""Scaling of the cost: whole volumes, and one size varied at a time."""

from __future__ import annotations

from collections.abc import Callable

from ftddm_core.sampling.resolver import SuperResolver
from ftddm_core.settings import SamplerSettings
from ftddm_viewer import live_settings
from ftddm_viewer.bench.inputs import Inputs
from ftddm_viewer.bench.plan import Plan
from ftddm_viewer.bench.record import Line
from ftddm_viewer.bench.timing import Progress, timed, warmed


def volumes(resolver: SuperResolver, inputs: Inputs, plan: Plan, progress: Progress) -> list[Line]:
    """Time whole volumes; the full chain of every metabolite only where there is a GPU.

    Returns
    -------
    list of dict
        `key` for the targets, `what` in words, `slices` of all metabolites, median `seconds`,
        `slices_a_second` and `repeats`.
    """
    whole = inputs.volume(plan.volume_slices, plan.volume_metabolites)
    chain = SamplerSettings(t_trunc=plan.chain)
    wanted = [
        ("live", "every metabolite, live", whole, live_settings()),
        ("chain", "one metabolite, full chain", whole[:1], chain),
    ]
    if resolver.device.type == "cuda":
        wanted.append(("volume_chain", "every metabolite, full chain", whole, chain))
    lines = []
    for number, (key, what, conditions, settings) in enumerate(wanted):
        found = timed(warmed(resolver, conditions, settings), resolver.device, plan)
        slices = len(conditions) * plan.volume_slices
        speed = {"slices": slices, "slices_a_second": slices / found["seconds"]}
        lines.append({"key": key, "what": what, **speed, **found})
        progress((number + 1) / len(wanted))
    return lines


def growth(resolver: SuperResolver, inputs: Inputs, plan: Plan, progress: Progress) -> list[Line]:
    """Time one slice with live settings, varying one of matrix, slices, samples and steps at a
    time.

    Returns
    -------
    list of dict
        `varied`, its `value`, median `seconds`, `repeats`.
    """
    live = live_settings()

    def one(settings: SamplerSettings) -> Callable[[], object]:
        return warmed(resolver, [inputs.condition], settings, [inputs.k])

    def work(varied: str, value: int) -> Callable[[], object]:
        if varied == "matrix":
            return warmed(resolver, [inputs.at_matrix(value)], live)
        if varied == "slices":
            return warmed(resolver, [inputs.slab(value)], live)
        return one(live.replace(**{varied: value}))

    wanted = [
        (varied, value)
        for varied, values in (
            ("matrix", plan.matrices),
            ("slices", plan.slices),
            ("samples", plan.samples),
            ("steps", plan.steps),
        )
        for value in values
    ]
    lines = []
    for number, (varied, value) in enumerate(wanted):
        found = timed(work(varied, value), resolver.device, plan)
        lines.append({"varied": varied, "value": value, **found})
        progress((number + 1) / len(wanted))
    return lines
