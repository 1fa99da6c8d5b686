"""The batches of a fit, in order: drawn as they are needed, or ahead by other processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import torch

from ftddm_core.training.dataset import Batch, Pool

Drawn = tuple[Batch, torch.Generator]

_held: list[Pool] = []
"""In a process that draws ahead: its pool."""


def draw(pool: Pool, size: int, seed: list[int]) -> Drawn:
    """Return a batch of `size` and a generator, both on the CPU, that depend on the seed alone."""
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    return pool.draw(rng, size), generator


def batches(pool: Pool, size: int, seeds: Iterable[list[int]], workers: int = 0) -> Iterator[Drawn]:
    """Yield `draw` of every seed, in their order.

    Parameters
    ----------
    pool, size
        Patients, and slices a batch.
    seeds
        One a batch.
    workers
        Processes that draw ahead, each with the pool in its memory; 0 draws here. The batches are
        the same.
    """
    if workers == 0:
        for seed in seeds:
            yield draw(pool, size, seed)
        return
    executor = ProcessPoolExecutor(workers, get_context("spawn"), _hold, (pool,))
    waiting: deque[Future[tuple[Batch, torch.Tensor]]] = deque()
    try:
        for seed in seeds:
            waiting.append(executor.submit(_draw_held, size, seed))
            if len(waiting) > 2 * workers:
                yield _taken(waiting.popleft())
        while waiting:
            yield _taken(waiting.popleft())
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _hold(pool: Pool) -> None:
    torch.set_num_threads(1)
    _held.append(pool)


def _draw_held(size: int, seed: list[int]) -> tuple[Batch, torch.Tensor]:
    batch, generator = draw(_held[0], size, seed)
    return batch, generator.get_state()


def _taken(drawn: Future[tuple[Batch, torch.Tensor]]) -> Drawn:
    batch, state = drawn.result()
    generator = torch.Generator()
    generator.set_state(state)
    return batch, generator
