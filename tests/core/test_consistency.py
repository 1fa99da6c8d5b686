"""The measurement model and the update that holds a map to it, against the formula written out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ftddm_core.imaging.fourier import truncate, zero_fill
from ftddm_core.imaging.volume import Noise, Outside
from ftddm_core.imaging.window import Window
from ftddm_core.sampling.consistency import Consistency
from ftddm_core.sampling.measurement import (
    MODEL_ERROR,
    OUTSIDE_ERROR,
    Measurement,
    form_measurement,
)

CPU = torch.device("cpu")
PAIRS = [((6, 7), (12, 14)), ((8, 8), (20, 16)), ((7, 5), (18, 30)), ((9, 6), (64, 48))]


def case(
    acquired: tuple[int, int],
    output: tuple[int, int],
    outside: Outside = Outside.SEEN,
    window: Window | None = None,
    seed: int = 0,
    slices: int = 2,
) -> Measurement:
    """Return a measurement of random slices, an off-centre ellipse trusted."""
    rng = np.random.default_rng(seed)
    y = rng.uniform(0.2, 1.2, (*acquired, slices))
    grid = np.mgrid[: output[0], : output[1]] / np.array(output)[:, None, None]
    mask = ((grid[0] - 0.45) ** 2 / 0.12 + (grid[1] - 0.55) ** 2 / 0.08 < 1)[..., None]
    mask = np.broadcast_to(mask, (*output, slices)).copy()
    trusted = truncate(mask.astype(float), acquired) > 0.3
    deviation = rng.uniform(0.02, 0.08, y.shape)
    return form_measurement(
        2.0 * y, Noise(2.0 * deviation, "CRLB"), mask, trusted, 2.0, outside, window
    )


def operator(held: Measurement) -> NDArray[Any]:
    """Return T of one slice as a dense matrix, from the functions of `imaging` alone."""
    nx, ny, _ = held.mask.shape
    units = np.eye(nx * ny).reshape(nx, ny, nx * ny)
    seen = truncate(units, held.acquired)
    if held.window is not None:
        weights = held.window.weights(held.acquired)[..., None]
        seen = np.fft.ifft2(np.fft.fft2(seen, axes=(0, 1)) * weights, axes=(0, 1)).real
    return np.asarray(seen.reshape(-1, nx * ny))


def literal(
    held: Measurement, k: int, x: NDArray[Any], noise: NDArray[Any] | None = None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the update of x, and T of what it infers outside, by the formula."""
    big, m = operator(held), held.mask[..., k].ravel()
    w = held.w[..., k].ravel()
    variance = np.where(m, held.model_variance, held.outside_variance)
    seen = big[w]
    sigma = np.diag(held.deviation[..., k].ravel()[w].astype(float) ** 2)
    u = held.outside[..., k].ravel()
    target = held.y[..., k].ravel()[w]

    def gain(variance: NDArray[Any], difference: NDArray[Any]) -> NDArray[Any]:
        middle = seen * variance @ seen.T + sigma
        return np.asarray(variance * (seen.T @ np.linalg.solve(middle, difference)))

    pulled = gain(variance, target - seen @ (m * x.ravel() + u))
    if noise is not None:
        pulled += gain(held.spread * variance, noise.ravel()[w])
    new = m * (x.ravel() + pulled)
    beside = big @ (u + ~m * pulled)
    return new.reshape(x.shape), beside.reshape(held.acquired)


@pytest.mark.parametrize(("acquired", "output"), PAIRS)
@pytest.mark.parametrize("outside", list(Outside))
@pytest.mark.parametrize("window", [None, Window(elliptical=True), Window(hamming=0.8)])
def test_the_update_is_the_formula(
    acquired: tuple[int, int], output: tuple[int, int], outside: Outside, window: Window | None
) -> None:
    held = case(acquired, output, outside, window)
    update = Consistency([held, held], [1, 0], CPU)
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 1, (2, *output)).astype(np.float32)
    normal = rng.standard_normal((2, *acquired)).astype(np.float32)
    for tau in (0.0, 0.49):
        update.draw(torch.from_numpy(normal), tau)
        found = update.correct(torch.from_numpy(x)).numpy()
        for i, k in enumerate((1, 0)):
            noise = np.sqrt(tau) * held.deviation[..., k] * normal[i]
            expected, beside = literal(held, k, x[i], noise)
            np.testing.assert_allclose(found[i], expected, atol=2e-4)
            np.testing.assert_allclose(update.beside[i].numpy(), beside, atol=2e-4)


