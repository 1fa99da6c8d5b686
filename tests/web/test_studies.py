"""The page in Chromium: links, uploads, whole volumes, and what stays where."""

from __future__ import annotations

import gzip
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sessions import Brake
from tiny import Ftddm, files_in, load, write_study
from visiting import (
    PATIENCE,
    Visit,
    assert_same,
    enter,
    holds,
    image_of,
    ready,
    shown,
    upload,
)

from ftddm_viewer.session.model import Model
from ftddm_viewer.web import limits

NAME = "document.querySelector('#study-name :is(input, textarea)')"

# ---------------------------------------------------------------- links


def test_a_link_opens_with_what_it_says(server: Any, visit: Visit, model: Model) -> None:
    page = visit(f"{server.url}?tau_flow=0.25&seed=9&steps=&t_trunc=12&metabolite=tCho&slice=7")
    ready(page, "τ_f 0.25, τ_d 0.5, T_trunc 12, steps full chain, seed 9", heading="tCho, slice 7")
    assert shown(page, "tau_flow") == 0.25
    assert page.locator("#empty-steps input").is_checked()
    assert page.locator("#link input").input_value() == page.url
    assert page.url.endswith("?tau_flow=0.25&t_trunc=12&steps=&seed=9&metabolite=tCho&slice=7")


def test_what_makes_no_sense_in_a_link_is_told(server: Any, visit: Visit) -> None:
    page = visit(f"{server.url}?tau_flow=9&seed=<img src=x>&metabolite=<b>&slice=99&samples=2")
    ready(page, "mean of 2 samples")
    words = page.locator(".problem").inner_text()
    assert words.count("In the link:") == 4
    assert "<img src=x>" in words
    assert page.locator(".problem *").count() == 0


def test_a_link_to_an_upload_waits_for_it(server: Any, visit: Visit, tmp_path: Path) -> None:
    """It says what it needs, and then leads to the same image."""
    study = write_study(tmp_path / "patient")
    mine = visit(server.url)
    ready(mine)
    upload(mine, *sorted(study.iterdir()))
    ready(mine, heading="Uploaded study")
    enter(mine, "tau_flow", 0.3)
    mine.locator("#metabolite input").click()
    mine.get_by_role("option", name="tCho", exact=True).click()
    ready(mine, "τ_f 0.3", heading="Uploaded study: tCho")
    mine.wait_for_url("**metabolite=tCho*")
    link = mine.url
    assert "study=upload" in link
    yours = visit(link, apart=True)
    ready(yours, "τ_f 0.3", heading="Simulated patient: tNAA")
    assert "upload it to see the same view" in yours.locator(".problem").inner_text()
    assert yours.url == link
    upload(yours, *sorted(study.iterdir()))
    ready(yours, "τ_f 0.3", heading="Uploaded study: tCho")
    assert yours.locator(".problem").count() == 0
    assert yours.url == link
    assert_same(image_of(yours), image_of(mine))


# ---------------------------------------------------------------- studies


def test_only_a_background_that_is_there_is_offered(
    server: Any, visit: Visit, tmp_path: Path
) -> None:
    study = write_study(tmp_path / "patient")
    page = visit(server.url)
    ready(page)
    choices = page.locator("#background label")
    assert choices.all_inner_texts() == ["T1", "FLAIR", "None"]
    page.get_by_label("FLAIR").check()
    upload(page, *sorted(study.iterdir()))
    ready(page, heading="Uploaded study")
    assert choices.all_inner_texts() == ["T1", "None"]
    page.wait_for_function("document.getElementById('images').dataset.backdrop == 'T1'")
    (study / "T1w.nii.gz").rename(study / "FLAIR.nii.gz")
    upload(page, *sorted(study.iterdir()))
    page.wait_for_function("document.getElementById('images').dataset.backdrop == 'FLAIR'")
    assert choices.all_inner_texts() == ["FLAIR", "None"]


