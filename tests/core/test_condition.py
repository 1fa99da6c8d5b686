"""From a map to the networks' channels: trusting, cleaning, scaling and padding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import head, oblique_affine
from studies import AFFINE, SHAPE, ball, conditions, head_study

from ftddm_core.conventions import CHANNELS
from ftddm_core.errors import FormatError, GeometryError
from ftddm_core.imaging.degrade import WILD, degrade
from ftddm_core.imaging.fourier import zero_fill
from ftddm_core.imaging.geometry import refined_affine, regrid_nearest
from ftddm_core.imaging.volume import Outside, Study, Volume
from ftddm_core.sampling.condition import clean, form_conditions, intensity_scale, trusted_cells


@pytest.fixture
def study():
    return head_study()


grids = st.tuples(*[st.integers(2, 9)] * 2, *[st.integers(0, 17)] * 2, st.integers(0, 99))


@given(grids)
@settings(deadline=None)
def test_trusted_cells_by_brute_force_in_the_world(grid):
    """A cell is trusted if the centre of any trusted output voxel lies in it.

    Output voxels whose centre lies beyond the last cell (the grids share the first CENTRE, so N
    voxels reach up to half an acquired voxel further) count to that last cell.
    """
    nx, ny, more_x, more_y, seed = grid
    acquired, output = (nx, ny), (nx + more_x, ny + more_y)
    affine = oblique_affine((nx, ny, 2))
    mask = np.random.default_rng(seed).random((*output, 2)) < 0.15
    to_acquired = np.linalg.inv(affine) @ refined_affine(affine, acquired, output)
    expected = np.zeros((nx, ny, 2), bool)
    for voxel in np.argwhere(mask):
        position = np.round(to_acquired @ [*voxel, 1], 9)[:3]
        i, j, k = np.floor(position + 0.5).astype(int)
        expected[min(i, nx - 1), min(j, ny - 1), k] = True
    np.testing.assert_array_equal(trusted_cells(mask, acquired), expected)


@given(grids)
@settings(deadline=None)
def test_a_mask_of_acquired_voxels_trusts_exactly_these(grid):
    """Nearest neighbour to the output grid and back through the cells is the identity."""
    nx, ny, more_x, more_y, seed = grid
    affine = oblique_affine((nx, ny, 2)).astype(np.float32)  # as a file would hold it
    mask = np.random.default_rng(seed).random((nx, ny, 2)) < 0.5
    output = (nx + more_x, ny + more_y)
    fine = regrid_nearest(
        Volume(mask, affine), (*output, 2), refined_affine(affine, (nx, ny), output)
    )
    np.testing.assert_array_equal(trusted_cells(fine.data, (nx, ny)), mask)


@pytest.mark.parametrize("wild", [1e6, -1e6, np.nan, np.inf])
@pytest.mark.parametrize("mask_on", ["acquired grid", "MRI grid"])
def test_a_wild_voxel_outside_the_mask_is_as_one_that_was_not_measured(study, mask_on, wild):
    if mask_on == "acquired grid":
        study = replace(study, mask=ball(SHAPE, AFFINE, 32.0))
    condition = conditions(study)["tNAA"]
    trusted = trusted_cells(condition.mask, condition.acquired)
    # A trusted cell's direct neighbour, and the corner of the field of view.
    neighbours = np.argwhere(~trusted & (np.roll(trusted, 1, 0) | np.roll(trusted, -1, 1)))
    assert not trusted[-1, -1, -1]
    found = []
    for value in (0.0, wild):
        data = study.maps["tNAA"].data.copy()
        data[tuple(neighbours[0])] = data[-1, -1, -1] = data[0, 0, 0] = value
        changed = replace(study, maps={"tNAA": study.maps["tNAA"].with_data(data)})
        found.append(conditions(changed)["tNAA"])
    before, after = found
    np.testing.assert_array_equal(after.channels, before.channels)
    assert after.scale == before.scale
    # Taken as measured it would have rung through the mask.
    finite = np.nan_to_num(data, posinf=1e6)
    rung = zero_fill(finite, before.shape[:2]) / before.scale - before.lowres / before.scale
    assert np.isnan(wild) or np.abs(rung[before.mask]).max() > 1


def test_trusted_values_are_never_altered(study):
    """Zero-filling passes through the acquired samples: at s = 4 every fourth voxel is one."""
    data = study.maps["Ins"].data.copy()
    data[7, 8, 2], data[8, 8, 2] = 5 * data.max(), -7.0
    study = replace(study, maps={"Ins": study.maps["Ins"].with_data(data)})
    condition = conditions(study)["Ins"]
    trusted = trusted_cells(condition.mask, condition.acquired)
    assert trusted[7, 8, 2]
    assert trusted[8, 8, 2]
    found = condition.lowres[::4, ::4]
    np.testing.assert_allclose(found[trusted], data[trusted], rtol=1e-4, atol=1e-2)
    assert condition.outliers == 0


@pytest.mark.parametrize("value", [1e4, 1e38, -1e38])
def test_a_wild_trusted_value_is_limited(study, value):
    """At its own size it would ring through the slice, up to values that are not finite."""
    data = study.maps["Ins"].data.copy()
    data[7, 8, 2] = value
    wild = replace(study, maps={"Ins": study.maps["Ins"].with_data(data)})
    condition = conditions(wild)["Ins"]
    assert condition.outliers == 1
    assert condition.lowres[28, 32, 2] == pytest.approx(
        np.sign(value) * 10 * condition.scale, rel=1e-4
    )
    assert np.isfinite(condition.channels).all()
    assert not condition.measurement.w[7, 8, 2]


@pytest.mark.parametrize("outside", list(Outside))
def test_what_was_measured_beside_the_mask_is_not_set_to_0(study, outside):
    """Half of a voxel's signal at the mask's edge would be missing, and ring."""
    condition = conditions(replace(study, outside=outside))["tNAA"]
    data = study.maps["tNAA"].data
    np.testing.assert_allclose(condition.lowres[::4, ::4], data, rtol=1e-4, atol=1e-2)


def test_values_that_are_not_finite_count_as_zero(study):
    clean_of = {}
    for value in (0.0, np.nan, -np.inf):
        data = study.maps["tNAA"].data.copy()
        data[7, 8, 2] = value
        changed = replace(study, maps={"tNAA": study.maps["tNAA"].with_data(data)})
        clean_of[value] = conditions(changed)["tNAA"]
        assert np.isfinite(clean_of[value].channels).all()
    first, *others = clean_of.values()
    for other in others:
        np.testing.assert_array_equal(other.channels, first.channels)


def test_the_scale_is_the_99th_percentile_of_what_is_trusted(study):
    for name, condition in conditions(study).items():
        trusted = trusted_cells(condition.mask, condition.acquired)
        expected = np.percentile(study.maps[name].data[trusted], 99)
        assert condition.scale == pytest.approx(expected, rel=1e-5)
        nx, ny, _ = condition.shape
        np.testing.assert_allclose(
            condition.channels[0, :nx, :ny] * condition.scale, condition.lowres, rtol=1e-6
        )


def test_the_scale_belongs_to_the_volume_not_to_the_slice(study):
    """A slice is taken from its volume's condition; a study of that slice alone has another scale.

    So a preview of one slice must form the condition of the whole volume first.
    """
    whole = conditions(study)["tNAA"]
    alone = {}
    for k in range(SHAPE[2]):
        affine = AFFINE.copy()
        affine[:3, 3] = (AFFINE @ [0, 0, k, 1])[:3]
        one = Volume(study.maps["tNAA"].data[..., k : k + 1], affine)
        alone[k] = conditions(replace(study, maps={"tNAA": one}))["tNAA"]
        # The slice's own map is the same but for that factor.
        np.testing.assert_allclose(alone[k].lowres, whole.lowres[..., k : k + 1], atol=1e-5)
        np.testing.assert_array_equal(alone[k].mask, whole.mask[..., k : k + 1])
    assert len({round(c.scale, 6) for c in alone.values()}) > 1


def test_the_scale_comes_from_the_low_resolution_map_alone(study):
    """A degraded study is scaled by its own coarse map: the truth's peak does not show."""
    fine_shape = (48, 40, 4)
    affine = oblique_affine(fine_shape, (3.0, 3.2, 11.0))
    truth = head(fine_shape, affine)
    checkered = truth.data * (1 + 0.9 * (np.indices(fine_shape).sum(0) % 2 * 2 - 1))
    mask = ball(fine_shape, affine, 32.0)
    found = {}
    for name, data in (("plain", truth.data), ("checkered", checkered)):
        fine = Study({"tNAA": truth.with_data(data)}, mask=mask)
        coarse = degrade(fine, 4.0)
        found[name] = conditions(coarse, matrix=fine_shape[:2])["tNAA"].scale
        held = coarse.maps["tNAA"].data
        trusted = trusted_cells(mask.data > 0, held.shape[:2])
        assert found[name] == pytest.approx(np.percentile(held[trusted], 99), rel=1e-5)
    # The finest pattern there is lies outside the acquired k-space but for the mask's rim.
    assert found["checkered"] == pytest.approx(found["plain"], rel=0.05)
    assert np.percentile(checkered, 99) > 1.5 * np.percentile(truth.data, 99)


