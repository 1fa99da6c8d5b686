"""The report page: what it shows is what was computed, on A4, with the notice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from sessions import done
from tiny import Ftddm, load

from ftddm_core.errors import FormatError
from ftddm_core.saving.notice import NOTICE
from ftddm_viewer.drawing.report_content import ReportPage, page_of_state
from ftddm_viewer.drawing.report_page import A4, draw_page, report_bytes
from ftddm_viewer.session.fidelity import fidelity
from ftddm_viewer.session.session import Session


def words(page: ReportPage) -> list[str]:
    """Return every text of a drawn page."""
    figure = draw_page(page)
    found = [text.get_text() for text in figure.findobj() if hasattr(text, "get_text")]
    return [text for text in found if text]


@pytest.fixture
def restored(opened: Session) -> Session:
    opened.choose(mode="restore", metabolite="tCho", slice_index=1)
    opened.update(upscale=2.0, detail=0.5, mri_weight=1.0, samples=2)
    done(opened)
    return opened


def test_its_images_are_those_of_the_session(restored: Session) -> None:
    state = restored.state
    assert state.view is not None
    assert state.image is not None
    page = page_of_state(state, restored.model, (0.25, 1.5), "magma")
    shown = {panel.column: panel for panel in page.images}
    assert list(shown) == [
        "T1",
        "Input (zero-filled)",
        "Output, mean of 2 samples",
        "Reference",
        "Output − reference",
        "Deviation of the samples",
    ]
    condition = state.view.prepared.conditions["tCho"]
    mask = condition.mask[..., 1]
    output = shown["Output, mean of 2 samples"]
    assert (output.limits, output.colours) == ((0.25, 1.5), "magma")
    wanted = state.image.shown(0.5)
    np.testing.assert_array_equal(output.volume.data[mask, 0], wanted[mask])
    assert np.isnan(output.volume.data[~mask]).all()
    assert state.case is not None
    truth = state.case.study.maps["tCho"].data[..., 1]
    change = shown["Output − reference"].volume.data[mask, 0]
    np.testing.assert_allclose(change, wanted[mask] - truth[mask], rtol=0, atol=1e-6)
    # Each lies where the slice lies in the world.
    centre = condition.affine @ [0, 0, 1, 1]
    np.testing.assert_allclose(output.volume.affine[:3, 3], centre[:3])


def test_its_words_are_those_of_the_session(restored: Session) -> None:
    state = restored.state
    assert state.view is not None
    page = page_of_state(state, restored.model)
    found = words(page)
    assert found.count(NOTICE) == 1
    assert "patient: tCho, slice 2 of 2" in found
    f = fidelity(state.view, "tCho", 1)
    assert f"{f['psnr']:.1f} dB (input {f['input_psnr']:.1f} dB)" in found
    settings = dict(page.tables["Settings"])
    assert settings["Upscaling (s)"] == "2"
    assert settings["Detail"] == "0.5"
    assert settings["Denoising steps"] == "10"
    held = state.view.prepared.conditions["tCho"].measurement
    assert settings["Noise (σ)"] == f"automatic ({100 * held.typical_noise:.2g} %)"
    made = dict(page.tables["Made with"])
    assert made["Weights"] == f"tiny (SHA-256 {restored.model.digest[:8]}…)"
    assert [name for name, _ in page.tables["Inputs (SHA-256)"]] == ["tCho", "mask", "t1"]
    assert any(text.startswith("Noise: estimated") for text in found)


def test_nothing_is_reported_before_it_is_computed(session: Session) -> None:
    with pytest.raises(FormatError, match="was not computed"):
        page_of_state(session.state, session.model)


def test_the_same_page_gives_the_same_bytes_on_a4(restored: Session, tmp_path: Path) -> None:
    page = page_of_state(restored.state, restored.model)
    for ending, start in ((".pdf", b"%PDF"), (".png", b"\x89PNG")):
        content = report_bytes([page], ending)
        assert content.startswith(start)
        assert content == report_bytes([page], ending)
    path = tmp_path / "a.png"
    path.write_bytes(report_bytes([page], ".png"))
    height, width = imread(path).shape[:2]
    assert (width, height) == tuple(int(150 * edge) for edge in A4)


def test_words_stay_on_the_page_however_many_there_are() -> None:
    """Long words are broken, and what has no room is counted."""
    from ftddm_core.imaging.volume import Volume
    from ftddm_viewer.drawing.image_rows import Panel

    volume = Volume(np.ones((8, 6, 1), np.float32), np.diag([4, 4, 4, 1.0]))
    panel = Panel("Output", volume, "viridis", (0.0, 2.0), bar=True)
    page = ReportPage(
        title="x" * 300,
        subtitle=("word " * 80,),
        images=(panel,) * 7,
        unit="mM",
        tables={
            "Settings": tuple((f"name {n}", "long_value" * 9) for n in range(60)),
            "Figures": (("PSNR", "20 dB"),),
        },
        texts={"To know": [f"Sentence {n}. " * 30 for n in range(20)]},
    )
    figure = draw_page(page)
    figure.draw_without_rendering()
    edges = figure.bbox
    written = [text for text in figure.texts if text.get_text()]
    assert len(written) > 20
    for text in written:
        box = text.get_window_extent()
        assert edges.x0 <= box.x0, text
        assert box.x1 <= edges.x1, text
        assert edges.y0 <= box.y0, text
        assert box.y1 <= edges.y1, text
    found = [text.get_text() for text in written]
    assert "To know" in found
    left_out = [text for text in found if text.startswith("… and ")]
    assert len(left_out) >= 2
    sentences = {n for n in range(20) for text in found if f"Sentence {n}." in text}
    assert f"… and {20 - len(sentences)} more." in left_out


def test_run_writes_a_page_for_every_map(
    quick: list[Any], ftddm: Ftddm, tmp_path: Path, study: Path
) -> None:
    path = tmp_path / "pages" / "report.pdf"
    refused = ftddm(*quick, "--report", tmp_path / "a.png")
    assert (refused.code, (tmp_path / "out").exists()) == (2, False)
    assert "A PNG holds one page, and there are 2 maps" in refused.err
    assert "not in '.txt'" in ftddm(*quick, "--report", tmp_path / "a.txt").err
    outcome = ftddm(*quick, "--report", path)
    assert outcome.code == 0, outcome.err
    assert f"Report in {path}." in outcome.out
    assert path.read_bytes().count(b"/Type /Page ") == 2
    again = ftddm("run", study, "--out", tmp_path / "more", *quick[4:], "--report", path)
    assert (again.code, (tmp_path / "more").exists()) == (2, False)
    assert "report.pdf exists already" in again.err


def test_the_page_of_a_result_shows_its_slice(
    quick: list[Any], ftddm: Ftddm, tmp_path: Path, monkeypatch: Any
) -> None:
    import ftddm_viewer.drawing.report_page as module

    taken: list[ReportPage] = []
    original = module.draw_page
    monkeypatch.setattr(module, "draw_page", lambda page: taken.append(page) or original(page))
    assert ftddm(*quick, "--report", tmp_path / "r.pdf").code == 0
    (page,) = [each for each in taken if each.title.startswith("patient: tCho, slice ")]
    k = int(page.title.split()[3]) - 1
    (output,) = [panel for panel in page.images if panel.column == "Output, AI-generated"]
    saved, _ = load(tmp_path / "out" / "patient_met-tCho_desc-ftddm_mrsi.nii.gz")
    shown = output.volume.data[..., 0]
    inside = np.isfinite(shown)
    assert inside.any()
    np.testing.assert_allclose(shown[inside], saved[..., k][inside], rtol=1e-5)
