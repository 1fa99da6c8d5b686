"""Batches of a fit in order: drawn on demand, or ahead by other processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ftddm_core.training.dataset import Batch, Pool

Drawn = tuple[Batch, torch.Generator]


def draw(pool: Pool, size: int, seed: Sequence[int]) -> Drawn:
    """Return a batch of `size` and a generator, both on the CPU, that depend only on the seed."""
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    return pool.draw(rng, size), generator


def batches(
    pool: Pool, size: int, seeds: Sequence[Sequence[int]], workers: int = 0
) -> Iterator[Drawn]:
    """Yield `draw` of every seed, in order.

    Parameters
    ----------
    pool, size
        Patients, and slices per batch.
    seeds
        One seed per batch.
    workers
        Processes that draw ahead; 0 for none. The batches are the same.
    """
    if workers == 0:
        for seed in seeds:
            yield draw(pool, size, seed)
        return
    loader: DataLoader[Any] = DataLoader(
        _Draws(pool, size, seeds),
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
        generator=torch.Generator(),  # otherwise it would use torch's global generator
    )
    for batch, state in loader:
        generator = torch.Generator()
        generator.set_state(state)
        yield batch, generator


@dataclass(frozen=True)
class _Draws(Dataset[tuple[Batch, Tensor]]):
    """Batches by their number, each with the state of its generator, which can be pickled."""

    pool: Pool
    size: int
    seeds: Sequence[Sequence[int]]

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, index: int) -> tuple[Batch, Tensor]:
        batch, generator = draw(self.pool, self.size, self.seeds[index])
        return batch, generator.get_state()


def _as_it_is(drawn: Any) -> Any:
    return drawn
