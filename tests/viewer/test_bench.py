"""`ftddm bench` with tiny networks and sizes: what is measured, recorded and written."""

from __future__ import annotations

import getpass
import json
import platform
import re
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import Ftddm, files_in

from ftddm_core.errors import FtddmError
from ftddm_core.evaluation.compare import compare, ftddm_method
from ftddm_core.evaluation.tables import metrics_over
from ftddm_core.imaging.volume import Study
from ftddm_core.model.unet import UNET_PRESETS
from ftddm_core.samplers import SAMPLERS
from ftddm_core.sampling.consistency import Consistency
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_core.settings import SamplerSettings
from ftddm_viewer import live_settings
from ftddm_viewer.bench.calls import calls
from ftddm_viewer.bench.comparisons import comparisons, random_weights
from ftddm_viewer.bench.inputs import Inputs, bundled_study
from ftddm_viewer.bench.live import MOVES, WEIGHTINGS, longest_overstay, mri_weights, opened
from ftddm_viewer.bench.plan import Plan
from ftddm_viewer.bench.sweeps import SWEPT
from ftddm_viewer.bench.targets import targets
from ftddm_viewer.bench.tradeoff import METRICS
from ftddm_viewer.bench.watch import Run, Watch, WatchedModel
from ftddm_viewer.cli import main
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.session import Session

COMMAND = import_module("ftddm_viewer.commands.bench")  # its function has the same name

TINY = Plan(
    repeats=2, patience=0.1, calls=2, chain=4, ddpm=8, paper="small", paper_chains=(4, 6),
    drag_moves=5, drag_seconds=0.25, sweep=(2, 2), volume_slices=5, volume_metabolites=3,
    matrices=(16, 32), slices=(1, 4), samples=(1, 2), steps=(1, 3), tradeoff_steps=(1, 2),
    tradeoff_slices=2,
)  # fmt: skip


def small_study() -> Study:
    """Return three slices of two metabolites of the bundled case."""
    study = bundled_study().slab(8, 11)
    return replace(study, maps={name: study.maps[name] for name in ("tNAA", "tCho")})


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return Inputs(small_study())


@pytest.fixture(scope="module")
def resolver(weights: Path) -> SuperResolver:
    return SuperResolver.load(str(weights), "cpu")


