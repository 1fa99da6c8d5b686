"""The performance page, its figures and its targets, from a made-up record alone."""

from __future__ import annotations

import copy
import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import Ftddm, files_in

from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_viewer.bench.comparisons import with_ratios
from ftddm_viewer.bench.live import MOVES
from ftddm_viewer.bench.record import FORMAT
from ftddm_viewer.bench.targets import targets
from ftddm_viewer.drawing.figures import save_figure
from ftddm_viewer.report.excerpt import END, begin, with_excerpt
from ftddm_viewer.report.performance.excerpt import excerpt
from ftddm_viewer.report.performance.page import page
from ftddm_viewer.report.performance.plots import growth_plot, plots, tradeoff_plot
from ftddm_viewer.report.performance.words import short
from ftddm_viewer.report.records import encode_record, read_record

SECONDS = {"chain": 1.5, "live": 0.25, "ddpm": 15.0, "diffusers": 3.0, "paper": 7.5}
CALLS = {"denoiser": 0.015, "flow": 0.015, "consistency update": 0.0015,
         "consistency factor": 0.006}  # fmt: skip
WEIGHTINGS = [(1.0, "noise", 1.0), (0.0, "noise", 1.1), (0.5, "noise", 2.0), (1.0, "off", 0.9)]
GROWTH = {"matrix": (32, 64), "slices": (1, 4, 16), "samples": (1, 4), "steps": (1, 2, 5)}


def made_up(device: str = "cpu") -> dict[str, Any]:
    """Return what a device did that reaches every target of a CPU."""
    comparisons = [
        {"key": key, "method": f"{key}, in words", "calls": 100, "seconds": s, "repeats": 3}
        for key, s in SECONDS.items()
    ]
    volumes = [
        {"key": key, "what": f"{key} of a volume", "slices": 273, "seconds": 4.0,
         "slices_a_second": 68.25, "repeats": 1}
        for key in ("live", "chain", "volume_chain")
    ]  # fmt: skip
    run: dict[str, Any] = {
        "device": device,
        "memory": {"slices": 273, "model": 400_000_000, "above": 700_000_000},
        "calls": [
            {"what": what, "batch": batch, "seconds": s * batch, "repeats": 5}
            for batch in (1, 16)
            for what, s in CALLS.items()
        ],
        "moves": [
            {"move": move, "first": 0.03 + 0.001 * i, "final": 0.3, "first_calls": 2.0 + 0.1 * i,
             "final_calls": 20.0, "repeats": 7}
            for i, move in enumerate(MOVES)
        ],
        "mri_weights": [
            {"mri_weight": weight, "consistency": consistency, "first": 0.04 * ratio,
             "final": 0.2 * ratio, "first_relative": ratio, "final_relative": ratio, "repeats": 7}
            for weight, consistency, ratio in WEIGHTINGS
        ],
        "drag": {"moves": 20, "seconds": 0.95, "runs": 18, "most": 1, "images": 12,
                 "gap": 0.12, "final": 0.35,
                 "undisturbed": 0.3, "overstay": 0.0123, "overstay_calls": 0.82,
                 "lingered": 0.009, "lingered_steps": 1},
        "sweeps": [
            {"reference": known, "swept": "τ_f, τ_d", "points": 20, "live": 0.3,
             "point": 0.3 * ratio, "relative": ratio, "repeats": 7}
            for known, ratio in ((True, 0.7), (False, 1.25))
        ],
        "comparisons": with_ratios(comparisons),
        "volumes": volumes,
        "growth": [
            {"varied": varied, "value": value, "seconds": 0.01 * value, "repeats": 7}
            for varied, values in GROWTH.items()
            for value in values
        ],
    }  # fmt: skip
    return run | {"targets": targets(run)}


@pytest.fixture
def record() -> dict[str, Any]:
    tradeoff = [
        {"sampler": sampler, "tau_flow": tau, "tau_diffusion": tau, "full": False, "calls": calls,
         "psnr": 25.0 + calls + tau, "ssim": 0.9 + 0.01 * calls, "sharpness": 0.4, "slices": 28}
        for tau in (0.5, 1.0)
        for sampler in ("ancestral", "ddim")
        for calls in (1, 2, 3)
    ]  # fmt: skip
    for tau in (0.5, 1.0):
        full = {"full": True, "calls": 100, "psnr": 28.21, "ssim": 0.9632, "sharpness": 0.5}
        tradeoff.append(tradeoff[0] | full | {"tau_flow": tau, "tau_diffusion": tau})
    return {
        "format": FORMAT,
        "software": "1.2.3",
        "command": "ftddm bench --json perf.json --markdown docs/perf.md",
        "plan": {"repeats": 7, "volume_slices": 39, "volume_metabolites": 7},
        "weights": {"name": "small", "sha256": "0123456789abcdef" * 4},
        "machine": {"cpu": "A Processor", "cores": 2, "threads": 2, "memory": 8_000_000_000,
                    "gpu": None, "torch": "2.9", "system": "An OS"},
        "live": {"sampler": "ddim", "steps": 7, "t_trunc": 100},
        "case": {"matrix": [64, 64], "slices": 16, "metabolites": 7, "metabolite": "tNAA", "k": 9,
                 "upscale": 4.0},
        "devices": [made_up()],
        "tradeoff": tradeoff,
    }  # fmt: skip


