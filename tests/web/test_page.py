"""The page in Chromium: what a visitor does, sees, sends and gets."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tiny import Ftddm, files_in, load, write_study

from ftddm_core.assets import asset_folder
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_core.sampling.result import Update
from ftddm_core.settings import controls
from ftddm_viewer import RESEARCH_ONLY
from ftddm_viewer.model import Model
from ftddm_viewer.session import Session
from ftddm_viewer.web.pictures import Painter
from ftddm_viewer.web.tabs import Tabs

PATIENCE = 60.0

Visit = Callable[..., Any]

READY = """(wanted) => Object.entries(wanted).every(([query, words]) => {
  const found = document.querySelector(query)?.textContent ?? '';
  return found.replaceAll(/\\s/g, '').includes(words.replaceAll(/\\s/g, ''));
})"""
"""Lines may break anywhere between words."""


@pytest.fixture(scope="module")
def model(weights: Path) -> Model:
    return Model(str(weights), "cpu")


def ready(page: Any, foot: str = "", words: str = "Up to date", heading: str = "slice") -> None:
    """Wait until the page says that its picture is final, and made with what the foot names."""
    wanted = {".activity": words, "#pair": foot, ".heading": heading}
    page.wait_for_function(READY, arg=wanted)


def enter(page: Any, name: str, value: object) -> None:
    """Type a number into a control."""
    page.locator(f"#control-{name} input[type=number]").fill(str(value))


def holds(page: Any, name: str, value: float) -> None:
    """Wait until the server has set a number to a value."""
    page.wait_for_function(
        "([name, value]) => document.querySelector(`#${name} input[type=number]`).value == value",
        arg=[name, value],
    )


def shown(page: Any, name: str) -> float:
    return float(page.locator(f"#control-{name} input[type=number]").input_value())


def picture(page: Any, role: str = "output") -> NDArray[np.uint8]:
    """Return the pixels of a map that the page draws."""
    url = page.locator(f"#image-{role}").get_attribute("href")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))


def expected(model: Model, study: Path | None = None, **settings: Any) -> NDArray[np.uint8]:
    """Return the pixels that a session of its own comes to, with the same settings."""
    session = Session(model)
    session.update(**settings)
    session.open(study or asset_folder("case"))
    assert session.wait(PATIENCE)
    assert session.state.up_to_date
    found = re.search(r'id="image-output"[^>]*base64,([^"]+)"', Painter().paint(session.state).maps)
    session.close()
    assert found is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))))


def assert_same(found: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> None:
    """Colours may differ by the rounding of one value to its neighbour in the colour map."""
    assert found.shape == wanted.shape
    assert np.abs(found.astype(int) - wanted.astype(int)).max() <= 6


def upload(page: Any, *paths: Path) -> None:
    page.locator("#upload input[type=file]").set_input_files([str(path) for path in paths])


class Brake:
    """Holds every chain up before its second estimate, until it is released."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.holding, self.released = threading.Event(), threading.Event()
        original = SuperResolver.sample

        def sample(resolver: SuperResolver, *args: Any, **kwargs: Any) -> Iterator[Update]:
            for number, update in enumerate(original(resolver, *args, **kwargs)):
                yield update
                if number == 1:
                    self.holding.set()
                    assert self.released.wait(PATIENCE)

        monkeypatch.setattr(SuperResolver, "sample", sample)


@pytest.fixture
def brake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Brake]:
    held = Brake(monkeypatch)
    yield held
    held.released.set()


# ---------------------------------------------------------------- opening


def test_the_page_opens_with_the_simulated_case_and_fits(
    server: Any, visit: Visit, model: Model
) -> None:
    """Every control is there, every picture says what it is not for, nothing is cut off."""
    page = visit(server.url)
    ready(page, heading="Simulated patient")
    for control in controls():
        assert page.locator(f"#control-{control.name}").get_attribute("title") == control.help
        assert page.locator(f"#empty-{control.name}").count() == control.optional
    assert_same(picture(page), expected(model))
    drawings = page.locator("#pair .drawing")
    assert drawings.count() == 3
    for drawing in drawings.all():
        words = "".join(drawing.text_content().split())
        assert "".join(RESEARCH_ONLY.split()) in words
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert page.evaluate("document.documentElement.scrollHeight") <= 800


