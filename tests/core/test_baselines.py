"""Interpolations: what they pass through, what they reproduce exactly, and where they put it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from properties import oblique_affine

from ftddm_core.evaluation.baselines import (
    BASELINES,
    bicubic_matrix,
    keys_kernel,
    run_baseline,
)
from ftddm_core.imaging.degrade import degrade
from ftddm_core.imaging.fourier import zero_fill
from ftddm_core.imaging.volume import Study, Volume

Array = NDArray[Any]

EVERY_BASELINE = pytest.mark.parametrize("name", BASELINES)
MATRICES = [((8, 8), (16, 16)), ((7, 10), (21, 20)), ((6, 5), (24, 20))]


def enlarge(
    name: str, acquired: Array, matrix: tuple[int, int], mask: Array | None = None
) -> dict[str, Volume]:
    """Enlarge a map as every front end does; without a mask every output voxel is trusted."""
    affine = oblique_affine(acquired.shape)
    refined = affine * [acquired.shape[0] / matrix[0], acquired.shape[1] / matrix[1], 1, 1]
    trusted = np.ones((*matrix, acquired.shape[2])) if mask is None else mask
    study = Study({"tNAA": Volume(acquired, affine, "mM")}, mask=Volume(trusted, refined))
    return run_baseline(BASELINES[name], study, 2.0, matrix)


def positive(shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(0).uniform(1, 2, shape)


@EVERY_BASELINE
@pytest.mark.parametrize(("acquired", "matrix"), MATRICES)
def test_acquired_samples_are_passed_through(
    name: str, acquired: tuple[int, int], matrix: tuple[int, int]
) -> None:
    measured = positive((*acquired, 2))
    found = enlarge(name, measured, matrix)["tNAA"]
    step = matrix[0] // acquired[0], matrix[1] // acquired[1]
    np.testing.assert_allclose(found.data[:: step[0], :: step[1]], measured, rtol=1e-5)


@EVERY_BASELINE
@pytest.mark.parametrize("matrix", [(16, 16), (22, 27), (64, 48)])
def test_a_constant_is_reproduced(name: str, matrix: tuple[int, int]) -> None:
    found = enlarge(name, np.full((8, 9, 1), 3.5), matrix)["tNAA"]
    np.testing.assert_allclose(found.data, 3.5, rtol=1e-5)


@EVERY_BASELINE
def test_the_output_lies_where_the_affine_says(name: str) -> None:
    """Degraded and enlarged, a study is back on its own grid, in its own unit."""
    affine = oblique_affine((18, 15, 2), flip=(-1, 1, 1))
    whole = Volume(np.ones((18, 15, 2)), affine)
    study = Study({"Glu": Volume(positive((18, 15, 2)), affine, "mM")}, mask=whole)
    found = run_baseline(BASELINES[name], degrade(study, 2.6), 2.6, (18, 15))["Glu"]
    assert found.shape == (18, 15, 2)
    assert found.unit == "mM"
    np.testing.assert_allclose(found.affine, affine, atol=1e-9)


@EVERY_BASELINE
def test_a_smooth_image_is_read_at_its_own_positions(name: str) -> None:
    """One period across the map: values at u = J n / N, to the kernel's accuracy."""
    n, n_out = 16, 40
    wave = 2 + np.cos(2 * np.pi * np.arange(n) / n)[:, None, None] * np.ones((1, n, 1))
    expected = 2 + np.cos(2 * np.pi * np.arange(n_out) / n_out)
    found = enlarge(name, wave, (n_out, n_out))["tNAA"]
    np.testing.assert_allclose(found.data[:, 3, 0], expected, atol=4e-3)


@EVERY_BASELINE
def test_outside_the_mask_and_below_zero_there_is_nothing(name: str) -> None:
    mask = np.zeros((16, 16, 1))
    mask[4:12, 4:14] = 1
    measured = np.random.default_rng(1).standard_normal((8, 8, 1)) + 0.3
    found = enlarge(name, measured, (16, 16), mask)["tNAA"].data
    assert found.min() == 0
    assert found.max() > 0
    assert not found[mask == 0].any()


@EVERY_BASELINE
@pytest.mark.parametrize("wild", [1e6, np.nan])
def test_a_wild_voxel_outside_the_mask_is_as_one_that_was_not_measured(
    name: str, wild: float
) -> None:
    mask = np.ones((16, 16, 1))
    mask[:6, :6] = 0
    measured = positive((8, 8, 1))
    measured[1, 1] = 0
    spoilt = measured.copy()
    spoilt[1, 1] = wild
    expected = enlarge(name, measured, (16, 16), mask)["tNAA"].data
    np.testing.assert_array_equal(enlarge(name, spoilt, (16, 16), mask)["tNAA"].data, expected)


def test_zero_filling_is_that_of_k_space() -> None:
    measured = positive((7, 8, 2)) + 5
    found = enlarge("zero-filling", measured, (18, 20))["tNAA"].data
    np.testing.assert_allclose(found, zero_fill(measured, (18, 20)), rtol=1e-5)


def test_bicubic_reproduces_a_quadratic() -> None:
    """Only the cubic kernel with a = -1/2 does; away from the edges, where the map wraps."""
    u = np.arange(48) * 12 / 48
    values = bicubic_matrix(12, 48) @ (3 - 2 * np.arange(12.0) + 0.5 * np.arange(12.0) ** 2)
    inner = (u >= 1) & (u <= 10)
    np.testing.assert_allclose(values[inner], (3 - 2 * u + 0.5 * u**2)[inner], atol=1e-12)


def test_bicubic_weights_by_hand() -> None:
    assert keys_kernel(np.array([-2.0, -1, 0, 1, 2, 3])).tolist() == [0, 0, 1, 0, 0, 0]
    halfway = bicubic_matrix(8, 16)[5]  # at u = 2.5
    assert halfway.tolist() == [0, -1 / 16, 9 / 16, 9 / 16, -1 / 16, 0, 0, 0]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 9])
def test_bicubic_is_periodic(n: int) -> None:
    matrix = bicubic_matrix(n, 3 * n)
    shifted = np.roll(matrix, (3, 1), axis=(0, 1))
    np.testing.assert_allclose(matrix, shifted, atol=1e-12)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)
