"""Enlarge or restore, and zero-filling undone: what s does to a study, and what is compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sessions import PATIENCE, done
from tiny import fine_study

from ftddm_core.evaluation.compare import baseline_methods, compare
from ftddm_core.imaging.fourier import zero_fill
from ftddm_core.imaging.geometry import refined_affine
from ftddm_core.imaging.io import open_study
from ftddm_viewer import CASE_UPSCALE
from ftddm_viewer.session.case import Mode
from ftddm_viewer.session.fidelity import fidelity
from ftddm_viewer.session.session import Session


def test_a_high_resolution_study_is_degraded_and_compared(session: Session, study: Path) -> None:
    session.show(fine_study(study), "fine")
    state = done(session)
    assert state.mode is Mode.RESTORE
    assert state.view is not None
    assert state.view.prepared.upscale == CASE_UPSCALE
    assert state.view.prepared.acquired.grid.shape == (3, 2, 2)
    assert state.image is not None
    assert state.image.drawn.shape == (12, 10)
    metrics = fidelity(state.view, state.metabolite, state.slice_index)
    assert set(metrics) == {"residual", "noise", "psnr", "ssim", "input_psnr", "input_ssim"}
    session.choose(mode=Mode.ENLARGE)
    state = done(session)
    assert state.view is not None
    assert state.view.prepared.reference is None
    assert state.image is not None
    assert state.image.drawn.shape == (24, 20)
    metrics = fidelity(state.view, state.metabolite, state.slice_index)
    assert set(metrics) == {"residual", "noise"}


def test_the_metrics_are_those_of_the_evaluation(session: Session, study: Path) -> None:
    fine = fine_study(study)
    session.choose(live=False)
    session.show(fine)
    done(session)
    session.compute_volume()
    state = done(session)
    assert state.view is not None
    assert state.finished is not None
    maps = dict(state.finished.result.maps)
    methods = {"ZF": baseline_methods()["zero-filling"], "ours": lambda *_: maps}
    rows = compare(fine, [CASE_UPSCALE], methods)
    assert len(rows) > 0
    for row in rows:
        metrics = fidelity(state.view, row.metabolite, row.slice_index)
        prefix = "input_" if row.method == "ZF" else ""
        for name in ("psnr", "ssim"):
            assert metrics[prefix + name] == pytest.approx(row.values[name], rel=1e-4, nan_ok=True)


def test_without_a_mask_nothing_can_be_degraded(session: Session, study: Path) -> None:
    session.show(replace(fine_study(study), mask=None))
    state = done(session)
    assert state.mode is Mode.ENLARGE
    session.choose(mode=Mode.RESTORE)
    assert session.wait(PATIENCE)
    assert "has no mask" in session.state.error
    assert session.state.view is state.view


def test_zero_filling_can_be_undone(session: Session, study: Path) -> None:
    low = replace(open_study(study), mask=None)
    affine = refined_affine(low.grid.affine, (12, 10), (24, 20))
    filled = {
        name: replace(v, data=zero_fill(v.data, (24, 20)), affine=affine)
        for name, v in low.maps.items()
    }
    session.show(replace(low, maps=filled))
    state = done(session)
    assert state.case is not None
    assert state.case.zero_filled == (12, 10)
    assert any("look zero-filled" in note for note in state.notes)
    session.unfill()
    state = done(session)
    assert state.case is not None
    assert state.case.unfilled
    np.testing.assert_allclose(
        state.case.study.maps["tCho"].data, low.maps["tCho"].data, rtol=1e-4, atol=1e-4
    )
    assert not any("look zero-filled" in note for note in state.notes)


def test_undoing_zero_filling_looks_at_the_same_thing(session: Session, study: Path) -> None:
    low = replace(open_study(study), mask=None)
    filled = {name: replace(v, data=zero_fill(v.data, (24, 20))) for name, v in low.maps.items()}
    session.show(replace(low, maps=filled))
    done(session)
    session.choose(metabolite="tCho", slice_index=0)
    done(session)
    session.unfill()
    state = done(session)
    assert (state.metabolite, state.slice_index) == ("tCho", 0)
