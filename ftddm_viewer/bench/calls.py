"""Cost of single calls of each network and of the data consistency, for one slice and for many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from ftddm_core.sampling.consistency import Consistency
from ftddm_core.sampling.device import computing, slices_together
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_viewer.bench.inputs import Inputs
from ftddm_viewer.bench.plan import Plan
from ftddm_viewer.bench.record import Line
from ftddm_viewer.bench.timing import timed

LEVEL = 100
"""Noise level of the calls; their cost does not depend on it."""

TAU = 0.5
"""Temperature of the noise they draw; their cost does not depend on it."""


def calls(resolver: SuperResolver, inputs: Inputs, plan: Plan) -> list[Line]:
    """Return `what`, `batch`, the median `seconds` of one call for the whole batch, `repeats`.

    The networks are "denoiser" and "flow" (encoding and inverse, the cost of one sample). The
    "consistency update" holds an estimate to the measurement after every call of the denoiser; the
    "consistency factor" is computed for it once per slice; neither calls a network. Batch sizes are
    1 and the number of slices that the resolver takes of the whole volume at a time.
    """
    height, width = inputs.condition.channels.shape[1:3]
    together = resolver.batch or slices_together(resolver.device, height, width)
    together = min(together, plan.volume_slices * plan.volume_metabolites)
    often = replace(plan, repeats=plan.calls)
    lines = []
    for batch in dict.fromkeys((1, together)):
        found = _networks(resolver, inputs, batch) | _consistency(resolver, inputs, batch)
        for what, call in found.items():
            call()
            time = timed(call, resolver.device, often)
            lines.append({"what": what, "batch": batch, **time})
    return lines


def seconds_of_call(table: list[Line], what: str = "denoiser") -> float:
    """Return the seconds of a call for one slice."""
    (line,) = (line for line in table if line["what"] == what and line["batch"] == 1)
    return float(line["seconds"])


def _networks(
    resolver: SuperResolver, inputs: Inputs, batch: int
) -> dict[str, Callable[[], object]]:
    """Return a call of each network on a batch of slices."""
    device, flow = resolver.device, resolver.flow
    channels = np.ascontiguousarray(np.moveaxis(inputs.slab(batch).channels, 3, 0))
    condition = torch.from_numpy(channels).to(device, memory_format=torch.channels_last)
    level = torch.full((batch,), LEVEL, device=device)
    upscale = torch.full((batch,), inputs.condition.upscale, device=device)
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn((batch, 1, *condition.shape[2:]), generator=generator).to(device)

    def denoise() -> None:
        with computing():
            resolver.denoiser(normal, condition, level, upscale)

    def draw() -> None:
        with computing():
            flow.sample(normal, flow.encode(condition, level, upscale), tau_flow=TAU)

    return {"denoiser": denoise, "flow": draw}


def _consistency(
    resolver: SuperResolver, inputs: Inputs, batch: int
) -> dict[str, Callable[[], object]]:
    """Return the update of a batch of slices, with noise drawn, and the computation of its
    factor."""
    device, slab = resolver.device, inputs.slab(batch)
    generator = torch.Generator().manual_seed(0)
    x0 = torch.randn((batch, *slab.shape[:2]), generator=generator).to(device)
    normal = torch.randn((batch, *slab.acquired), generator=generator).to(device)

    def factor() -> Consistency:
        with computing():
            return Consistency([slab.measurement] * batch, range(batch), device)

    held = factor()
    with computing():
        held.draw(normal, TAU)

    def update() -> None:
        with computing():
            held.correct(x0)

    return {"consistency update": update, "consistency factor": factor}
