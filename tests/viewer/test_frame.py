"""Display space: nothing moves relative to anything else, and all of it can be undone."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from properties import head, linear, oblique_affine, world_of
from scipy.ndimage import map_coordinates

from ftddm_core.imaging.volume import FloatArray, Volume
from ftddm_viewer.session.frame import Frame

SHAPE = (7, 6, 5)
TURNS = [(0, 0, 0), (10, -15, 20), (-4, 3, 170), (88, 2, 3), (3, 91, -87)]
FLIPS = list(product((1, -1), repeat=3))


def distances(points: FloatArray) -> FloatArray:
    return np.linalg.norm(points[:, None] - points[None], axis=-1)


@pytest.mark.parametrize("angles", TURNS)
@pytest.mark.parametrize("flip", FLIPS)
def test_showing_keeps_every_value_and_every_distance(
    angles: tuple[float, float, float], flip: tuple[int, int, int]
) -> None:
    affine = oblique_affine(SHAPE, angles=angles, flip=flip)
    volume = Volume(np.arange(np.prod(SHAPE), dtype=float).reshape(SHAPE), affine, "mM")
    frame = Frame.of(volume)
    shown = frame.show(volume)
    # The axes run along x, y, z and grow ...
    assert np.array_equal(shown.affine[:3, :3], np.diag(shown.voxel_size))
    # ... and every voxel is where the rigid turn takes it.
    points = world_of(SHAPE, affine).reshape(-1, 3)
    inside = dict(zip(volume.data.ravel(), points, strict=True))
    world = np.array([inside[value] for value in shown.data.ravel()])
    display = world_of(shown.shape, shown.affine).reshape(-1, 3)
    np.testing.assert_allclose(world @ frame.turn[:3, :3].T + frame.turn[:3, 3], display, atol=1e-9)
    sample = slice(None, None, 17)
    np.testing.assert_allclose(distances(world[sample]), distances(display[sample]), atol=1e-9)
    assert np.linalg.det(frame.turn[:3, :3]) == pytest.approx(1)  # a turn, never a mirror


@pytest.mark.parametrize("angles", TURNS)
@pytest.mark.parametrize("flip", FLIPS)
def test_restoring_undoes_showing(
    angles: tuple[float, float, float], flip: tuple[int, int, int]
) -> None:
    volume = linear(SHAPE, oblique_affine(SHAPE, angles=angles, flip=flip))
    frame = Frame.of(volume)
    back = frame.restore(frame.show(volume))
    assert np.array_equal(back.data, volume.data)
    np.testing.assert_allclose(back.affine, volume.affine, atol=1e-9)


def test_maps_along_the_world_are_shown_where_they_are() -> None:
    volume = linear(SHAPE, oblique_affine(SHAPE, angles=(0, 0, 0), flip=(-1, 1, -1)))
    frame = Frame.of(volume)
    assert np.array_equal(frame.turn, np.eye(4))
    shown = frame.show(volume)
    for index in ((0, 0, 0), (6, 5, 4), (2, 3, 1)):
        x, y, z = shown.affine[:3] @ [*index, 1]
        assert shown.data[index] == pytest.approx(100 + x - 2 * y + 3 * z)


@pytest.mark.parametrize("angles", TURNS)
def test_the_slice_axis_is_found_whichever_way_it_runs(angles: tuple[float, float, float]) -> None:
    for flip in FLIPS:
        volume = linear(SHAPE, oblique_affine(SHAPE, angles=angles, flip=flip))
        frame = Frame.of(volume)
        marked = volume.with_data(np.broadcast_to(np.arange(5.0), SHAPE))
        shown = frame.show(marked).data
        along = np.moveaxis(shown, frame.axis, -1)
        assert np.array_equal(along, np.broadcast_to(along[0, 0], along.shape))
        expected = np.arange(5.0)[:: -1 if frame.reversed else 1]
        assert np.array_equal(along[0, 0], expected)
        positions = frame.positions(frame.show(volume))
        assert (np.diff(positions) > 0).all()


@pytest.mark.parametrize("order", list(permutations((0, 1, 2))))
def test_an_mri_along_the_maps_is_not_interpolated(order: tuple[int, int, int]) -> None:
    maps = linear((8, 8, 3), oblique_affine((8, 8, 3), (10, 10, 12)))
    finer = oblique_affine((40, 40, 40), (2.0, 2.0, 2.0))
    mri = head((40, 40, 40), finer)
    turned = Volume(mri.data.transpose(order), finer[:, [*order, 3]])
    frame = Frame.of(maps)
    shown = frame.show_mri(turned)
    assert frame.aligned(turned)
    assert set(np.unique(shown.data)) <= set(np.unique(mri.data))
    np.testing.assert_allclose(shown.voxel_size, 2.0)


@pytest.mark.parametrize("angles", [(0, 0, 0), (10, -15, 20), (88, 2, 3)])
def test_an_oblique_mri_is_where_the_maps_say(angles: tuple[float, float, float]) -> None:
    """Its values are a linear function of the world, so one voxel's value tells where it lies."""
    maps = linear((8, 8, 3), oblique_affine((8, 8, 3), (10, 10, 12), angles))
    mri = linear((60, 50, 70), oblique_affine((60, 50, 70), (2.0, 2.5, 1.8), (-5, 12, 31)))
    frame = Frame.of(maps)
    assert not frame.aligned(mri)
    shown = frame.show_mri(mri)
    assert np.array_equal(shown.affine[:3, :3], np.diag(shown.voxel_size))
    world = world_of(shown.shape, np.linalg.inv(frame.turn) @ shown.affine)
    expected = 100 + world @ np.array([1.0, -2.0, 3.0])
    inner = shown.data > 0
    index = (
        np.linalg.inv(mri.affine)
        @ np.concatenate([world.reshape(-1, 3), np.ones((world.size // 3, 1))], axis=1).T
    )
    last = np.array(mri.shape) - 1
    voxel = index[:3].T
    well_inside = ((voxel > 0.5) & (voxel < last - 0.5)).all(1)
    inner &= well_inside.reshape(shown.shape)
    assert inner.mean() > 0.2
    np.testing.assert_allclose(shown.data[inner], expected[inner], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("angles", [(10, -15, 20), (0, 5, 40)])  # along the maps, and not
def test_an_mri_is_shown_on_its_own_extent(angles: tuple[float, float, float]) -> None:
    """Far beyond the maps, up to its own corners, on voxels of its own size, and only once."""
    maps = linear((8, 8, 3), oblique_affine((8, 8, 3), (10, 10, 12)))
    mri = linear((40, 50, 60), oblique_affine((40, 50, 60), (4.0, 3.6, 4.2), angles))
    frame = Frame.of(maps)
    shown = frame.show_mri(mri)
    assert frame.aligned(mri) is (angles == (10, -15, 20))
    np.testing.assert_allclose(shown.voxel_size, mri.voxel_size)
    inner = (np.array(list(product((0.06, 0.94), repeat=3))) * (np.array(mri.shape) - 1)).tolist()
    for index in [*inner, [19.5, 24.5, 29.5]]:
        world = mri.affine @ [*index, 1.0]
        place = np.linalg.inv(shown.affine) @ frame.turn @ world
        value = map_coordinates(shown.data, place[:3, None], order=1)[0]
        assert value == pytest.approx(100 + world[:3] @ [1.0, -2.0, 3.0], abs=2e-2)
    edges = shown.affine[:3, 3], shown.affine[:3] @ [*(n - 1 for n in shown.shape), 1]
    corners = [frame.turn @ mri.affine @ [*c, 1] for c in product(*((0, n - 1) for n in mri.shape))]
    low, high = np.min(corners, axis=0)[:3], np.max(corners, axis=0)[:3]
    np.testing.assert_allclose(edges[0], low, atol=1e-6)
    assert (edges[1] >= high - 1e-6).all()
    assert frame.show_mri(mri) is shown
    assert Frame.of(linear((8, 8, 3), np.diag([10.0, 10, 12, 1]))).show_mri(mri) is not shown


def test_an_anisotropic_mri_is_averaged_not_aliased() -> None:
    """Voxels of 0.5 x 0.5 x 6 mm, tilted: one voxel on the screen spans several of them."""
    shape = (60, 60, 6)
    affine = oblique_affine(shape, (0.5, 0.5, 6.0), (20, 0, 0))
    stripes = Volume(np.broadcast_to(np.arange(60)[None, :, None] % 2.0, shape).copy(), affine)
    frame = Frame.of(linear((8, 8, 3), oblique_affine((8, 8, 3), (10, 10, 12), (0, 0, 0))))
    shown = frame.show_mri(stripes).data
    inside = shown[shown.shape[0] // 2, 20:-20, 2:-2]
    assert inside.size > 20
    assert np.abs(inside - 0.5).max() < 0.3
