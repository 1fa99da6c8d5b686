"""Degrading a study, and finding the matrix below a zero-filling."""

from dataclasses import replace

import numpy as np
import pytest
from properties import head, oblique_affine
from studies import SHAPE, ball, conditions

from ftddm_core.errors import GeometryError
from ftddm_core.imaging.degrade import acquired_matrix, coarse_matrix, degrade, undo_zero_filling
from ftddm_core.imaging.fourier import truncate, unfill, zero_fill
from ftddm_core.imaging.geometry import refined_affine, regrid_nearest
from ftddm_core.imaging.volume import Noise, Study, Volume

AFFINE = np.array([[-3.0, 0.2, 0, 80], [0.1, 3.2, 0.3, -90], [0, -0.2, 5.0, 11], [0, 0, 0, 1]])


def study_of(shape, seed=0):
    rng = np.random.default_rng(seed)
    maps = {name: Volume(rng.uniform(1, 2, shape), AFFINE) for name in ("tNAA", "tCho")}
    return Study(maps, mask=Volume(np.ones(shape), AFFINE))


@pytest.mark.parametrize("acquired", [(12, 12), (13, 13), (12, 15), (9, 10)])
@pytest.mark.parametrize("matrix", [(24, 24), (31, 40)])
def test_zero_filling_is_undone_exactly(acquired, matrix):
    study = study_of((*acquired, 3))
    affine = refined_affine(AFFINE, acquired, matrix)
    filled = replace(
        study,
        maps={n: Volume(zero_fill(v.data, matrix), affine) for n, v in study.maps.items()},
    )
    assert acquired_matrix(filled) == acquired
    restored = undo_zero_filling(filled)
    np.testing.assert_allclose(restored.grid.affine, AFFINE, atol=1e-9)
    for name, volume in study.maps.items():
        np.testing.assert_allclose(restored.maps[name].data, volume.data, atol=1e-5)


def test_an_infinite_deviation_is_a_gap_and_drowns_nothing():
    study = study_of((12, 15, 2))
    deviation = np.full(study.grid.shape, 0.1)
    deviation[3, 3] = np.inf
    noisy = replace(study, noise=dict.fromkeys(study.maps, Noise(deviation, "CRLB")))
    assert np.all(degrade(noisy, 2).noise["tNAA"].deviation <= 0.1)


def test_a_map_that_was_not_zero_filled_is_left_alone():
    study = study_of((12, 14, 2))
    assert acquired_matrix(study) == (12, 14)
    with pytest.raises(GeometryError, match="do not look zero-filled"):
        undo_zero_filling(study)


def test_unfill_refuses_a_larger_matrix():
    with pytest.raises(GeometryError, match="was not zero-filled from 9x8"):
        unfill(np.ones((8, 8)), (9, 8))


@pytest.mark.parametrize(("upscale", "coarse"), [(2, (32, 24)), (3, (21, 16)), (8, (8, 6))])
def test_degrading_keeps_the_origin_and_the_masked_mean(upscale, coarse):
    study = study_of((64, 48, 2))
    low = degrade(study, upscale)
    assert coarse_matrix((64, 48), upscale) == coarse
    assert low.grid.shape == (*coarse, 2)
    np.testing.assert_allclose(low.grid.affine[:3, 3], AFFINE[:3, 3], atol=1e-9)
    field = np.array(low.grid.shape[:2]) * low.grid.voxel_size[:2]
    np.testing.assert_allclose(field, np.array((64, 48)) * study.grid.voxel_size[:2], rtol=1e-9)
    for name in study.maps:  # the sample at k = 0 is the mean
        before, after = study.maps[name].data.mean((0, 1)), low.maps[name].data.mean((0, 1))
        np.testing.assert_allclose(after, before, rtol=1e-5)


def test_degrading_sees_nothing_outside_the_mask():
    study = study_of((32, 32, 1))
    mask = np.zeros((32, 32, 1))
    mask[8:20, 6:25] = 1
    wild = {n: v.with_data(np.where(mask > 0, v.data, 1e6)) for n, v in study.maps.items()}
    wild["tNAA"].data[0, 0, 0] = np.nan
    one = degrade(replace(study, mask=Volume(mask, AFFINE)), 4)
    two = degrade(replace(study, maps=wild, mask=Volume(mask, AFFINE)), 4)
    for name in study.maps:
        np.testing.assert_array_equal(one.maps[name].data, two.maps[name].data)


def test_degrading_needs_a_mask():
    with pytest.raises(GeometryError, match="tNAA has no mask"):
        degrade(replace(study_of((16, 16, 1)), mask=None), 2)


def test_a_mask_is_placed_once_and_each_map_sees_its_own(monkeypatch):
    rng = np.random.default_rng(1)
    study = study_of((24, 20, 2))
    maps = {**study.maps, "Ins": Volume(rng.uniform(1, 2, (24, 20, 2)), AFFINE)}
    shared, own = (Volume((rng.random((24, 20, 2)) < 0.5) * 1.0, AFFINE) for _ in range(2))
    masks = {"tNAA": shared, "tCho": own, "Ins": shared}
    alone = {n: degrade(Study({n: v}, mask=masks[n]), 3).maps[n].data for n, v in maps.items()}
    placed = []

    def regrid(volume, *grid):
        placed.append(volume)
        return regrid_nearest(volume, *grid)

    monkeypatch.setattr("ftddm_core.imaging.degrade.regrid_nearest", regrid)
    together = degrade(Study(maps, mask=masks), 3)
    assert placed == [shared, own]
    for name, data in alone.items():
        assert together.maps[name].data.tobytes() == data.tobytes()


def test_degrading_keeps_the_world_and_sees_the_mask_only():
    fine_shape, upscale = (47, 40, 3), 3.3
    affine = oblique_affine(fine_shape, (3.0, 3.2, 11.0))
    truth, mask = head(fine_shape, affine), ball(fine_shape, affine, 32.0)
    study = Study({"tNAA": truth}, mask=mask)
    coarse = degrade(study, upscale)
    n = coarse_matrix(fine_shape[:2], upscale)
    assert n == (14, 12)
    assert coarse.grid.shape == (*n, 3)
    np.testing.assert_allclose(coarse.grid.affine[:3, 3], affine[:3, 3], atol=0.01)
    np.testing.assert_allclose(
        coarse.grid.affine[:3, :2] * n, affine[:3, :2] * fine_shape[:2], atol=0.01
    )
    expected = truncate(truth.data * mask.data, n)
    np.testing.assert_allclose(coarse.grid.data, expected, atol=1e-5)
    wild = np.where(mask.data > 0, truth.data, np.nan)
    again = degrade(Study({"tNAA": truth.with_data(wild)}, mask=mask), upscale)
    np.testing.assert_array_equal(again.grid.data, coarse.grid.data)
    # Back on the output grid, the condition has the truth's matrix and affine.
    condition = conditions(coarse, matrix=fine_shape[:2])["tNAA"]
    assert condition.shape == fine_shape
    np.testing.assert_allclose(condition.affine, affine, atol=1e-9)
    np.testing.assert_array_equal(condition.mask, mask.data > 0)
    assert condition.upscale == pytest.approx(np.sqrt(47 / 14 * 40 / 12))


def test_degrading_without_a_mask_is_refused():
    with pytest.raises(GeometryError, match="tNAA has no mask"):
        degrade(Study({"tNAA": head(SHAPE, AFFINE)}), 2.0)
