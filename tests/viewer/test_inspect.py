"""`ftddm inspect`, the study panel in words, and the page of rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io import Choices, write_volume
from ftddm_core.imaging.volume import Volume
from ftddm_viewer.cli import main
from ftddm_viewer.report.inputs import inputs_page
from ftddm_viewer.session.inspection import inspect

DOCS = Path(__file__).parents[2] / "docs"
AFFINE = np.diag([8.0, 8, 10, 1])


def put(folder: Path, **arrays: float | np.ndarray) -> Path:
    for name, data in arrays.items():
        values = np.broadcast_to(np.asarray(data, np.float32), (4, 6, 2))
        write_volume(folder / f"{name}.nii.gz", Volume(values, AFFINE))
    return folder


@pytest.fixture
def patient(tmp_path: Path) -> Path:
    folder = tmp_path / "patient"
    folder.mkdir()
    return put(folder, **{"NAA+NAAG": 9, "NAA+NAAG_crlb": 5, "mask": 1, "magnitude": 3})


def test_the_panel_says_what_every_file_is_and_what_the_study_is(patient: Path) -> None:
    found = inspect(patient)
    rows = {row["file"]: row for row in found.files()}
    assert rows["NAA+NAAG.nii.gz"]["taken for"] == "metabolite map of tNAA (NAA+NAAG)"
    assert rows["NAA+NAAG.nii.gz"]["use"] == "used"
    assert rows["magnitude.nii.gz"]["taken for"] == "not recognised"
    assert rows["magnitude.nii.gz"]["use"].startswith("left out")
    assert found.facts["Maps"] == "tNAA (NAA+NAAG)"
    assert found.facts["Matrix"] == "4 x 6 x 2"
    assert found.facts["Voxel"] == "8 x 8 x 10 mm"
    assert found.facts["Field of view"] == "32 x 48 x 20 mm"
    assert found.facts["Slices"] == "2, axial"
    assert found.facts["Mask"] == "48 voxels trusted"
    assert found.facts["CRLB"] == "of every map, in per cent; 0 failed fits"
    assert [line.split()[1] for line in found.missing] == ["T1", "FLAIR"]
    assert any("magnitude left out" in line for line in found.warnings)


def test_a_study_that_does_not_open_is_listed_with_the_question(patient: Path) -> None:
    put(patient, mask=np.arange(6)[:, None] % 3)
    found = inspect(patient)
    assert found.study is None
    assert found.question is not None
    assert found.question.options == ("1", "2")
    assert found.problem.endswith("which are trusted?")
    assert len(found.files()) == 4
    assert not found.facts
    assert inspect(patient, choices=Choices(mask_labels=(1,))).study is not None


def test_inspect_prints_the_panel(patient: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(patient)]) == 0
    printed = capsys.readouterr().out
    for words in ("| NAA+NAAG.nii.gz |", "Matrix:", "8 x 8 x 10 mm", "Missing:", "To know:"):
        assert words in printed
    assert "Research use only" in printed


def test_inspect_asks_in_flags_and_fails(patient: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(patient, mask=np.arange(6)[:, None] % 3)
    assert main(["inspect", str(patient)]) == 2
    out, err = capsys.readouterr()
    assert "| mask.nii.gz | mask |" in out
    assert "Choices: 1, 2" in out
    assert "which are trusted? Name them: --mask-label N." in err
    assert main(["inspect", str(patient), "--mask-label", "1", "--mask-label", "2"]) == 0


def test_every_decision_has_a_flag(patient: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--role", "magnitude.nii.gz=map:Lac", "--exclude", "mask.nii.gz", "--label", "P1"]
    assert main(["inspect", str(patient), *arguments]) == 0
    printed = capsys.readouterr().out
    assert "metabolite map of Lac" in printed
    assert "none: every voxel with a value is trusted" in printed
    assert main(["inspect", str(patient), "--role", "magnitude.nii.gz"]) == 2
    assert "give FILE=ROLE" in capsys.readouterr().err
    assert main(["inspect", str(patient), "--role", "magnitude.nii.gz=brain"]) == 2
    assert "There is no role 'brain'" in capsys.readouterr().err


def test_the_placement_is_drawn(patient: Path, tmp_path: Path) -> None:
    put(patient, T1w=np.arange(6)[:, None] + 1)
    assert main(["inspect", str(patient), "--png", str(tmp_path / "t1.png")]) == 0
    assert (tmp_path / "t1.png").read_bytes().startswith(b"\x89PNG")


def test_a_path_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(FormatError, match="does not exist"):
        inspect("nowhere")


def test_docs_inputs_is_what_the_tables_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--rules"]) == 0
    assert capsys.readouterr().out == inputs_page()
    assert (DOCS / "inputs.md").read_text(encoding="utf-8") == inputs_page(), (
        "docs/inputs.md is old: ftddm inspect --rules > docs/inputs.md"
    )


def test_the_page_lists_a_rule_of_a_layout_once() -> None:
    """Shared rules may also stand in a layout's own list."""
    for section in inputs_page().split("\n### ")[1:]:
        rows = [line for line in section.split("\n## ")[0].splitlines() if line.startswith("| `")]
        assert rows
        assert len(rows) == len(set(rows))
