"""What several threads call at once is computed in one batch, and is what each would get alone."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import monotonic, sleep

import pytest
import torch
from networks import conditions, randn, tiny_flow
from torch import Tensor

from ftddm_core.model.merged import MergedFlow
from ftddm_core.sampling import together
from ftddm_core.sampling.together import JoinedDenoiser, JoinedFlow, Tensors, Together


class Slow:
    """Doubles its input once it is let go on; notes the sizes of its batches."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.let_go, self.begun = Event(), Event()

    def __call__(self, x: Tensor) -> Tensors:
        self.sizes.append(len(x))
        self.begun.set()
        assert self.let_go.wait(20)
        if (x < 0).any():
            raise ValueError("negative")
        return (2 * x,)


def until(condition: Callable[[], bool]) -> None:
    end = monotonic() + 20
    while not condition():
        assert monotonic() < end
        sleep(0.002)


def called(work: Slow, first: Tensor, later: list[Tensor], most: int = 8) -> list[object]:
    """Return outcomes: of a call, and of those made while it was being computed."""
    joined = Together(most)
    with ThreadPoolExecutor(1 + len(later)) as threads:
        calls = [threads.submit(joined, work, first)]
        assert work.begun.wait(20)
        for number, each in enumerate(later, 1):
            calls.append(threads.submit(joined, work, each))
            until(lambda number=number: len(joined._waiting) == number)
        work.let_go.set()
        return [call.exception(20) or call.result()[0] for call in calls]


def test_calls_made_meanwhile_are_computed_together() -> None:
    work = Slow()
    later = [torch.full((1, 1, 2), float(n)) for n in range(3)]
    found = called(work, torch.ones(1, 1, 2), later)
    assert work.sizes == [1, 3]
    for given, got in zip(later, found[1:], strict=True):
        assert isinstance(got, Tensor)
        assert torch.equal(got, 2 * given)


def test_no_batch_is_larger_than_the_limit_but_for_a_call_that_is() -> None:
    work = Slow()
    called(work, torch.ones(1, 1, 2), [torch.ones(n, 1, 2) for n in (3, 2, 1, 9)])
    assert work.sizes == [1, 4, 2, 9]


def test_only_inputs_of_one_shape_are_joined() -> None:
    work = Slow()
    called(
        work, torch.ones(1, 1, 2), [torch.ones(1, 1, 2), torch.ones(1, 1, 3), torch.ones(1, 1, 2)]
    )
    assert work.sizes == [1, 2, 1]


def test_an_error_reaches_every_caller_of_its_batch_and_no_other() -> None:
    work = Slow()
    found = called(work, torch.ones(1, 1, 2), [-torch.ones(1, 1, 2), torch.ones(1, 1, 2)])
    assert isinstance(found[0], Tensor)
    assert all(isinstance(each, ValueError) for each in found[1:])


def test_the_thread_ends_when_nothing_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its OpenMP workers would slow down those of others."""
    monkeypatch.setattr(together, "LINGER", 0.01)
    joined, work = Together(8), Slow()
    work.let_go.set()
    for _ in range(2):
        assert torch.equal(joined(work, torch.ones(1, 1, 2))[0], torch.full((1, 1, 2), 2.0))
        until(lambda: not joined._computing)


def test_a_joined_flow_draws_what_each_would_draw_alone() -> None:
    """Each with a temperature and a level of its own."""
    flow, joined = tiny_flow(), Together(8 * 16 * 16)
    alone, shared = MergedFlow(flow), JoinedFlow(flow, joined)
    given = [
        (randn(1, 1, 16, 16, seed=n), conditions(1, 16, 16), torch.tensor([20 * n + 1]), tau)
        for n, tau in enumerate((0.0, 0.3, 1.0, 0.7))
    ]

    def drawn(by: MergedFlow, n: int) -> Tensor:
        normal, condition, t, tau = given[n]
        with torch.inference_mode():
            told = by.encode(condition * (1 + n), t, torch.ones(1) * 4)
            return by.sample(normal, told, tau)

    with ThreadPoolExecutor(len(given)) as threads:
        found = [*threads.map(lambda n: drawn(shared, n), range(len(given)))]
    for n, got in enumerate(found):
        torch.testing.assert_close(got, drawn(alone, n), rtol=0, atol=1e-5)


def test_a_joined_denoiser_takes_what_the_denoiser_takes() -> None:
    joined = JoinedDenoiser(lambda x, channels, t, s: x + channels[:, :1] * t[:, None, None, None],
                            Together(8))  # fmt: skip
    x, channels, t = torch.ones(2, 1, 8, 8), torch.ones(2, 5, 8, 8), torch.tensor([1, 3])
    found = joined(x, channels, t, torch.ones(2))
    assert torch.equal(found[:, 0, 0, 0], torch.tensor([2.0, 4.0]))