def test_what_is_drawn_is_what_the_image_holds(server: Any, visit: Visit) -> None:
    """The screen shows every voxel in its colour, where the drawing's millimetres put it."""
    page = visit(server.url)
    ready(page)
    drawing = page.locator("#pair .drawing").nth(1)
    place = drawing.evaluate(
        """(svg) => {
          const image = document.getElementById('image-output'), view = svg.querySelector('svg');
          const number = (e, names) => names.map((name) => parseFloat(e.getAttribute(name)));
          const names = ['x', 'y', 'width', 'height'], m = view.getScreenCTM();
          const box = svg.getBoundingClientRect();
          return {image: number(image, names), m: [m.a, m.d, m.e - box.x, m.f - box.y]}
        }"""
    )
    screen = np.asarray(Image.open(io.BytesIO(drawing.screenshot())).convert("RGB")).astype(int)
    voxels = picture(page)
    x, y, width, height = place["image"]
    a, d, e, f = place["m"]
    rows, columns = voxels.shape[:2]
    same = total = 0
    for row, column in np.argwhere(voxels[..., 3] > 0):
        across = a * (x + (column + 0.5) * width / columns) + e
        down = d * (y + (row + 0.5) * height / rows) + f
        total += 1
        difference = screen[int(down), int(across)] - voxels[row, column, :3]
        same += bool(np.abs(difference).max() <= 3)
    assert total > 500
    assert same > 0.98 * total  # letters may cover a few


def test_no_request_leaves_this_computer(server: Any, visit: Visit) -> None:
    page = visit("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server.url)
    ready(page)
    enter(page, "tau_flow", 0.3)
    ready(page, "τ_f 0.3")
    hosts = {urlparse(url).hostname for url in asked if not url.startswith(("data:", "blob:"))}
    assert hosts == {"127.0.0.1"}
    assert len(asked) > 10


# ---------------------------------------------------------------- sliders


def test_a_fast_drag_ends_at_the_last_value(server: Any, visit: Visit, model: Model) -> None:
    page = visit(server.url)
    ready(page)
    box = page.locator("#control-tau_flow input[type=range]").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.8 * box["width"], middle)
    page.mouse.down()
    for share in np.linspace(0.8, 0.25, 40):
        page.mouse.move(box["x"] + share * box["width"], middle)
    page.mouse.up()
    value = shown(page, "tau_flow")
    assert 0.15 < value < 0.35
    ready(page, f"τ_f {value:.4g},")
    assert shown(page, "tau_flow") == value
    assert_same(picture(page), expected(model, tau_flow=value))


def test_the_last_of_many_moves_wins_even_if_requests_overtake_each_other(
    server: Any, visit: Visit, model: Model
) -> None:
    """Every second request is held back until the last one was answered."""
    page = visit(server.url)
    ready(page)
    held: list[Any] = []

    def hold(route: Any) -> None:
        data = json.loads(route.request.post_data or "{}").get("data", [])
        early = len(data) == 2 and data[0] in (0.1, 0.3)
        held.append(route) if early else route.continue_()

    page.route("**/gradio_api/**", hold)
    for value in (0.1, 0.2, 0.3, 0.4):
        enter(page, "tau_diffusion", value)
    ready(page, "τ_d 0.4,")
    assert len(held) == 2
    for route in held:
        with page.expect_response(lambda response: response.request.method == "POST"):
            route.continue_()
    enter(page, "seed", 3)
    ready(page, "seed 3")
    assert shown(page, "tau_diffusion") == 0.4
    assert_same(picture(page), expected(model, tau_diffusion=0.4, seed=3))


def test_every_control_moves_the_picture(server: Any, visit: Visit, model: Model) -> None:
    """One after the other: each changes the picture to what a session makes of all so far."""
    page = visit(server.url)
    ready(page)
    assert not page.get_by_role("tab", name="Deviation").is_visible()
    moves = {
        "upscale": (3.2, "×3.2"), "tau_flow": (0.1, "τ_f 0.1,"), "tau_diffusion": (0.2, "τ_d 0.2,"),
        "t_trunc": (37, "T_trunc 37,"), "steps": (3, "steps 3,"), "samples": (2, "samples 2,"),
        "seed": (4294967295, "seed 4294967295"), "consistency": (True, "data consistency"),
        "sampler": ("ddim", "ddim"),
    }  # fmt: skip
    so_far: dict[str, Any] = {}
    for control in controls():
        before = picture(page)
        value, foot = moves[control.name]
        if control.type is bool:
            page.locator(f"#control-{control.name} input").check()
        elif control.choices:
            page.locator(f"#control-{control.name} input").click()
            page.get_by_role("option", name=str(value), exact=True).click()
        else:
            enter(page, control.name, value)
        ready(page, foot)
        so_far[control.name] = value
        after = picture(page)
        assert after.shape != before.shape or np.abs(after.astype(int) - before).max() > 20
        assert_same(after, expected(model, **so_far))
        page.wait_for_url(f"**{control.name}=*")
    assert page.get_by_role("tab", name="Deviation").is_visible()


