"""The page in Chromium: what a visitor does, sees, sends and gets."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlparse

import numpy as np
import pytest
from PIL import Image
from visiting import (
    PATIENCE,
    Visit,
    assert_same,
    enter,
    expected,
    holds,
    image_of,
    open_tab,
    ready,
    shown,
)

from ftddm_core.sampling.resolver import SuperResolver
from ftddm_core.sampling.self_check import SelfCheck
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_core.settings import controls
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.session import Session

METABOLITES = ("Gln", "Glu", "Gly", "Ins", "tCho", "tCr", "tNAA")

# ---------------------------------------------------------------- opening


def test_the_page_opens_with_the_simulated_case_and_fits(
    server: Any, visit: Visit, model: Model
) -> None:
    """Every control is there, every image says what it is not for, nothing is cut off."""
    page = visit(server.url)
    ready(page, heading="Simulated patient")
    for control in controls():
        assert page.locator(f"#control-{control.name}").get_attribute("title") == control.help
        assert page.locator(f"#empty-{control.name}").count() == control.optional
    for name in ("mode", "metabolite", "live", "update", "volume", "cancel", "all", "check"):
        assert page.locator(f"#{name}").get_attribute("title"), name
    assert_same(image_of(page), expected(model))
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
    voxels = image_of(page)
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
    assert_same(image_of(page), expected(model, tau_flow=value))


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
    assert_same(image_of(page), expected(model, tau_diffusion=0.4, seed=3))


@pytest.mark.long
def test_every_control_moves_the_image(server: Any, visit: Visit, model: Model) -> None:
    """One after the other: each changes the image to what a session makes of all so far."""
    page = visit(server.url)
    ready(page)
    assert not page.get_by_role("tab", name="Deviation").is_visible()
    moves = {
        "upscale": (3.2, "3.2×"), "tau_flow": (0.1, "τ_f 0.1,"), "tau_diffusion": (0.2, "τ_d 0.2,"),
        "t_trunc": (37, "T_trunc 37,"), "steps": (3, "steps 3,"),
        "samples": (2, "mean of 2 samples,"),
        "seed": (4294967295, "seed 4294967295"), "consistency": ("off", "data consistency off"),
        "noise": (9, "σ 9 %"), "mri_weight": (0.3, "MRI weight 0.3"), "detail": (0.4, "detail 0.4"),
        "sampler": ("ddim", "ddim"),
    }  # fmt: skip
    so_far: dict[str, Any] = {}
    for control in controls():
        before = image_of(page)
        value, foot = moves[control.name]
        if control.choices:
            page.locator(f"#control-{control.name} input").click()
            page.get_by_role("option", name=str(value), exact=True).click()
        else:
            enter(page, control.name, value)
        ready(page, foot)
        so_far[control.name] = value
        after = image_of(page)
        moved = after.shape != before.shape or np.abs(after.astype(int) - before).max() > 2
        assert moved or control.name == "noise"  # which says nothing with data consistency off
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


def test_the_page_says_what_the_self_check_found_and_shows_all_by_a_button(
    server: Any, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is shown when it comes, though the page had come to rest; the button computes nothing."""
    go_on, gains = threading.Event(), {1.0: dict.fromkeys(METABOLITES, -0.8)}

    def check(*_: Any, progress: Callable[[float], None], **__: Any) -> SelfCheck:
        progress(0.4)
        assert go_on.wait(PATIENCE)
        return SelfCheck(gains, {1.0: dict.fromkeys(METABOLITES, 0.2)}, 0.5, 2)

    monkeypatch.setattr(Model, "check", check)
    monkeypatch.setitem(Session.__init__.__kwdefaults__, "checks_itself", True)
    page = visit(server.url)
    ready(page, "detail 1")
    line = page.locator("#check")
    page.wait_for_function("document.querySelector('#check').textContent.includes('40% done')")
    assert page.locator("#check .warns").count() == 0
    assert page.locator("#little .little").count() == 0
    drawn = image_of(page)
    go_on.set()
    ready(page, "detail 0.2")
    assert "worse than zero-filling" in line.inner_text()
    assert page.locator("#check .warns").count() == 1
    assert "change little" in page.locator("#little").inner_text()
    assert not np.array_equal(image_of(page), drawn)
    holds(page, "control-detail", 0.2)
    monkeypatch.setattr(SuperResolver, "sample", lambda *a, **k: pytest.fail("sampled"))
    page.get_by_role("button", name="Show all that is drawn").click()
    ready(page, "detail 1")
    assert np.array_equal(image_of(page), drawn)
    assert page.locator("#little .little").count() == 0
    page.get_by_role("button", name="Show what the study supports").click()
    ready(page, "detail 0.2")
    assert page.locator("#empty-detail input").is_checked()


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
    enter(page, "seed", -4)
    page.wait_for_selector(".problem")
    assert "give a whole number from 0 to" in page.locator(".problem").inner_text()
    holds(page, "control-seed", 0)
    enter(page, "seed", 5)
    ready(page, "seed 5")
    assert page.locator(".problem").count() == 0
    enter(page, "samples", 500)
    ready(page, "mean of 64 samples")


