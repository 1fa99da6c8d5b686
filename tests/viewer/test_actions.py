"""The table of actions, and the words of tooltips and figures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ftddm_viewer.session.actions import ACTIONS, action, grouped
from ftddm_viewer.session.figures_explained import FIGURES, explained
from ftddm_viewer.session.tips import TIPS

VIEWING = Path(__file__).parents[2] / "docs" / "viewing.md"


def test_names_and_keys_are_unique() -> None:
    names = [each.name for each in ACTIONS]
    keys = [each.key for each in ACTIONS if each.key]
    assert len(set(names)) == len(names)
    assert len(set(keys)) == len(keys)
    assert [each for _, actions in grouped() for each in actions] != []
    assert sorted(each.name for _, actions in grouped() for each in actions) == sorted(names)


def test_an_action_is_found_by_its_name() -> None:
    assert action("undo").tooltip == "Undo the last change of the settings (Ctrl+Z)"
    assert action("reset").tooltip == "Reset all settings to their defaults"
    with pytest.raises(KeyError):
        action("nothing")


def test_the_documentation_lists_every_key() -> None:
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", VIEWING.read_text(encoding="utf-8"), re.M)
    listed = {key for row in rows for key in row.split(", ")}
    assert {each.key for each in ACTIONS if each.key} <= listed


def test_words_are_sentences_without_a_full_stop() -> None:
    for each in ACTIONS:
        assert each.words[0].isupper()
        assert not each.words.endswith(".")
    for words in (*TIPS.values(), *(figure.words for figure in FIGURES)):
        assert words.endswith(".")


def test_figures_are_explained_by_name() -> None:
    first, second = explained("SSIM", "PSNR").splitlines()
    assert first.startswith("SSIM: ")
    assert second.startswith("PSNR: How close")
    with pytest.raises(KeyError):
        explained("guess")
