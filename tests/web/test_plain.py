"""Words from outside and about a study: marks of direction, long names, notes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tiny import write_study

from ftddm_viewer.session.model import Model
from ftddm_viewer.session.scene import resolve
from ftddm_viewer.session.session import Session
from ftddm_viewer.web import status
from ftddm_viewer.web.panels import Box, Words, drawing
from ftddm_viewer.web.plain import DIRECTIONS, plain

MARKS = [
    chr(code) for code in (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
]


@pytest.mark.parametrize("mark", MARKS)
def test_no_mark_turns_a_name_round(mark: str) -> None:
    assert plain(f"tNAA{mark}gz.iin") == "tNAAgz.iin"


def test_letters_of_every_script_stay() -> None:
    for name in ("tNAA_דוגמה", "Größe µ 1⁄2", "名前.nii.gz"):
        assert plain(name) == name
    assert plain("a\tb\x00c") == "a b c"


def test_the_middle_of_a_long_name_is_left_out() -> None:
    name = "a" * 120 + "b" * 120
    assert plain(name, 11) == "aaaaa…bbbbb"
    assert plain(name[:11], 11) == name[:11]
    assert plain(name) == name


def test_a_title_fits_its_drawing() -> None:
    found = drawing(Box(0, 0, 200, 200), [], Words("N" * 240 + "\u202e", ("",) * 4, []), 8.0)
    shown = found.partition('class="name"')[2].partition("</text>")[0].partition(">")[2]
    assert 12 < len(shown) < 40
    assert not DIRECTIONS.search(found)


def test_the_heading_names_what_is_open_after_files_that_did_not_open(
    model: Model, tmp_path: Path
) -> None:
    """And a note on the study is read without opening anything."""
    session = Session(model)
    session.open(write_study(tmp_path / "patient"), label="Patient 7")
    assert session.wait(60)
    before = session.state
    assert "Still open" not in status.heading(before, resolve(before))
    bad = write_study(tmp_path / "bad")
    (bad / "tNAA.nii.gz").write_bytes(b"no image")
    session.open(bad)
    assert session.wait(60)
    state = session.state
    words = status.heading(state, resolve(state))
    assert "Patient 7" in words
    assert "Still open: the files chosen last did not open." in words
    noted = replace(state, notes=("The first <note>.", "Another."))
    summary = status.remarks(noted, str).partition("</summary>")[0]
    assert "2 notes on this study" in summary
    assert "The first &lt;note&gt;." in summary
    assert session.close(60)
