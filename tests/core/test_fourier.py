"""k-space against its literal definition: FFTs, ordered frequencies, halved Nyquist."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import oblique_affine, world_of

from ftddm_core.errors import GeometryError
from ftddm_core.imaging.fourier import (
    consistency_residual,
    data_consistency,
    k_space_support,
    low_pass,
    truncate,
    zero_fill,
)
from ftddm_core.imaging.geometry import refined_affine

# Acquired and output matrix: odd and even, both ways round, not square, equal.
PAIRS = [
    ((14, 14), (56, 56)),
    ((15, 15), (64, 64)),
    ((16, 13), (54, 30)),
    ((7, 12), (21, 25)),
    ((9, 10), (10, 11)),
    ((8, 9), (8, 9)),
    ((2, 1), (5, 4)),
]
TRAILING = [(), (3,), (2, 3)]


@st.composite
def matrices(draw, smallest=1):
    """Draw an acquired matrix and one at least as large."""
    acquired = tuple(draw(st.integers(smallest, 16)) for _ in range(2))
    return acquired, tuple(n + draw(st.integers(0, 20)) for n in acquired)


def noise(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def mapped(image, axis, n_out, kept):
    """Move amplitudes along one axis: `kept` holds (k of the input, k of the output, weight)."""
    spectrum = np.moveaxis(np.fft.fft(image, axis=axis, norm="forward"), axis, 0)
    moved = np.zeros((n_out, *spectrum.shape[1:]), complex)
    for source, target, weight in kept:
        moved[target % n_out] += weight * spectrum[source % len(spectrum)]
    return np.moveaxis(np.fft.ifft(moved, axis=0, norm="forward"), 0, axis)


def band(n):
    """Return the acquired frequencies -n/2 .. n/2 - 1 (even), -(n-1)/2 .. (n-1)/2 (odd)."""
    return range(-(n // 2), (n - 1) // 2 + 1)


def literal_zero_fill(image, matrix):
    for axis, n_out in enumerate(matrix):
        n = image.shape[axis]
        kept = [(k, k, 1.0) for k in band(n) if 2 * abs(k) != n]
        if n % 2 == 0:
            kept += [(n // 2, n // 2, 0.5), (-n // 2, -n // 2, 0.5)]
        filled = mapped(image, axis, n_out, kept)
        np.testing.assert_allclose(filled.imag, 0, atol=1e-12)
        image = filled.real
    return image


def literal_truncate(image, matrix):
    for axis, n in enumerate(matrix):
        image = mapped(image, axis, n, [(k, k, 1.0) for k in band(n)]).real
    return image


def in_box(shape, matrix):
    """Return |k| < n/2 on both axes, in the order of numpy's FFT."""
    kx, ky = (np.fft.fftfreq(n, 1 / n) for n in shape[:2])
    return (2 * np.abs(kx) < matrix[0])[:, None] & (2 * np.abs(ky) < matrix[1])


def literal_data_consistency(image, measured, matrix):
    box = in_box(image.shape, matrix).reshape(*image.shape[:2], *[1] * (image.ndim - 2))
    x, y = (np.fft.fft2(a, axes=(0, 1), norm="forward") for a in (image, measured))
    result = np.fft.ifft2(np.where(box, y, x), axes=(0, 1), norm="forward")
    np.testing.assert_allclose(result.imag, 0, atol=1e-12)
    return result.real


@pytest.mark.parametrize("trailing", TRAILING)
@pytest.mark.parametrize(("acquired", "output"), PAIRS)
def test_the_operations_are_what_they_say(acquired, output, trailing):
    y, x = noise((*acquired, *trailing), 1), noise((*output, *trailing), 2)
    np.testing.assert_allclose(zero_fill(y, output), literal_zero_fill(y, output), atol=1e-12)
    np.testing.assert_allclose(truncate(x, acquired), literal_truncate(x, acquired), atol=1e-12)
    measured = zero_fill(y, output)
    np.testing.assert_allclose(
        data_consistency(x, measured, acquired),
        literal_data_consistency(x, measured, acquired),
        atol=1e-12,
    )
    np.testing.assert_allclose(
        low_pass(x, acquired), literal_data_consistency(0 * x, x, acquired), atol=1e-12
    )


