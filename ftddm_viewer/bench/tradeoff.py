"""Quality with fewer steps: every sampler's output against the truth of the bundled case."""

from __future__ import annotations

import math

import numpy as np

from ftddm_core.evaluation.compare import slice_metrics
from ftddm_core.evaluation.tables import metrics_over
from ftddm_core.imaging.volume import finite_or_zero
from ftddm_core.samplers import SAMPLERS
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_core.sampling.result import Result
from ftddm_core.settings import SamplerSettings
from ftddm_viewer.bench.inputs import Inputs
from ftddm_viewer.bench.plan import Plan
from ftddm_viewer.bench.record import Line
from ftddm_viewer.bench.timing import Progress

METRICS = ("psnr", "ssim", "sharpness")


def tradeoff(resolver: SuperResolver, inputs: Inputs, plan: Plan, progress: Progress) -> list[Line]:
    """Return the metrics of every sampler at few steps, and of the full chain.

    Returns
    -------
    list of dict
        `sampler`, `tau_flow`, `tau_diffusion`; `full`, whether it is the full chain; `calls` of the
        denoiser; `psnr` in dB, `ssim` and `sharpness`, None where not defined; `slices` that were
        compared, over all metabolites.
    """
    usual = SamplerSettings(t_trunc=plan.chain, mri_weight=1, detail=1)  # all that is drawn
    wanted = []
    for base in (usual, usual.replace(tau_flow=1.0, tau_diffusion=1.0)):
        wanted.append(base)
        for sampler in SAMPLERS:
            wanted += [base.replace(sampler=sampler, steps=n) for n in plan.tradeoff_steps]
    total, done = sum(settings.steps or plan.chain for settings in wanted), 0
    lines = []
    for settings in wanted:
        calls = settings.steps or plan.chain
        how: Line = {name: getattr(settings, name) for name in ("tau_flow", "tau_diffusion")}
        how |= {"sampler": settings.sampler_used, "full": settings.steps is None, "calls": calls}
        lines.append(how | _metrics(resolver, inputs, settings, plan))
        done += calls
        progress(done / total)
    return lines


def _metrics(
    resolver: SuperResolver, inputs: Inputs, settings: SamplerSettings, plan: Plan
) -> Line:
    conditions, slices = inputs.prepared.conditions, inputs.middle(plan.tradeoff_slices)
    result: Result | None = None
    for update in resolver.sample(conditions.values(), settings, slices=slices, every=math.inf):
        result = update.result
    if result is None:
        raise RuntimeError("The sampling ended without a result.")
    measured = []
    for name, condition in conditions.items():
        for k in slices:
            mask = condition.mask[..., k]
            truth = finite_or_zero(inputs.case.study.maps[name].data[..., k]) * mask
            output = result.maps[name].data[..., k]
            measured.append(slice_metrics(output, truth, mask, condition.acquired))
    found = metrics_over(measured)
    finite = {name: found[name] if np.isfinite(found[name]) else None for name in METRICS}
    return {**finite, "slices": len(measured)}