@pytest.mark.parametrize("upscale", [2.0, 2.7, 3.3, 4.0])
def test_padding_at_the_far_end_and_cropping_back(study, upscale):
    for condition in conditions(study, upscale).values():
        nx, ny, _ = condition.shape
        height, width = condition.channels.shape[1:3]
        assert height % 8 == width % 8 == 0
        assert 0 <= height - nx < 8
        assert 0 <= width - ny < 8
        assert not condition.channels[:, nx:].any()
        assert not condition.channels[:, :, ny:].any()
        assert condition.lowres.shape == condition.mask.shape == condition.shape
        assert condition.upscale == pytest.approx(np.sqrt(nx / 15 * ny / 16))
        np.testing.assert_allclose(
            condition.affine, refined_affine(AFFINE, SHAPE[:2], (nx, ny)), atol=1e-9
        )


def test_a_map_without_signal_is_refused_by_name(study):
    maps = dict(study.maps) | {"Ins": study.maps["Ins"].with_data(np.zeros(SHAPE))}
    with pytest.raises(FormatError, match=r"Ins: .*no signal.*99th percentile 0.*mask belongs"):
        conditions(replace(study, maps=maps))
    # The same for a mask that selects nothing, as one on another metabolite's field of view.
    nothing = ball(SHAPE, AFFINE, -1.0)
    with pytest.raises(FormatError, match=r"tNAA: .*over 0 trusted voxels"):
        conditions(replace(study, mask=nothing))


