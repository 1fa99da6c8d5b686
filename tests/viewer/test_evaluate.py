"""`ftddm evaluate` from label maps, studies and measured maps to a page, and on again."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tiny import TINY_FLOW, TINY_UNET, Ftddm, files_in

from ftddm_core.errors import FormatError, SettingsError
from ftddm_core.evaluation.cases import Case, check_names
from ftddm_core.evaluation.runner import Runner
from ftddm_core.imaging.io import open_study
from ftddm_core.model.checkpoint import load_weights, save_regression, save_weights
from ftddm_core.model.flow import ConditionalGlow
from ftddm_core.model.unet import UNet
from ftddm_viewer.cli import main
from ftddm_viewer.report.evaluation.excerpt import excerpt
from ftddm_viewer.report.evaluation.page import page
from ftddm_viewer.report.evaluation.plots import plots
from ftddm_viewer.report.evaluation.record import FORMAT, outcome_of
from ftddm_viewer.report.evaluation.sections import _training
from ftddm_viewer.report.excerpt import END, begin, with_excerpt
from ftddm_viewer.report.records import read_record

BEGIN = begin("evaluate")

PROTOCOL = """
name = "tiny"
anatomies = ["nested"]
patients = 2
slices = 1
patient_seed = 5
matrix = [24, 32]
voxel = 6.8
factors = [2, 4]
metabolites = ["tNAA", "tCho"]
flow_levels = [1, 50]
[choice]
anatomies = ["other"]
patients = 1
factors = [2, 4]
taus = [0, 1]
[robustness]
patients = 1
factors = [2]
steps = 2
samples = 3
[timing]
factor = 4
[[method]]
name = "zero-filling"
kind = "zero-filling"
[[method]]
name = "guided TV"
kind = "guided-tv"
[[method]]
name = "regression"
kind = "regression"
[[method]]
name = "flow"
kind = "ftddm"
t_trunc = 0
tau = 1
[[method]]
name = "cold"
kind = "ftddm"
tau = 0
[[method]]
name = "usual"
kind = "ftddm"
[[method]]
name = "hot"
kind = "ftddm"
tau = 1
metabolites = ["tCho", "tNAA"]
[[method]]
name = "hot, 3 samples"
kind = "ftddm"
tau = 1
samples = 3
factors = [4]
[[method]]
name = "blind"
kind = "ftddm"
drop = ["t1", "flair"]
factors = [4]
"""


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "tiny-regression"
    save_regression(folder, UNet(TINY_UNET), {})
    return folder


@pytest.fixture
def protocol(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(PROTOCOL, encoding="utf-8")
    return path


@pytest.fixture
def anatomies(label_map: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "anatomies"
    folder.mkdir()
    for name in ("nested", "other"):
        (folder / f"{name}.nii.gz").write_bytes(label_map.read_bytes())
    return folder


@pytest.mark.long
def test_from_label_maps_to_a_page_and_on_again(
    anatomies: Path,
    study: Path,
    protocol: Path,
    weights: Path,
    regression: Path,
    tmp_path: Path,
    ftddm: Ftddm,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = tmp_path / "docs" / "results.md"
    words = ["evaluate", "--anatomies", anatomies, "--protocol", protocol, "--markdown", page]
    words += ["--out", tmp_path / "out", "--weights", weights, "--regression", regression]
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    words += ["--real", study, "--readme", readme]
    outcome = ftddm(*words)
    assert outcome.code == 0, outcome.err
    assert "Protocol tiny: 2 patients to test on, 1 to choose the temperatures on" in outcome.out
    assert "targets reached" in outcome.out
    text = page.read_text(encoding="utf-8")
    for said in ("Research use only", "**simulated**", "2 patients from 1 anatomy"):
        assert said in text
    for head in ("Targets", "Methods by factor", "Temperatures", "Calibration", "Time",
                 "By metabolite", "Without MRI", "Flow likelihood", "A measured study",
                 "Choice of the default temperatures", "Self-check and true gain",
                 "Lesions", "Calibration by kind of patient",
                 "Sharpness on other kinds of patients"):  # fmt: skip
        assert f"## {head}" in text
    # What matters most comes first, and of that what was measured.
    first = text.index("## Gain over zero-filling by kind of patient")
    assert first == text.index("## ")
    kinds = re.findall(r"^\| ([a-zA-Z ]+) \| (masked|scan[a-z, ]*) \| 2× \|", text, re.MULTILINE)
    assert kinds[:4] == [
        ("measured", "masked"), ("measured", "scan"), ("literature", "masked"),
        ("literature", "scan"),
    ]  # fmt: skip
    assert {kind for kind, _ in kinds} == {
        "measured", "literature", "randomised", "null", "swapped MRI", "hidden lesion",
        "silent lesion",
    }  # fmt: skip
    assert str(tmp_path) not in text
    links = re.findall(r"!\[.*\]\((.*)\)", text)
    assert {Path(link).name for link in links} >= {
        "factors.png", "tradeoff.png", "truncation.png", "calibration.png", "choice.png",
        "self-check.png", "maps-tNAA.png", "maps-tCho.png", "real-restored.png",
        "real-enlarged.png",
    }  # fmt: skip
    for link in links:
        image = page.parent / link
        assert image.read_bytes().startswith(b"\x89PNG")
        assert image.stat().st_size < 300_000
    assert "nan" not in text.lower().split()
    short = readme.read_text(encoding="utf-8")
    assert short.startswith(f"before\n{BEGIN}\n\n| upscale | method |")
    assert short.endswith(f"{END}\nafter\n")
    assert "old" not in short
    assert re.search(r"^\| 4 \| zero-filling \|", short, re.MULTILINE)
    assert re.search(r"^\| maps \| upscale \| .*automatic weights \|$", short, re.MULTILINE)
    assert re.search(r"^\| measured maps, from half of their matrix \| 2 \|", short, re.MULTILINE)

    found = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    lines = {(e["method"], e["upscale"]): e for e in found["tables"]["methods"]}
    assert lines["zero-filling", 2]["slices"] == 4
    assert lines["zero-filling", 2]["patients"] == 2
    shown = f"{lines['usual', 4]['psnr']:.2f}".replace("-", "−")
    assert re.search(rf"^\| usual \| {shown} \(", text, re.MULTILINE)
    assert {e["method"] for e in found["tables"]["metabolites"]} >= {"regression", "guided TV"}
    assert found["run"]["weights"]["name"] == "tiny"
    line = found["tables"]["robustness"][0]
    assert (line["kind"], line["acquisition"], line["patients"]) == ("measured", "masked", 1)
    assert {e["item"] for e in found["tables"]["checks"]} >= {"3", "R1", "R2", "R3", "R5", "R6"}
    calls = found["run"]["slice_calls"]
    assert f"takes up to {calls:,} runs of a slice" in outcome.out

    computed: list[Any] = []
    monkeypatch.setattr(Runner, "_compute", lambda *args: computed.append(args))
    before = files_in(tmp_path / "docs")
    assert ftddm(*words).code == 0
    assert computed == []
    assert files_in(tmp_path / "docs") == before

    # The page again from the record alone; the maps are taken from where they were.
    record = tmp_path / "out" / "results.json"
    outcome = ftddm("evaluate", "--from", record, "--markdown", page, "--readme", readme)
    assert outcome.code == 0, outcome.err
    assert files_in(tmp_path / "docs") == before
    other = tmp_path / "other" / "page.md"
    outcome = ftddm("evaluate", "--from", record, "--markdown", other)
    assert "note: maps-tNAA.png is neither in " in outcome.out
    assert "maps-tNAA.png" not in other.read_text(encoding="utf-8")
    outcome = ftddm("evaluate", "--from", record, "--anatomies", anatomies)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "leave out --anatomies" in outcome.err
    outcome = ftddm("evaluate", "--from", record, "--real", study)
    assert "leave out --real" in outcome.err
    for change in ({"tables": {}}, {"format": 99}, {"command": "ftddm bench"}):
        damaged = tmp_path / "damaged.json"
        damaged.write_text(json.dumps(found | change), encoding="utf-8")
        outcome = ftddm("evaluate", "--from", damaged, "--markdown", other)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert "make it again with ftddm evaluate" in outcome.err


def test_cancelled_it_says_that_it_goes_on(
    anatomies: Path,
    protocol: Path,
    weights: Path,
    tmp_path: Path,
    ftddm: Ftddm,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compute, calls = Runner._compute, []

    def once(self: Runner, chunk: Any, tell: Any) -> Any:
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(len(chunk))
        return compute(self, chunk, tell)

    monkeypatch.setattr(Runner, "_compute", once)
    words = ["evaluate", "--anatomies", anatomies, "--protocol", protocol, "--weights", weights]
    outcome = ftddm(*words, "--out", tmp_path / "out")
    assert outcome.code == 130
    assert outcome.err.endswith("cancelled; the same command resumes from the finished results.\n")
    assert len(list((tmp_path / "out" / "cache").rglob("*.npz"))) == sum(calls)
    assert not (tmp_path / "out" / "results.json").exists()


def test_a_study_that_was_simulated_before(
    label_map: Path, protocol: Path, weights: Path, tmp_path: Path, ftddm: Ftddm
) -> None:
    """It brings its noise-free truth along; without label maps no temperature is chosen."""
    folder = tmp_path / "patient"
    words = ["--matrix", "32", "--slices", "2", "--voxel", "6.8", "--glioma"]
    assert main(["simulate", "--anatomy", str(label_map), *words, "--out", str(folder)]) == 0
    words = ["evaluate", folder, "--protocol", protocol, "--weights", weights]
    outcome = ftddm(*words, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert "there is no regression" in outcome.out
    text = (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
    assert "against noise-free" in text
    assert "How the default temperatures were chosen" not in text
    assert "](results/factors.png)" in text
    assert (tmp_path / "out" / "results" / "factors.png").is_file()


def test_what_cannot_be_evaluated_is_refused_at_once(
    study: Path, protocol: Path, weights: Path, tmp_path: Path, ftddm: Ftddm
) -> None:
    words = ("--weights", weights, "--out", tmp_path / "out")
    outcome = ftddm("evaluate", *words)
    assert outcome.code == 2
    assert "Nothing to evaluate" in outcome.err
    outcome = ftddm("evaluate", study, "--protocol", protocol, *words)
    assert outcome.code == 2
    assert "a low-resolution study has no truth" in outcome.err
    assert ftddm("evaluate", study, "--protocol", "none", *words).code == 2
    outcome = ftddm("evaluate", study, *words, "--regression", tmp_path / "none")
    assert outcome.code == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_real_mri_of_a_tumour(
    shared_data: Path, protocol: Path, weights: Path, label_map: Path, tmp_path: Path, ftddm: Ftddm
) -> None:
    head, _, _ = PROTOCOL.partition("flow_levels")
    few = [
        entry for entry in PROTOCOL.split("[[method]]")[1:] if "zero" in entry or "usual" in entry
    ]
    protocol.write_text("[[method]]".join([head.replace("patients = 2", "patients = 1"), *few]))
    words = ["evaluate", "--anatomies", label_map, "--protocol", protocol, "--weights", weights]
    words += ["--glioma-mri", shared_data / "real-mri-glioma-FG6692", "--out", tmp_path / "out"]
    outcome = ftddm(*words)
    assert outcome.code == 0, outcome.err
    found = json.loads((tmp_path / "out" / "results.json").read_text())["tables"]["glioma"]
    errors = [line["contrast_error"] for line in found if line["method"] == "zero-filling"]
    assert np.isfinite(np.array(errors, float)).all()
    assert "real MRI of a glioma" in (tmp_path / "out" / "results.md").read_text(encoding="utf-8")


def test_label_maps_that_the_weights_were_trained_on_are_refused(
    anatomies: Path, protocol: Path, tmp_path: Path, ftddm: Ftddm
) -> None:
    digest = hashlib.sha256((anatomies / "nested.nii.gz").read_bytes()).hexdigest()
    earlier = {"runs": {"denoiser": {"training": {"anatomies": {"a.nii.gz": digest}}}}}
    record = {"runs": {"flow": {"training": {}, "start_from": {"record": earlier}}}}
    save_weights(tmp_path / "seen", UNet(TINY_UNET), ConditionalGlow(TINY_FLOW), record)
    words = ["--protocol", protocol, "--weights", tmp_path / "seen", "--out", tmp_path / "out"]
    outcome = ftddm("evaluate", "--anatomies", anatomies, *words)
    assert outcome.code == 2
    assert "nested.nii.gz is one of the label maps" in outcome.err


def test_two_studies_of_one_name_and_a_page_without_a_name_are_refused(
    study: Path, protocol: Path, weights: Path, tmp_path: Path, ftddm: Ftddm
) -> None:
    twin = tmp_path / "other" / study.name
    shutil.copytree(study, twin)
    words = ["--protocol", protocol, "--weights", weights, "--out", tmp_path / "out"]
    outcome = ftddm("evaluate", *words, "--markdown", tmp_path / "docs" / "page", study)
    assert outcome.code == 2
    assert "--markdown is a file" in outcome.err
    cases = [Case(study.name, "", open_study(path)) for path in (study, twin)]
    with pytest.raises(SettingsError, match=f"Two studies are called '{study.name}'"):
        check_names(cases)


def test_a_file_without_marks_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(f"{END} {BEGIN}", encoding="utf-8")
    with pytest.raises(FormatError, match="lacks the lines"):
        with_excerpt(path, "evaluate", "")
    with pytest.raises(FormatError, match="cannot be read"):
        with_excerpt(tmp_path / "missing.md", "evaluate", "")


def test_the_page_shows_the_curve_that_the_weights_have_on_record() -> None:
    line = {"step": 500, "valid_loss": 0.25, "valid_low": 0.5}
    weights = {"curves": {"denoiser": [line], "flow": []}, "before": {"denoiser": 12000}}
    outcome: Any = SimpleNamespace(record={"weights": weights})
    shown = _training(outcome, {})
    assert "The denoiser, after 12,000 steps of earlier runs:" in shown
    assert "| step | loss | loss at levels up to 200 |" in shown
    assert "| 500 | 0.2500 | 0.5000 |" in shown
    assert "flow" not in shown
    outcome.record["weights"] = {"curves": {}, "before": {}}
    assert _training(outcome, {}) == ""


def test_the_published_page_and_table_follow_from_the_published_record() -> None:
    docs = Path(__file__).parents[2] / "docs"
    record = read_record(docs / "results.json", "evaluate", FORMAT)
    names = [*plots(outcome_of(record)), *record["maps"]]
    images = {name: f"results/{name}" for name in names}
    assert page(record, images) == (docs / "results.md").read_text(encoding="utf-8")
    assert all((docs / path).is_file() for path in images.values())
    readme = docs.parent / "README.md"
    found = with_excerpt(readme, "evaluate", excerpt(record))
    assert found == readme.read_text(encoding="utf-8")
    weights = load_weights("small")
    assert record["run"]["weights"]["sha256"] == weights.digest
