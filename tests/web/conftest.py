"""Fixtures for the page: a server on tiny weights, and a browser."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import FLAGS, SCREEN, program
from sessions import Brake

from ftddm_viewer.session.model import Model
from ftddm_viewer.session.session import Session

gradio = pytest.importorskip("gradio", reason="the page needs gradio: pip install -e '.[web]'")

HERE = Path(__file__).parent
UNSWEPT = ("unclosed event loop", "unclosed <socket")
"""What gradio's server leaves to the garbage collector when it is closed."""

OF_GRADIO = (
    *(f"ignore:{words}:ResourceWarning" for words in UNSWEPT),
    "ignore:'future.no_silent_downcasting' is deprecated",
    "ignore:The copy keyword is deprecated",
)
"""The last two are pandas', in the statistics of gradio's queue."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            for ignored in OF_GRADIO:
                item.add_marker(pytest.mark.filterwarnings(ignored))
            if "browser" in getattr(item, "fixturenames", ()):
                item.add_marker("browser")


@pytest.fixture(scope="module", autouse=True)
def swept() -> Iterator[None]:
    """Close the event loop that gradio takes from this thread, and sweep up after its server."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()
    with warnings.catch_warnings():
        for words in UNSWEPT:
            warnings.filterwarnings("ignore", words, ResourceWarning)
        gc.collect()


@pytest.fixture(autouse=True)
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no session check the model by itself: images then are what the settings say."""
    monkeypatch.setitem(Session.__init__.__kwdefaults__, "checks_itself", False)


@pytest.fixture(scope="module")
def server(weights: Path) -> Iterator[Any]:
    """Return a page that is being served to this computer."""
    from ftddm_viewer.web import start

    running = start(weights=str(weights), device="cpu")
    yield running
    running.close()


@pytest.fixture(scope="module")
def model(weights: Path) -> Model:
    """Return the tiny networks, for sessions beside the page's."""
    return Model(str(weights), "cpu")


@pytest.fixture
def brake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return what holds every chain up until it is released."""
    held = Brake(monkeypatch)
    yield held
    held.released.set()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return Chromium, or skip the test."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install -e '.[dev]'"
    )
    path = program()
    if path is None:
        pytest.skip("no browser was found: install Chromium or Chrome")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def known(browser: Any) -> Iterator[Any]:
    """Return a visitor who has been here before: their browser keeps gradio's scripts."""
    context = browser.new_context(viewport=SCREEN)
    yield context
    context.close()


@pytest.fixture
def visit(browser: Any, known: Any) -> Iterator[Callable[..., Any]]:
    """Return a function that opens a page, of a width in px, as somebody else if `apart`."""
    pages, others = [], []

    def open_page(url: str, width: int = 0, *, apart: bool = False) -> Any:
        if apart:
            others.append(browser.new_context(viewport=SCREEN))
        pages.append((others[-1] if apart else known).new_page())
        pages[-1].set_default_timeout(60_000)  # others use the cores too
        if width:
            pages[-1].set_viewport_size({"width": width, "height": SCREEN["height"]})
        pages[-1].goto(url)
        return pages[-1]

    yield open_page
    for page in pages:
        page.close()
    for context in others:
        context.close()
