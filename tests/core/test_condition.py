"""From a study to the networks' channels: cleaning, scaling, placing and padding."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import head, oblique_affine, world_of

from ftddm_core.conventions import CHANNELS
from ftddm_core.errors import FormatError, GeometryError
from ftddm_core.imaging.degrade import WILD, coarse_matrix, degrade
from ftddm_core.imaging.fourier import truncate, zero_fill
from ftddm_core.imaging.geometry import refined_affine, regrid_mean, regrid_nearest
from ftddm_core.imaging.volume import Outside, Study, Volume
from ftddm_core.sampling import condition as module
from ftddm_core.sampling import guides as guides_module
from ftddm_core.sampling.condition import (
    Conditions,
    clean,
    form_conditions,
    intensity_scale,
    trusted_cells,
)
from ftddm_core.sampling.guides import Guides, default_mask, output_grid, scale_mri

CENTRE = np.array([3.0, -12.0, 25.0])  # of every grid here, and of the head
SHAPE = (15, 16, 4)
AFFINE = oblique_affine(SHAPE, (9.0, 8.5, 11.0))
MRI_SHAPE = (60, 62, 40)
MRI_AFFINE = oblique_affine(MRI_SHAPE, (2.0, 2.1, 2.5), (-5.0, 8.0, 30.0), flip=(-1, 1, 1))


def ball(shape, affine, radius):
    """Return a mask: the voxels nearer than `radius` mm to the head's centre."""
    inside = np.linalg.norm(world_of(shape, affine) - CENTRE, axis=-1) < radius
    return Volume(inside.astype(np.float32), affine)


@pytest.fixture
def study():
    """Return two maps of a head, a fine mask on the MRI's oblique grid, T1 and FLAIR."""
    tnaa = head(SHAPE, AFFINE)
    ins = tnaa.with_data(3 * tnaa.data**2 + 0.1)
    mri = head(MRI_SHAPE, MRI_AFFINE)
    return Study(
        {"tNAA": tnaa, "Ins": ins},
        mask=ball(MRI_SHAPE, MRI_AFFINE, 32.0),
        t1=mri.with_data(100 * mri.data),
        flair=mri.with_data(np.maximum(1 - mri.data, 0)),
    )


def conditions(study, upscale=4.0, matrix=None):
    return {c.metabolite: c for c in form_conditions(study, upscale, matrix)}


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
    data[7, 8, 2], data[8, 8, 2] = 1e4, -7.0
    study = replace(study, maps={"Ins": study.maps["Ins"].with_data(data)})
    condition = conditions(study)["Ins"]
    trusted = trusted_cells(condition.mask, condition.acquired)
    assert trusted[7, 8, 2]
    assert trusted[8, 8, 2]
    found = condition.lowres[::4, ::4]
    np.testing.assert_allclose(found[trusted], data[trusted], rtol=1e-4, atol=1e-2)
    assert condition.outliers == 1


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


def test_a_map_without_signal_is_refused_by_name(study):
    maps = dict(study.maps) | {"Ins": study.maps["Ins"].with_data(np.zeros(SHAPE))}
    with pytest.raises(FormatError, match=r"Ins: .*no signal.*99th percentile 0.*mask belongs"):
        conditions(replace(study, maps=maps))
    # The same for a mask that selects nothing, as one on another metabolite's field of view.
    nothing = ball(SHAPE, AFFINE, -1.0)
    with pytest.raises(FormatError, match=r"tNAA: .*over 0 trusted voxels"):
        conditions(replace(study, mask=nothing))


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


def test_the_scale_ignores_what_is_not_trusted():
    values = np.arange(1000.0).reshape(10, 10, 10)
    trusted = values < 500
    assert intensity_scale(clean(values, trusted), trusted) == pytest.approx(494.01)


def test_wild_voxels_of_the_real_case_stay_outside_the_output(shared_data):
    from ftddm_core.imaging.io import read_study

    study = read_study(shared_data / "real-mrsi-oryx-K01")
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


# ---------------------------------------------------------------- formed when they are asked for


@pytest.fixture
def work(monkeypatch):
    """Count the images that are placed and the maps that are formed."""
    count = Counter()

    def counted(name, what):
        home = guides_module if hasattr(guides_module, name) else module
        original = getattr(home, name)

        def call(*args, **kwargs):
            count[what(args)] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(home, name, call)

    counted("regrid_mean", lambda args: "MRI")
    counted("regrid_nearest", lambda args: "mask")
    counted("form_condition", lambda args: args[0])
    return count


def lazily(study, upscale=4.0, matrix=None):
    return Conditions(study, Guides(study, *output_grid(study.grid, upscale, matrix)))