def test_the_plane_differs_from_a_real_part_in_the_corner_sample_alone():
    """Halving per axis and the real part of a 2D truncation agree but at (-nx/2, -ny/2)."""
    x, (nx, ny) = noise((20, 24)), (8, 10)
    spectrum = np.fft.fft2(x, norm="forward")
    kept = spectrum[np.ix_([k % 20 for k in band(nx)], [k % 24 for k in band(ny)])]
    real = np.fft.ifft2(np.fft.ifftshift(kept), norm="forward").real
    difference = np.fft.fft2(truncate(x, (nx, ny)) - real, norm="forward")
    assert abs(difference[nx // 2, ny // 2]) > 1e-6
    difference[nx // 2, ny // 2] = 0
    np.testing.assert_allclose(difference, 0, atol=1e-14)


@given(matrices(), st.integers(0, 99), st.integers(2, 5), st.integers(2, 5))
@settings(deadline=None)
def test_zero_filling_passes_through_the_acquired_samples(pair, seed, a, b):
    acquired, _ = pair
    y = noise(acquired, seed)
    filled = zero_fill(y, (a * acquired[0], b * acquired[1]))
    np.testing.assert_allclose(filled[::a, ::b], y, atol=1e-10)


@given(matrices(), st.integers(0, 99))
@settings(deadline=None)
def test_truncation_is_the_adjoint_of_zero_filling(pair, seed):
    """<Z y, x> = <y, T x> with the mean over each grid as inner product: T = (n/N) Z^T."""
    acquired, output = pair
    y, x = noise(acquired, seed), noise(output, seed + 1)
    left = (zero_fill(y, output) * x).mean()
    assert left == pytest.approx((y * truncate(x, acquired)).mean(), abs=1e-12)


@given(matrices(), st.integers(0, 99))
@settings(deadline=None)
def test_truncation_undoes_zero_filling_but_for_half_of_an_unpaired_sample(pair, seed):
    """An even n < N returns its sample -n/2 halved (once per such axis); all else returns whole."""
    acquired, output = pair
    y = noise(acquired, seed)
    spectrum = np.fft.fft2(y, norm="forward")
    if acquired[0] % 2 == 0 and output[0] > acquired[0]:
        spectrum[acquired[0] // 2] /= 2
    if acquired[1] % 2 == 0 and output[1] > acquired[1]:
        spectrum[:, acquired[1] // 2] /= 2
    expected = np.fft.ifft2(spectrum, norm="forward").real
    np.testing.assert_allclose(truncate(zero_fill(y, output), acquired), expected, atol=1e-10)


@pytest.mark.parametrize(("acquired", "output"), PAIRS)
def test_a_constant_stays_that_constant(acquired, output):
    np.testing.assert_allclose(zero_fill(np.full(acquired, 7.0), output), 7)
    np.testing.assert_allclose(truncate(np.full(output, 7.0), acquired), 7)


@given(matrices(), st.integers(0, 99))
@settings(deadline=None)
def test_the_box_is_an_orthogonal_projection(pair, seed):
    matrix, shape = pair
    x, z = noise(shape, seed), noise(shape, seed + 1)
    once = low_pass(x, matrix)
    assert np.isrealobj(once)
    np.testing.assert_allclose(low_pass(once, matrix), once, atol=1e-10)
    assert (once * z).sum() == pytest.approx((x * low_pass(z, matrix)).sum(), abs=1e-9)


@given(matrices(), st.integers(0, 99))
@settings(deadline=None)
def test_data_consistency_is_a_projection_onto_what_agrees_with_the_scan(pair, seed):
    matrix, shape = pair
    x = noise((*shape, 2), seed)
    y = zero_fill(1 + noise((*matrix, 2), seed + 1), shape)
    once = data_consistency(x, y, matrix)
    assert consistency_residual(once, y, matrix) < 1e-9
    np.testing.assert_allclose(data_consistency(once, y, matrix), once, atol=1e-9)
    # No other map that agrees with the scan is nearer: the change is orthogonal to what is free.
    free = noise(x.shape, seed + 2)
    free = free - low_pass(free, matrix)
    assert ((once - x) * free).sum() == pytest.approx(0, abs=1e-8)


def test_the_residual_is_the_relative_norm_in_k_space():
    x, y, matrix = noise((12, 15, 2), 1), noise((12, 15, 2), 2), (6, 7)
    box = in_box(x.shape, matrix)[..., None]
    fx, fy = (np.fft.fft2(a, axes=(0, 1)) for a in (x, y))
    expected = np.linalg.norm(box * (fx - fy)) / np.linalg.norm(box * fy)
    assert consistency_residual(x, y, matrix) == pytest.approx(expected)


@pytest.mark.parametrize(("acquired", "output"), PAIRS)
def test_a_band_limited_function_of_the_world_is_read_at_the_new_positions(acquired, output):
    """Voxel (0, 0) keeps its centre and each column of the affine is multiplied by n/N."""
    affine = oblique_affine((*acquired, 2), (10.0, 9.0, 12.0))
    refined = refined_affine(affine, acquired, output)
    np.testing.assert_allclose(refined[:3, 3], affine[:3, 3], atol=0.01)
    to_voxel = np.linalg.inv(affine)[:2]

    def wave(shape, grid):
        world = world_of((*shape, 2), grid)
        u = world @ to_voxel[:, :3].T + to_voxel[:, 3]
        # The highest frequency strictly below Nyquist, on both axes, with a phase.
        k = [(n - 1) // 2 / n for n in acquired]
        return np.cos(2 * np.pi * (k[0] * u[..., 0] - k[1] * u[..., 1]) + 0.4)

    filled = zero_fill(wave(acquired, affine), output)
    np.testing.assert_allclose(filled, wave(output, refined), atol=1e-9)


@given(matrices(smallest=2), st.integers(0, 99))
@settings(deadline=None)
def test_the_support_is_the_matrix_that_was_zero_filled(pair, seed):
    acquired, output = pair
    filled = zero_fill(noise((*acquired, 3), seed), output).astype(np.float32)
    assert k_space_support(filled) == acquired


@pytest.mark.parametrize("shape", [(16, 16), (15, 17), (12, 9, 4)])
def test_a_white_map_fills_its_k_space(shape):
    assert k_space_support(noise(shape)) == shape[:2]


def test_values_that_are_not_finite_do_not_hide_the_support():
    image = noise((16, 12))
    image[3, 4], image[5, 6] = np.nan, np.inf
    assert k_space_support(image) == (16, 12)


def test_impossible_matrices_are_refused_with_their_numbers():
    image = np.ones((8, 6))
    with pytest.raises(GeometryError, match=r"zero-fill a 8x6 map to 16x5: smaller"):
        zero_fill(image, (16, 5))
    with pytest.raises(GeometryError, match=r"truncate a 8x6 map to 8x7: larger"):
        truncate(image, (8, 7))
    with pytest.raises(GeometryError, match=r"truncate a 8x6 map to 0x6"):
        truncate(image, (0, 6))
    with pytest.raises(GeometryError, match=r"matrix 9x6 is larger than the 8x6 map"):
        data_consistency(image, image, (9, 6))


def test_results_lie_in_memory_alike_in_every_process() -> None:
    """A sum over an array depends, in its last digits, on the order of its values."""
    code = (
        "import numpy as np\n"
        "from ftddm_core.imaging.degrade import _truncated_variance\n"
        "from ftddm_core.imaging.fourier import low_pass, truncate, zero_fill\n"
        "image = np.ones((12, 12, 3))\n"
        "found = [truncate(image, (4, 4)), zero_fill(image, (24, 24)), low_pass(image, (4, 4)),\n"
        "         _truncated_variance(image, (4, 4))]\n"
        "assert all(each.flags.c_contiguous for each in found), [each.strides for each in found]\n"
    )
    for seed in "1234":
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, check=True
        )
