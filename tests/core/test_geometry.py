from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import grids, head, linear, oblique_affine, relative_error, world_of
from scipy.ndimage import map_coordinates

from ftddm_core.errors import GeometryError, SettingsError
from ftddm_core.imaging import geometry
from ftddm_core.imaging.geometry import (
    check_overlap,
    effective_upscale,
    output_matrix,
    refined_affine,
    regrid_mean,
    regrid_nearest,
)
from ftddm_core.imaging.volume import Volume

BIG = (24, 22, 20)
BIG_AFFINE = oblique_affine(BIG, voxel_size=(4.0, 4.5, 5.0), flip=(-1, 1, 1))

# Matrices, upscales and outputs by hand: N = 2 round(n s / 2).
CASES = [
    ((14, 14), 4.0, (56, 56)),
    ((16, 16), 3.4, (54, 54)),
    ((15, 17), 2.0, (30, 34)),
    ((13, 20), 2.6, (34, 52)),
]


@pytest.mark.parametrize(("acquired", "upscale", "output"), CASES)
def test_output_matrix_by_hand(acquired, upscale, output):
    assert output_matrix(acquired, upscale) == output


@given(st.integers(4, 80), st.integers(4, 80), st.floats(2, 8))
def test_output_is_even_and_the_effective_upscale_is_near(nx, ny, s):
    output = output_matrix((nx, ny), s)
    assert all(n % 2 == 0 for n in output)
    # Each axis is at most one voxel from n s.
    assert abs(output[0] - nx * s) <= 1 + 1e-9
    assert abs(output[1] - ny * s) <= 1 + 1e-9
    error = 1 / (min(nx, ny) * s) + 1e-9
    assert effective_upscale((nx, ny), output) == pytest.approx(s, rel=error)


def test_effective_upscale_is_the_geometric_mean():
    assert effective_upscale((10, 10), (20, 80)) == pytest.approx(4)


@pytest.mark.parametrize(("acquired", "upscale"), [((16, 16), 0.5), ((0, 16), 4.0)])
def test_no_enlargement_is_refused(acquired, upscale):
    with pytest.raises(SettingsError, match=r"not an enlargement.*2 or more"):
        output_matrix(acquired, upscale)


@pytest.mark.parametrize(("acquired", "upscale", "output"), CASES)
def test_refinement_keeps_the_origin_and_the_plane(acquired, upscale, output):
    affine = oblique_affine((*acquired, 3), voxel_size=(10.0, 10.0, 12.0))
    refined = refined_affine(affine, acquired, output)
    np.testing.assert_allclose(refined[:, 3], affine[:, 3], atol=0.01)
    np.testing.assert_allclose(refined[:, 2], affine[:, 2], atol=0.01)
    for axis in range(2):
        # n acquired voxels and N refined ones are the same length.
        np.testing.assert_allclose(
            refined[:, axis] * output[axis], affine[:, axis] * acquired[axis], atol=0.01
        )


