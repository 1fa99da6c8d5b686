"""Hostile uploads, links and requests: the short version of `python tests/hostile.py`."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from gradio_client.utils import strip_invalid_filename_characters
from hostile import LONGEST, PLACES, fault_of
from hostile_cases import LINKS, REQUESTS, SPECIAL

from ftddm_viewer.session.model import Model
from ftddm_viewer.web.permalink import wishes_of
from ftddm_viewer.web.tab import Tab

PATIENCE = 60.0
BY_GRADIO = ("another type", "a script", "a name with a null")
"""What gradio itself refuses."""


@pytest.fixture
def tab(model: Model, tmp_path: Path) -> Iterator[Tab]:
    for name in ("private", "served"):
        (tmp_path / name).mkdir()
    found = Tab(model, tmp_path / "private", tmp_path / "served")
    yield found
    found.close()


def test_hostile_uploads_end_in_a_clear_line(
    tab: Tab, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """All but the bombs, each in the same tab: what one did not harm, the next one opens."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number, (what, case) in enumerate(SPECIAL.items()):
            if what in BY_GRADIO or "bomb" in what:
                continue
            folder = tmp_path / "served" / f"{number}"
            folder.mkdir()
            paths = [folder / strip_invalid_filename_characters(name) for name in case.sent()]
            for path, content in zip(paths, case.sent().values(), strict=True):
                path.write_bytes(content)
            tab.open_uploads([str(path) for path in paths])
            assert tab.session.wait(PATIENCE)
            assert re.search(case.said, tab.words, re.IGNORECASE), (what, tab.words)
            assert bool(tab.words) is bool(case.said), (what, tab.words)
            assert len(tab.words) < LONGEST
            assert not PLACES.search(tab.words)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("query", [q for q in LINKS if not q.startswith(("slice", "mode", "meta"))])
def test_a_hostile_link_is_told_of(query: str) -> None:
    problems = wishes_of(dict(parse_qsl(query, keep_blank_values=True))).problems
    assert bool(problems) or not LINKS[query]
    assert re.search(LINKS[query], " ".join(problems))


def test_what_a_hostile_link_is_told_is_a_clear_line(tab: Tab) -> None:
    tab.begin(wishes_of({"study": "x" * 20_000, "mode": "\u202eevil", "slice": "9" * 5000}))
    assert tab.session.wait(PATIENCE)
    assert "There is no bundled case" in tab.words
    assert "evil" in tab.words
    assert "\u202e" not in tab.words
    assert len(tab.words) < LONGEST


def test_hostile_requests_are_refused(server: Any, capfd: pytest.CaptureFixture[str]) -> None:
    found = {what: fault_of(server.url, request) for what, request in REQUESTS.items()}
    assert {what: fault for what, fault in found.items() if fault} == {}
    assert "Traceback" not in "".join(capfd.readouterr())
