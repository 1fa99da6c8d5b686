"""Sizes and numbers of repeats of one run of `ftddm bench`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Sizes of a run.

    Parameters
    ----------
    repeats, patience
        How often a short piece of work is timed, and the seconds after which it is not repeated.
    calls
        How often one call of a network is timed.
    chain, ddpm
        T_trunc of the full chain, and of the whole diffusion without a flow.
    paper, paper_chains
        Preset of the paper's architecture, and the values of T_trunc it is timed at.
    drag_moves, drag_seconds
        How often a slider moves in a drag, and how long the drag lasts.
    sweep
        How many values of each of two settings are swept together.
    volume_slices, volume_metabolites
        The whole volume.
    matrices, slices, samples, steps
        Sizes at which the cost is measured; one of them varies at a time.
    tradeoff_steps, tradeoff_slices
        Steps of every sampler whose output is compared with the truth, and on how many slices.
    """

    repeats: int = 7
    patience: float = 10.0
    calls: int = 20
    chain: int = 100
    ddpm: int = 1000
    paper: str = "paper"
    paper_chains: tuple[int, ...] = (100, 1000)
    drag_moves: int = 20
    drag_seconds: float = 1.0
    sweep: tuple[int, int] = (5, 4)
    volume_slices: int = 39
    volume_metabolites: int = 7
    matrices: tuple[int, ...] = (32, 48, 64, 96, 128)
    slices: tuple[int, ...] = (1, 4, 16, 39)
    samples: tuple[int, ...] = (1, 4, 16)
    steps: tuple[int, ...] = (1, 2, 5, 10, 20, 50, 100)
    tradeoff_steps: tuple[int, ...] = tuple(range(1, 11))
    tradeoff_slices: int = 2


FULL = Plan()
"""The plan of the published page."""

QUICK = Plan(repeats=1, calls=5, paper_chains=(100,), tradeoff_slices=1)
"""Most of the same sizes, each timed once, without the longest runs."""
