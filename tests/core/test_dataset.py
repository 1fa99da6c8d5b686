"""Training examples: what the networks learn from must be what they will be given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from heads import nested_head
from hypothesis import given, settings
from hypothesis import strategies as st

from ftddm_core.conventions import CHANNELS, UPSCALE_BOUNDS
from ftddm_core.errors import FormatError, SettingsError
from ftddm_core.imaging.fourier import k_space_support, truncate, zero_fill
from ftddm_core.phantom.scan import FULL
from ftddm_core.sampling.condition import MULTIPLE, trusted_cells
from ftddm_core.training import dataset
from ftddm_core.training import render as rendering
from ftddm_core.training.dataset import (
    GRIDS,
    LEAST_COARSE,
    MISSING,
    SUITS,
    Pool,
    View,
)
from ftddm_core.training.render import (
    COMMON_VOXEL,
    FIELDS_OF_VIEW,
    MATRICES,
    RANDOM_MATRICES,
    RANDOM_VOXELS,
    VOXELS,
    PoolConfig,
    draw_grid,
    render,
    render_pool,
)

SLICES = 3


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Return three rendered patients on disk."""
    folder = tmp_path_factory.mktemp("pool")
    found = []
    for seed in range(3):
        found.append(folder / f"{seed}.npz")
        np.savez(found[-1], **render(nested_head(), np.random.default_rng(seed), SLICES))
    return found


@pytest.fixture
def pool(paths):
    return Pool(paths)


@pytest.fixture
def quiet(pool, monkeypatch):
    """Return the pool without noise, point spread and failing fits."""
    for patient in pool.patients:
        patient["noise"] = 1e-7 * patient["noise"]
    monkeypatch.setattr(dataset.Sampling, "draw", lambda rng: FULL)
    monkeypatch.setattr(dataset, "_failing_fits", lambda acquired, rng: acquired)
    return pool


@pytest.fixture
def calls(monkeypatch):
    """Record what each volume drawn was: its matrix, and the branch that made its coarse map."""
    names = ("matrix", "truncate", "scan_again", "_coarse_mask", "view")
    record: dict[str, list] = {name: [] for name in names}

    def spy(name, what):
        original = getattr(dataset, name)

        def recorded(*arguments):
            result = original(*arguments)
            record["matrix" if name == "coarse_matrix" else name].append(what(arguments, result))
            return result

        monkeypatch.setattr(dataset, name, recorded)

    spy("coarse_matrix", lambda _, result: result)
    spy("truncate", lambda arguments, _: arguments[0])
    spy("scan_again", lambda arguments, _: arguments[0])
    spy("_coarse_mask", lambda _, result: result)
    draw = View.draw

    def drawn(*arguments):
        record["view"].append(draw(*arguments))
        return record["view"][-1]

    monkeypatch.setattr(View, "draw", drawn)
    return record


def volumes(pool, calls, count, grid=(64, 48)):
    """Yield (x0, channels, s, matrix, branch, truth) of drawn volumes, without their padding."""
    for seed in range(count):
        before = {name: len(entries) for name, entries in calls.items()}
        x0, channels, s = pool._volume(np.random.default_rng(seed), grid)
        new = {name: entries[before[name] :] for name, entries in calls.items()}
        branch = "truncate" if new["truncate"] else "scan_again"
        assert bool(new["truncate"]) != bool(new["scan_again"])
        assert x0.shape[:2] == channels.shape[1:3] == grid
        nx, ny = new["view"][0].matrix
        assert not x0[nx:].any()
        assert not x0[:, ny:].any()
        assert not channels[:, nx:].any()
        x0, channels = x0[:nx, :ny], channels[:, :nx, :ny]
        yield x0, channels, s, new["matrix"][0], branch, new[branch][0]


def test_a_rendered_patient_is_scaled_and_inside_its_brain(pool):
    for patient in pool.patients:
        nx, ny = patient["truth"].shape[1:3]
        assert patient["truth"].shape == (7, nx, ny, SLICES)
        assert patient["lipid"].shape == patient["mask"].shape == (nx, ny, SLICES)
        assert (patient["lipid_amount"] >= 0).all()
        assert patient["truth"].min() >= 0
        assert np.isfinite(patient["truth"]).all()
        assert (patient["noise"] > 0).all()
        mask = patient["mask"]
        assert mask.dtype == bool
        assert mask.any()
        for name in ("t1", "flair"):
            image = patient[name].astype(np.float32)
            assert image.min() >= 0
            assert image.max() == pytest.approx(1, abs=1e-3)
            # The brightest half per cent of the mask is at the top, not more.
            assert 0.002 < (image[mask] >= 0.999).mean() < 0.02


