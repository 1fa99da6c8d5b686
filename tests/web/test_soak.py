"""The judgement of `python tests/soak.py`, and the visitor that it sends to the page."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import httpx
import pytest
from soak import Course, Sample, Wanderer, complaints

CALM = [Sample(400_000_000 + 10_000_000 * (n % 4), 9 + n % 3, 20 + n % 2, n % 5) for n in range(20)]


def grown(**more: int) -> list[Sample]:
    """Return calm samples of which something grows by so much a minute."""
    return [
        Sample(**{name: value + n * more.get(name, 0) for name, value in vars(sample).items()})
        for n, sample in enumerate(CALM)
    ]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, ""),
        ({"memory": 2_000_000}, ""),
        ({"memory": 6_000_000}, "memory grew by"),
        ({"threads": 1}, "threads grew from 17 at most to 24 at least"),
        ({"files": 1}, "files grew"),
        ({"temporary": 1}, "temporary grew"),
    ],
)
def test_what_grows_is_told_and_what_goes_up_and_down_is_not(
    more: dict[str, int], said: str
) -> None:
    found = complaints(grown(**more))
    assert len(found) == bool(said)
    assert "".join(found).startswith(said)


def test_a_soak_ends_with_the_first_fault() -> None:
    course = Course(60, samples=CALM)
    assert course.goes_on
    assert course.outcome() == []
    course.faults.append("KeyError: 1")
    assert not course.goes_on
    assert course.outcome() == ["KeyError: 1"]
    assert Course(60).outcome() == ["too short"]


def test_a_visitor_may_do_anything(server: Any, capfd: pytest.CaptureFixture[str]) -> None:
    async def story() -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            visitor = Wanderer(client, (await client.get("config")).json(), 5)
            await visitor.open()
            rng = random.Random(2)
            for _ in range(25):
                await visitor.do(rng)
            await visitor.leave()
            assert [error for error in visitor.errors if "peer closed" not in error] == []

    with asyncio.Runner() as runner:
        runner.run(story())
    assert "failed" not in "".join(capfd.readouterr())
