"""Draw the README's images of the window and of the page, at 1280 x 800: see `make images`."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from browser import FLAGS, SCREEN, program

IMAGES = Path(__file__).parents[1] / "assets" / "images"
PATIENCE = 300.0


def draw_window(path: Path) -> None:
    """Draw napari on the bundled case, once the output is final."""
    os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp(), "settings.yaml"))
    from napari_ftddm import show_window
    from qtpy.QtWidgets import QApplication

    viewer, widget = show_window(block=False)
    window = viewer.window._qt_window  # napari has no public way to set a window's size
    window.resize(SCREEN["width"], SCREEN["height"])
    deadline = time.monotonic() + PATIENCE
    while not (widget.session.state.up_to_date and widget.session.wait(0)):
        QApplication.processEvents()
        time.sleep(0.01)  # leaves the core to the computation
        if time.monotonic() > deadline:
            raise TimeoutError(f"No output: {widget.session.state.error or 'still at work'}")
    for _ in range(40):
        QApplication.processEvents()
        time.sleep(0.02)
    viewer.status = ""
    viewer.window.screenshot(str(path), canvas_only=False, flash=False)
    viewer.close()


def draw_page(path: Path) -> None:
    """Draw the page on the bundled case, once the output is final."""
    from playwright.sync_api import sync_playwright

    from ftddm_viewer.web import start

    server = start(port=7860)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program(), args=FLAGS)
            page = browser.new_page(viewport=SCREEN)
            page.goto(server.url)
            done = page.locator(".activity", has_text="Up to date").first
            done.wait_for(timeout=PATIENCE * 1000)
            page.get_by_text("% expected").wait_for(timeout=PATIENCE * 1000)
            page.screenshot(path=str(path))
            browser.close()
    finally:
        server.close()


if __name__ == "__main__":
    draw_window(IMAGES / "window.png")
    draw_page(IMAGES / "page.png")
    print(f"Drawn into {IMAGES}: window.png, page.png", file=sys.stderr)