def test_x0_is_zero_outside_the_mask_and_the_mask_is_the_condition_s(pool):
    for seed in range(6):
        batch = pool.draw(np.random.default_rng(seed), 6)
        assert batch.x0.shape[2:] == batch.condition.shape[2:]
        assert tuple(batch.x0.shape[2:]) in GRIDS
        assert not batch.x0[batch.mask == 0].any()
        assert set(batch.mask.unique().tolist()) == {0, 1}
        assert (batch.mask.sum((1, 2, 3)) > 20).all()
        assert batch.x0.min() >= 0
        # About 0..1: the scale is a percentile of the coarse map.
        assert 0.3 < batch.x0.amax((1, 2, 3)).median() < 3


def test_without_noise_the_low_resolution_channel_is_x0_truncated_and_zero_filled(quiet, calls):
    """The retrospective case: truncation of x0 alone."""
    seen = 0
    for x0, channels, _, matrix, branch, _ in volumes(quiet, calls, 16):
        if branch != "truncate":
            continue
        seen += 1
        coarse = truncate(x0, matrix)
        np.testing.assert_allclose(channels[0], zero_fill(coarse, x0.shape[:2]), atol=1e-4)
        # It knows the truth through its mask only.
        assert not x0[channels[1] == 0].any()
    assert seen > 3


def test_a_new_scan_sees_what_lies_outside_the_mask(quiet, calls):
    """The prospective case: the unmasked signal scanned coarsely."""
    seen, beyond = 0, 0
    for x0, channels, _, matrix, branch, truth in volumes(quiet, calls, 24):
        if branch != "scan_again":
            continue
        seen += 1
        mask = channels[1] > 0
        scale = np.median(truth[x0 > 0] / x0[x0 > 0])
        np.testing.assert_allclose(x0, truth * mask / scale, atol=1e-3)
        trusted = trusted_cells(mask, matrix)
        coarse = np.maximum(truncate(truth, matrix), 0) / scale
        coarse *= trusted | (coarse <= coarse[trusted].max())
        np.testing.assert_allclose(channels[0], zero_fill(coarse, mask.shape[:2]), atol=2e-3)
        inside = np.maximum(truncate(truth * mask, matrix), 0) / scale
        beyond += np.abs(coarse - inside)[trusted].max() > 0.05
    assert seen > 3
    assert beyond > 1


def test_measured_patients_are_taken_as_they_are(pool, calls):
    """Noise 0: nothing is added or blurred, and only the retrospective case is drawn."""
    for patient in pool.patients:
        patient["noise"] = 0 * patient["noise"]
    drawn = list(volumes(pool, calls, 12))
    assert {branch for *_, branch, _ in drawn} == {"truncate"}
    for x0, channels, *_, truth in drawn:
        mask, scale = channels[1] > 0, np.median(truth[x0 > 0] / x0[x0 > 0])
        np.testing.assert_allclose(x0 * scale, truth * mask, rtol=1e-5)


def test_simulated_patients_have_lipids_noise_and_a_point_spread(paths, monkeypatch):
    """Of these three, each changes what is drawn, and without them it is the truth itself."""

    def draw(**without):
        pool = Pool(paths[:1])
        patient = pool.patients[0]
        if "noise" in without:
            patient["noise"] = 1e-7 * patient["noise"]
        if "lipid" in without:
            del patient["lipid"]
        with monkeypatch.context() as patch:
            if "spread" in without:
                patch.setattr(dataset.Sampling, "blur", lambda self, image: image)
            return [pool._volume(np.random.default_rng(seed), (64, 64))[0] for seed in range(12)]

    plain = draw()
    for name in ("noise", "lipid", "spread"):
        changed = [
            not np.allclose(a, b, atol=1e-5) for a, b in zip(plain, draw(**{name: 1}), strict=True)
        ]
        assert any(changed)


