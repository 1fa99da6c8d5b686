"""The tour of the page: its whole story on one study, stage by stage, as a visitor tells it.

    python tests/page_tour.py [STUDY] --out DIR [--width 1280] [--theme dark|light]

The test of the tour tells it on a tiny study; `make tour` on the bundled case, and on a study of
your own with STUDY=folder. Every stage acts as a visitor does and checks what it did.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from browser import FLAGS, SCREEN, program
from tour import THEMES
from visiting import enter, open_tab, ready

PATIENCE = 600.0
"""In s: longest time that a stage may compute."""

WIDTHS = {1280: 800, 1600: 1000, 390: 844}
"""Width -> height of a screen, in pixels."""

FITS = "() => document.documentElement.scrollWidth <= window.innerWidth"
"""Nothing lies beyond the right edge."""

BEGUN = """() => document.querySelector('.problem, #trade-off .point')
  || !document.querySelector('#sweep-stop').disabled"""
SWEPT = """() => document.querySelector('#sweep-stop').disabled
  && document.querySelectorAll('#trade-off .point').length > 3"""

Shoot = Callable[[str], None]


@dataclass
class PageTour:
    """A page in a browser, and the stages to show in it.

    Parameters
    ----------
    page
        Of Playwright.
    shoot
        Called with the name of every stage, once it is on the screen.
    study
        Folder of the study to upload; None for the bundled case.
    samples
        Number of samples.
    values
        Setting -> the values of the sweep, as they are typed.
    """

    page: Any
    shoot: Shoot
    study: Path | None = None
    samples: int = 8
    values: str = "0, 0.5, 1"

    def tell(self) -> None:
        """Show every stage in turn."""
        for stage in (
            self.open, self.slide, self.swipe, self.difference, self.sample, self.ratio, self.read,
            self.pin, self.sweep, self.planes, self.volume, self.take_along,
        ):  # fmt: skip
            stage()
            assert not "".join(self.page.locator(".problem").all_inner_texts()), stage.__name__
            assert self.page.evaluate(FITS), stage.__name__

    # ---- stages

    def open(self) -> None:
        """The study is open, as one zip file if it is the visitor's, and its image computed."""
        self.finish()
        if self.study is not None:
            packed = shutil.make_archive(str(Path(tempfile.mkdtemp(), "study")), "zip", self.study)
            self.page.locator("#upload input[type=file]").set_input_files(packed)
            ready(self.page, heading="Uploaded study")
        self.shot("1-open")

    def slide(self) -> None:
        """The diffusion temperature is typed, and the image follows."""
        before = self.pixels()
        self.enter("tau_diffusion", 1)
        assert self.pixels() != before
        self.shot("2-slide")

    def swipe(self) -> None:
        """Input and output under one divider."""
        open_tab(self.page, "Swipe")
        self.page.locator("#swipe input[type=range]").first.fill("35")
        self.shot("3-swipe")

    def difference(self) -> None:
        """What is new in the output."""
        open_tab(self.page, "Difference")
        self.page.locator("#drawn-difference svg.drawing:visible").first.wait_for()
        self.shot("4-difference")

    def sample(self) -> None:
        """Several samples at the higher temperatures, and their deviation."""
        self.enter("tau_flow", 1)
        self.enter("samples", self.samples)
        open_tab(self.page, "Deviation")
        self.page.locator("#spread svg.drawing:visible").first.wait_for()
        self.shot("5-deviation")

    def ratio(self) -> None:
        """A ratio of two maps."""
        open_tab(self.page, "Ratio")
        self.page.locator("#ratio input").click()
        self.page.get_by_role("option").nth(1).click()
        self.finish()
        self.page.locator("#drawn-ratio svg.drawing:visible").first.wait_for()
        self.shot("6-ratio")
        self.page.locator("#ratio input").click()
        self.page.get_by_role("option", name="none", exact=True).click()
        self.finish()

    def read(self) -> None:
        """A region is drawn by keys, and read with its mirror image."""
        open_tab(self.page, "Regions")
        self.page.locator("#drawn-regions svg.drawing:visible").first.wait_for()
        self.page.locator("#drawn-regions .hands").focus()
        for key in ("Enter", "ArrowLeft", "ArrowLeft", "ArrowUp", "Enter"):
            self.page.keyboard.press(key)
        self.page.locator("#regions-read table").first.wait_for()
        self.shot("7-region")

    def pin(self) -> None:
        """The result is pinned, and compared with a more faithful one."""
        self.page.locator("#pin").click()
        self.page.locator("#unpin:enabled").wait_for()
        for name in ("tau_flow", "tau_diffusion"):
            self.enter(name, 0)
        open_tab(self.page, "A|B")
        self.page.locator("#beside svg.drawing:visible").first.wait_for()
        self.shot("8-pinned")

    def sweep(self) -> None:
        """The trade-off explorer sweeps the temperatures, and a click on a point sets them."""
        self.enter("samples", 1)
        open_tab(self.page, "Trade-off")
        for name in ("tau_flow", "tau_diffusion"):
            self.page.locator(f"#values-{name}").fill(self.values)
        start = self.page.locator("#sweep-form button")
        start.click()
        self.page.wait_for_function(BEGUN)
        if self.page.locator(".problem").count():  # it takes long, and is asked for twice
            start.click()
        self.page.wait_for_function(SWEPT)
        self.page.locator("#trade-off .point").last.click()
        self.finish()
        self.shot("9-trade-off")

    def planes(self) -> None:
        """Axial, coronal and sagittal views of the output."""
        open_tab(self.page, "Three planes")
        self.page.locator("#planes svg.drawing").nth(2).wait_for()
        self.shot("10-planes")
        open_tab(self.page, "Side by side")

    def volume(self) -> None:
        """Every slice of every metabolite, as files."""
        self.page.locator("#volume").click()
        self.page.locator("#files a").first.wait_for()
        self.finish()
        self.shot("11-volume")

    def take_along(self) -> None:
        """The report is handed out, and the link of a bundled case shows the same pixels."""
        with self.page.expect_download() as download:
            self.page.locator("#report-pdf").click()
        assert download.value.suggested_filename.endswith(".pdf")
        if self.study is None:
            link = self.page.locator("#link-field").input_value()
            before = self.pixels()
            fresh = self.page.context.browser.new_context(viewport=self.page.viewport_size)
            other = fresh.new_page()
            other.set_default_timeout(PATIENCE * 1000)
            other.goto(link)
            ready(other)  # at once with the self-check that was made here
            assert other.locator("#image-output").get_attribute("href") == before
            fresh.close()

    # ---- hands

    def finish(self) -> None:
        """Wait until nothing is left to compute, and all is shown."""
        ready(self.page)

    def enter(self, name: str, value: float) -> None:
        """Type a number into a control, and Enter; wait for its image."""
        enter(self.page, name, f"{value:g}")
        ready(self.page, OF[name].format(value) if name != "samples" or value > 1 else "")

    def pixels(self) -> str:
        """Return the output that is shown, as a data URL."""
        return str(self.page.locator("#image-output").get_attribute("href"))

    def shot(self, stage: str) -> None:
        self.page.mouse.move(0, 0)
        self.shoot(stage)