@pytest.mark.long
def test_the_real_examination_from_upload_to_download(
    server: Any, visit: Visit, shared_data: Path, ftddm: Ftddm, weights: Path, tmp_path: Path,
) -> None:  # fmt: skip
    """The maps that are downloaded equal those of `ftddm run` with the same settings."""
    case = shared_data / "real-mrsi-oryx-K01"
    page = visit(server.url)
    ready(page)
    upload(page, *sorted(case.iterdir()))
    ready(page, heading="Uploaded study: tNAA")
    enter(page, "tau_flow", 0.4)
    ready(page, "τ_f 0.4")
    page.locator("#volume").click()
    page.wait_for_selector("#files a")
    got = {}
    for ending in ("_ftddm.zip", "_met-tNAA_desc-ftddm_mrsi.nii.gz"):
        with page.expect_download() as download:
            page.locator(f"#files a[download$='{ending}']").click()
        got[ending] = tmp_path / download.value.suggested_filename
        download.value.save_as(got[ending])
    words = ("--tau-flow", 0.4, "--steps", 10, "--weights", weights, "--device", "cpu")
    assert ftddm("run", case, "--out", tmp_path / "shell", *words).code == 0
    zipfile.ZipFile(got["_ftddm.zip"]).extractall(tmp_path / "page")
    ours, theirs = (files_in(tmp_path / name) for name in ("page", "shell"))
    paths = {name.replace("real-mrsi-oryx-K01_", "study_"): name for name in theirs}
    assert set(ours) == set(paths)
    assert (
        got["_met-tNAA_desc-ftddm_mrsi.nii.gz"].read_bytes()
        == (ours["study_met-tNAA_desc-ftddm_mrsi.nii.gz"])
    )
    for name, other in paths.items():
        if name.endswith(".json"):
            mine, shell = json.loads(ours[name]), json.loads(theirs[other])
            assert mine.pop("KSpaceResidual") == pytest.approx(
                shell.pop("KSpaceResidual"), rel=1e-3
            )
            for record in (mine, shell):  # of its own bytes, which may differ by rounding
                assert set(record.pop("Map")) == {"SHA256"}
            assert mine == shell
        else:
            mine, shell = load(tmp_path / "page" / name), load(tmp_path / "shell" / other)
            np.testing.assert_allclose(mine[0], shell[0], rtol=0, atol=1e-4 * shell[0].max())
            assert np.array_equal(mine[1], shell[1])


def test_visitors_do_not_see_each_other(server: Any, visit: Visit, tmp_path: Path) -> None:
    mine, yours = visit(server.url), visit(server.url, apart=True)
    ready(mine)
    ready(yours)
    before = image_of(yours)
    upload(mine, *sorted(write_study(tmp_path / "patient").iterdir()))
    ready(mine, heading="Uploaded study")
    enter(mine, "seed", 7)
    ready(mine, "seed 7", heading="Uploaded study")
    enter(yours, "t_trunc", 50)
    ready(yours, "T_trunc 50", heading="Simulated patient")
    assert shown(yours, "seed") == 0
    assert shown(mine, "t_trunc") == 100
    assert image_of(yours).shape == before.shape


