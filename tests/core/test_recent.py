"""Data consistency is computed once for the slices that are drawn again and again."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import torch
from resolving import DRAWN, phantom

from ftddm_core.sampling import recent
from ftddm_core.sampling.condition import Condition, form_conditions
from ftddm_core.sampling.consistency import Consistency
from ftddm_core.sampling.measurement import Measurement
from ftddm_core.sampling.recall import Recall
from ftddm_core.sampling.recent import RecentConsistency
from ftddm_core.sampling.resolver import SuperResolver

CPU = torch.device("cpu")
QUICK = DRAWN.replace(t_trunc=20, steps=2)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Return the slices of every consistency that is computed."""
    found: list[tuple[int, ...]] = []

    class Noted(Consistency):
        def __init__(self, measurements: Any, slices: Any, *rest: Any, **words: Any) -> None:
            found.append(tuple(slices))
            super().__init__(measurements, slices, *rest, **words)

    monkeypatch.setattr(recent, "Consistency", Noted)
    return found


def conditions() -> list[Condition]:
    return [*form_conditions(phantom(), 2)]


def measurement() -> Measurement:
    return conditions()[0].measurement


def test_live_images_of_a_slice_compute_it_once_however_large_it_is(
    resolver: SuperResolver, made: list[tuple[int, ...]]
) -> None:
    condition, recall = conditions()[0], Recall(limit=1)
    for tau in (0.1, 0.2, 0.3):
        [*resolver.sample([condition], QUICK.replace(tau_flow=tau), slices=[1], recall=recall)]
    assert made == [(1,)]
    [*resolver.sample([condition], QUICK.replace(noise=5), slices=[1], recall=recall)]
    [*resolver.sample([condition], QUICK.replace(consistency="exact"), slices=[1], recall=recall)]
    assert made == [(1,)] * 3, "with another noise it is another one"


def test_a_volume_does_not_keep_what_it_computed(
    resolver: SuperResolver, made: list[tuple[int, ...]]
) -> None:
    condition = conditions()[0]
    before = resolver._recent.nbytes
    [*resolver.sample([condition], QUICK)]
    assert made == [(0, 1, 2)]
    assert resolver._recent.nbytes == before


def test_what_was_used_last_is_kept_within_the_limit() -> None:
    held = measurement()
    one = Consistency([held], [0], CPU).nbytes
    kept = RecentConsistency(limit=2 * one)

    def of(k: int) -> Consistency:
        return kept.of([held], [k], None, CPU, exact=False)

    first, second = of(0), of(1)
    assert of(0) is first
    of(2)
    assert kept.nbytes == 2 * one
    assert of(0) is first, "it was used after the second"
    assert of(1) is not second
    small = RecentConsistency(limit=1)
    large = small.of([held], [0], None, CPU, exact=False)
    assert small.of([held], [0], None, CPU, exact=False) is large


def test_that_of_a_closed_study_is_dropped() -> None:
    held, kept = measurement(), RecentConsistency()
    kept.of([held], [0], None, CPU, exact=False)
    assert kept.nbytes > 0
    del held
    gc.collect()
    assert kept.nbytes == 0


def test_one_that_must_not_be_computed_is_not() -> None:
    def check() -> None:
        raise MemoryError

    held, kept = measurement(), RecentConsistency()
    for _ in range(2):
        with pytest.raises(MemoryError):
            kept.of([held], [0], None, CPU, exact=False, check=check)
    kept.of([held], [0], None, CPU, exact=False)
    kept.of([held], [0], None, CPU, exact=False, check=check)  # it is there already
