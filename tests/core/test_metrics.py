"""Metrics against their formulas, against scikit-image, and against what must not change them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.metrics import (
    normalized_root_mse,
    peak_signal_noise_ratio,
    structural_similarity,
)

from ftddm_core.errors import GeometryError
from ftddm_core.evaluation.metrics import METRICS, detail, evaluate, gradient
from ftddm_core.imaging.fourier import low_pass

Array = NDArray[Any]

SHAPE, ACQUIRED = (20, 24), (6, 7)
EVERY_METRIC = pytest.mark.parametrize("key", METRICS)


def disc(shape: tuple[int, int] = SHAPE) -> Array:
    x, y = np.ogrid[: shape[0], : shape[1]]
    return (x - shape[0] / 2) ** 2 + (y - shape[1] / 2) ** 2 < 8**2


@pytest.fixture
def case() -> tuple[Array, Array, Array]:
    """An output, its truth, and the mask that holds both."""
    rng = np.random.default_rng(0)
    truth = (5 + rng.standard_normal(SHAPE)) * disc()
    return truth + 0.3 * rng.standard_normal(SHAPE) * disc(), truth, disc()


def measure(key: str, output: Array, truth: Array, mask: Array, acquired: Any = ACQUIRED) -> float:
    return METRICS[key].function(output, truth, mask, acquired)


@EVERY_METRIC
def test_the_truth_itself_gets_the_best_value(key: str, case: tuple[Array, Array, Array]) -> None:
    _, truth, mask = case
    best = {"higher": np.inf if "psnr" in key else 1, "lower": 0, "one": 1}
    assert measure(key, truth, truth, mask) == pytest.approx(best[METRICS[key].better])


@EVERY_METRIC
def test_more_noise_is_worse(key: str, case: tuple[Array, Array, Array]) -> None:
    output, truth, mask = case
    values = [measure(key, truth + a * (output - truth), truth, mask) for a in (0.5, 1, 2)]
    worsening = -1 if METRICS[key].better == "higher" else 1
    assert np.all(worsening * np.diff(values) > 0)


@EVERY_METRIC
@pytest.mark.parametrize("factor", [1e-3, 7.0])
def test_the_unit_of_the_maps_does_not_matter(
    key: str, factor: float, case: tuple[Array, Array, Array]
) -> None:
    output, truth, mask = case
    scaled = measure(key, factor * output, factor * truth, mask)
    assert scaled == pytest.approx(measure(key, *case))


@EVERY_METRIC
def test_the_way_the_axes_run_does_not_matter(key: str, case: tuple[Array, Array, Array]) -> None:
    turned = [image.T[::-1] for image in case]
    assert measure(key, *turned, ACQUIRED[::-1]) == pytest.approx(measure(key, *case))


@EVERY_METRIC
def test_single_precision_is_enough(key: str, case: tuple[Array, Array, Array]) -> None:
    output, truth, mask = case
    single = measure(key, output.astype(np.float32), truth.astype(np.float32), mask)
    assert isinstance(single, float)
    assert single == pytest.approx(measure(key, *case), rel=1e-4)


@EVERY_METRIC
def test_an_empty_slice_is_undefined(key: str) -> None:
    zero = np.zeros(SHAPE)
    assert np.isnan(measure(key, zero, zero, zero > 0))


def test_the_formulas_of_scikit_image(case: tuple[Array, Array, Array]) -> None:
    output, truth, mask = case
    values = evaluate(output, truth, mask, ACQUIRED)
    span = truth.max() - truth.min()
    assert values["nrmse"] == pytest.approx(normalized_root_mse(truth, output))
    assert values["psnr"] == pytest.approx(peak_signal_noise_ratio(truth, output, data_range=span))
    assert values["ssim"] == pytest.approx(structural_similarity(truth, output, data_range=span))


def test_values_by_hand() -> None:
    truth = np.zeros((8, 8))
    truth[:2, 0] = 3, 4  # norm 5, range 4
    mask = truth > 0
    output = truth + 0.4 * mask
    assert measure("nrmse", 0 * truth, truth, mask) == 1
    assert measure("nrmse", output, truth, mask) == pytest.approx(0.4 * np.sqrt(2) / 5)
    assert measure("psnr_in_mask", output, truth, mask) == pytest.approx(20)
    share = 10 * np.log10(2 / 64)  # the error is diluted by 62 voxels of background
    assert measure("psnr", output, truth, mask) == pytest.approx(20 - share)


def test_a_slice_smaller_than_the_window_has_no_ssim() -> None:
    truth = np.arange(36.0).reshape(6, 6)
    assert np.isnan(measure("ssim", truth, truth, truth >= 0))


def test_in_mask_psnr_does_not_see_the_background(case: tuple[Array, Array, Array]) -> None:
    output, truth, mask = case
    wild = np.where(mask, output, 1e3)
    assert measure("psnr_in_mask", wild, truth, mask) == measure("psnr_in_mask", *case)
    assert measure("psnr", wild, truth, mask) < measure("psnr", *case)


def test_sharpness_of_a_low_passed_truth_is_zero(case: tuple[Array, Array, Array]) -> None:
    _, truth, mask = case
    assert measure("sharpness", low_pass(truth, ACQUIRED), truth, mask) == pytest.approx(0)


def test_white_noise_is_sharper_than_the_truth(case: tuple[Array, Array, Array]) -> None:
    _, truth, mask = case
    noise = np.random.default_rng(1).standard_normal(SHAPE)
    assert measure("sharpness", truth + noise, truth, mask) > 1.5


@pytest.mark.parametrize("gain", [0.0, 0.5, 2.0])
def test_sharpness_is_the_energy_of_the_added_detail(
    gain: float, case: tuple[Array, Array, Array]
) -> None:
    """Output = anything within the box + gain * the truth's detail gives gain^2."""
    output, truth, mask = case
    inside = low_pass(3 * output, ACQUIRED)
    detail = truth - low_pass(truth, ACQUIRED)
    assert measure("sharpness", inside + gain * detail, truth, mask) == pytest.approx(gain**2)


