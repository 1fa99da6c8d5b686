"""What a fitted map tells of its own noise, and which of its voxels hold a measurement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ftddm_core.imaging.degrade import degrade, filled, measured, undo_zero_filling
from ftddm_core.imaging.fit_quality import (
    LEAST_NOISE,
    MOST_NOISE,
    estimated_deviation,
    noise_of,
    top_of,
)
from ftddm_core.imaging.fourier import truncate, zero_fill
from ftddm_core.imaging.geometry import refined_affine
from ftddm_core.imaging.volume import Noise, Outside, Study, Volume
from ftddm_core.imaging.window import Window

AFFINE = np.diag([5.0, 5.0, 5.0, 1.0])


def study(data: np.ndarray, mask: np.ndarray | None = None, **more: object) -> Study:
    mask = np.ones(data.shape) if mask is None else mask
    return Study({"tNAA": Volume(data, AFFINE)}, mask=Volume(mask, AFFINE), **more)  # type: ignore[arg-type]


def test_a_crlb_is_a_share_of_the_value_and_has_a_floor() -> None:
    data = np.full((4, 4, 1), 2.0)
    data[0, 0] = 0.01
    bound = np.full(data.shape, 10.0)
    noise = noise_of(study(data, crlb={"tNAA": Volume(bound, AFFINE)}), "tNAA", data > 0)
    assert noise.source == "CRLB"
    assert noise.deviation[1, 1, 0] == pytest.approx(0.2)
    assert noise.deviation[0, 0, 0] == pytest.approx(LEAST_NOISE * 2.0)


@pytest.mark.parametrize("bound", [0.0, 999.0, 1234.0, np.nan])
def test_a_failed_fit_has_no_noise_and_is_no_measurement(bound: float) -> None:
    data = np.ones((4, 4, 1))
    bounds = np.full(data.shape, 5.0)
    bounds[2, 1] = bound
    noise = noise_of(study(data, crlb={"tNAA": Volume(bounds, AFFINE)}), "tNAA", data > 0)
    assert np.isnan(noise.deviation[2, 1, 0])
    held = measured(data, noise, data > 0)
    assert not held[2, 1, 0]
    assert held.sum() == data.size - 1


def test_a_crlb_on_another_grid_is_read_where_the_map_lies_and_one_elsewhere_is_none() -> None:
    data = np.ones((4, 4, 1))
    fine = Volume(np.kron(np.arange(1.0, 17).reshape(4, 4, 1), np.ones((2, 2, 1))),
                  refined_affine(AFFINE, (4, 4), (8, 8)))  # fmt: skip
    noise = noise_of(study(data, crlb={"tNAA": fine}), "tNAA", data > 0)
    assert np.all(np.isfinite(noise.deviation))
    far = AFFINE.copy()
    far[:3, 3] = 1000
    lost = noise_of(study(data, crlb={"tNAA": Volume(data, far)}), "tNAA", data > 0)
    assert lost.source == "estimate"


@pytest.mark.parametrize("true", [0.01, 0.02, 0.035])
def test_the_estimate_sees_noise_and_not_the_slope_beneath(true: float) -> None:
    rng = np.random.default_rng(0)
    x, y = np.mgrid[:40, :40] / 40
    plane = (0.5 + 0.3 * x + 0.2 * y)[..., None] * np.ones(4)
    noisy = plane + true * rng.standard_normal(plane.shape)
    found = estimated_deviation(noisy, np.ones(noisy.shape, bool))
    assert found == pytest.approx(true, rel=0.1)


def test_the_estimate_stays_within_its_bounds_whatever_it_is_given() -> None:
    rng = np.random.default_rng(1)
    everywhere = np.ones((12, 12, 2), bool)
    for data in (np.ones((12, 12, 2)), rng.uniform(0, 1, (12, 12, 2))):
        top = top_of(data, everywhere)
        assert LEAST_NOISE * top <= estimated_deviation(data, everywhere) <= MOST_NOISE * top
    few = np.zeros((12, 12, 2), bool)
    few[:3, :3] = True
    assert estimated_deviation(np.ones((12, 12, 2)), few) > 0
    assert estimated_deviation(np.ones((12, 12, 2)), ~everywhere) == 0


def test_wild_values_zeros_and_holes_are_no_measurements() -> None:
    data = np.ones((6, 6, 1))
    for place, value in (((0, 0, 0), 0.0), ((1, 1, 0), np.nan), ((2, 2, 0), 11.0)):
        data[place] = value
    trusted = np.ones(data.shape, bool)
    trusted[2, 2] = False
    held = measured(data, Noise(np.full(data.shape, 0.1), "estimate"), trusted)
    assert np.argwhere(~held).tolist() == [[0, 0, 0], [1, 1, 0], [2, 2, 0]]
    assert np.all(np.isfinite(filled(data, held)))
    assert filled(data, held)[2, 2, 0] == pytest.approx(1.0)  # as its neighbours
    np.testing.assert_array_equal(filled(data, held)[held], data[held])


def test_noise_is_carried_along_when_a_study_is_degraded() -> None:
    """T diag(sd^2) T', against many draws of the noise."""
    rng = np.random.default_rng(2)
    deviation = rng.uniform(0.02, 0.1, (16, 12, 1))
    data = np.ones((16, 12, 1))
    bounds = Volume(100 * deviation / data, AFFINE)
    found = degrade(study(data, crlb={"tNAA": bounds}), 2).noise["tNAA"]
    assert found.source == "CRLB"
    draws = [
        degrade(study(data + deviation * rng.standard_normal(data.shape)), 2).maps["tNAA"].data
        for _ in range(400)
    ]
    np.testing.assert_allclose(found.deviation, np.std(draws, 0), rtol=0.2)