def shown(record: dict[str, Any]) -> str:
    names = [f"{run['device']}-growth.png" for run in record["devices"]]
    return page(record, {name: f"perf/{name}" for name in (*names, "tradeoff.png")})


def missed(run: dict[str, Any]) -> list[str]:
    return [line["what"] for line in targets(run) if not line["reached"]]


# ---------------------------------------------------------------- the page


def test_the_page_says_what_it_is_first(record: dict[str, Any]) -> None:
    head = " ".join(shown(record).partition("## ")[0].split())
    assert head.startswith(f"# Performance **{RESEARCH_ONLY}.**")
    assert f"```sh {record['command']} ```" in head
    for said in ("**simulated**", "64×64 voxels in 16 slices of 7 metabolites", "A Processor",
                 "2 cores", "8.00 GB", "GPU: none", "An OS, torch 2.9, ftddm-viewer 1.2.3",
                 "`small`, `0123456789ab`", "sampler `ddim`, 7 steps"):  # fmt: skip
        assert said in head


def test_every_number_is_where_it_belongs_with_its_unit(record: dict[str, Any]) -> None:
    text = shown(record)
    for row in (
        "| denoiser | 16 | 240 | 15.0 |",
        "| consistency update | 1 | 1.50 | 1.50 |",
        "| consistency factor | 16 | 96.0 | 6.00 |",
        "| 0.5 | noise | 80.0 | 2.00× | 400 | 2.00× |",
        "| 1 | off | 36.0 | 0.900× | 180 | 0.900× |",
        "| τ_f | 30.0 (2.00) | 300 (20.0) |",
        "| metabolite | 36.0 (2.60) | 300 (20.0) |",
        "| chains started | 18 |",
        "| final image after the last move | 350 ms |",
        "| longest time that a chain ran on after it was superseded | 12.3 ms, 0.820 calls |",
        "| the same after its first image | 9.00 ms, 1 step begun |",
        "| chain, in words | 100 | 1.50 | 10.0× | 5.00× |",
        "| ddpm, in words | 100 | 15.0 | 1.00× | 0.500× |",
        "| live of a volume | 273 | 4.00 | 68.2 |",
        "| matrix | 64 | 0.640 | 2.00× |",
        "| `ddim` | 26.50 | 27.50 | 28.50 |",
        "| `ancestral` | 27.00 | 28.00 | 29.00 |",
    ):
        assert row in text
    words = " ".join(text.split())
    assert "at most 0.700 GB beyond the 0.400 GB" in words
    assert "moved 20 times in 0.950 s" in words
    assert "the data consistency, which calls no network" in words
    assert "off, every step still evaluates the measurement" in words
    assert "a PSNR of 28.21 dB, an SSIM of 0.963 and a sharpness of 0.50" in words
    assert not re.search(r"\b(nan|NaN|None|inf)\b", text)


def test_a_target_that_was_missed_is_shown_as_missed(record: dict[str, Any]) -> None:
    text = shown(record)
    assert "| drag: chains running at once | 1 | ≤ 1 | reached |" in text
    assert "| 10.0 times as fast | ≥ 9.20 | reached |" in text
    assert "missed |" not in text
    run = record["devices"][0]
    run["drag"]["most"] = 2
    run["memory"] = None
    run["targets"] = targets(run)
    text = shown(record)
    assert "| drag: chains running at once | 2 | ≤ 1 | ✗ missed |" in text
    assert "| not measured | ≤ 1.50 | ✗ missed |" in text
    assert "Its memory was not measured here." in text
    assert text.count("missed |") == 2


def test_what_a_point_of_a_sweep_costs(record: dict[str, Any]) -> None:
    text = shown(record)
    assert "| with a reference | τ_f, τ_d | 20 | 300 | 210 | 0.700× |" in text
    assert "| without one | τ_f, τ_d | 20 | 300 | 375 | 1.25× |" in text


