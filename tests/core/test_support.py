"""What the mask alone tells about a coarse map."""

from __future__ import annotations

import numpy as np
import pytest

from ftddm_core.errors import GeometryError
from ftddm_core.imaging.fourier import truncate, zero_fill
from ftddm_core.imaging.support import fit_inside


def case(shape, matrix, seed=0, slices=3):
    """Return a random map inside a random disc, its mask, and its truncation."""
    rng = np.random.default_rng(seed)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    distance = np.hypot(rows - 0.45 * shape[0], columns - 0.55 * shape[1])
    mask = np.repeat((distance < 0.3 * min(shape))[..., None], slices, 2)
    truth = mask * (1 + 0.5 * rng.random(mask.shape))
    return truth, mask, truncate(truth, matrix)


@pytest.mark.parametrize(("shape", "matrix"), [((32, 32), (24, 24)), ((30, 37), (27, 31))])
def test_few_unknowns_are_found(shape, matrix):
    """Fewer voxels inside the mask than samples: the truncated map says all, given the time."""
    truth, mask, coarse = case(shape, matrix)
    found = fit_inside(coarse, np.ones(coarse.shape, bool), mask, iterations=200)
    assert np.linalg.norm(found - truth) < 0.06 * np.linalg.norm(truth)


@pytest.mark.parametrize("matrix", [(32, 24), (16, 12), (9, 7)])
def test_it_is_nearer_than_zero_filling_and_explains_the_map_better(matrix):
    truth, mask, coarse = case((64, 48), matrix)
    found = fit_inside(coarse, np.ones(coarse.shape, bool), mask)
    filled = zero_fill(coarse, (64, 48)) * mask
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert not found[~mask].any()
    assert np.linalg.norm(found - truth) < 0.8 * np.linalg.norm(filled - truth)
    assert np.linalg.norm(truncate(found, matrix) - coarse) < 0.5 * np.linalg.norm(
        truncate(filled, matrix) - coarse
    )


def test_voxels_that_do_not_count_say_nothing():
    _, mask, coarse = case((32, 32), (16, 16))
    kept = np.random.default_rng(3).random(coarse.shape) < 0.8
    spoilt = np.where(kept, coarse, 1e6)
    np.testing.assert_array_equal(fit_inside(coarse, kept, mask), fit_inside(spoilt, kept, mask))


def test_slices_do_not_see_each_other_and_empty_ones_stay_empty():
    _, mask, coarse = case((32, 32), (16, 16))
    mask[..., 1] = False
    every = np.ones(coarse.shape, bool)
    together = fit_inside(coarse, every, mask)
    assert not together[..., 1].any()
    for k in range(3):
        alone = fit_inside(coarse[..., k : k + 1], every[..., k : k + 1], mask[..., k : k + 1])
        np.testing.assert_allclose(alone[..., 0], together[..., k], atol=1e-5)


def test_it_stays_finite_however_long_it_runs():
    _, mask, coarse = case((48, 48), (6, 6))
    found = fit_inside(coarse, np.ones(coarse.shape, bool), mask, iterations=300)
    assert np.isfinite(found).all()
    assert found.max() < 10


@pytest.mark.parametrize(("coarse", "mask"), [((8, 8, 2), (16, 16, 3)), ((20, 8, 2), (16, 16, 2))])
def test_what_does_not_fit_is_refused(coarse, mask):
    with pytest.raises(GeometryError, match=r"together|coarser"):
        fit_inside(np.ones(coarse), np.ones(coarse, bool), np.ones(mask, bool))
