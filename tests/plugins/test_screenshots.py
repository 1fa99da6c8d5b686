"""Every image that leaves the window carries the notice, however small it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from panels import layer, said
from windows import settle

from ftddm_core.saving.notice import NOTICE, RESEARCH_ONLY

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture
def shown(opened: Any, viewer: Any) -> None:
    """Show the window: nothing is drawn on one that is hidden."""
    viewer.window.show()
    viewer.window.resize(1200, 800)
    for _ in range(20):
        settle()


def drawn_rows(viewer: Any, take: Callable[[], Any]) -> tuple[Any, list[str]]:
    """Return which rows of an image the caption changes, and what it said meanwhile."""
    overlay = viewer.canvas.overlays["ftddm_caption"]
    texts: list[str] = []

    def record(event: Any = None) -> None:
        texts.append(" ".join(overlay.text.split()))

    overlay.events.text.connect(record)
    record()
    image = np.asarray(take())[..., :3].astype(int)
    overlay.color = "#00000000"
    overlay.box = False
    settle()
    bare = np.asarray(take())[..., :3].astype(int)
    return np.abs(image - bare).sum(axis=(1, 2)) > 0, texts


def test_a_screenshot_carries_it_in_its_lower_part(shown: None, viewer: Any) -> None:
    assert layer(viewer, "output").visible
    rows, texts = drawn_rows(viewer, lambda: viewer.screenshot(canvas_only=True, flash=False))
    assert texts[-1].startswith("OUTPUT, AI-generated")
    assert texts[-1].endswith(f"{RESEARCH_ONLY}.")
    (changed,) = np.nonzero(rows)
    assert len(changed) > 8
    assert changed.min() > len(rows) / 2


def test_an_exported_figure_of_a_few_pixels_says_what_it_must(shown: None, viewer: Any) -> None:
    rows, texts = drawn_rows(viewer, lambda: viewer.export_figure(flash=False))
    assert len(rows) < 280
    assert NOTICE in texts
    assert rows.sum() > 5
    settle()
    assert said(viewer, "caption").endswith(f"{RESEARCH_ONLY}.")


def test_a_small_canvas_shows_the_notice_alone(opened: Any, viewer: Any) -> None:
    before = viewer.canvas.size
    viewer.canvas.size = (150, 150)
    settle()
    assert said(viewer, "title") == ""
    assert said(viewer, "caption") == NOTICE
    layer(viewer, "output").visible = False
    settle()
    assert said(viewer, "caption") == f"{RESEARCH_ONLY}."
    viewer.canvas.size = before
    settle()
    assert said(viewer, "caption").startswith("INPUT")
    assert said(viewer, "title") != ""