def test_errors_have_the_words_of_the_shell_command(
    server: Any, visit: Visit, ftddm: Ftddm, weights: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """And the study that was open stays open."""
    bad = write_study(tmp_path / "bad")
    (bad / "tNAA.nii.gz").write_bytes(gzip.compress(b"no NIfTI at all"))
    page = visit(server.url)
    ready(page)
    upload(page, *sorted(bad.iterdir()))
    page.wait_for_selector(".problem")
    monkeypatch.chdir(bad)
    names = sorted(path.name for path in bad.iterdir())
    outcome = ftddm("run", *names, "--out", tmp_path / "out", "--weights", weights)
    assert outcome.code == 2
    assert outcome.err == f"ftddm: {page.locator('.problem').inner_text()}\n"
    ready(page, heading="Simulated patient")


def test_a_hostile_name_is_only_a_name(server: Any, visit: Visit, tmp_path: Path) -> None:
    """Here one that the user gives to a metabolite."""
    study = write_study(tmp_path / "patient")
    name = "<img src=x onerror=document.title='taken'>${1+1}"
    page = visit(server.url)
    ready(page)
    upload(page, *sorted(study.iterdir()))
    ready(page, heading="Uploaded study")
    page.locator("#study > button").click()
    page.locator("#study-file input").click()
    page.get_by_role("option", name="tNAA.nii.gz", exact=True).click()
    page.wait_for_function(f"{NAME}.value == 'tNAA'")
    page.locator("#study-name").locator("input, textarea").fill(name)
    page.locator("#study-open").click()
    page.locator("#study-files").filter(has_text="img src=x").wait_for()
    ready(page, heading="Uploaded study")
    page.locator("#metabolite input").click()
    page.get_by_role("option").filter(has_text="img").click()
    ready(page, "Output", heading="img src=x")
    assert page.locator("img[src=x]").count() == 0
    assert "FTDDM" in page.title()


def test_a_zero_filled_study_can_be_undone(server: Any, visit: Visit, tmp_path: Path) -> None:
    from ftddm_core.imaging.fourier import zero_fill
    from ftddm_core.imaging.io import open_study, write_volume
    from ftddm_core.imaging.volume import Volume

    study = write_study(tmp_path / "patient")
    for path in study.glob("t*.nii.gz"):
        volume = open_study([path]).maps[path.name.split(".")[0]]
        nx, ny, _ = volume.shape
        data = np.asarray(zero_fill(volume.data, (2 * nx, 2 * ny)))
        affine = volume.affine @ np.diag([0.5, 0.5, 1, 1])
        path.unlink()
        write_volume(path, Volume(data.astype(np.float32), affine))
    page = visit(server.url)
    ready(page)
    assert not page.locator("#unfill").is_visible()
    upload(page, *sorted(study.iterdir()))
    ready(page, heading="Uploaded study")
    page.locator("#unfill").click()
    page.wait_for_selector("#unfill", state="hidden")
    ready(page, heading="Nominal voxel 10.0 × 10.0")


# ---------------------------------------------------------------- long work


def test_without_mri_there_is_nothing_to_weigh(server: Any, visit: Visit, tmp_path: Path) -> None:
    study = write_study(tmp_path / "patient")
    (study / "T1w.nii.gz").unlink()
    page = visit(server.url)
    ready(page)
    assert page.locator("#control-mri_weight input[type=range]").is_enabled()
    upload(page, *sorted(study.iterdir()))
    ready(page, heading="Uploaded study")
    page.wait_for_function("document.querySelector('#control-mri_weight input').disabled")
    assert page.locator("#empty-mri_weight input").is_disabled()
    title = page.locator("#control-mri_weight").get_attribute("title")
    assert title.startswith("This study has neither T1 nor FLAIR: there is nothing to weigh.")
    assert page.locator("#control-detail input[type=range]").is_enabled()


def test_files_follow_the_detail(server: Any, visit: Visit, tmp_path: Path) -> None:
    """Those of a whole volume are of what is shown now; nothing is computed for it."""
    study = write_study(tmp_path / "patient")
    page = visit(f"{server.url}?mri_weight=1&detail=1")
    ready(page)
    upload(page, *sorted(study.iterdir()))
    ready(page, "detail 1", heading="Uploaded study")
    page.locator("#volume").click()
    ending = "_met-tNAA_desc-ftddm_mrsi.json"
    found = {}
    for detail in (1, 0.3):
        enter(page, "detail", detail)
        ready(page, f"detail {detail:g}", heading="Uploaded study")
        page.wait_for_timeout(1500)  # it has to stand still for a moment
        page.wait_for_selector(f"#files a[download$='{ending}']")
        with page.expect_download() as download:
            page.locator(f"#files a[download$='{ending}']").click()
        download.value.save_as(tmp_path / "found.json")
        found[detail] = json.loads((tmp_path / "found.json").read_text())["Weighting"]["Detail"]
    assert found == {1: 1, 0.3: 0.3}


def test_a_whole_volume_can_be_cancelled(server: Any, visit: Visit, brake: Brake) -> None:
    page = visit(f"{server.url}?mri_weight=1&detail=1")  # nothing is to be checked first
    assert brake.holding.wait(PATIENCE)
    brake.released.set()
    ready(page)
    brake.holding.clear()
    brake.released.clear()
    enter(page, "seed", 7)
    assert brake.holding.wait(PATIENCE)
    ready(page, words="Sampling")
    brake.holding.clear()
    page.locator("#volume").click()  # takes the place of the preview
    brake.released.set()
    brake.released.clear()
    assert brake.holding.wait(PATIENCE)
    ready(page, words="Computing the whole volume")
    assert page.locator("#bundled-patient").is_disabled()
    assert page.locator("#upload input[type=file]").count() == 0
    page.wait_for_function("document.querySelector('#control-seed input').disabled")
    assert page.locator("#control-seed").get_attribute("title").startswith("Locked until")
    holds(page, "control-seed", 7)
    page.locator("#cancel").click()
    brake.released.set()
    ready(page, words="The image is not finished")
    assert page.locator(".problem").count() == 0
    assert not page.locator("#files").is_visible()
    assert page.locator("#cancel").is_disabled()
    assert page.locator("#bundled-patient").is_enabled()
    page.wait_for_selector("#upload input[type=file]", state="attached")


# ---------------------------------------------------------------- what stays where


def holding(folder: Path) -> list[Path]:
    """Return the files that hold anything; gradio leaves empty ones until the end."""
    return [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]


def test_uploads_are_private_and_end_with_the_page(
    visit: Visit, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No address leads to an upload; nothing of it is left some time after the page is left."""
    from ftddm_viewer.web import start

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(limits, "GRACE", 2.0)
    monkeypatch.setattr(limits, "UNTAKEN", 4.0)
    study = write_study(tmp_path / "patient")
    own = start(weights=str(weights), device="cpu")
    try:
        page = visit(own.url)
        ready(page)
        upload(page, *sorted(study.iterdir()))
        ready(page, heading="Uploaded study")
        (root,) = tmp_path.glob("ftddm-web-*")
        files = holding(root)
        kept = [path for path in files if root / "private" in path.parents]
        assert sorted(path.name for path in kept) == sorted(p.name for p in study.iterdir())
        for path in files:
            assert httpx.get(f"{own.url}gradio_api/file={path}").status_code == 404
        page.locator("#volume").click()
        page.wait_for_selector("#files a")
        page.locator("#bundled-patient").click()  # replaces the study, and its files
        ready(page, heading="Simulated patient")
        page.wait_for_selector("#files a", state="detached")
        wait_until(lambda: holding(root) == [])
        page.close()
        wait_until(lambda: not any((root / "private").iterdir()))
    finally:
        own.close()


def wait_until(happens: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.1)