def test_an_optional_control_has_its_words(server: Any, visit: Visit) -> None:
    page = visit(server.url)
    ready(page, "steps 10")
    page.locator("#empty-steps input").check()
    ready(page, "steps full chain")
    assert shown(page, "steps") == 100
    enter(page, "steps", 7)
    ready(page, "steps 7,")
    assert not page.locator("#empty-steps input").is_checked()
    assert page.locator("#empty-upscale input").is_checked()


def test_steps_follow_the_truncation_on_the_page(server: Any, visit: Visit) -> None:
    page = visit(server.url)
    ready(page)
    enter(page, "t_trunc", 4)
    ready(page, "T_trunc 4, steps 4")
    holds(page, "control-steps", 4)
    assert page.locator("#control-steps input[type=range]").get_attribute("max") == "4"
    enter(page, "t_trunc", 60)
    ready(page, "T_trunc 60, steps 10")
    page.wait_for_function(
        "document.querySelector('#control-steps input[type=number]').value == 10"
    )


def test_what_is_typed_out_of_bounds_is_brought_back_or_told(server: Any, visit: Visit) -> None:
    page = visit(server.url)
    ready(page)
    enter(page, "samples", 500)
    ready(page, "samples 64")
    enter(page, "samples", 1)
    enter(page, "seed", -4)
    page.wait_for_selector(".problem")
    assert "give a whole number from 0 to" in page.locator(".problem").inner_text()
    holds(page, "control-seed", 0)
    enter(page, "seed", 5)
    ready(page, "seed 5")
    assert page.locator(".problem").count() == 0


def test_metabolite_slice_and_mode(server: Any, visit: Visit) -> None:
    page = visit(server.url)
    ready(page)
    page.locator("#metabolite input").click()
    page.get_by_role("option", name="Gln", exact=True).click()
    ready(page, "Output Gln")
    page.locator("#slice input[type=number]").fill("3")
    ready(page, heading="Gln, slice 3 of 16")
    page.get_by_text("Enlarge a low-resolution study").click()
    ready(page, heading="there is no reference")
    assert page.locator("#pair .drawing").count() == 2
    query = urlparse(page.url).query.split("&")
    assert sorted(query) == ["metabolite=Gln", "mode=enlarge", "slice=3"]


def test_without_live_nothing_moves_until_asked(server: Any, visit: Visit) -> None:
    page = visit(server.url)
    ready(page)
    before = picture(page)
    page.locator("#live input").uncheck()
    enter(page, "tau_flow", 0)
    ready(page, words="The picture is not what the controls say")
    assert np.array_equal(picture(page), before)
    page.locator("#update").click()
    ready(page, "τ_f 0,")
    assert not np.array_equal(picture(page), before)


def test_the_swipe_keeps_its_place(server: Any, visit: Visit) -> None:
    page = visit(server.url)
    ready(page)
    page.get_by_role("tab", name="Swipe").click()
    page.locator(".swipe input").fill("20")
    enter(page, "seed", 2)
    page.wait_for_function("document.querySelector('.swipe').textContent.includes('seed\\u00a02')")
    page.wait_for_function("document.querySelector('.swipe input').value == 20")
    clip = page.locator(".swipe .right").evaluate("(e) => getComputedStyle(e).clipPath")
    assert clip == "inset(0px 0px 0px 20%)"


def test_background_and_opacity_are_the_browsers_own(server: Any, visit: Visit) -> None:
    page = visit(server.url)
    ready(page)
    drawn = "(query) => getComputedStyle(document.querySelector('#pair ' + query))"
    page.get_by_label("FLAIR").check()
    page.wait_for_function(f"({drawn})('.FLAIR').display == 'inline'")
    assert page.evaluate(f"({drawn})('.T1').display") == "none"
    page.locator("#background").get_by_label("None").check()
    page.wait_for_function(f"({drawn})('.FLAIR').display == 'none'")
    page.locator("#overlay input[type=number]").fill("40")
    page.wait_for_function(f"({drawn})('.map').opacity == 0.4")


# ---------------------------------------------------------------- links


def test_a_link_opens_with_what_it_says(server: Any, visit: Visit, model: Model) -> None:
    page = visit(f"{server.url}?tau_flow=0.25&seed=9&steps=&t_trunc=12&metabolite=tCho&slice=7")
    ready(page, "τ_f 0.25, τ_d 0.81, T_trunc 12, steps full chain, seed 9", heading="tCho, slice 7")
    assert shown(page, "tau_flow") == 0.25
    assert page.locator("#empty-steps input").is_checked()
    assert page.locator("#link input").input_value() == page.url
    assert page.url.endswith("?tau_flow=0.25&t_trunc=12&steps=&seed=9&metabolite=tCho&slice=7")