def test_names_and_factor_are_known_before_anything_is_formed(study, work):
    found = lazily(study)
    assert list(found) == ["tNAA", "Ins"]
    assert len(found) == 2
    assert "Ins" in found
    assert "gold" not in found
    assert found.upscale == pytest.approx(4.0)
    assert work == {"MRI": 2}
    assert {c.upscale for c in found.values()} == {found.upscale}


def test_a_map_is_formed_when_it_is_asked_for_and_once(study, work):
    found = lazily(study)
    first = found["Ins"]
    assert work == {"MRI": 2, "mask": 1, "Ins": 1}
    assert found["Ins"] is first
    assert dict(found.items())["Ins"] is first
    assert work == {"MRI": 2, "mask": 1, "Ins": 1, "tNAA": 1}
    with pytest.raises(KeyError):
        found["gold"]


def test_formed_one_by_one_they_are_those_of_the_whole_study(study):
    large, small = study.mask, ball(SHAPE, AFFINE, 20.0)
    for mask in (large, {"tNAA": large, "Ins": small}, {"tNAA": small}, None):
        masked = replace(study, mask=mask)
        for upscale in (2.0, 3.3):
            found = lazily(masked, upscale)
            backwards = {name: found[name].digest for name in reversed(list(found))}
            digests = {c.metabolite: c.digest for c in form_conditions(masked, upscale)}
            assert backwards == digests


def test_many_threads_form_each_map_once(study, work):
    found = lazily(study)
    together = threading.Barrier(8, timeout=60)

    def ask(number):
        together.wait()
        return [found[name] for name in (("tNAA", "Ins") if number % 2 else ("Ins", "tNAA"))]

    with ThreadPoolExecutor(8) as pool:
        asked = list(pool.map(ask, range(8)))
    assert len({id(condition) for conditions in asked for condition in conditions}) == 2
    assert work == {"MRI": 2, "mask": 1, "Ins": 1, "tNAA": 1}


def test_what_is_formed_waits_for_none_that_is_being_formed(study, monkeypatch):
    """So a picture of one map can be drawn while another is made ready."""
    found = lazily(study)
    ready = found["tNAA"]
    begun, go_on = threading.Event(), threading.Event()
    original = module.form_condition

    def slow(*args, **kwargs):
        begun.set()
        assert go_on.wait(60)
        return original(*args, **kwargs)

    monkeypatch.setattr(module, "form_condition", slow)
    with ThreadPoolExecutor(2) as pool:
        other = pool.submit(found.__getitem__, "Ins")
        assert begun.wait(60)
        assert pool.submit(found.__getitem__, "tNAA").result(60) is ready
        go_on.set()
        assert other.result(60).metabolite == "Ins"


def test_maps_share_what_is_placed_and_each_mask_is_placed_for_the_first(study, work):
    small = ball(SHAPE, AFFINE, 20.0)
    third = study.maps["tNAA"].with_data(2 * study.maps["tNAA"].data)
    masks = {"tNAA": study.mask, "Ins": small, "tCho": small}
    found = lazily(replace(study, maps={**study.maps, "tCho": third}, mask=masks))
    for name, placed in (("tCho", 1), ("Ins", 1), ("tNAA", 2)):
        assert found[name].mask.any()
        assert (work["mask"], work["MRI"]) == (placed, 2)


@pytest.mark.parametrize(
    ("role", "name"), [("t1", "T1"), ("flair", "FLAIR"), ("mask", "mask of tNAA")]
)
def test_an_image_from_elsewhere_is_found_before_any_map_is_formed(study, work, role, name):
    away = MRI_AFFINE.copy()
    away[:3, 3] += 1000
    elsewhere = replace(study, **{role: Volume(np.ones(MRI_SHAPE), away)})
    with pytest.raises(GeometryError, match=rf"^{name}: .*do not overlap"):
        lazily(elsewhere)
    assert set(work) <= {"MRI"}


def test_a_map_without_signal_is_found_when_it_is_asked_for(study):
    maps = {"Ins": study.maps["Ins"].with_data(np.zeros(SHAPE)), "tNAA": study.maps["tNAA"]}
    found = lazily(replace(study, maps=maps))
    assert found["tNAA"].scale > 0
    for _ in range(2):  # each time
        with pytest.raises(FormatError, match=r"^Ins: .*no signal"):
            found["Ins"]


def test_an_mri_of_another_head_is_found_with_the_first_map(study):
    dark = study.t1.with_data(np.where(np.arange(MRI_SHAPE[2]) < 3, study.t1.data, 0))
    found = lazily(replace(study, t1=dark))
    with pytest.raises(GeometryError, match=r"^T1 shows only \d+% of the trusted voxels"):
        found["Ins"]


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