@pytest.mark.parametrize("name", ["control-steps", "control-seed", "slice"])
def test_an_emptied_box_is_not_zero(name: str, server: Any, visit: Visit) -> None:
    """What was set comes back, and nothing is computed."""
    page = visit(f"{server.url}?seed=6&slice=3")
    ready(page, "steps 10, seed 6", heading="slice 3")
    box = page.locator(f"#{name} input[type=number]")
    before = float(box.input_value())
    box.fill("")
    box.press("Tab")
    holds(page, name, before)
    ready(page, "steps 10, seed 6", heading="slice 3")
    assert page.locator(".problem").count() == 0


def test_metabolite_slice_and_mode(server: Any, visit: Visit) -> None:
    page = visit(server.url)
    ready(page)
    page.locator("#metabolite input").click()
    page.get_by_role("option", name="Gln", exact=True).click()
    ready(page, "Output Gln")
    page.locator("#slice input[type=number]").fill("3")
    page.locator("#slice input[type=number]").press("Enter")
    ready(page, heading="Gln, slice 3 of 16")
    page.get_by_text("Enlarge a low-resolution study").click()
    ready(page, heading="there is no reference")
    assert page.locator("#pair .drawing").count() == 2
    query = urlparse(page.url).query.split("&")
    assert sorted(query) == ["metabolite=Gln", "mode=enlarge", "slice=3"]


def test_without_live_nothing_moves_until_asked(server: Any, visit: Visit) -> None:
    page = visit(server.url)
    ready(page)
    before = image_of(page)
    page.locator("#live input").uncheck()
    enter(page, "tau_flow", 0)
    ready(page, words="Computed with other settings")
    assert np.array_equal(image_of(page), before)
    page.locator("#update").click()
    ready(page, "τ_f 0,")
    assert not np.array_equal(image_of(page), before)


def test_the_swipe_keeps_its_place(server: Any, visit: Visit) -> None:
    page = visit(server.url)
    ready(page)
    open_tab(page, "Swipe")
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
    page.locator("#overlay input[type=number]").press("Enter")
    page.wait_for_function(f"({drawn})('.map').opacity == 0.4")


def test_a_link_to_long_work_waits_for_a_click(server: Any, visit: Visit) -> None:
    """And the page breaks none of the rules that its own answers carry."""
    page = visit("about:blank")
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.goto(f"{server.url}?samples=64&t_trunc=1000&steps=")
    page.get_by_text("press Update to compute it").wait_for()
    page.locator("#update:not([disabled])").click()
    page.locator("#cancel:not([disabled])").click()
    page.get_by_text("press Update to compute it").wait_for()
    assert not [words for words in told if "Content Security Policy" in words]
