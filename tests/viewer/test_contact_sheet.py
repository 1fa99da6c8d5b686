"""`ftddm simulate --report`: its table, its files, and the contact sheet."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from heads import nested_head
from tiny import Ftddm, files_in

from ftddm_core.imaging.volume import Study
from ftddm_core.phantom.literature import LITERATURE
from ftddm_core.phantom.patient import Patient, simulate_study
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_viewer.commands import simulation_report
from ftddm_viewer.drawing.contact_sheet import COLUMNS, contact_sheet, sheet_row
from ftddm_viewer.drawing.figures import save_figure
from ftddm_viewer.drawing.orientation import radiological_slice

SMALL = ("--matrix", 24, "--slices", 6, "--voxel", 8.0)


@pytest.mark.long
def test_a_report_has_a_table_images_and_statistics(
    label_map: Path, tmp_path: Path, ftddm: Ftddm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulation_report, "ROWS", 2)
    words = ["simulate", "--report", "--patients", 3, *SMALL, "--anatomy", label_map, label_map]
    outcome = ftddm(*words, "--seed", 5, "--out", tmp_path / "a")
    assert outcome.code == 0, outcome.err
    written = files_in(tmp_path / "a")
    sheets = {"contact_sheet_01.png", "contact_sheet_02.png"}
    assert set(written) == {"report.md", "report.json"} | sheets
    assert all(written[name].startswith(b"\x89PNG") for name in sheets)

    page = written["report.md"].decode()
    assert outcome.out.splitlines()[0] in page
    assert "3 SIMULATED patients, seed 5, from nested, nested: 6 slices of 24x24" in page
    assert RESEARCH_ONLY in page
    assert "| grey/white tCr |" in page
    assert "| 1.2 | 7 T, 3.4 mm, PMC10246065 |" in page
    assert all(f"]({name})" in page for name in sheets)

    record = json.loads(written["report.json"])
    assert record["Notice"].startswith("SIMULATED")
    explained = {line["quantity"]: line for line in record["Explained"]}
    assert explained["residual CV"]["measured"] == "0.4–0.54"
    for kind in ("literature", "randomised", "mixture"):
        assert f"| {explained['tissue explains (%)'][kind]} |" in page
    assert (record["Seed"], len(record["Patients"])) == (5, 3)
    lines = {line["quantity"]: line for line in record["Summary"]}
    known = [p["SNR tNAA"] for p in record["Patients"] if p["SNR tNAA"] is not None]
    assert lines["SNR tNAA"]["simulated"] == pytest.approx(np.median(known))
    assert lines["failing voxels (%)"]["literature"] == str(LITERATURE["failing voxels (%)"])

    again = ftddm(*words, "--seed", 5, "--out", tmp_path / "b")
    assert again.code == 0
    assert files_in(tmp_path / "b") == written
    refused = ftddm(*words, "--out", tmp_path / "b")
    assert refused.code == 2
    assert "exists already" in refused.err
    assert files_in(tmp_path / "b") == written


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--patients", 3], "with --report only"),
        (["--report", "--upscale", 4], "leave out --upscale"),
        (["--report", "--box"], "leave out --upscale and --box"),
        (["--report", "--patients", 0], "0 is too few"),
        (["--report", "--matrix", 4], "matrix of 8 or more"),
    ],
)
def test_bad_reports(
    words: list[object], message: str, label_map: Path, tmp_path: Path, ftddm: Ftddm
) -> None:
    outcome = ftddm("simulate", *words, "--anatomy", label_map, "--out", tmp_path / "out")
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_several_label_maps_are_for_a_report(label_map: Path, tmp_path: Path, ftddm: Ftddm) -> None:
    outcome = ftddm("simulate", "--anatomy", label_map, label_map, "--out", tmp_path / "out")
    assert outcome.code == 2
    assert "use several --patients or label maps with --report only" in outcome.err


def test_the_built_in_head_stands_in_for_a_label_map(
    tmp_path: Path, ftddm: Ftddm, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The package has a function of the same name as the module.
    monkeypatch.setattr(import_module("ftddm_viewer.commands.simulate"), "template", nested_head)
    one = ftddm("simulate", *SMALL, "--out", tmp_path / "one")
    many = ftddm("simulate", "--report", "--patients", 1, *SMALL, "--out", tmp_path / "many")
    assert (one.code, many.code) == (0, 0)
    assert "from nested: " in one.out
    assert "from nested: " in many.out


# Contact sheet ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def study() -> Study:
    rng = np.random.default_rng(0)
    patient = Patient.draw(nested_head(4.0), rng, glioma=True)
    slab = {"matrix": (30, 34), "n_slices": 5, "voxel": (6.0, 6.0, 6.0), "mri_voxel": 4.0}
    return simulate_study(patient, rng, **slab)[0]


def test_a_row_shows_one_slice_of_everything(study: Study) -> None:
    row = sheet_row("one", study, height=float(study.grid.affine[2, 3] + 6.0 * 1.2))
    assert list(row.images) == list(COLUMNS)
    np.testing.assert_array_equal(row.images["tCho"].data[..., 0], study.maps["tCho"].data[..., 1])
    assert study.t1 is not None
    # The MRI's slice is at the same height, and covers the same field of view.
    for name, image in row.images.items():
        assert image.affine[2, 3] == pytest.approx(study.grid.affine[2, 3] + 6.0), name
        if name != COLUMNS[-1]:
            extent = np.array(image.shape[:2]) * image.voxel_size[:2]
            np.testing.assert_allclose(extent, (180, 204))
    mri = row.images["T1w"]
    np.testing.assert_allclose(
        (mri.affine @ [-0.5, -0.5, 0, 1])[:2], (study.grid.affine @ [-0.5, -0.5, 0, 1])[:2]
    )
    assert row.images[COLUMNS[-1]].shape == (8, 8, 1)
    # Outside the slab the nearest slice is shown; without a height, the most varied one.
    low = sheet_row("one", study, height=-1e3)
    np.testing.assert_array_equal(low.images["tCho"].data[..., 0], study.maps["tCho"].data[..., 0])
    assert sheet_row("one", study).images["tCho"].shape == (30, 34, 1)


def test_an_outlier_does_not_darken_the_image(study: Study) -> None:
    wild = study.maps["tCho"].data.copy()
    wild[0, 0] = 1e4
    spoilt = replace(study, maps={**study.maps, "tCho": study.maps["tCho"].with_data(wild)})
    assert sheet_row("", spoilt, 0.0).tops == sheet_row("", study, 0.0).tops


def test_the_sheet_draws_every_row_and_says_what_it_is(study: Study) -> None:
    rows = [sheet_row("first", study, 0.0), sheet_row("second", replace(study, flair=None), 0.0)]
    figure = contact_sheet(rows, "two")
    assert len(figure.axes) == 2 * len(COLUMNS)
    assert [place.get_title() for place in figure.axes[: len(COLUMNS)]] == list(COLUMNS)
    assert [figure.axes[n].get_ylabel() for n in (0, len(COLUMNS))] == ["first", "second"]
    drawn = [len(place.images) for place in figure.axes]
    assert drawn == [1] * len(COLUMNS) + [int(name != "FLAIR") for name in COLUMNS]
    shown = np.asarray(figure.axes[2].images[0].get_array())
    np.testing.assert_array_equal(shown, radiological_slice(rows[0].images["tNAA"], 0).image)
    assert figure.get_supxlabel() == f"SIMULATED patients. {RESEARCH_ONLY}"
    buffers = [io.BytesIO(), io.BytesIO()]
    for buffer in buffers:
        save_figure(contact_sheet(rows, "two"), buffer)
    assert buffers[0].getvalue() == buffers[1].getvalue()
