"""Reliability of voxels: numbers by hand, and the share that the notes name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ftddm_core.errors import SettingsError
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.settings import SamplerSettings
from ftddm_viewer.session.case import Case, Mode, prepare
from ftddm_viewer.session.display import Display
from ftddm_viewer.session.messages import notes
from ftddm_viewer.session.reliability import (
    crlb_reliability,
    relative_deviation,
    reliability,
    reliability_notes,
    share_beyond,
    veil,
)
from ftddm_viewer.session.state import SliceImage, View

SHAPE = (12, 10, 2)


def study_with(bound: np.ndarray | None, mask: np.ndarray | None = None) -> Study:
    """Return a study whose first axis points to the right, so that x = 0 is the left-most."""
    affine = np.diag([8.0, 8.0, 12.0, 1.0])
    rng = np.random.default_rng(5)
    volume = Volume(rng.uniform(1, 2, SHAPE), affine)
    study = Study({"tNAA": volume, "tCho": volume.with_data(volume.data / 4)})
    trusted = np.ones(SHAPE) if mask is None else mask
    study = replace(study, mask=volume.with_data(trusted))
    return study if bound is None else replace(study, crlb={"tNAA": volume.with_data(bound)})


def view_of(study: Study, samples: int = 1) -> View:
    asked = SamplerSettings(upscale=2, steps=10, samples=samples)
    return View(prepare(Case.of(study, "patient"), Mode.ENLARGE, 2), asked)


def test_reliability_falls_at_the_limit_and_never_to_zero() -> None:
    """Above 20 %: 20 / (2 error), at least 0.1; a limit of 50 % leaves 40 % alone."""
    error = np.array([0.5, 10, 20, 25, 40, 80, 500, np.inf, np.nan])
    wanted = [1, 1, 1, 0.4, 0.25, 0.125, 0.1, 0.1, 0.1]
    np.testing.assert_allclose(reliability(error, 20), wanted)
    np.testing.assert_allclose(reliability(np.array([40.0, 50, 100]), 50), [1, 1, 0.25])


def test_failed_fits_are_as_unreliable_as_can_be() -> None:
    """LCModel's 0 and 999 are no perfect fits; nor is a missing value."""
    bound = np.array([5, 0, 999, -1, np.nan, 21])
    np.testing.assert_allclose(crlb_reliability(bound, 20), [1, 0.1, 0.1, 0.1, 0.1, 20 / 42])


def test_a_deviation_counts_relative_to_its_value() -> None:
    deviation, value = np.array([1.0, 1, 0, 0, 2]), np.array([4.0, 0, 0, 3, -8])
    np.testing.assert_array_equal(relative_deviation(deviation, value), [25, np.inf, 0, 0, 25])


def test_the_share_counts_trusted_voxels_and_failed_fits() -> None:
    bound = np.full(SHAPE, 8.0)
    bound[0, 0, 0], bound[1, 0, 0], bound[2, 0, 0] = 25, 999, 0
    bound[3, 0, 0] = 90  # not trusted
    mask = np.zeros(SHAPE)
    mask[:3, 0, 0] = mask[5:10, 0, 0] = 1
    case = Case.of(study_with(bound, mask), "patient")
    assert share_beyond(case, "tNAA", 20) == 3 / 8
    assert share_beyond(case, "tNAA", 30) == 2 / 8
    assert share_beyond(case, "tCho", 20) is None
    assert reliability_notes(case, 20) == (
        "CRLB above 20 % or a failed fit, share of the trusted voxels: tNAA 38%.",
    )
    prepared = prepare(case, Mode.ENLARGE, 2)
    assert notes(prepared, None, 30)[-1].startswith("CRLB above 30 %")
    assert notes(prepared, None, 30)[-1].endswith("tNAA 25%.")
    assert reliability_notes(Case.of(study_with(None), "patient"), 20) == ()


def test_the_veil_covers_the_voxels_of_the_bad_fit_on_the_same_side() -> None:
    """One bad fit at the left, one at the right, of different CRLB: 2 x 2 finer voxels each."""
    bound = np.full(SHAPE, 8.0)
    bound[2, 3, 1], bound[9, 7, 0] = 40, 999
    view = view_of(study_with(bound))
    made = veil(view, "tNAA", Display())
    assert made is not None
    assert made.shape == (24, 20, 2)
    world = (made.affine @ np.array([[4, 6, 1, 1], [18, 14, 0, 1]]).T).T[:, :3]
    np.testing.assert_allclose(world, [[16, 24, 12], [72, 56, 0]])  # the coarse voxels' centres
    covered = {tuple(int(i) for i in at): made.data[tuple(at)] for at in np.argwhere(made.data > 0)}
    left = {at: v for at, v in covered.items() if at[2] == 1}
    assert {at[:2] for at in left} == {(x, y) for x in (3, 4) for y in (5, 6)}
    np.testing.assert_allclose(list(left.values()), 0.75)
    right = {at: v for at, v in covered.items() if at[2] == 0}
    assert {at[:2] for at in right} == {(x, y) for x in (17, 18) for y in (13, 14)}
    np.testing.assert_allclose(list(right.values()), 0.9)


def test_nothing_is_veiled_outside_the_mask_or_without_a_crlb() -> None:
    mask = np.ones(SHAPE)
    mask[:6] = 0
    view = view_of(study_with(np.full(SHAPE, 50.0), mask))
    made = veil(view, "tNAA", Display())
    assert made is not None
    outside = np.isnan(made.data)
    assert np.array_equal(outside, np.isnan(view.prepared.input("tNAA").data))
    np.testing.assert_allclose(made.data[~outside], 1 - 0.2)
    assert veil(view, "tCho", Display()) is None


def test_the_veil_is_the_same_object_until_its_limit_moves() -> None:
    view = view_of(study_with(np.full(SHAPE, 30.0)))
    first = veil(view, "tNAA", Display())
    ones = np.ones((24, 20), np.float32)
    later = view.adding({("tNAA", 0): SliceImage(ones, ones)})
    assert veil(later, "tNAA", Display()) is first
    moved = veil(later, "tNAA", Display(limit=30))
    assert moved is not None
    assert not np.nan_to_num(moved.data).any()


def test_the_deviation_of_the_samples_may_fade_too() -> None:
    """25 % of the value at the left, 10 % at the right; without an image nothing fades."""
    view = view_of(study_with(None), samples=4)
    value, deviation = np.full((24, 20), 4.0, np.float32), np.full((24, 20), 0.4, np.float32)
    deviation[:12] = 1
    view = view.adding({("tNAA", 1): SliceImage(value, value, deviation, final=True)})
    assert veil(view, "tNAA", Display()) is None
    made = veil(view, "tNAA", Display(by_deviation=True))
    assert made is not None
    np.testing.assert_allclose(made.data[:12, :19, 1], 0.6)
    np.testing.assert_allclose(made.data[12:23, :19, 1], 0, atol=1e-6)
    assert not np.nan_to_num(made.data[..., 0]).any()
    both = view_of(study_with(np.full(SHAPE, 40.0)), samples=4).adding(view.images)
    made = veil(both, "tNAA", Display(by_deviation=True))
    assert made is not None
    np.testing.assert_allclose(made.data[:23, :19, 1], 0.75)  # the less reliable of both decides


def test_a_limit_out_of_range_is_refused() -> None:
    with pytest.raises(SettingsError, match="CRLB limit is 3 %: choose one from 5 to 100 %"):
        Display().changed(limit=3)
    assert Display().changed(limit=35, fade=True) == Display(limit=35, fade=True)
