"""Time of one slice by FTDDM and by comparison methods, all with the same conditioning."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import torch

from ftddm_core.conventions import CHANNELS, N_TRAIN_STEPS
from ftddm_core.model.checkpoint import Weights
from ftddm_core.model.flow import FLOW_PRESETS, ConditionalGlow
from ftddm_core.model.unet import UNET_PRESETS, UNet
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_core.settings import SamplerSettings
from ftddm_viewer import live_settings
from ftddm_viewer.bench.inputs import Inputs
from ftddm_viewer.bench.plan import Plan
from ftddm_viewer.bench.record import Line
from ftddm_viewer.bench.timing import Progress, timed, warmed

DIFFUSERS_CHANNELS = (32, 64, 96, 128)
"""Channels at each resolution of the UNet from diffusers; its other sizes are the defaults."""


def comparisons(
    resolver: SuperResolver, inputs: Inputs, plan: Plan, progress: Progress
) -> list[Line]:
    """Time every method on one slice.

    Returns
    -------
    list of dict
        `key` for the targets, `method` in words, `calls` of a denoiser, median `seconds` and
        `repeats`, and the speed-up over the whole chain, `over_ddpm`, and over the paper's
        architecture, `over_paper`. Methods of diffusers are left out if it is not installed.
    """
    live, diffusers = live_settings(), _diffusers()
    n_live = live.steps or live.t_trunc
    n_diffusers = (plan.chain, n_live) if diffusers else ()
    total = sum((plan.chain, n_live, plan.ddpm, *plan.paper_chains, *n_diffusers))
    lines: list[Line] = []

    def add(key: str, method: str, n: int, work: Callable[[], object]) -> None:
        found = timed(work, resolver.device, plan)
        lines.append({"key": key, "method": method, "calls": n, **found})
        progress(sum(line["calls"] for line in lines) / total)

    def sampled(by: SuperResolver, settings: SamplerSettings) -> Callable[[], object]:
        return warmed(by, [inputs.condition], settings, [inputs.k])

    chain = SamplerSettings(t_trunc=plan.chain)
    add("chain", f"FTDDM-{plan.chain}, full chain", plan.chain, sampled(resolver, chain))
    add("live", f"FTDDM live, {live.sampler_used}", n_live, sampled(resolver, live))
    ddpm = SamplerSettings(t_trunc=plan.ddpm)
    add("ddpm", f"DDPM-{plan.ddpm}, the same denoiser", plan.ddpm, sampled(resolver, ddpm))
    for n in n_diffusers:
        key = "diffusers" if n == plan.chain else "diffusers_live"
        work = _diffusers_chain(diffusers, resolver.device, inputs, n)
        add(key, f"UNet2DModel and DDIMScheduler of diffusers, {n} steps", n, work)
    paper = SuperResolver(random_weights(plan.paper), str(resolver.device))
    for n in plan.paper_chains:
        key = "paper" if n == plan.chain else f"paper_{n}"
        chain = SamplerSettings(t_trunc=n)
        add(key, f"the paper's architecture, T_trunc {n}", n, sampled(paper, chain))
    return with_ratios(lines)


def with_ratios(lines: list[Line]) -> list[Line]:
    """Return lines with the speed-up of each over DDPM and over the paper's architecture."""
    seconds = {line["key"]: line["seconds"] for line in lines}
    return [
        line | {f"over_{slow}": seconds[slow] / line["seconds"] for slow in ("ddpm", "paper")}
        for line in lines
    ]


def random_weights(preset: str) -> Weights:
    """Return untrained networks of a preset's sizes: they are as fast as trained ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # layers start from the global generator
        denoiser, flow = UNet(UNET_PRESETS[preset]), ConditionalGlow(FLOW_PRESETS[preset])
    for network in (denoiser, flow):
        network.eval().requires_grad_(False)
    return Weights(preset, "0" * 64, denoiser, flow)


def _diffusers() -> Any:
    """Return the library, None if it is not installed: it is a development dependency."""
    try:
        return import_module("diffusers")
    except ImportError:
        return None


def _diffusers_chain(
    diffusers: Any, device: torch.device, inputs: Inputs, n: int
) -> Callable[[], object]:
    """Return a DDIM chain in the usual form, with the conditioning as further channels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = diffusers.UNet2DModel(
            in_channels=1 + len(CHANNELS), out_channels=1, block_out_channels=DIFFUSERS_CHANNELS
        )
    network = network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
    scheduler = diffusers.DDIMScheduler(
        num_train_timesteps=N_TRAIN_STEPS, beta_schedule="squaredcos_cap_v2"
    )
    channels = np.ascontiguousarray(inputs.condition.channels[None, ..., inputs.k])
    condition = torch.from_numpy(channels).to(device)
    generator = torch.Generator().manual_seed(0)
    start = torch.randn((1, 1, *condition.shape[2:]), generator=generator).to(device)

    @torch.inference_mode()
    def work() -> None:
        scheduler.set_timesteps(n)
        x = start
        for t in scheduler.timesteps:
            eps = network(torch.cat([x, condition], dim=1), t).sample
            x = scheduler.step(eps, t, x).prev_sample
        x.cpu()

    with torch.inference_mode():
        network(torch.cat([start, condition], dim=1), 1)
    return work
