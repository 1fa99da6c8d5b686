"""MRI that do not lie on the maps are reported; those that do are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from properties import oblique_affine, world_of

from ftddm_core.assets import asset_folder
from ftddm_core.imaging.degrade import degrade
from ftddm_core.imaging.io import open_study
from ftddm_core.imaging.mri_fit import doubts_about_mri
from ftddm_core.imaging.volume import Study, Volume

REAL = Path(__file__).parents[3] / "shared" / "data" / "real-mrsi-oryx-K01"
SHAPE, MRI_SHAPE = (20, 22, 6), (56, 60, 30)
AFFINE = oblique_affine(SHAPE, (10.0, 10.0, 12.0), (5.0, -4.0, 10.0))
MRI_AFFINE = oblique_affine(MRI_SHAPE, (4.0, 4.0, 4.0), (-3.0, 6.0, 0.0), flip=(-1, 1, 1))
CENTRE = np.array([3.0, -12.0, 25.0])


def brain(shape, affine, margin=0.0):
    """Return 1 inside a half ellipsoid that no flip maps onto itself: longer to the front."""
    at = world_of(shape, affine) - CENTRE
    axes = np.where(at > 0, (60.0, 85.0, 70.0), (70.0, 65.0, 70.0)) + margin
    return (((at / axes) ** 2).sum(-1) < 1).astype(np.float32)


def study(mask=True, **mri):
    """Return maps of a brain, and a head that is 8 mm larger, with dark fluid on the right."""
    rng = np.random.default_rng(0)
    inside = brain(SHAPE, AFFINE)
    data = inside * (8 + rng.normal(0, 0.5, SHAPE)) + 0.3 * rng.random(SHAPE)
    head = 200 * brain(MRI_SHAPE, MRI_AFFINE) + 150 * brain(MRI_SHAPE, MRI_AFFINE, 8.0)
    at = world_of(MRI_SHAPE, MRI_AFFINE) - CENTRE
    head[np.linalg.norm(at - (20, 0, 0), axis=-1) < 12] = 40
    given = {"t1": Volume(head, MRI_AFFINE), **mri}
    return Study(
        {"tNAA": Volume(data, AFFINE)}, mask=Volume(inside, AFFINE) if mask else None, **given
    )


def moved(volume, mm):
    affine = volume.affine.copy()
    affine[:3, 3] += mm
    return replace(volume, affine=affine)


def test_an_mri_in_its_place_is_not_mentioned():
    assert doubts_about_mri(study()) == doubts_about_mri(study(mask=False)) == ()
    assert doubts_about_mri(replace(study(), t1=None)) == ()
    assert doubts_about_mri(study(flair=study().t1)) == ()


@pytest.mark.parametrize(
    ("mm", "way"),
    [
        ((-30, 0, 0), "30 mm to the right"),
        ((30, 0, 0), "30 mm to the left"),
        ((0, -30, 0), "30 mm forwards"),
        ((0, 32, 0), "30 mm backwards"),
        ((32, -32, 0), "30 mm to the left and 30 mm forwards"),
    ],
)
@pytest.mark.parametrize("mask", [True, False])
def test_a_displaced_mri_is_told_with_the_way_back(mm, way, mask):
    here = study(mask)
    (found,) = doubts_about_mri(replace(here, t1=moved(here.t1, mm)))
    assert found.startswith("T1 does not fit the maps as placed: it fits better moved by about")
    for part in way.split(" and "):
        amount, words = part.split(" mm ")
        told = [
            p
            for p in found.removesuffix(".").split("about ")[1].split(" and ")
            if p.endswith(words)
        ]
        assert len(told) == 1
        assert abs(int(told[0].split(" mm")[0]) - int(amount)) <= 10
    assert found.count(" and ") == way.count(" and ")


def test_damaged_values_of_an_mri_are_no_fault():
    """Sums of the largest numbers overflow, of infinities they are no number."""
    here = study()
    data = here.t1.data.copy()
    data[:2], data[2, 0, 0], data[3, 0, 0] = 3e38, np.inf, -np.inf
    with np.errstate(over="raise", invalid="raise"):
        doubts_about_mri(replace(here, t1=here.t1.with_data(data)))
    assert doubts_about_mri(here) == ()


def test_an_mri_far_away_is_told_with_the_share_that_it_covers():
    here = study()
    (found,) = doubts_about_mri(replace(here, t1=moved(here.t1, (0, 0, 500))))
    assert found == "T1 does not fit the maps: only 0 % of the voxels with signal lie in the head."


@pytest.mark.parametrize("value", [0.0, 100.0, np.nan])
def test_a_constant_mri_shows_nothing(value):
    flat = Volume(np.full(MRI_SHAPE, value), MRI_AFFINE)
    assert doubts_about_mri(study(flair=flat)) == ("FLAIR is constant: it shows nothing.",)


@pytest.mark.parametrize("box", [(slice(4, 9), slice(8, 16), slice(2, 3)), np.s_[10:14, 5:16, :]])
def test_maps_of_a_part_of_the_brain_fit_anywhere(box):
    """A box may correlate better with a displaced MRI, but every voxel lies in the head."""
    here = study()
    part = np.zeros(SHAPE)
    part[box] = here.mask.data[box]
    assert doubts_about_mri(replace(here, mask=Volume(part, AFFINE))) == ()


@pytest.mark.parametrize("upscale", [1, 2, 3, 4, 6, 8])
def test_the_bundled_case_fits(upscale):
    case = open_study(asset_folder("case"))
    case = case if upscale == 1 else degrade(case, upscale)
    assert doubts_about_mri(case) == ()
    if upscale > 4:  # coarser voxels than the displacement that could be told
        return
    back = replace(case, t1=moved(case.t1, (45, 0, 0)), flair=moved(case.flair, (-45, 0, 0)))
    t1, flair = doubts_about_mri(back)
    assert "to the left" in t1
    assert "to the right" in flair


def test_a_measured_examination_fits_until_its_t1_is_moved():
    if not REAL.is_dir():
        pytest.skip(f"real examples are not here: {REAL} does not exist")
    real = open_study(REAL)
    assert doubts_about_mri(real) == doubts_about_mri(replace(real, mask=None)) == ()
    (found,) = doubts_about_mri(replace(real, t1=moved(real.t1, (-32, 0, 0))))
    assert "to the right" in found
