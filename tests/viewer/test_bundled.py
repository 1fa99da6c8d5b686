"""The bundled cases: simulated, said to be, and found by name and by place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ftddm_core.errors import SettingsError
from ftddm_core.imaging.io import open_study
from ftddm_viewer.session.bundled import BUNDLED, Bundled, bundled, bundled_at


@pytest.mark.parametrize("case", BUNDLED, ids=lambda case: case.name)
def test_every_case_is_whole_and_says_that_it_is_simulated(case: Bundled) -> None:
    study = open_study(case.folder)
    assert len(study.maps) == 7
    assert study.mask is not None
    assert study.t1 is not None
    assert study.flair is not None
    assert "Simulated" in case.label
    assert "simulated" in case.words
    (notice,) = (json.loads(path.read_text()) for path in case.folder.glob("sub-*.json"))
    assert notice["Notice"].startswith("SIMULATED")
    assert notice["Glioma"] == (case.name == "patient")
    assert bundled(case.name) is case
    assert bundled_at(case.folder.absolute()) is case


def test_nothing_else_is_bundled(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no bundled case 'x': choose patient or volunteer"):
        bundled("x")
    assert bundled_at(tmp_path) is None
    assert bundled_at() is None
    assert bundled_at(BUNDLED[0].folder, tmp_path) is None
