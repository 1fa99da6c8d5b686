"""`ftddm bench --web`: visitors that speak the page's protocol, and what is made of them."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest
from tiny import Ftddm

from ftddm_core.errors import FtddmError
from ftddm_viewer.bench import visitor as visitor_module
from ftddm_viewer.bench.record import FORMAT
from ftddm_viewer.bench.visitor import Visitor, merged, states
from ftddm_viewer.bench.visits import Crowd, quantiles, value_of, visits
from ftddm_viewer.report.performance.page import page
from ftddm_viewer.report.records import read_record

DOCS = Path(__file__).parents[2] / "docs"

Story = Callable[[httpx.AsyncClient, dict[str, Any]], Awaitable[None]]


@pytest.fixture
def told(server: Any) -> Callable[[Story], None]:
    """Return what runs a story of visitors of the page."""

    def run(story: Story) -> None:
        async def all_of_it() -> None:
            async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
                await story(client, (await client.get("config")).json())

        with asyncio.Runner() as runner:
            runner.run(asyncio.wait_for(all_of_it(), 120))

    return run


def test_every_visitor_gets_their_own_images(told: Callable[[Story], None]) -> None:
    async def story(client: httpx.AsyncClient, config: dict[str, Any]) -> None:
        visitors = [Visitor(client, config, seed) for seed in (11, 12, 13)]
        await asyncio.gather(*(each.open() for each in visitors))
        for value in (0.2, 0.7):
            await asyncio.gather(*(each.move(value) for each in visitors))
            await asyncio.sleep(0.5)
        await asyncio.gather(*(each.leave() for each in visitors))
        for each in visitors:
            assert each.errors == []
            assert len(each.waits) == 2
            assert all(0 < wait < 60 for wait in each.waits)

    told(story)


def test_what_goes_wrong_is_an_error(
    told: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(client: httpx.AsyncClient, config: dict[str, Any]) -> None:
        visitor = Visitor(client, config, 21)
        await visitor.open()
        monkeypatch.setattr(visitor_module, "PATIENCE", 0.2)
        own, visitor.key = visitor.key, "another's"
        await visitor.move(0.3)  # of a session that is not open: nothing comes
        visitor.key = own
        visitor._see({"value": "seed 99, τ_f 0.3"})
        config_of_another = copy.deepcopy(config)
        refused = Visitor(client, config_of_another, 22)
        refused.key = "k" * 100
        with visitor_module._Told(refused.errors):
            await refused._post("run/predict", refused._event("load"), [""])
        await visitor.leave()
        assert refused.errors == ["run/predict: 400"]
        # Leaving may cut the answer that is being read off.
        assert [error for error in visitor.errors if "peer closed" not in error] == [
            "an image with seed {99}, which is another's",
            "no image of τ_f 0.3",
        ]
        assert visitor.waits == []

    told(story)


def test_a_later_image_answers_the_moves_before(server: Any) -> None:
    config = httpx.get(f"{server.url}config").json()
    visitor = Visitor(httpx.AsyncClient(), config, 5)
    visitor._pending = [("τ_f 0.1", 0.0), ("τ_f 0.2", 1.0), ("τ_f 0.3", 2.0)]
    visitor._see({"value": "<b>τ_f 0.25</b>, seed 5"})
    assert not visitor.waits
    visitor._see({"value": "<b>τ_f 0.2</b>, seed 5"})
    assert len(visitor.waits) == 2
    assert visitor.waits[0] - visitor.waits[1] == pytest.approx(1)
    assert [words for words, _ in visitor._pending] == ["τ_f 0.3"]


@pytest.mark.parametrize(
    ("words", "setting", "found"),
    [("τ_f 0.3, τ_d 0.5", "τ_f 0.3", True), ("τ_f 0.35, seed 1", "τ_f 0.3", False),
     ("seed 10.", "seed 10", True), ("seed 101", "seed 10", False), ("τ_d 0.3", "τ_f 0.3", False)],
)  # fmt: skip
def test_a_setting_is_found_as_a_whole(words: str, setting: str, found: bool) -> None:
    assert states(words, setting) is found


def test_changes_are_applied_to_what_was_sent_before() -> None:
    first = [{"value": "a"}, "text", [1, 2]]
    assert merged(None, first) is first
    sent = [
        [["replace", ["value"], "b"], ["add", ["more"], 1]],
        [["append", [], "s"]],
        [["delete", [0], None], ["add", [0], 7]],
    ]
    assert merged(first, sent) == [{"value": "b", "more": 1}, "texts", [7, 2]]
    assert merged(first, [[["append", ["value"], "c"]], None, [["replace", [], []]]]) == [
        {"value": "bc", "more": 1}, "texts", [],
    ]  # fmt: skip


def test_values_differ_from_one_move_to_the_next_and_quantiles_are_of_them() -> None:
    values = [value_of(number, 1003) for number in range(91)]
    assert len(set(values)) == 91
    assert (min(values), max(values)) == (0.05, 0.95)
    assert quantiles([]) == {"p50": None, "p95": None}
    assert quantiles([1, 2, 3]) == {"p50": 2, "p95": pytest.approx(2.9)}


# ---------------------------------------------------------------- the command


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "performance.json"
    path.write_bytes((DOCS / "performance.json").read_bytes())
    return path


@pytest.mark.long
def test_the_command_adds_a_section(
    record: Path, weights: Path, ftddm: Ftddm, tmp_path: Path
) -> None:
    target = tmp_path / "performance.md"
    words = ("--json", record, "--markdown", target, "--weights", weights, "--device", "cpu")
    found = ftddm("bench", *words, "--web", "--users", "2", "--seconds", "2")
    assert found.code == 0, found.err
    assert "page, 2 visitors: first image after " in found.out
    made = read_record(record, "bench", FORMAT)
    before = json.loads((DOCS / "performance.json").read_text(encoding="utf-8"))
    part = made.pop("web")
    assert made == before
    assert part["command"].endswith("--weights tiny --web --users 2 --seconds 2")
    assert (part["seconds"], part["interval"], part["weights"]) == (2, 2.0, "tiny")
    (row,) = part["rows"]
    assert (row["users"], row["moves"], row["errors"], row["told"]) == (2, 2, 0, [])
    assert 0 < row["p50"] <= row["p95"] < 60
    assert all(held > 50e6 for held in row["memory"].values())
    text = target.read_text(encoding="utf-8")
    plain, _, added = text.partition("## Many visitors of the page\n")
    assert plain.strip() == page(before, _images(text)).strip()
    assert part["command"] in added
    assert "moves τ_f every 2 s for 2 s" in " ".join(added.split())
    assert added.count("\n| 2 | 2 | ") == 1
    assert page(read_record(record, "bench", FORMAT), _images(text)) == text


def _images(text: str) -> dict[str, str]:
    paths = [part.partition(")")[0] for part in text.split("](")[1:]]
    return {Path(path).name: path for path in paths if path.endswith(".png")}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--json", "none.json", "--web"), "none.json is not there"),
        (("--json", "a.json", "--users", "2"), "add --web"),
        (("--from", "a.json", "--web"), "--web measures"),
    ],
)
def test_the_command_refuses_what_it_cannot_do(
    words: tuple[str, ...], reason: str, ftddm: Ftddm, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    found = ftddm("bench", *words, "--markdown", "page.md")
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert reason in found.err


def test_a_page_that_does_not_start_is_said(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho one >&2; echo 'ftddm: no page' >&2; exit 2\n")
    program.chmod(0o700)
    monkeypatch.setattr("sys.executable", str(program))
    with pytest.raises(FtddmError, match="did not start:\none\nftddm: no page"):
        visits(Crowd((1,)), str(weights), "cpu", lambda name: nullcontext(lambda done: None))


def test_weights_that_are_not_there_are_told_at_once(
    record: Path, ftddm: Ftddm, tmp_path: Path
) -> None:
    words = ("--json", record, "--markdown", tmp_path / "page.md", "--weights", tmp_path / "none")
    found = ftddm("bench", *words, "--web")
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert "No weights called" in found.err