@pytest.mark.parametrize(("acquired", "upscale", "output"), CASES)
def test_refinement_is_where_zero_filling_puts_the_samples(acquired, upscale, output):
    """A plane wave of the acquired band, zero-filled, equals the same wave on the refined grid."""
    affine = oblique_affine((*acquired, 1), voxel_size=(10.0, 9.0, 12.0))
    step = np.linalg.inv(affine)[:3]
    frequency = 3 / acquired[0] * step[0] + 2 / acquired[1] * step[1]  # per mm

    def wave(shape, affine):
        world = np.concatenate([world_of((*shape, 1), affine), np.ones((*shape, 1, 1))], axis=-1)
        return np.exp(2j * np.pi * world @ frequency)[..., 0]

    spectrum = np.fft.fft2(wave(acquired, affine), norm="forward")
    filled = np.zeros(output, dtype=complex)
    for index in np.ndindex(*acquired):
        k = [(i + n // 2) % n - n // 2 for i, n in zip(index, acquired, strict=True)]
        filled[k[0], k[1]] = spectrum[index]
    expected = wave(output, refined_affine(affine, acquired, output))
    np.testing.assert_allclose(np.fft.ifft2(filled, norm="forward"), expected, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(grids())
def test_a_linear_function_is_regridded_exactly(grid):
    shape, affine = grid
    source = linear((40, 40, 30), oblique_affine((40, 40, 30), (4.0, 4.5, 8.0), (5.0, 30.0, -70.0)))
    # Every sub-point of the target lies between the source's voxel centres.
    result = regrid_mean(source, shape, affine)
    np.testing.assert_allclose(result.data, linear(shape, affine).data, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("regrid", [regrid_nearest, regrid_mean])
@pytest.mark.parametrize("angles", [(0, 0, 0), (90, 0, 0), (0, 0, 180), (7, -20, 35)])
@pytest.mark.parametrize("flip", [(1, 1, 1), (-1, 1, 1)])
def test_a_head_stays_where_it_is_in_the_world(regrid, angles, flip):
    fine = (60, 60, 60)
    source = head(fine, oblique_affine(fine, (2.0, 2.0, 2.0), (3.0, -8.0, 12.0)))
    target = oblique_affine((20, 22, 9), (2.5, 3.0, 6.0), angles, flip=flip)
    result = regrid(source, (20, 22, 9), target)
    expected = head((20, 22, 9), target)
    assert relative_error(result.data, expected.data) < 0.05
    # The check can tell left from right: the mirrored head is another one.
    mirrored = head((20, 22, 9), np.diag([-1.0, 1, 1, 1]) @ target)
    assert relative_error(result.data, mirrored.data) > 0.2


@pytest.mark.parametrize("regrid", [regrid_nearest, regrid_mean])
def test_there_and_back(regrid):
    source = head(BIG, BIG_AFFINE)
    fine = (90, 90, 90)
    there = regrid(source, fine, oblique_affine(fine, (1.4, 1.4, 1.4), (0.0, 0.0, 0.0)))
    back = regrid(there, BIG, BIG_AFFINE)
    assert relative_error(back.data, source.data) < 0.06


@pytest.mark.parametrize("regrid", [regrid_nearest, regrid_mean])
def test_the_own_grid_changes_nothing(regrid):
    source = head(BIG, BIG_AFFINE)
    # Even through the float32 affine that a file would hold.
    result = regrid(source, BIG, BIG_AFFINE.astype(np.float32))
    np.testing.assert_allclose(result.data, source.data, atol=1e-4)
    np.testing.assert_allclose(result.affine, BIG_AFFINE, atol=1e-4)


@settings(max_examples=50, deadline=None)
@given(grids())
def test_a_constant_inside_stays_constant(grid):
    shape, affine = grid
    source = Volume(np.full((30, 30, 30), 7.0), oblique_affine((30, 30, 30), (7.0, 7.0, 8.0)))
    np.testing.assert_allclose(regrid_mean(source, shape, affine).data, 7, rtol=1e-6)
    assert (regrid_nearest(source, shape, affine).data == 7).all()


@pytest.mark.parametrize("factor", [(1, 1, 1), (2, 3, 4), (5, 2, 1), (16, 16, 12)])
def test_the_mean_over_whole_blocks_is_exact(factor):
    """Where a target voxel is a block of source voxels, it is that block's mean."""
    shape = (3, 4, 2)
    fine_shape = tuple(n * f for n, f in zip(shape, factor, strict=True))
    fine = oblique_affine(fine_shape, (1.0, 1.1, 0.9))
    source = Volume(np.random.default_rng(0).normal(size=fine_shape), fine)
    coarse = fine.copy()
    coarse[:3, :3] *= factor
    coarse[:3, 3] += fine[:3, :3] @ ((np.array(factor) - 1) / 2)
    x, y, z = factor
    blocks = source.data.reshape(3, x, 4, y, 2, z).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(regrid_mean(source, shape, coarse).data, blocks, atol=1e-5)


def test_a_checkerboard_is_averaged_not_aliased():
    """At 2.5 x 2.5 x 12 mm a 1 mm checkerboard is grey; taking single points would not show it."""
    shape = (60, 60, 60)
    board = Volume(np.indices(shape).sum(axis=0) % 2 * 2.0, oblique_affine(shape, (1.0, 1.0, 1.0)))
    target = oblique_affine((10, 10, 2), (2.5, 2.5, 12.0), (20.0, 5.0, -30.0))
    np.testing.assert_allclose(regrid_mean(board, (10, 10, 2), target).data, 1, atol=0.05)


def test_total_signal_is_kept_when_the_target_covers_the_source():
    source = head(BIG, BIG_AFFINE)
    source = source.with_data(source.data * (source.data > 0.7))
    shape = (30, 30, 30)
    affine = oblique_affine(shape, (6.0, 6.5, 8.0), (40.0, -20.0, 15.0))
    result = regrid_mean(source, shape, affine)
    total = source.data.sum() * abs(np.linalg.det(BIG_AFFINE))
    assert result.data.sum() * abs(np.linalg.det(affine)) == pytest.approx(total, rel=0.01)


def test_nearest_keeps_values_and_their_type():
    mask = Volume((head(BIG, BIG_AFFINE).data > 0.8).astype(np.uint8), BIG_AFFINE)
    affine = oblique_affine((31, 33, 13), (2.0, 2.0, 4.0), (3.0, 50.0, 8.0))
    result = regrid_nearest(mask, (31, 33, 13), affine)
    assert result.data.dtype == np.uint8
    assert set(np.unique(result.data)) == {0, 1}
    point = (world_of((31, 33, 13), affine) - BIG_AFFINE[:3, 3]) @ np.linalg.inv(
        BIG_AFFINE[:3, :3]
    ).T
    index = np.rint(point).astype(int)
    clear = (np.abs(point - index) < 0.499).all(axis=-1)  # not on a border between voxels
    expected = mask.data[tuple(np.moveaxis(index, -1, 0))]
    np.testing.assert_array_equal(result.data[clear], expected[clear])


@pytest.mark.parametrize("noise", [-1e-5, 0.0, 1e-5])
def test_noise_of_an_affine_does_not_decide_ties(noise):
    """Refined twofold, every other centre lies on a border: it belongs to the higher voxel."""
    source = Volume(np.arange(1.0, 5.0).reshape(4, 1, 1), np.eye(4))
    affine = refined_affine(np.eye(4), (4, 1), (8, 1))
    affine[0, 3] += noise
    result = regrid_nearest(source, (8, 1, 1), affine)
    np.testing.assert_array_equal(result.data[:, 0, 0], [1, 2, 2, 3, 3, 4, 4, 0])


def test_a_voxel_extends_half_a_voxel_and_beyond_is_zero():
    source = Volume(np.full((1, 1, 1), 5.0), np.diag([10.0, 10, 10, 1]))
    affine = np.eye(4)
    affine[0, 3] = -7.0
    expected = np.where(np.abs(np.arange(15) - 7.0 + 1e-3) < 5, 5, 0)
    for regrid in (regrid_nearest, regrid_mean):
        np.testing.assert_array_equal(regrid(source, (15, 1, 1), affine).data[:, 0, 0], expected)


def test_a_voxel_half_outside_holds_half():
    source = Volume(np.full((4, 4, 4), 2.0), np.eye(4))
    affine = np.diag([4.0, 4, 4, 1])
    affine[:3, 3] = (3.5, 1.5, 1.5)  # x from 1.5 to 5.5, the source ends at 3.5
    assert regrid_mean(source, (1, 1, 1), affine).data.item() == pytest.approx(1)


def test_what_is_not_finite_counts_as_zero_and_does_not_spread():
    data = np.ones((8, 8, 8))
    data[2, 2, 2], data[5, 5, 5], data[6, 1, 1] = np.nan, np.inf, -np.inf
    result = regrid_mean(Volume(data, np.eye(4)), (8, 8, 8), np.eye(4))
    np.testing.assert_array_equal(result.data, np.where(np.isfinite(data), 1, 0))


@pytest.mark.parametrize("regrid", [regrid_nearest, regrid_mean])
def test_images_apart_are_refused_with_both_boxes(regrid):
    source = Volume(np.ones((4, 4, 4)), np.eye(4))
    affine = np.eye(4)
    affine[0, 3] = 1000
    message = r"source covers x -0\.5 to 3\.5.*target x 999\.5 to 1001\.5.*same examination"
    with pytest.raises(GeometryError, match=message):
        regrid(source, (2, 2, 2), affine)


@pytest.mark.parametrize("regrid", [regrid_nearest, regrid_mean])
def test_unit_and_header_stay_with_the_values(regrid):
    source = Volume(np.ones((4, 4, 4)), np.eye(4), unit="mM", header="kept")
    result = regrid(source, (2, 2, 2), np.eye(4))
    assert (result.unit, result.header) == ("mM", "kept")


# ---------------------------------------------------------------- the same bytes, however computed

LATTICE = (3, 2, 4)
"""Sub-points that `regrid_mean` takes in a voxel of `COARSE`, of a source with 2 mm voxels."""

COARSE = (11, 9, 5)
COARSE_AFFINE = oblique_affine(COARSE, (5.9, 3.9, 7.9), (0.0, 0.0, 0.0), (30.0, -12.0, 40.0))


def noise(shape=(40, 36, 44), seed=0):
    """Return a source that ends inside the field of view of `COARSE`, with its axes along it."""
    data = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    data[20:22, 5, 30] = np.nan
    return Volume(data, oblique_affine(shape, (2.0, 2.0, 2.0), (0.0, 0.0, 0.0)))


def plain_mean(volume):
    """Return what `regrid_mean` makes of a source on `COARSE`, as it says it does."""
    lattice = COARSE_AFFINE.copy()
    lattice[:3, :3] /= LATTICE
    lattice[:3, 3] += COARSE_AFFINE[:3, :3] @ ((1 / np.array(LATTICE) - 1) / 2)
    a, b, c, origin = (np.linalg.inv(volume.affine) @ lattice)[:3].T[:, :, None, None]
    x, y, z = (n * m for n, m in zip(COARSE, LATTICE, strict=True))
    source = np.nan_to_num(volume.data)
    data = np.zeros(COARSE)
    for k in range(z):
        points = a * np.arange(x)[:, None] + b * np.arange(y) + (c * k + origin)
        index = np.floor(points + 0.5001)
        size = np.reshape(volume.shape, (3, 1, 1))
        inside = np.logical_and.reduce((index >= 0) & (index < size))
        values = map_coordinates(source, points, order=1, mode="nearest") * inside
        blocks = values.reshape(COARSE[0], LATTICE[0], COARSE[1], LATTICE[1])
        data[..., k // LATTICE[2]] += blocks.mean(axis=(1, 3)) / LATTICE[2]
    return data.astype(np.float32)


@pytest.mark.parametrize("cores", [1, 2, 3, 64])
def test_threads_change_no_bit(monkeypatch, cores):
    monkeypatch.setattr(geometry, "usable_cores", lambda: cores)
    found = regrid_mean(noise(), COARSE, COARSE_AFFINE).data
    assert found.tobytes() == plain_mean(noise()).tobytes()
    assert found.any()
    assert not found.all()  # part of the target lies outside


@pytest.mark.parametrize("order", ["C", "F", "strided"])
@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)])
def test_how_the_source_lies_in_memory_changes_no_bit(order, axes):
    """Nor does which of its axes runs along the target's slices, where they run along at all."""
    source = noise()
    turned = Volume(source.data.transpose(axes), source.affine[:, [*axes, 3]])
    data = turned.data.copy(order="F" if order == "F" else "C")
    if order == "strided":
        data = np.repeat(data, 2, axis=-1)[..., ::2]
    laid = turned.with_data(data)
    for regrid in (regrid_mean, regrid_nearest):
        expected = regrid(turned, COARSE, COARSE_AFFINE).data
        assert regrid(laid, COARSE, COARSE_AFFINE).data.tobytes() == expected.tobytes()
    # Summed in another order, the eight neighbours of a point give the same to rounding.
    mean = regrid_mean(laid, COARSE, COARSE_AFFINE).data
    np.testing.assert_allclose(mean, plain_mean(source), atol=1e-6)


def test_threads_share_the_work_and_none_runs_far_ahead(monkeypatch):
    """However slowly the results are taken, few are kept: memory stays bounded."""
    monkeypatch.setattr(geometry, "usable_cores", lambda: 3)
    together = threading.Barrier(3, timeout=60)
    started = []

    def work(k):
        started.append(k)
        if k < 3:
            together.wait()  # three at once, or never
        return k

    for taken, k in enumerate(geometry._in_order(work, 40)):
        assert k == taken
        assert len(started) <= taken + 1 + 2 * 3
    assert sorted(started) == list(range(40))


@pytest.mark.parametrize("cores", [1, 4])
def test_an_error_in_a_thread_is_the_callers(monkeypatch, cores):
    monkeypatch.setattr(geometry, "usable_cores", lambda: cores)
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        list(geometry._in_order(lambda k: 1 / (5 - k), 20))
    assert threading.active_count() == before


@given(st.integers(-14, 14), st.integers(-14, 14), st.integers(-14, 14))
@settings(deadline=None)
def test_overlap_is_checked_as_regridding_does(x, y, z):
    source = Volume(np.ones((4, 5, 6)), oblique_affine((4, 5, 6), (3.0, 3.0, 3.0)))
    affine = oblique_affine((3, 3, 3), (4.0, 4.0, 4.0), (5.0, 40.0, -20.0))
    affine[:3, 3] += (x, y, z)
    words = []
    for act in (regrid_nearest, check_overlap):
        try:
            act(source, (3, 3, 3), affine)
        except GeometryError as error:
            words.append(str(error))
        else:
            words.append("")
    assert words[0] == words[1]