@pytest.fixture(scope="module")
def written(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder where one run of the command left its files."""
    folder = tmp_path_factory.mktemp("bench")
    words = ["bench", "--json", folder / "perf.json", "--markdown", folder / "docs" / "perf.md"]
    words += ["--device", "cpu", "--weights", weights, "--quick"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(COMMAND, "QUICK", TINY)
        patch.setattr(COMMAND, "bundled_study", small_study)
        assert main([str(word) for word in words]) == 0
    return folder


@pytest.fixture(scope="module")
def record(written: Path) -> dict[str, Any]:
    found = json.loads((written / "perf.json").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def run(record: dict[str, Any]) -> dict[str, Any]:
    (found,) = record["devices"]
    assert found["device"] == "cpu"
    return found


# ---------------------------------------------------------------- the record


@pytest.mark.long
def test_every_part_of_the_plan_is_measured(record: dict[str, Any], run: dict[str, Any]) -> None:
    assert record["plan"] == json.loads(json.dumps(asdict(TINY)))
    assert record["live"] == live_settings().exact(4.0).to_dict()
    assert record["case"] == {
        "matrix": [64, 64], "slices": 3, "metabolites": 2, "metabolite": "tNAA",
        "k": record["case"]["k"], "upscale": 4.0,
    }  # fmt: skip
    found = [(line["what"], line["batch"]) for line in run["calls"]]
    assert found == [
        (what, batch)
        for batch in (1, 15)
        for what in ("denoiser", "flow", "consistency update", "consistency factor")
    ]
    assert [line["move"] for line in run["moves"]] == list(MOVES)
    weightings = [(line["mri_weight"], line["consistency"]) for line in run["mri_weights"]]
    assert weightings == [(1, "noise"), (0, "noise"), (0.5, "noise"), (1, "off")]
    swept = [(line["reference"], line["swept"], line["points"]) for line in run["sweeps"]]
    assert swept == [(known, words, 4) for known in (True, False) for words in SWEPT]
    assert all(line["relative"] == line["point"] / line["live"] for line in run["sweeps"])
    grown = [(line["varied"], line["value"]) for line in run["growth"]]
    assert grown == [
        ("matrix", 16), ("matrix", 32), ("slices", 1), ("slices", 4),
        ("samples", 1), ("samples", 2), ("steps", 1), ("steps", 3),
    ]  # fmt: skip
    assert [line["slices"] for line in run["volumes"]] == [15, 5]
    steps = [(line["sampler"], line["calls"], line["tau_flow"]) for line in record["tradeoff"]]
    usual = SamplerSettings().tau_flow
    assert steps == [
        step
        for tau in (usual, 1.0)
        for step in (
            ("ancestral", TINY.chain, tau),
            *((sampler, calls, tau) for sampler in SAMPLERS for calls in (1, 2)),
        )
    ]
    assert {line["slices"] for line in record["tradeoff"]} == {4}


def test_what_follows_from_other_numbers_does(run: dict[str, Any]) -> None:
    call = run["calls"][0]["seconds"]
    for line in run["moves"]:
        assert 0 < line["first"] <= line["final"]
        assert line["first_calls"] == pytest.approx(line["first"] / call)
        assert line["final_calls"] == pytest.approx(line["final"] / call)
        assert line["repeats"] == 2
    for line in run["mri_weights"]:
        assert 0 < line["first"] <= line["final"]
        for which in ("first", "final"):
            ratio = line[which] / run["mri_weights"][0][which]
            assert line[f"{which}_relative"] == pytest.approx(ratio)
        assert line["repeats"] == 2
    known = {line["key"]: line for line in run["comparisons"]}
    assert set(known) >= {"chain", "live", "ddpm", "paper", "paper_6"}
    assert [known[key]["calls"] for key in ("chain", "ddpm", "paper", "paper_6")] == [4, 8, 4, 6]
    assert known["live"]["calls"] == live_settings().steps
    for line in run["comparisons"]:
        for slow in ("ddpm", "paper"):
            ratio = known[slow]["seconds"] / line["seconds"]
            assert line[f"over_{slow}"] == pytest.approx(ratio)
    for line in run["volumes"]:
        assert line["slices_a_second"] == pytest.approx(line["slices"] / line["seconds"])
    assert run["targets"] == targets(run)


def test_the_drag(run: dict[str, Any]) -> None:
    drag = run["drag"]
    assert drag["moves"] == 5
    assert drag["seconds"] > 0
    assert 1 <= drag["runs"] <= 5
    assert drag["most"] == 1
    assert 0 <= drag["gap"] <= drag["seconds"]
    assert (drag["images"] == 0) == (drag["gap"] == drag["seconds"])
    assert min(drag["final"], drag["undisturbed"]) > 0
    call = run["calls"][0]["seconds"]
    assert drag["overstay_calls"] == pytest.approx(drag["overstay"] / call)
    assert 0 <= drag["lingered"] <= drag["overstay"]


def test_memory_is_that_of_another_process(run: dict[str, Any]) -> None:
    memory = run["memory"]
    assert memory["slices"] == 15
    assert 0 < memory["above"] < 2e9
    assert 5e7 < memory["model"] < 4e9  # bytes, and not pages or kB


def test_nothing_says_where_it_ran(written: Path, weights: Path, record: dict[str, Any]) -> None:
    page = (written / "docs" / "perf.md").read_text(encoding="utf-8")
    text = page + (written / "perf.json").read_text(encoding="utf-8")
    paths = (written, weights.parent, Path.home(), Path.cwd())
    assert not [path for path in paths if str(path) in text]
    names = [name for name in (platform.node(), getpass.getuser()) if name]
    assert not [name for name in names if re.search(rf"\b{re.escape(name)}\b", text)]
    assert record["command"] == (
        "ftddm bench --json perf.json --markdown perf.md --device cpu --weights tiny --quick"
    )
    machine = record["machine"]
    assert machine["cpu"]
    assert machine["cores"] >= 1
    assert machine["threads"] == torch.get_num_threads()


def test_the_page_follows_from_the_record(written: Path, tmp_path: Path, ftddm: Ftddm) -> None:
    before = files_in(written / "docs")
    assert set(before) == {"perf.md", "perf/cpu-growth.png", "perf/tradeoff.png"}
    text = before["perf.md"].decode()
    assert "**simulated**" in text
    assert not any(word in text for word in ("nan", "None"))
    outcome = ftddm("bench", "--from", written / "perf.json", "--markdown", tmp_path / "perf.md")
    assert outcome.code == 0, outcome.err
    assert files_in(tmp_path) == before


# ---------------------------------------------------------------- how it is measured


def test_volumes_of_any_size_are_the_cases_slices_over_and_over(inputs: Inputs) -> None:
    whole = inputs.volume(7, 3)
    assert [condition.shape for condition in whole] == [(64, 64, 7)] * 3
    assert len({condition.metabolite for condition in whole}) == 3
    known = [*inputs.prepared.conditions.values()]
    for condition, source in zip(whole, (*known, known[0]), strict=True):
        for k in range(7):
            np.testing.assert_array_equal(condition.channels[..., k], source.channels[..., k % 3])
            np.testing.assert_array_equal(condition.cleaned[..., k], source.cleaned[..., k % 3])
    assert inputs.middle(2) == [0, 1]
    assert inputs.middle(9) == [0, 1, 2]


def test_another_matrix_is_the_same_field_of_view(inputs: Inputs) -> None:
    extent = np.array(inputs.condition.affine[:3, :2]) * 64
    share = inputs.condition.mask[..., inputs.k].mean()
    for n in (16, 32, 64, 96):
        condition = inputs.at_matrix(n)
        assert condition.shape == (n, n, 1)
        assert condition.acquired == (n // 4, n // 4)
        np.testing.assert_allclose(condition.affine[:3, :2] * n, extent, rtol=1e-5)
        assert condition.mask.mean() == pytest.approx(share, abs=0.04)
    same = inputs.at_matrix(64)
    inside = inputs.condition.lowres[..., inputs.k]
    np.testing.assert_allclose(same.lowres[..., 0], inside, atol=1e-4 * inside.max())


def test_the_tradeoff_agrees_with_the_evaluation(
    record: dict[str, Any], inputs: Inputs, resolver: SuperResolver
) -> None:
    line = next(
        line
        for line in record["tradeoff"]
        if (line["sampler"], line["calls"], line["tau_flow"]) == ("ddim", 2, 1.0)
    )
    settings = SamplerSettings(
        t_trunc=TINY.chain,
        steps=2,
        sampler="ddim",
        tau_flow=1,
        tau_diffusion=1,
        mri_weight=1,
        detail=1,
    )
    rows = compare(inputs.case.study, [4.0], {"it": ftddm_method(resolver, settings)})
    values = [row.values for row in rows if row.slice_index in inputs.middle(2)]
    expected = metrics_over(values)
    assert len(values) == line["slices"]
    assert [line[name] for name in METRICS] == pytest.approx([expected[n] for n in METRICS], 1e-4)


def test_mri_weights_take_turns_and_nothing_is_recalled(weights: Path, inputs: Inputs) -> None:
    model, sizes = WatchedModel(str(weights), "cpu"), list[int]()
    resolver = model.load()
    denoiser = resolver.denoiser

    def counted(*given: Any) -> torch.Tensor:
        sizes.append(len(given[0]))
        return denoiser(*given)

    resolver.denoiser = counted
    told: list[float] = []
    with opened(model, inputs) as watch:
        watch.timed(partial(watch.session.update, tau_flow=0.7))
        before = watch.session.state
        sizes.clear()
        mri_weights(watch, TINY, told.append)
        assert watch.session.state.settings == before.settings
        assert watch.session.state.place == before.place
        assert watch.session.state.up_to_date
    of_two_moves = 2 * (live_settings().steps or 0)
    expected = [2 if weight == 0.5 else 1 for weight, _ in WEIGHTINGS for _ in range(of_two_moves)]
    assert sizes[: 2 * len(expected)] == 2 * expected
    assert told == [i / 8 for i in range(1, 9)]


def test_the_update_that_is_timed_is_that_of_the_slices_and_draws_noise(
    inputs: Inputs, resolver: SuperResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, updated = list[tuple[Any, ...]](), list[tuple[int, ...]]()

    class Noted(Consistency):
        def __init__(self, *given: Any, **words: Any) -> None:
            made.append(given)
            super().__init__(*given, **words)

        def correct(self, x0: torch.Tensor, *, keep: bool = False) -> torch.Tensor:
            corrected = super().correct(x0, keep=keep)
            plain = Consistency(*made[-1])
            assert not keep
            assert not torch.equal(corrected, plain.correct(x0))  # for noise was drawn
            updated.append(tuple(corrected.shape))
            return corrected

    monkeypatch.setattr("ftddm_viewer.bench.calls.Consistency", Noted)
    calls(resolver, inputs, TINY)
    assert set(updated) == {(1, 64, 64), (15, 64, 64)}
    for measurements, slices, device in made:
        assert [*slices] == [*range(len(measurements))]
        assert device == resolver.device
        for held, k in zip(measurements, slices, strict=True):
            np.testing.assert_array_equal(
                held.y[..., k], inputs.condition.measurement.y[..., k % 3]
            )


def test_chains_that_run_at_once_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def sample(self: Model, *args: Any, cancelled: Callable[[], bool]) -> Iterator[Any]:
        for arg in args:
            assert not cancelled()
            yield arg

    monkeypatch.setattr(Model, "sample", sample)
    model = WatchedModel("none", "cpu")
    going_on = {"cancelled": lambda: False}
    one, two = model.sample(1, 2, **going_on), model.sample(3, **going_on)
    assert (next(one), next(two)) == (1, 3)
    one.close()
    assert [*two] == []
    assert [*model.sample(4, 5, **going_on)] == [4, 5]
    assert (model.begun, model.most, len(model.runs)) == (3, 2, 3)
    assert [len(run.steps) for run in model.runs] == [1, 1, 2]
    assert all(run.begin <= at <= run.end for run in model.runs for at in run.steps)
    model.forget()
    assert (model.begun, model.most, model.runs) == (0, 0, [])


def test_how_long_a_superseded_chain_went_on() -> None:
    def runs(*spans: tuple[float, float]) -> list[Run]:
        return [Run(*span, steps=[span[0], span[0] + 1.5]) for span in spans]

    assert longest_overstay([], [0.0]) == (0, 0)
    ended_by_themselves = runs((0.1, 0.9), (1.0, 5.0))
    assert longest_overstay(ended_by_themselves, [0.0, 0.95]) == (0, 0)
    assert longest_overstay(runs((0.1, 3.0), (3.0, 4.5)), [0.0, 1.0, 2.0, 4.0]) == (2.0, 1)
    had_shown_one = longest_overstay(runs((0.1, 3.0)), [1.0], shown=[0.5, 2.0])
    assert had_shown_one == (2.0, 1)
    assert longest_overstay(runs((0.1, 3.0)), [1.0], shown=[2.5, 2.75]) == (0.5, 0)
    assert longest_overstay(runs((0.1, 3.0)), [1.0], shown=[3.5]) == (2.0, 1)


def test_a_session_that_fails_says_why(tmp_path: Path) -> None:
    session = Session(Model(str(tmp_path / "none"), "cpu"))
    watch = Watch(session)
    with pytest.raises(FtddmError, match="No weights called"):
        watch.timed(partial(session.show, small_study()))
    assert session.close()


def test_without_diffusers_its_rows_are_left_out(
    inputs: Inputs, resolver: SuperResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    told: list[float] = []
    plan = replace(TINY, repeats=1, chain=2, ddpm=3, paper_chains=(2,))
    lines = comparisons(resolver, inputs, plan, told.append)
    assert [line["key"] for line in lines] == ["chain", "live", "ddpm", "paper"]
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1)


def test_random_weights_leave_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    weights = random_weights("small")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert weights.denoiser.config == UNET_PRESETS["small"]
    assert not any(p.requires_grad for p in weights.flow.parameters())


# ---------------------------------------------------------------- the command


def test_help(ftddm: Ftddm) -> None:
    assert "bench" in ftddm("--help").out
    outcome = ftddm("bench", "--help")
    assert outcome.code == 0
    for flag in ("--json", "--from", "--markdown", "--device", "--weights", "--quick"):
        assert flag in outcome.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--markdown", "p.md"], "one of the arguments --json --from is required"),
        (["--json", "p.json"], "required: --markdown"),
        (["--json", "p.json", "--from", "q.json", "--markdown", "p.md"], "not allowed with"),
        (["--json", "p.json", "--markdown", "docs/p"], "such as docs/p.md; docs/p is not"),
        (["--json", "p.md", "--markdown", "p.md"], "cannot hold both"),
        (["--json", "file/p.json", "--markdown", "p.md"], "file is a file, not a folder"),
        (["--json", "p.json", "--markdown", "file/p.md"], "file is a file, not a folder"),
        (["--json", "p.json", "--markdown", "file.md"], "file is a file, not a folder"),
        (["--json", "folder", "--markdown", "p.md"], "folder is a folder"),
        (["--json", "p.json", "--markdown", "p.md", "--device", "xpu9"], "'xpu9' is not available"),
        (["--json", "p.json", "--markdown", "p.md", "--weights", "no"], "No weights called 'no'"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(
    words: list[str], message: str, tmp_path: Path, ftddm: Ftddm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    outcome = ftddm("bench", *words)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert message in outcome.err
    assert set(tmp_path.iterdir()) == {tmp_path / "file", tmp_path / "folder"}


def test_stopped_on_the_way_nothing_is_written(
    weights: Path, tmp_path: Path, ftddm: Ftddm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ftddm_viewer.bench.measure.drag", interrupt)
    monkeypatch.setattr(COMMAND, "bundled_study", small_study)
    monkeypatch.setattr(COMMAND, "FULL", replace(TINY, repeats=1))
    monkeypatch.setattr("ftddm_viewer.bench.measure.memory", lambda *_: None)
    words = ("--json", tmp_path / "perf.json", "--markdown", tmp_path / "docs" / "perf.md")
    outcome = ftddm("bench", *words, "--weights", weights, "--device", "cpu")
    assert outcome.code == 130
    assert outcome.err.endswith("cancelled, nothing was written.\n")
    assert "ftddm-job" not in [thread.name for thread in threading.enumerate()]
    assert files_in(tmp_path) == {}


@pytest.mark.parametrize(
    ("words", "fastest", "expected"),
    [
        ([], "cuda", ["cuda", "cpu"]),
        ([], "cpu", ["cpu"]),
        (["--device", "auto"], "cuda", ["auto"]),
        (["--device", "cpu"], "cuda", ["cpu"]),
    ],
)
def test_a_fast_device_and_the_cpu_unless_one_is_named(
    words: list[str],
    fastest: str,
    expected: list[str],
    weights: Path,
    tmp_path: Path,
    ftddm: Ftddm,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []

    def measure(study: Study, name: str, devices: list[str], *_: object) -> None:
        asked.append(devices)
        raise KeyboardInterrupt

    monkeypatch.setattr(COMMAND, "measure", measure)
    monkeypatch.setattr(COMMAND, "pick_device", lambda wanted="auto": fastest)
    files = ("--json", tmp_path / "perf.json", "--markdown", tmp_path / "perf.md")
    assert ftddm("bench", *files, "--weights", weights, *words).code == 130
    assert asked == [expected]