def test_voxels_that_do_not_count_do_not_matter() -> None:
    held = case((8, 8), (16, 16))
    held.w[2:4, 3] = False
    x = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(0))
    before = Consistency([held], [0], CPU).correct(x)
    held.y[2:4, 3] = 7.0
    assert torch.equal(Consistency([held], [0], CPU).correct(x), before)
    held.w[2:4, 3] = True
    assert not torch.allclose(Consistency([held], [0], CPU).correct(x), before, atol=1e-2)


@pytest.mark.parametrize(("acquired", "output"), PAIRS)
def test_exact_agrees_with_the_measurement_where_the_mask_allows(
    acquired: tuple[int, int], output: tuple[int, int]
) -> None:
    held = case(acquired, output)
    update = Consistency([held], [0], CPU, exact=True)
    update.draw(torch.ones(1, *acquired), 1.0)  # there is no noise to draw
    x = update.correct(torch.rand(1, *output, generator=torch.Generator().manual_seed(0)))
    seen = update.explained(x)[0].numpy()
    np.testing.assert_allclose(seen[held.w[..., 0]], held.y[..., 0][held.w[..., 0]], atol=5e-3)


def test_noise_without_end_leaves_the_model_alone_and_a_sure_model_too() -> None:
    x = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(0))
    held = case((8, 8), (16, 16), Outside.EMPTY)
    mask = torch.from_numpy(held.mask[..., 0]).float()
    loud = held.with_noise(1e6)
    assert loud.noise_source == "set"
    torch.testing.assert_close(Consistency([loud], [0], CPU).correct(x)[0], mask * x[0])
    assert held.with_noise(None) is held


def test_kept_maps_are_only_looked_at() -> None:
    held = case((8, 8), (16, 16))
    update = Consistency([held], [0], CPU)
    x = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(0))
    kept = update.correct(x, keep=True)
    assert torch.equal(kept[0], torch.from_numpy(held.mask[..., 0]).float() * x[0])
    seen = update.beside
    update.correct(x)
    assert torch.equal(update.beside, seen)


