"""What one call of each network costs, for one slice and for as many as run together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from ftddm_core.sampling.device import computing, slices_together
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_viewer.bench.inputs import Inputs
from ftddm_viewer.bench.plan import Plan
from ftddm_viewer.bench.record import Line
from ftddm_viewer.bench.timing import timed

LEVEL = 100
"""Noise level of the calls; they cost the same at every level."""


def calls(resolver: SuperResolver, inputs: Inputs, plan: Plan) -> list[Line]:
    """Return `network`, `batch`, the median `seconds` of one call for the whole batch, `repeats`.

    The network "flow" is its encoding and its inverse, which is what one sample costs. The batches
    are 1 and as many slices as the resolver takes of the whole volume at a time.
    """
    height, width = inputs.condition.channels.shape[1:3]
    together = resolver.batch or slices_together(resolver.device, height, width)
    together = min(together, plan.volume_slices * plan.volume_metabolites)
    often = replace(plan, repeats=plan.calls)
    lines = []
    for batch in dict.fromkeys((1, together)):
        for network, call in _networks(resolver, inputs, batch).items():
            call()
            found = timed(call, resolver.device, often)
            lines.append({"network": network, "batch": batch, **found})
    return lines


def seconds_of_call(table: list[Line]) -> float:
    """Return the seconds of a denoiser call for one slice."""
    (line,) = (line for line in table if line["network"] == "denoiser" and line["batch"] == 1)
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
            flow.sample(normal, flow.tell(condition, level, upscale), tau_flow=0.5)

    return {"denoiser": denoise, "flow": draw}
