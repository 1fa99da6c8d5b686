"""Phrases that nobody has to read twice any more, and none may come back."""

from __future__ import annotations

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
)
"""Exactly as they were; what they say now is in the code."""

SHOWN = [
    path
    for folder in ("ftddm_core", "ftddm_viewer", "plugins", "docs", "assets")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".md", ".toml", ".yaml")
] + [ROOT / "README.md"]


@pytest.mark.parametrize("phrase", REPLACED)
def test_a_replaced_phrase_stays_away(phrase: str) -> None:
    """In one line or over two, wherever a user or a reader may meet it."""
    assert len(SHOWN) > 150
    pieces = phrase.lower()
    for path in SHOWN:
        text = path.read_text(encoding="utf-8").lower()
        plain = " ".join(text.replace('"', " ").split())
        assert pieces not in plain, path
