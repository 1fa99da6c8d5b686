"""Mask and MRI on the output grid: placed by the world, scaled, or left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from properties import head, oblique_affine, world_of
from studies import AFFINE, CENTRE, MRI_AFFINE, MRI_SHAPE, SHAPE, ball, conditions, head_study

from ftddm_core.conventions import CHANNELS
from ftddm_core.errors import GeometryError
from ftddm_core.imaging.degrade import degrade
from ftddm_core.imaging.geometry import regrid_mean
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.sampling.condition import Conditions, form_conditions, trusted_cells
from ftddm_core.sampling.guides import Guides, default_mask, output_grid, scale_mri


@pytest.fixture
def study():
    return head_study()


def test_mask_and_mri_are_placed_by_the_world(study):
    condition = conditions(study)["tNAA"]
    shape, affine = condition.shape, condition.affine
    assert shape == (60, 64, 4)
    channel = dict(zip(CHANNELS, condition.channels[:, :60, :64], strict=True))
    radius = np.linalg.norm(world_of(shape, affine) - CENTRE, axis=-1)
    clear = np.abs(radius - 32) > 2.5  # but at its rim the ball is where it was
    np.testing.assert_array_equal(channel["mask"][clear], (radius < 32)[clear])
    t1 = regrid_mean(study.t1, shape, affine).data
    top = np.percentile(t1[condition.mask], 99.5)
    np.testing.assert_allclose(channel["t1"], np.clip(t1 / top, 0, 1), atol=1e-5)
    brightness = np.corrcoef(channel["t1"][condition.mask], channel["flair"][condition.mask])
    assert brightness[0, 1] < -0.9
    assert set(np.unique(channel["mask"])) == {0, 1}


@pytest.mark.parametrize("absent", ["t1", "flair"])
def test_an_absent_mri_is_a_channel_of_zeros_and_changes_no_other(study, absent):
    both, without = conditions(study)["Ins"], conditions(replace(study, **{absent: None}))["Ins"]
    for number, channel in enumerate(CHANNELS):
        expected = 0 * both.channels[number] if channel == absent else both.channels[number]
        np.testing.assert_array_equal(without.channels[number], expected)
    assert both.channels[CHANNELS.index(absent)].any()


def test_each_metabolite_may_have_its_own_mask(study):
    small, large = ball(SHAPE, AFFINE, 20.0), ball(MRI_SHAPE, MRI_AFFINE, 32.0)
    found = conditions(replace(study, mask={"tNAA": small, "Ins": large}))
    for name, mask in (("tNAA", small), ("Ins", large)):
        alone = conditions(replace(study, mask=mask))[name]
        np.testing.assert_array_equal(found[name].channels, alone.channels)
    assert 0 < found["tNAA"].mask.sum() < found["Ins"].mask.sum()


def test_without_a_mask_every_voxel_that_holds_a_value_is_trusted(study):
    data = study.maps["tNAA"].data.copy()
    data[:5], data[:, :3], data[9, 9, 1] = 0, np.nan, 0
    maps = {"tNAA": study.maps["tNAA"].with_data(data), "Ins": study.maps["Ins"]}
    found = conditions(replace(study, maps=maps, mask=None))
    held = np.isfinite(data) & (data != 0)
    np.testing.assert_array_equal(default_mask(maps["tNAA"]).data, held)
    np.testing.assert_array_equal(trusted_cells(found["tNAA"].mask, SHAPE[:2]), held)
    assert trusted_cells(found["Ins"].mask, SHAPE[:2]).all()
    # The same where a metabolite is left out of the masks that were given.
    partly = conditions(replace(study, maps=maps, mask={"Ins": ball(SHAPE, AFFINE, 20.0)}))
    np.testing.assert_array_equal(partly["tNAA"].channels, found["tNAA"].channels)


@pytest.mark.parametrize(
    ("role", "name"), [("t1", "T1"), ("flair", "FLAIR"), ("mask", "mask of tNAA")]
)
def test_an_image_from_elsewhere_is_refused_by_name(study, role, name):
    away = MRI_AFFINE.copy()
    away[:3, 3] += 1000
    image = Volume(np.ones(MRI_SHAPE), away)
    with pytest.raises(GeometryError, match=rf"^{name}: .*do not overlap"):
        conditions(replace(study, **{role: image}))


def test_an_mri_is_scaled_inside_the_mask():
    image = np.linspace(-10, 989, 1000).reshape(10, 10, 10)
    mask = np.zeros(image.shape, bool)
    mask[:5] = True
    scaled = scale_mri(image, mask)
    top = np.percentile(np.maximum(image[mask], 0), 99.5)
    np.testing.assert_allclose(scaled, np.clip(image / top, 0, 1), atol=1e-6)
    assert (scaled[5:] == 1).all()
    np.testing.assert_array_equal(scale_mri(-image - 1000, mask), 0)
    np.testing.assert_array_equal(scale_mri(image, mask & False), 0)
    holed = image.copy()
    holed[:3, 0, 0] = np.inf, -np.inf, np.nan  # gaps, and not the largest value there is
    known = np.isfinite(holed)
    np.testing.assert_allclose(scale_mri(holed, mask)[known], scaled[known], rtol=0.05)
    np.testing.assert_array_equal(scale_mri(holed, mask)[~known], 0)


def test_guides_serve_a_study_and_the_same_study_degraded():
    """As where s degrades: the output grid stays, and so do masks and MRI."""
    shape = (32, 28, 3)
    affine = oblique_affine(shape, (4.0, 4.0, 11.0))
    truth, mask, mri = head(shape, affine), ball(shape, affine, 32.0), head(MRI_SHAPE, MRI_AFFINE)
    study = Study({"tNAA": truth}, mask=mask, t1=mri)
    guides = None
    for upscale in (2.0, 4.0):
        coarse = degrade(study, upscale)
        grid = output_grid(coarse.grid, upscale, shape[:2])
        guides = guides or Guides(study, *grid)
        assert grid[1].tobytes() == guides.affine.tobytes()
        (alone,) = form_conditions(coarse, upscale, shape[:2])
        assert Conditions(coarse, guides)["tNAA"].digest == alone.digest
