"""What a visitor of the page does, sees and waits for, for the tests in a browser."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ftddm_core.assets import asset_folder
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.scene import resolve
from ftddm_viewer.session.session import Session
from ftddm_viewer.web.painter import Painter

PATIENCE = 60.0

Visit = Callable[..., Any]

READY = """(wanted) => Object.entries(wanted).every(([query, words]) => {
  const found = document.querySelector(query)?.textContent ?? '';
  return found.replaceAll(/\\s/g, '').includes(words.replaceAll(/\\s/g, ''));
})"""
"""Lines may break anywhere between words."""


def ready(page: Any, foot: str = "", words: str = "Up to date", heading: str = "slice") -> None:
    """Wait until the page says that its image is final, and made with what the foot names."""
    from playwright.sync_api import TimeoutError  # a test that lacks it is skipped before this

    wanted = {".activity": words, "#pair": foot, ".heading": heading}
    try:
        page.wait_for_function(READY, arg=wanted)
    except TimeoutError:
        found = {query: page.locator(query).all_inner_texts() for query in (*wanted, ".problem")}
        raise AssertionError(f"The page came to {found} instead of {wanted}.") from None


def enter(page: Any, name: str, value: object) -> None:
    """Type a number into a control, and Enter."""
    box = page.locator(f"#control-{name} input[type=number]")
    box.fill(str(value))
    box.press("Enter")


def holds(page: Any, name: str, value: float) -> None:
    """Wait until the server has set a number to a value."""
    page.wait_for_function(
        "([name, value]) => document.querySelector(`#${name} input[type=number]`).value == value",
        arg=[name, value],
    )


def shown(page: Any, name: str) -> float:
    return float(page.locator(f"#control-{name} input[type=number]").input_value())


def image_of(page: Any, role: str = "output") -> NDArray[np.uint8]:
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
    found = re.search(
        r'id="image-output"[^>]*base64,([^"]+)"',
        Painter().paint(session.state, resolve(session.state)).maps,
    )
    session.close()
    assert found is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))))


def assert_same(found: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> None:
    """Colours may differ by the rounding of one value to its neighbour in the colour map."""
    assert found.shape == wanted.shape
    assert np.abs(found.astype(int) - wanted.astype(int)).max() <= 6


def upload(page: Any, *paths: Path) -> None:
    page.locator("#upload input[type=file]").set_input_files([str(path) for path in paths])


def open_tab(page: Any, name: str) -> None:
    """Open a tab of images, which may be in the list of those that have no room."""
    shown = page.locator("#views").get_by_role("tab", name=name, exact=True)
    listed = page.locator("#views .overflow-dropdown button", has_text=name)
    shown.or_(listed).first.wait_for(state="attached")
    if shown.count():
        shown.click()
    else:
        page.locator("#views .overflow-menu > button").click()
        listed.click()
