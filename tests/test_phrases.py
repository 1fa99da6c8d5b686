"""Words and phrases that were replaced by clearer ones, and must not come back."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

REPLACED = (
    "trained to do without",
    "controls wait for it",
    "is not of these settings",
    "mean of what the data allow",
    "use the estimate before, too",
    "did not say which one it is",
    "where it lies in the patient",
    "as uncertain as they are wrong",
    "Is the flow a flow?",
    "what the networks are told",
    "what methods are told",
    "what was promised",
    "No harm:",
    "where nothing is trusted",
    "as soon as `cancelled()` is true",
    "asked before every",
    "told the share",
    "safe from any thread",
    "is formed when it is first asked for",
    "own k-space, cut down",
    "gone on with",
    "how fast it is on this machine",
    "begin to count anew",
    "as a user gets them",
    "What fewer steps cost",
    "How the cost grows",
    "chains alive",
    "an overtaken chain",
    "What is worth a GPU",
    "What came of it",
    "no public link could be had",
    "could not be had",
    "goes on from where",
    "is no folder",
    "is no text",
    "an impossible affine",
    "header promises",
    "no reader knows",
    "say where the weights go",
    "is no examination",
    "with the settings of now",
    "as the sliders stand",
    "stands in its name",
    "leads back behind",
    "had earlier zero-filling undone",
)
"""Exactly as they were; the code has the new wording."""

WORDS = re.compile(r"\b(pictures?|peers?|anew|promis(e|es|ed))\b", re.IGNORECASE)
"""Not used in any text: say image, comparison method or baseline, again, and target."""

SHOWN = [
    path
    for folder in ("ftddm_core", "ftddm_viewer", "plugins", "docs", "assets")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".md", ".toml", ".yaml")
] + [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "Makefile"]


def texts(path: Path) -> Iterator[str]:
    """Yield the text of a file that is read by people; of a module its strings of several words.

    Code in backticks is left out: it may hold names.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        strings = (n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant))
        found = [s for s in strings if isinstance(s, str) and " " in s.strip()]
    else:
        found = [text]
    for one in found:
        yield re.sub(r"`[^`]*`", "", one)


@cache
def in_one_line(path: Path) -> str:
    text = path.read_text(encoding="utf-8").lower()
    return " ".join(text.replace('"', " ").split())


@pytest.mark.parametrize("phrase", REPLACED)
def test_a_replaced_phrase_stays_away(phrase: str) -> None:
    """In one line or over two, wherever a user or a reader may meet it."""
    assert len(SHOWN) > 150
    pieces = phrase.lower()
    for path in SHOWN:
        assert pieces not in in_one_line(path), path


def test_replaced_words_stay_away() -> None:
    assert len(SHOWN) > 150
    found = {
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in SHOWN
        for text in texts(path)
        for match in WORDS.finditer(text)
    }
    assert not found
