"""The factor s at which a large study opens, and what a session refuses for want of memory."""

from __future__ import annotations

from itertools import chain, repeat
from pathlib import Path

import numpy as np
import pytest

from ftddm_core.errors import GeometryError
from ftddm_core.imaging.io import Limits
from ftddm_core.imaging.volume import Study, Volume
from ftddm_viewer.session.case import Case, Mode
from ftddm_viewer.session.fitting import check_fits, fitted, planned
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.session import Session

PATIENCE = 120.0


def case_of(n: int, slices: int = 1, voxel: float = 10.0) -> Case:
    data = np.zeros((n, n, slices), np.float32)
    data[n // 2 - 4 : n // 2 + 4, n // 2 - 4 : n // 2 + 4] = np.arange(64).reshape(8, 8, 1) + 1
    affine = np.diag([voxel, voxel, 10.0, 1.0])
    mask = Volume((data > 0).astype(np.float32), affine)
    return Case.of(Study({"tNAA": Volume(data, affine)}, mask=mask))


def test_a_large_matrix_opens_at_the_factor_that_fits(weights: Path) -> None:
    """Its usual factor would give more than the 512 x 512 that are supported."""
    session = Session(Model(str(weights), "cpu"), checks_itself=False)
    session.choose(live=False)
    session.show(case_of(256).study)
    assert session.wait(PATIENCE)
    assert session.state.error == ""
    view = session.state.view
    assert view is not None
    assert view.prepared.upscale == 2.0
    assert view.prepared.conditions.plane == (512, 512)


def test_a_factor_is_lowered_until_memory_holds_it() -> None:
    case = case_of(64, slices=4)
    assert fitted(case, Mode.ENLARGE, 4.0, 1e12) == 4.0
    memory = planned(case, Mode.ENLARGE, 3.0)
    found = fitted(case, Mode.ENLARGE, 4.0, memory)
    assert 2.9 <= found <= 3.1
    assert planned(case, Mode.ENLARGE, found) <= memory
    with pytest.raises(GeometryError, match=rf"choose an upscaling of {found:g} or less"):
        check_fits(case, Mode.ENLARGE, 4.0, memory)
    check_fits(case, Mode.ENLARGE, found, memory)


def test_a_fine_study_is_degraded_until_memory_holds_its_slices() -> None:
    case = case_of(256, voxel=1.0)
    assert fitted(case, Mode.RESTORE, 2.0, 1e12) == 2.0
    found = fitted(case, Mode.RESTORE, 2.0, 4e9)
    assert 2.5 < found < 2.8


def test_a_study_that_does_not_open_is_not_kept(weights: Path, study: Path) -> None:
    """Its images would take memory for as long as the page is open."""
    free = chain([1e12, 1e12], repeat(1e3))  # for the files and for the mask, then no more
    limits = Limits(memory=lambda: next(free))
    session = Session(Model(str(weights), "cpu"), checks_itself=False, limits=limits)
    session.open(study)
    assert session.wait(PATIENCE)
    assert "free for them" in session.state.error
    found = session.state.inspection
    assert found is not None
    assert found.study is None
    assert found.problem == session.state.error
