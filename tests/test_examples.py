"""The examples in docstrings and in pages run as they are written."""

from __future__ import annotations

import doctest
import re
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from typing import Any, NamedTuple

import pytest

from ftddm_core.assets import asset_folder
from ftddm_core.imaging.degrade import degrade
from ftddm_core.imaging.io import open_study
from ftddm_core.saving.files import save_files
from ftddm_core.saving.studies import study_files
from ftddm_viewer import CASE_UPSCALE

ROOT = Path(__file__).parents[1]
MODULES = {
    ".".join(path.relative_to(home).with_suffix("").parts).removesuffix(".__init__"): text
    for home, package in ((ROOT, "ftddm_core"), (ROOT, "ftddm_viewer"), (ROOT / "plugins", ""))
    for path in sorted((home / package).rglob("*.py"))
    if ">>>" in (text := path.read_text(encoding="utf-8"))
}
"""Those with examples: name -> source."""

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES.remove(ROOT / "docs" / "administration.md")  # tests/web runs its examples
BLOCK = re.compile(r"^( *)```python\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """Python code of a page."""

    place: str
    code: str


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start(2)) + 1
        yield Block(f"{page.relative_to(ROOT)}:{line}", dedent(found[2]))


BLOCKS = {page: blocks for page in PAGES if (blocks := list(blocks_of(page)))}


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a patient's folder: the map of tNAA, one slice of the bundled case."""
    whole = open_study(asset_folder("case"))
    middle = whole.grid.shape[2] // 2
    study = degrade(whole.slab(middle, middle + 1), CASE_UPSCALE)
    study = replace(study, maps={"tNAA": study.maps["tNAA"]})
    folder = tmp_path_factory.mktemp("examples") / "PATIENT"
    save_files(study_files(study, "sub-example", {"Units": study.grid.unit}), folder)
    return folder


@pytest.fixture(autouse=True)
def beside_the_patient(patient: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every example where `PATIENT/` is."""
    monkeypatch.chdir(patient.parent)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_modules(name: str) -> None:
    assert "+SKIP" not in MODULES[name]
    found = doctest.testmod(import_module(name))
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize("page", BLOCKS, ids=lambda page: page.stem)
def test_examples_in_pages(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The blocks of a page run in its order, as the cells of a notebook.

    Where a comment after `print` states a line, the block prints it.
    """
    names: dict[str, Any] = {}
    for block in BLOCKS[page]:
        capsys.readouterr()
        exec(compile(block.code, block.place, "exec"), names)
        printed = capsys.readouterr().out
        for stated in re.findall(r"print\(.*?\)  # (.*)$", block.code, re.MULTILINE):
            start = re.split(r",? ?\.\.\.$", stated)[0]
            assert start in printed, block.place


def test_examples_are_found() -> None:
    """None is missed for how it is written: what a page calls Python, or shows a prompt of."""
    assert MODULES
    assert BLOCKS
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert len(re.findall("```py|^ *>>>", text, re.MULTILINE)) == sum(map(len, BLOCKS.values()))
    assert {page.name for page in BLOCKS} >= {"README.md", "library.md"}