def test_a_mask_that_no_view_shows_ends_in_an_error(pool, paths, tmp_path):
    arrays = dict(np.load(paths[0]))
    arrays["mask"] = np.zeros_like(arrays["mask"])
    arrays["mask"][0, 0] = True
    np.savez(tmp_path / "empty.npz", **arrays)
    with pytest.raises(FormatError, match="too few trusted voxels"):
        Pool([tmp_path / "empty.npz"]).draw(np.random.default_rng(0), 2)


def test_some_fits_fail_and_a_few_are_wild():
    coarse = 1 + np.random.default_rng(0).random((20, 20, 10)).astype(np.float32)
    drawn = [dataset._failing_fits(coarse, np.random.default_rng(seed)) for seed in range(100)]
    untouched = [np.array_equal(image, coarse) for image in drawn]
    assert 0.55 < np.mean(untouched) < 0.85
    spoilt = np.stack([image for image, same in zip(drawn, untouched, strict=True) if not same])
    assert 0.01 < (spoilt == 0).mean() < 0.03
    wild = spoilt > 1.4 * coarse
    assert 0.001 < wild.mean() < 0.003
    kept = (spoilt != 0) & ~wild
    np.testing.assert_array_equal(spoilt[kept], np.broadcast_to(coarse, spoilt.shape)[kept])


def test_both_branches_and_coarse_masks_are_drawn(pool, calls):
    branches = [branch for *_, branch, _ in volumes(pool, calls, 60)]
    assert 0.3 < np.mean([b == "truncate" for b in branches]) < 0.7
    assert 0.05 < len(calls["_coarse_mask"]) / 60 < 0.4


def test_the_upscale_is_that_of_the_channel_s_k_space(pool, calls):
    """s = sqrt((Nx/nx)(Ny/ny)), and the zero-filled channel holds n x n frequencies, no more."""
    drawn = []
    for _, channels, s, matrix, _, _ in volumes(pool, calls, 16):
        assert k_space_support(channels[0]) == matrix
        nx, ny = channels.shape[1:3]
        assert s == pytest.approx(np.sqrt(nx / matrix[0] * ny / matrix[1]))
        assert UPSCALE_BOUNDS[0] * 0.95 < s < UPSCALE_BOUNDS[1] * 1.1
        drawn.append(s)
    assert np.ptp(np.log(drawn)) > 1
    assert any(n % 2 for n, _ in calls["matrix"])
    assert any(n % 2 == 0 for n, _ in calls["matrix"])


def test_batches_carry_one_factor_for_each_slice(pool):
    batch = pool.draw(np.random.default_rng(3), 5, per_volume=2)
    assert batch.upscale.shape == (5,)
    assert batch.upscale[0] == batch.upscale[1]
    assert batch.upscale[2] == batch.upscale[3]
    assert len(set(batch.upscale.tolist())) == 3


def test_an_mri_is_sometimes_absent_and_stays_in_0_to_1(pool):
    absent = np.zeros(2)
    for seed in range(80):
        _, channels, _ = pool._volume(np.random.default_rng(seed), (56, 64))
        images = channels[2:4]
        assert images.min() >= 0
        assert images.max() <= 1
        absent += ~images.any((1, 2, 3))
    # Three deviations of 80 draws.
    np.testing.assert_allclose(absent / 80, tuple(MISSING.values()), atol=0.14)
    assert (absent > 0).all()


def test_views_turn_everything_alike(quiet, calls):
    """Truth, mask and MRI of a drawn volume are the same view of one patient, and views vary."""
    quiet.patients, quiet.suited = quiet.patients[:1], {grid: [0] for grid in GRIDS}
    patient = quiet.patients[0]
    del patient["lipid"]
    kinds = set()
    t1 = CHANNELS.index("t1")
    for number, (_, channels, *_, branch, truth) in enumerate(volumes(quiet, calls, 20)):
        view = calls["view"][number]
        kinds.add((view.flip, view.turn))
        shown = [view(t.astype(np.float32)) for t in patient["truth"]]
        if branch == "scan_again":
            assert any(np.array_equal(truth, image) for image in shown)
        if not any(np.array_equal(channels[1], m) for m in calls["_coarse_mask"]):
            np.testing.assert_array_equal(channels[1], view(patient["mask"]))
        if channels[t1].any():
            assert ((channels[t1] > 0) == (view(patient["t1"]) > 0)).mean() > 0.99
    assert len(kinds) > 5