OF = {
    "tau_flow": "τ_f {:g},",
    "tau_diffusion": "τ_d {:g},",
    "samples": "mean of {:g} samples",
}
"""Control -> what the caption says of its value."""


def draw(study: Path | None, out: Path, theme: str, width: int) -> None:
    """Tell the tour in a browser, and draw every stage."""
    from playwright.sync_api import sync_playwright

    from ftddm_viewer.web import start

    out.mkdir(parents=True, exist_ok=True)
    label = study.name if study else "bundled"
    screen = {"width": width, "height": WIDTHS.get(width, SCREEN["height"])}
    server = start()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program(), args=FLAGS)
            page = browser.new_page(viewport=screen, color_scheme=theme)
            page.set_default_timeout(PATIENCE * 1000)
            page.goto(f"{server.url}?__theme={theme}")

            def shoot(stage: str) -> None:
                path = out / f"page-{label}-{width}-{theme}-{stage}.png"
                page.screenshot(path=str(path))
                print(path, file=sys.stderr)

            PageTour(page, shoot, study).tell()
            browser.close()
    finally:
        server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, nargs="?", help="a study's folder; the bundled case")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--theme", choices=THEMES, default=THEMES[0])
    parser.add_argument("--width", type=int, choices=WIDTHS, default=SCREEN["width"])
    options = parser.parse_args()
    draw(options.study, options.out, options.theme, options.width)


if __name__ == "__main__":
    main()