def test_a_section_for_every_device_and_a_link_to_every_figure(record: dict[str, Any]) -> None:
    assert "On the GPU" not in shown(record)
    record["devices"].insert(0, made_up("cuda"))
    text = shown(record)
    assert (
        text.index("## On the GPU")
        < text.index("## On the CPU")
        < text.index("## Quality with fewer")
    )
    for title in (
        "Single calls",
        "Latency after a move",
        "MRI weight and data consistency",
        "Dragging a slider",
    ):
        assert text.count(f"### {title}\n") == 2
    links = re.findall(r"!\[.+\]\((.+)\)", text)
    assert links == [f"perf/{name}" for name in plots(record)]
    assert links == ["perf/cuda-growth.png", "perf/cpu-growth.png", "perf/tradeoff.png"]
    assert max(len(line) for line in text.splitlines() if line[:1] not in "|!") <= 100


def test_what_was_left_out_is_said(record: dict[str, Any]) -> None:
    assert "The UNet of diffusers is untrained too" in " ".join(shown(record).split())
    run = record["devices"][0]
    run["comparisons"] = [line for line in run["comparisons"] if line["key"] != "diffusers"]
    words = " ".join(shown(record).split())
    assert "diffusers is not installed here, so its UNet is missing" in words
    assert "| diffusers, in words |" not in words
    record["tradeoff"][0]["sharpness"] = record["machine"]["memory"] = None
    text = shown(record)
    assert "| `ancestral` | – | 0.40 | 0.40 |" in text
    assert "memory: unknown" in text
    assert "None" not in text


def test_three_digits() -> None:
    numbers = (0.0, 7, 0.00123456, 99.96, 123456.0, -0.0512, float("nan"), None)
    expected = ["0", "7", "0.00123", "100.0", "123456", "−0.0512", "–", "–"]
    assert [short(number) for number in numbers] == expected


# ---------------------------------------------------------------- the figures


def test_the_figures_are_the_records_numbers(record: dict[str, Any]) -> None:
    figure = growth_plot(record["devices"][0])
    for axis, (varied, values) in zip(figure.axes, GROWTH.items(), strict=True):
        assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
        assert axis.get_xlabel() == varied
        measured, expected = (line.get_xydata() for line in axis.lines)
        np.testing.assert_allclose(measured, [(v, 0.01 * v) for v in values])
        slope = np.polyfit(*np.log(expected).T, 1)[0]  # in proportion to the voxels, slices, ...
        assert slope == pytest.approx(2 if varied == "matrix" else 1)
    record["tradeoff"][0]["psnr"] = None
    figure = tradeoff_plot(record["tradeoff"])
    assert len(figure.axes) == 6
    ancestral, ddim, full = figure.axes[0].lines
    np.testing.assert_allclose(ancestral.get_xydata(), [(1, np.nan), (2, 27.5), (3, 28.5)])
    np.testing.assert_allclose(ddim.get_xydata(), [(1, 26.5), (2, 27.5), (3, 28.5)])
    assert full.get_ydata() == [28.21, 28.21]
    assert "τ_f 1" in figure.axes[3].get_title(loc="left")


def test_the_figures_carry_the_notice_and_are_the_same_bytes_again(record: dict[str, Any]) -> None:
    def drawn() -> dict[str, bytes]:
        found = {}
        for name, figure in plots(record).items():
            assert RESEARCH_ONLY in [text.get_text() for text in figure.texts]
            content = BytesIO()
            save_figure(figure, content)
            found[name] = content.getvalue()
        return found

    assert drawn() == drawn()


# ---------------------------------------------------------------- the targets


def test_targets_are_reached_at_their_very_value() -> None:
    run = made_up()
    assert missed(run) == []
    run["moves"][3] |= {"first": 0.2, "first_calls": 5.0, "final": 0.6}
    run["drag"] |= {"gap": 0.2, "final": 0.5, "undisturbed": 0.4, "lingered_steps": 1}
    run["memory"]["above"] = 1_500_000_000
    run["calls"][0]["seconds"], run["calls"][2]["seconds"] = 0.01, 0.002
    run["mri_weights"][1] |= {"first_relative": 1.25, "final_relative": 1.25}
    run["mri_weights"][2] |= {"first_relative": 2.3, "final_relative": 2.3}
    assert missed(run) == []
    assert {line["what"] for line in targets(run) if line["value"] == 0.2} == {
        "consistency update of one slice",
        "first image after the slowest kind of move, seed",
        "drag: longest time without a new image",
    }