def test_a_view_crops_and_adds_air_at_every_edge():
    image = np.arange(1, 13, dtype=float).reshape(3, 4, 1)
    shown = View(False, 0, (5, 2), (-1, 1))(image)
    expected = np.zeros((5, 2))
    expected[1:4] = image[:, 1:3, 0]
    np.testing.assert_array_equal(shown[..., 0], expected)
    # Flipped, then a quarter turn: the first axis of what is shown is the second of the image.
    turned = View(True, 1, (4, 3), (0, 0))(image)
    np.testing.assert_array_equal(turned, np.rot90(image[::-1]))
    far = View(False, 0, (2, 2), (7, 0))(image)
    assert not far.any()


def test_views_have_every_even_matrix_that_pads_to_their_grid():
    drawn = [View.draw(np.random.default_rng(s), (60, 72), (64, 48)) for s in range(300)]
    assert {view.matrix[0] for view in drawn} == {58, 60, 62, 64}
    assert {view.matrix[1] for view in drawn} == {42, 44, 46, 48}
    for view in drawn:
        assert tuple(-n % MULTIPLE + n for n in view.matrix) == (64, 48)
        turned = (72, 60) if view.turn % 2 else (60, 72)
        for start, n, have in zip(view.start, view.matrix, turned, strict=True):
            assert abs(2 * start + n - have) <= 9  # near the middle


def test_grids_are_even_and_as_wide_as_stated():
    grids = [draw_grid(np.random.default_rng(seed)) for seed in range(400)]
    for (nx, ny), voxel in grids:
        assert nx % 2 == ny % 2 == 0
        assert MATRICES[0] <= nx <= ny <= MATRICES[1]
        assert VOXELS[0] <= voxel <= VOXELS[1]
        if MATRICES[0] < ny < MATRICES[1]:
            assert FIELDS_OF_VIEW[0] - voxel <= ny * voxel <= FIELDS_OF_VIEW[1] + voxel
    assert any(nx != ny for (nx, ny), _ in grids)
    assert 0.3 < np.mean([voxel == COMMON_VOXEL for _, voxel in grids]) < 0.5


def test_grids_of_randomised_patients_are_wider_still():
    grids = [draw_grid(np.random.default_rng(seed), randomised=True) for seed in range(400)]
    sizes = np.array([matrix for matrix, _ in grids])
    voxels = np.array([voxel for _, voxel in grids])
    assert (sizes % 2 == 0).all()
    assert sizes.min() == RANDOM_MATRICES[0]
    assert sizes.max() <= RANDOM_MATRICES[1]
    assert RANDOM_VOXELS[0] <= voxels.min() < 2.7
    assert 9 < voxels.max() <= RANDOM_VOXELS[1]


def test_patients_are_randomised_with_the_chance_that_is_asked_for():
    for share in (0.0, 0.3, 1.0):
        config = PoolConfig(randomised=share)
        # Whatever their number modulo that of the anatomies.
        for first in range(10):
            kinds = [config.is_randomised(i) for i in range(first, 2000, 10)]
            assert np.mean(kinds) == pytest.approx(share, abs=0.12)
    for share in (-0.1, 1.5, float("nan")):
        with pytest.raises(SettingsError, match="share from 0 to 1"):
            PoolConfig(randomised=share)


@pytest.mark.parametrize("shape", [(14, 14), (20, 26), (64, 48), (80, 66), (30, 30), (44, 52)])
def test_grids_suit_a_matrix_as_it_is_or_turned(shape):
    found = dataset._grids_of(shape)
    for grid in GRIDS:
        turns = (shape, shape[::-1])
        ratios = [[n / have for n, have in zip(grid, turn, strict=True)] for turn in turns]
        suits = any(min(r) >= SUITS[0] and max(r) <= SUITS[1] for r in ratios)
        assert found.count(grid) == (GRIDS.count(grid) if suits else 0)
    assert found


def test_a_matrix_that_suits_no_grid_may_have_any():
    assert dataset._grids_of((200, 12)) == list(GRIDS)


