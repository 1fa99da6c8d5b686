"""Timing of work, with the device's queue empty before and after."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from statistics import median

import torch

from ftddm_core.sampling.condition import Condition
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_core.settings import SamplerSettings
from ftddm_viewer.bench.plan import Plan
from ftddm_viewer.bench.record import Line

Progress = Callable[[float], None]
"""Callback with the share of the work that is done, 0..1."""

Stage = Callable[[str], AbstractContextManager[Progress]]
"""Takes the name of a stage and returns its progress callback."""


def synchronise(device: torch.device) -> None:
    """Wait until a device has finished all queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds that work takes."""
    synchronise(device)
    start = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - start


def timed(work: Callable[[], object], device: torch.device, plan: Plan) -> Line:
    """Return the median of `seconds` over several `repeats`, or one repeat if the work takes
    long."""
    found: list[float] = []
    while not found or (len(found) < plan.repeats and sum(found) < plan.patience):
        found.append(seconds_of(work, device))
    return {"seconds": median(found), "repeats": len(found)}


def sampling(
    resolver: SuperResolver,
    conditions: Iterable[Condition],
    settings: SamplerSettings,
    slices: Collection[int] | None = None,
) -> Callable[[], None]:
    """Return the work of sampling something to its end, without intermediate images."""
    given = list(conditions)

    def work() -> None:
        for _ in resolver.sample(given, settings, slices=slices, every=math.inf):
            pass

    return work


def warmed(
    resolver: SuperResolver,
    conditions: Iterable[Condition],
    settings: SamplerSettings,
    slices: Collection[int] | None = None,
) -> Callable[[], None]:
    """Return the work of `sampling`, after a short warm-up chain: a first run chooses
    algorithms."""
    given = list(conditions)
    few = min(2, settings.t_trunc)
    sampling(resolver, given, settings.replace(steps=few or None), slices)()
    return sampling(resolver, given, settings, slices)