def test_the_scale_ignores_what_is_not_trusted():
    values = np.arange(1000.0).reshape(10, 10, 10)
    trusted = values < 500
    assert intensity_scale(clean(values, trusted), trusted) == pytest.approx(494.01)


def test_wild_voxels_of_the_real_case_stay_outside_the_output(shared_data):
    from ftddm_core.imaging.io import open_study

    study = open_study(shared_data / "real-mrsi-oryx-K01")
    assert study.flair is None
    found = conditions(study)
    assert len(found) == 5
    for name, condition in found.items():
        data = study.maps[name].data
        trusted = trusted_cells(condition.mask, condition.acquired)
        np.testing.assert_array_equal(trusted, study.mask.data > 0)
        assert not condition.channels[CHANNELS.index("flair")].any()
        assert 0.3 < condition.channels[CHANNELS.index("t1")][:56, :56][condition.mask].mean() < 1
        # What was measured passes through, beside the mask too; what is wild there is gone.
        samples = condition.lowres[::4, ::4]
        assert (np.abs(data[condition.measurement.w]) <= WILD * condition.scale).all()
        held = trusted | (np.abs(samples) > 1e-3 * condition.scale)
        assert held.sum() > 1.1 * trusted.sum()
        np.testing.assert_allclose(
            samples[held], data[held], rtol=1e-4, atol=1e-4 * condition.scale
        )
        assert np.abs(samples[held]).max() <= np.abs(data[trusted]).max() * 1.001
    # The wildest: half the signal of Ins inside the brain would be ringing from without.
    ins = found["Ins"]
    ringing = zero_fill(np.nan_to_num(study.maps["Ins"].data), ins.shape[:2]) - ins.lowres
    share = np.linalg.norm(ringing[ins.mask]) / np.linalg.norm(ins.lowres[ins.mask])
    assert 0.4 < share < 0.8


@pytest.mark.parametrize(("n", "upscale"), [(100, 8.0), (300, 2.0)])
def test_an_output_that_no_memory_could_hold_is_refused(n, upscale):
    volume = Volume(np.ones((n, 4, 1)), np.eye(4))
    with pytest.raises(GeometryError, match=rf"{round(n * upscale)} x .* 512 x 512"):
        next(form_conditions(Study({"tNAA": volume}), upscale))