def test_coarse_and_fine_patients_have_batches_of_their_own(tmp_path, monkeypatch):
    """And a coarse one keeps some samples, however few there are."""
    paths = []
    for matrix, voxel in (((16, 18), 9.0), ((64, 64), 3.4)):
        monkeypatch.setattr(rendering, "draw_grid", lambda *_, drawn=(matrix, voxel): drawn)
        paths.append(tmp_path / f"{voxel}.npz")
        made = render(nested_head(4.0), np.random.default_rng(1), 6, randomised=True)
        np.savez(paths[-1], **made)
    pool, shapes = Pool(paths), set()
    asked, original = [], dataset.coarse_matrix
    monkeypatch.setattr(
        dataset, "coarse_matrix", lambda n, s: asked.append((n, original(n, s))) or asked[-1][1]
    )
    for seed in range(30):
        shapes.add(tuple(pool.draw(np.random.default_rng(seed), 4).x0.shape[2:]))
    assert {max(shape) for shape in shapes} & {16, 24}
    assert {max(shape) for shape in shapes} & {64, 72, 80}
    assert all(max(shape) <= 32 or min(shape) >= 48 for shape in shapes)
    for matrix, coarse in asked:
        assert min(coarse) >= min(LEAST_COARSE, min(matrix) // 2)


def test_batches_depend_on_their_seed_alone(pool, paths):
    one, same = (Pool(paths).draw(np.random.default_rng([5, 1]), 4) for _ in range(2))
    other = pool.draw(np.random.default_rng([5, 2]), 4)
    for a, b in zip(vars(one).values(), vars(same).values(), strict=True):
        assert bool((a == b).all())
    assert one.x0.shape != other.x0.shape or not bool((one.x0 == other.x0).all())


def test_the_pool_is_rendered_once_and_each_patient_from_its_own_seed(tmp_path, monkeypatch):
    rendered, kinds = [], []

    def fake(anatomy, rng, slices, randomised):
        rendered.append(anatomy)
        kinds.append(randomised)
        return {"value": rng.random(slices)}

    monkeypatch.setattr(rendering, "render", fake)
    monkeypatch.setattr(rendering.Anatomy, "load", staticmethod(lambda path: path.name))
    sources, seen = [tmp_path / "a", tmp_path / "b"], []
    for source in sources:
        source.write_text(f"label map {source.name}")
    config = PoolConfig(patients=3, slices=4, seed=7)
    pool = tmp_path / "pool"
    paths = render_pool(sources, config, pool, lambda done, total: seen.append((done, total)))
    assert rendered == ["a", "b", "a"]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    values = [np.load(path)["value"] for path in paths]
    for i, value in enumerate(values):
        np.testing.assert_array_equal(value, np.random.default_rng([7, i]).random(4))
    # What is there stays; what is missing is rendered again, the same.
    paths[1].unlink()
    assert render_pool(sources, config, pool) == paths
    assert rendered == ["a", "b", "a", "b"]
    np.testing.assert_array_equal(np.load(paths[1])["value"], values[1])
    assert len(list(pool.glob("*.npz"))) == 3
    # Patients of other subjects or settings are never taken for these.
    assert kinds[:3] == [config.is_randomised(i) for i in range(3)]
    differently = replace(config, slices=5), replace(config, randomised=0.2)
    for others, changed in ((sources[:1], config), *((sources, c) for c in differently)):
        with pytest.raises(SettingsError, match="holds other patients"):
            render_pool(others, changed, pool)


@given(*[st.integers(2, 8)] * 2, *[st.integers(0, 12)] * 2, st.integers(0, 99))
@settings(deadline=None)
def test_a_coarse_mask_holds_the_cells_trusted_for_the_larger_part(nx, ny, more_x, more_y, seed):
    shape = (nx + more_x, ny + more_y, 2)
    mask = np.random.default_rng(seed).random(shape) < 0.5
    votes: dict[tuple[int, int, int], list[bool]] = {}
    cell_of = {}
    for i, j, k in np.ndindex(shape):
        nearest = [
            min(int(np.floor(round(v * n / n_out, 9) + 0.5)), n - 1)
            for v, n, n_out in ((i, nx, shape[0]), (j, ny, shape[1]))
        ]
        cell_of[i, j, k] = (*nearest, k)
        votes.setdefault(cell_of[i, j, k], []).append(bool(mask[i, j, k]))
    expected = np.zeros(shape, bool)
    for voxel, cell in cell_of.items():
        expected[voxel] = 2 * sum(votes[cell]) > len(votes[cell])
    np.testing.assert_array_equal(dataset._coarse_mask(mask, (nx, ny)), expected)