def test_what_makes_no_sense_in_a_link_is_told(server: Any, visit: Visit) -> None:
    page = visit(f"{server.url}?tau_flow=9&seed=<img src=x>&metabolite=<b>&slice=99&samples=2")
    ready(page, "samples 2, seed 0")
    words = page.locator(".problem").inner_text()
    assert words.count("In the link:") == 4
    assert "<img src=x>" in words
    assert page.locator(".problem *").count() == 0


# ---------------------------------------------------------------- studies


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
            assert mine == shell
        else:
            mine, shell = load(tmp_path / "page" / name), load(tmp_path / "shell" / other)
            np.testing.assert_allclose(mine[0], shell[0], rtol=0, atol=1e-4 * shell[0].max())
            assert np.array_equal(mine[1], shell[1])


def test_visitors_do_not_see_each_other(server: Any, visit: Visit, tmp_path: Path) -> None:
    mine, yours = visit(server.url), visit(server.url, apart=True)
    ready(mine)
    ready(yours)
    before = picture(yours)
    upload(mine, *sorted(write_study(tmp_path / "patient").iterdir()))
    ready(mine, heading="Uploaded study")
    enter(mine, "seed", 7)
    ready(mine, "seed 7", heading="Uploaded study")
    enter(yours, "t_trunc", 50)
    ready(yours, "T_trunc 50", heading="Simulated patient")
    assert shown(yours, "seed") == 0
    assert shown(mine, "t_trunc") == 100
    assert picture(yours).shape == before.shape


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
    study = write_study(tmp_path / "patient")
    name = "<img src=x onerror=document.title='taken'>${1+1}"
    (study / "tNAA.nii.gz").rename(study / f"{name}.nii.gz")
    page = visit(server.url)
    ready(page)
    upload(page, *sorted(study.iterdir()))
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


def test_a_whole_volume_can_be_cancelled(server: Any, visit: Visit, brake: Brake) -> None:
    page = visit(server.url)
    assert brake.holding.wait(PATIENCE)
    brake.released.set()
    ready(page)
    brake.holding.clear()
    brake.released.clear()
    page.locator("#volume").click()
    assert brake.holding.wait(PATIENCE)
    ready(page, words="Computing the whole volume")
    enter(page, "seed", 8)  # refused, and set back
    page.wait_for_selector(".problem")
    holds(page, "control-seed", 0)
    assert "cancel it to change the settings" in page.locator(".problem").inner_text()
    page.locator("#cancel").click()
    brake.released.set()
    ready(page)
    assert page.locator(".problem").count() == 0
    assert not page.locator("#files").is_visible()
    assert page.locator("#cancel").is_disabled()


# ---------------------------------------------------------------- what stays where


def holding(folder: Path) -> list[Path]:
    """Return the files that hold anything; gradio leaves empty ones until the end."""
    return [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]


def test_uploads_are_private_and_end_with_the_page(
    visit: Visit, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No address leads to an upload; nothing of it is left when the page is left."""
    from ftddm_viewer.web import start

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    ended = threading.Event()
    original = Tabs.close

    def close(tabs: Tabs, key: str | None) -> None:
        original(tabs, key)
        ended.set()

    monkeypatch.setattr(Tabs, "close", close)
    study = write_study(tmp_path / "patient")
    own = start(weights=str(weights), device="cpu")
    try:
        page = visit(own.url)
        ready(page)
        upload(page, *sorted(study.iterdir()))
        ready(page, heading="Uploaded study")
        (root,) = tmp_path.glob("ftddm-web-*")
        files = holding(root)
        assert sorted(path.name for path in files) == sorted(p.name for p in study.iterdir())
        for path in files:
            assert root / "private" in path.parents
            assert httpx.get(f"{own.url}gradio_api/file={path}").status_code == 403
        page.locator("#volume").click()
        page.wait_for_selector("#files a")
        page.locator("#bundled").click()  # replaces the study, and its files
        ready(page, heading="Simulated patient")
        page.wait_for_selector("#files a", state="detached")
        assert holding(root) == []
        ended.clear()
        page.close()
        assert ended.wait(PATIENCE)
        assert not any((root / "private").iterdir())
    finally:
        own.close()
    assert not list(tmp_path.glob("ftddm-web-*"))