def test_sharpness_pair_by_pair(case: tuple[Array, Array, Array]) -> None:
    output, truth, mask = case

    def inner(x: int, y: int) -> bool:
        cross = [(x, y), (x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)]
        return all(0 <= i < SHAPE[0] and 0 <= j < SHAPE[1] and mask[i, j] for i, j in cross)

    def roughness(image: Array) -> float:
        detail = image - low_pass(image, ACQUIRED)
        squares = [
            (detail[x, y] - detail[x + dx, y + dy]) ** 2
            for x, y in product(*map(range, SHAPE))
            for dx, dy in ((1, 0), (0, 1))
            if inner(x, y) and inner(x + dx, y + dy)
        ]
        return float(np.mean(squares))

    expected = roughness(output) / roughness(truth)
    assert measure("sharpness", *case) == pytest.approx(expected)


def test_sharpness_does_not_see_the_edge_of_the_mask(case: tuple[Array, Array, Array]) -> None:
    """With the mean alone acquired, nothing outside the eroded mask can matter."""
    output, truth, mask = case
    eroded = mask & np.all([np.roll(mask, s, a) for s in (1, -1) for a in (0, 1)], axis=0)
    edge = np.where(eroded, 0, 100 * np.random.default_rng(2).random(SHAPE))
    plain = measure("sharpness", output, truth, mask, (1, 1))
    assert measure("sharpness", output + edge, truth, mask, (1, 1)) == pytest.approx(plain)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_truth_without_detail_has_no_sharpness(
    dtype: type, case: tuple[Array, Array, Array]
) -> None:
    output, truth, mask = case
    smooth = low_pass(truth, ACQUIRED).astype(dtype)
    assert np.isnan(measure("sharpness", output, smooth, mask))


def test_a_mask_without_two_inner_neighbours_has_no_sharpness(
    case: tuple[Array, Array, Array],
) -> None:
    output, truth, _ = case
    lone = np.zeros(SHAPE, bool)
    lone[5:8, 5:8] = True  # one inner voxel, no pair
    assert np.isnan(measure("sharpness", output, truth, lone))


@pytest.mark.parametrize("spoil", [lambda a: a[:-1], lambda a: a[..., None]])
def test_slices_of_different_matrices_are_refused(
    spoil: Callable[[Array], Array], case: tuple[Array, Array, Array]
) -> None:
    output, truth, mask = case
    with pytest.raises(GeometryError, match="one matrix"):
        evaluate(spoil(output), truth, mask, ACQUIRED)


def test_detail_is_a_share_of_the_truths_energy(case: tuple[Array, Array, Array]) -> None:
    output, truth, mask = case
    ours, reference = detail(output, truth, mask, ACQUIRED)
    assert ours / reference == pytest.approx(measure("sharpness", *case))
    assert detail(7 * output, 7 * truth, mask, ACQUIRED) == pytest.approx((ours, reference))
    # The same energies on top of a constant that adds nothing but energy.
    lifted = truth + 20
    found = detail(output + 20, lifted, mask, ACQUIRED)
    share = np.mean(truth[mask] ** 2) / np.mean(lifted[mask] ** 2)
    assert found == pytest.approx((share * ours, share * reference))


def test_a_truth_without_detail_has_exactly_none(case: tuple[Array, Array, Array]) -> None:
    output, truth, mask = case
    ours, reference = detail(output, low_pass(truth, ACQUIRED), mask, ACQUIRED)
    assert reference == 0 < ours
    assert np.isnan(detail(output, 0 * truth, mask, ACQUIRED)).all()


@pytest.mark.parametrize("gain", [0.0, 0.5, 3.0])
def test_gradient_follows_contrast_and_not_level(
    gain: float, case: tuple[Array, Array, Array]
) -> None:
    _, truth, mask = case
    assert gradient(gain * truth + 4, truth, mask) == pytest.approx(gain)


def test_gradient_by_hand() -> None:
    x, y = np.meshgrid(np.arange(6.0), np.arange(5.0), indexing="ij")
    ramp, mask = 3 * x + 4 * y, np.ones((6, 5), bool)  # magnitude 5 everywhere
    assert gradient(ramp, x, mask) == pytest.approx(5)
    mask[0], ramp[0] = False, 100  # the step down from the first row has no part in it
    assert gradient(ramp, x, mask) == pytest.approx(5)
    lone = np.zeros((6, 5), bool)
    lone[2, 2] = lone[3, 2] = True
    assert np.isnan(gradient(ramp, x, lone))
    assert np.isnan(gradient(ramp, 0 * x, mask))