def test_the_batch_does_not_matter_and_samples_share_a_factor() -> None:
    one, two = case((8, 8), (16, 16)), case((8, 8), (16, 16), Outside.EMPTY, Window(True), seed=4)
    x = torch.rand(4, 16, 16, generator=torch.Generator().manual_seed(0))
    asked = [(one, 0), (two, 1), (one, 0), (one, 1)]
    together = Consistency([m for m, _ in asked], [k for _, k in asked], CPU).correct(x)
    for i, (held, k) in enumerate(asked):
        alone = Consistency([held], [k], CPU).correct(x[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-5)


def test_draws_of_a_model_that_varies_as_much_as_it_errs_have_the_posterior_s_spread() -> None:
    """x ~ N(x0, C) held to y + n' has mean and covariance of the posterior: Gaussian algebra."""
    held = replace(case((6, 6), (12, 12), Outside.EMPTY, slices=1), spread=1.0)
    big, m = operator(held), held.mask[..., 0].ravel()
    seen = big[:, m]
    sigma = np.diag(held.deviation[..., 0].ravel().astype(float) ** 2)
    precision = np.eye(m.sum()) / held.model_variance + seen.T @ np.linalg.solve(sigma, seen)
    covariance = np.linalg.inv(precision)
    generator = torch.Generator().manual_seed(0)
    n = 4000
    mean = torch.rand(1, 12, 12, generator=generator)
    x = mean + held.model_variance**0.5 * torch.randn(n, 12, 12, generator=generator)
    update = Consistency([held] * n, [0] * n, CPU)
    update.draw(torch.randn(n, 6, 6, generator=generator), 1.0)
    drawn = update.correct(x).numpy().reshape(n, -1)[:, m].astype(float)
    middle, _ = literal(held, 0, mean[0].numpy())
    deviation = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(drawn.std(0), deviation, rtol=0.08)
    error = (drawn.mean(0) - middle.ravel()[m]) / (deviation / np.sqrt(n))
    assert np.abs(error).max() < 5


# ---- the measurement itself


def test_a_scan_saw_what_is_outside_and_a_degraded_map_had_nothing_there() -> None:
    seen, empty = case((8, 8), (16, 16)), case((8, 8), (16, 16), Outside.EMPTY)
    outside = ~seen.mask[..., 0]
    filled_in = zero_fill(seen.y[..., 0].astype(float), (16, 16))
    np.testing.assert_allclose(seen.outside[..., 0][outside], filled_in[outside], atol=1e-6)
    assert not seen.outside[seen.mask].any()
    assert not empty.outside.any()
    assert empty.outside_variance == 0
    assert seen.outside_variance > 4 * seen.model_variance


@pytest.mark.parametrize("s", [2, 4, 8])
def test_the_model_s_error_looks_the_same_to_the_scan_at_every_factor(s: int) -> None:
    """diag(T C T') falls as 1/s^2, so C grows with it."""
    held = case((6, 6), (6 * s, 6 * s))
    big = operator(held)
    seen = np.diag(held.model_variance * big @ big.T)
    # The unpaired sample of an even matrix is halved, which takes a little away.
    np.testing.assert_allclose(np.sqrt(seen), MODEL_ERROR, rtol=0.25)
    assert OUTSIDE_ERROR > MODEL_ERROR


def test_zeros_and_wild_values_of_a_scan_are_no_measurements_and_stay_as_they_are() -> None:
    mask = np.ones((8, 8, 1), bool)
    values = np.ones((4, 4, 1))
    values[0, 0], values[1, 1], values[2, 2] = 0.0, 50.0, np.nan
    deviation = np.full(values.shape, 0.02)
    deviation[3, 3] = np.nan
    given = values.copy()
    for outside, zero_counts in ((Outside.SEEN, False), (Outside.EMPTY, True)):
        held = form_measurement(given, Noise(deviation, "CRLB"), mask, mask[:4, :4], 1.0, outside)
        assert not held.w[1, 1, 0]
        assert not held.w[2, 2, 0]
        assert not held.w[3, 3, 0]
        assert held.w[0, 0, 0] == zero_counts
        assert np.isfinite(held.y).all()
    np.testing.assert_array_equal(given, values)


def test_typical_noise_is_that_of_what_counts() -> None:
    held = case((8, 8), (16, 16))
    held.deviation[~held.w] = 99
    expected = np.sqrt(np.mean(held.deviation[held.w].astype(float) ** 2))
    assert held.typical_noise == pytest.approx(expected)


def test_another_batch_of_the_same_slices_shares_their_factors() -> None:
    held = case((8, 8), (16, 16), slices=3)
    generator = torch.Generator().manual_seed(0)
    x, normal = torch.rand(4, 16, 16, generator=generator), torch.randn(4, 8, 8)
    tau = torch.tensor([0.0, 1.0, 0.3, 0.5])[:, None, None]
    slices, index = [2, 0, 1], [0, 2, 0, 1]
    update = Consistency([held] * 3, slices, CPU)
    other = update.of_items(index)
    assert other._factor is update._factor
    assert other.nbytes == update.nbytes
    other.draw(normal, tau)
    together = other.correct(x)
    assert not update._drawn.any(), "the first batch is as it was"
    for i, number in enumerate(index):
        alone = Consistency([held], [slices[number]], CPU)
        alone.draw(normal[i : i + 1], float(tau[i]))
        torch.testing.assert_close(
            together[i : i + 1], alone.correct(x[i : i + 1]), atol=1e-5, rtol=0
        )
        torch.testing.assert_close(other.beside[i : i + 1], alone.beside, atol=1e-5, rtol=0)