def test_a_degraded_study_knows_what_lies_outside() -> None:
    rng = np.random.default_rng(3)
    data, mask = rng.uniform(0.5, 1, (16, 16, 1)), np.zeros((16, 16, 1))
    mask[4:12, 4:12] = 1
    given = study(data, mask)
    masked, whole = degrade(given, 2), degrade(given, 2, whole=True)
    assert given.outside is Outside.SEEN
    assert (masked.outside, whole.outside) == (Outside.EMPTY, Outside.SEEN)
    assert abs(masked.maps["tNAA"].data[0, 0, 0]) < 0.2 < whole.maps["tNAA"].data[0, 0, 0]


def test_a_crlb_is_read_where_the_acquired_voxels_lie_once_zero_filling_is_undone() -> None:
    rng = np.random.default_rng(4)
    coarse, bounds = rng.uniform(1, 2, (8, 8, 1)), rng.uniform(3, 8, (8, 8, 1))
    affine = refined_affine(AFFINE, (8, 8), (16, 16))
    given = Study(
        {"tNAA": Volume(zero_fill(coarse, (16, 16)), affine)},
        crlb={"tNAA": Volume(np.kron(bounds, np.ones((2, 2, 1))), AFFINE)},
    )
    given = replace(given, crlb={"tNAA": Volume(np.kron(bounds, np.ones((2, 2, 1))), affine)})
    found = undo_zero_filling(given)
    np.testing.assert_allclose(found.maps["tNAA"].data, coarse, atol=1e-5)
    np.testing.assert_allclose(found.crlb["tNAA"].data, bounds)


def test_a_window_weights_k_space_alike_in_both_directions() -> None:
    assert Window().flat
    assert not Window(elliptical=True).flat
    image = np.random.default_rng(5).standard_normal((9, 12))
    for window in (Window(elliptical=True), Window(hamming=0.7)):
        weights = window.weights((9, 12))
        flipped = np.roll(weights[::-1, ::-1], (1, 1), (0, 1))
        np.testing.assert_allclose(weights, flipped)  # so that real maps stay real
        literal = np.fft.ifft2(np.fft.fft2(image) * weights)
        assert np.abs(literal.imag).max() < 1e-6
        np.testing.assert_allclose(window.blur(image), literal.real, atol=1e-6)


@pytest.mark.parametrize("window", [Window(elliptical=True), Window(hamming=0.7)])
def test_what_is_cut_from_a_window_is_its_middle(window: Window) -> None:
    """Cut to a part of k-space, a filtered scan keeps the weights that those samples had."""
    image = np.random.default_rng(6).standard_normal((12, 16, 1))
    cut = window.cut_to((6, 8), (12, 16))
    np.testing.assert_allclose(
        truncate(window.blur(image), (7, 7)),
        window.cut_to((7, 7), (12, 16)).blur(truncate(image, (7, 7))),
        atol=1e-5,
    )
    assert cut.reach == (2.0, 2.0)
    assert cut.weights((6, 8)).min() > window.weights((12, 16)).min()


def test_a_filter_is_undone_where_something_is_left() -> None:
    image = np.random.default_rng(7).standard_normal((10, 12, 2))
    mild = Window(hamming=0.5)
    np.testing.assert_allclose(mild.sharpen(mild.blur(image)), image, atol=0.2)
    ellipse = Window(elliptical=True)
    np.testing.assert_allclose(ellipse.sharpen(image), ellipse.blur(image) / 1.01, atol=1e-5)


def test_a_degraded_study_has_no_window_of_the_scan_that_it_comes_from() -> None:
    rng = np.random.default_rng(8)
    volume = Volume(rng.uniform(0.5, 1, (12, 12, 1)), np.eye(4))
    mask = volume.with_data(np.ones(volume.shape))
    given = Study({"tNAA": volume}, mask=mask, window=Window(hamming=0.7))
    for whole in (True, False):
        low = degrade(given, 2.0, whole=whole)
        assert low.window is None
        np.testing.assert_allclose(low.maps["tNAA"].data, truncate(volume.data, (6, 6)), atol=1e-5)