@pytest.mark.parametrize(
    ("part", "change", "count"),
    [
        ("consistency update", {"seconds": 0.0031}, 1),
        ("MRI weight 0", {"first_relative": 1.26}, 1),
        ("MRI weight 0", {"final_relative": 1.26}, 1),
        ("MRI weight 0.5", {"first_relative": 2.31}, 1),
        ("MRI weight 0.5", {"final_relative": 2.31}, 1),
        ("moves", {"first": 0.21, "first_calls": 5.1}, 2),
        ("moves", {"final": 0.61}, 1),
        ("drag", {"most": 2}, 1),
        ("drag", {"gap": 0.21}, 1),
        ("drag", {"final": 0.41}, 1),
        ("drag", {"lingered_steps": 2}, 1),
        ("memory", {"above": 1_600_000_000}, 1),
        ("chain", {"over_paper": 3.9}, 1),
        ("chain", {"over_ddpm": 9.1}, 1),
        ("live", {"over_ddpm": 59.0}, 1),
    ],
)
def test_each_bar_can_be_missed_by_itself(part: str, change: dict[str, float], count: int) -> None:
    run = made_up()
    lines = {line["key"]: line for line in run["comparisons"]}
    lines |= {"moves": run["moves"][5], "drag": run["drag"], "memory": run["memory"]}
    lines |= {line["what"]: line for line in run["calls"] if line["batch"] == 1}
    lines |= {f"MRI weight {line['mri_weight']:g}": line for line in run["mri_weights"]}
    lines[part] |= change
    assert len(missed(run)) == count


def test_which_targets_a_device_has() -> None:
    on_cpu, on_gpu = targets(made_up("cpu")), targets(made_up("cuda:0"))
    assert (len(on_cpu), len(on_gpu), len(targets(made_up("mps")))) == (16, 10, 8)
    gpu = [line for line in on_gpu if line["unit"] == "s" and "drag" not in line["what"]]
    assert [(line["value"], line["target"], line["reached"]) for line in gpu] == [
        (4.0, 5, True),
        (1.5, 0.15, False),
    ]


# ---------------------------------------------------------------- from a file


def test_the_page_again_from_a_file(record: dict[str, Any], tmp_path: Path, ftddm: Ftddm) -> None:
    source, target = tmp_path / "perf.json", tmp_path / "docs" / "perf.md"
    source.write_bytes(encode_record(record))
    assert read_record(source, "bench", FORMAT) == record
    outcome = ftddm("bench", "--from", source, "--markdown", target)
    assert outcome.code == 0, outcome.err
    assert "cpu: 16 of 16 targets reached." in outcome.out
    before = files_in(tmp_path)
    assert set(before) == {
        "perf.json", "docs/perf.md", "docs/perf/cpu-growth.png", "docs/perf/tradeoff.png",
    }  # fmt: skip
    assert before["docs/perf.md"].decode() == shown(record)
    assert ftddm("bench", "--from", source, "--markdown", target).code == 0
    assert files_in(tmp_path) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("{", "cannot be read"),
        ("[1]", "no record of `ftddm bench`"),
        ('{"format": 99, "devices": []}', "no record of `ftddm bench`"),
        ("part", "is incomplete"),
    ],
)
def test_what_is_no_record_is_refused(
    content: str | None, message: str, record: dict[str, Any], tmp_path: Path, ftddm: Ftddm
) -> None:
    source = tmp_path / "perf.json"
    if content == "part":
        damaged = copy.deepcopy(record)
        del damaged["devices"][0]["drag"]
        content = json.dumps(damaged)
    if content is not None:
        source.write_text(content, encoding="utf-8")
    before = files_in(tmp_path)
    outcome = ftddm("bench", "--from", source, "--markdown", tmp_path / "perf.md")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert message in outcome.err
    assert files_in(tmp_path) == before


# ---------------------------------------------------------------- what is published

DOCS = Path(__file__).parents[2] / "docs"


def test_the_published_page_and_table_follow_from_the_published_record() -> None:
    record = read_record(DOCS / "performance.json", "bench", FORMAT)
    images = {name: f"performance/{name}" for name in plots(record)}
    assert page(record, images) == (DOCS / "performance.md").read_text(encoding="utf-8")
    assert all((DOCS / path).is_file() for path in images.values())
    readme = DOCS.parent / "README.md"
    assert with_excerpt(readme, "bench", excerpt(record)) == readme.read_text(encoding="utf-8")


def test_the_readmes_table_is_put_between_its_marks(tmp_path: Path, ftddm: Ftddm) -> None:
    record, readme = tmp_path / "record.json", tmp_path / "README.md"
    record.write_bytes((DOCS / "performance.json").read_bytes())
    readme.write_text(f"before\n{begin('bench')}\nold\n{END}\nafter\n", encoding="utf-8")
    words = ("--from", record, "--markdown", tmp_path / "page.md", "--readme", readme)
    assert ftddm("bench", *words).code == 0
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{begin('bench')}\n\n|  | seconds |")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    readme.write_text("no marks", encoding="utf-8")
    outcome = ftddm("bench", *words)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "lacks the lines" in outcome.err
