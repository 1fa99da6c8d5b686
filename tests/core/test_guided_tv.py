"""Guided total variation: its operators, its optimum, and what guidance does to an edge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from properties import oblique_affine

from ftddm_core.evaluation.baselines import run_baseline, zero_filling
from ftddm_core.evaluation.guided_tv import LAMBDA, STEP, _Problem, guided_tv
from ftddm_core.imaging.degrade import degrade
from ftddm_core.imaging.fourier import truncate
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.sampling.condition import form_condition, trusted_cells

Array = NDArray[Any]
FULL = (20, 18)


def ellipse(shape: tuple[int, int] = FULL) -> Array:
    x, y = np.ogrid[: shape[0], : shape[1]]
    return ((x - shape[0] / 2) / (0.42 * shape[0])) ** 2 + (
        (y - shape[1] / 2) / (0.4 * shape[1])
    ) ** 2 < 1


def problem(acquired: tuple[int, int] = (8, 7), guides: int = 2, seed: int = 0) -> _Problem:
    rng = np.random.default_rng(seed)
    mask = np.stack([ellipse(), ellipse()[::-1] & (rng.random(FULL) < 0.9)])
    trusted = trusted_cells(np.moveaxis(mask, 0, -1), acquired)
    return _Problem(
        measured=rng.random((2, *acquired)).astype(np.float32),
        weight=np.moveaxis(trusted, -1, 0).astype(np.float32),
        mask=mask,
        guides=[rng.random((2, *FULL)).astype(np.float32) for _ in range(guides)],
        eta=0.2,
    )


def draw(*shape: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("acquired", [(8, 7), (5, 18), (10, 6)])
def test_operators_and_adjoints(acquired: tuple[int, int]) -> None:
    tv = problem(acquired)
    x, q, p = draw(2, *FULL, seed=1), draw(2, *acquired, seed=2), draw(2, 2, *FULL, seed=3)
    assert np.vdot(tv.scan(x), q) == pytest.approx(np.vdot(x, tv.scan_adjoint(q)), rel=1e-3)
    assert np.vdot(tv.slope(x), p) == pytest.approx(np.vdot(x, tv.slope_adjoint(p)), rel=1e-3)


@pytest.mark.parametrize("acquired", [(8, 7), (5, 18), (10, 6)])
def test_the_steps_are_short_enough(acquired: tuple[int, int]) -> None:
    """Chambolle & Pock converge for sigma tau |K|^2 < 1: power iteration on K^T K."""
    tv = problem(acquired, guides=0)
    x = draw(2, *FULL, seed=1)
    for _ in range(200):
        x /= np.linalg.norm(x)
        x = tv.slope_adjoint(tv.slope(x)) + tv.scan_adjoint(tv.scan(x))
    assert 4 < np.linalg.norm(x) < 1 / STEP**2


def test_the_scan_is_that_of_the_degraded_map() -> None:
    acquired = (8, 7)
    tv = problem(acquired)
    x = draw(2, *FULL, seed=1)
    seen = np.moveaxis(truncate(np.moveaxis(x, 0, -1), acquired), -1, 0)
    gain = np.sqrt(np.prod(FULL) / np.prod(acquired))
    np.testing.assert_allclose(tv.scan(x), gain * tv.weight * seen, atol=1e-5)


def test_one_guide_projects_its_own_direction_out() -> None:
    """D = I - xi xi^T with xi = g / sqrt(|g|^2 + eta^2): Ehrhardt & Betcke 2016."""
    rng = np.random.default_rng(5)
    guide = rng.random((1, *FULL)).astype(np.float32)
    tv = _Problem(np.zeros((1, 4, 4), np.float32), np.ones((1, 4, 4), np.float32),
                  np.ones((1, *FULL), bool), [guide], 0.3)  # fmt: skip
    (xx, xy, yy), (i, j) = tv.across, (6, 9)
    g = np.array([guide[0, i + 1, j] - guide[0, i, j], guide[0, i, j + 1] - guide[0, i, j]])
    xi = g / np.sqrt(g @ g + 0.3**2)
    found = [[xx[0, i, j], xy[0, i, j]], [xy[0, i, j], yy[0, i, j]]]
    np.testing.assert_allclose(found, np.eye(2) - np.outer(xi, xi), atol=1e-5)


@pytest.mark.parametrize("guides", [0, 2])
def test_the_solution_is_feasible_and_no_perturbation_improves_it(guides: int) -> None:
    tv, lam = problem(guides=guides), 0.02
    start = np.zeros((2, *FULL), np.float32)
    x = tv.solve(start, lam, 3000)
    assert (x >= 0).all()
    assert not x[tv.mask == 0].any()
    best = tv.objective(x, lam)
    assert best < 0.5 * tv.objective(start, lam)
    for seed in range(20):
        for size in (1e-3, 1e-2, 0.1):
            other = np.maximum(x + size * draw(2, *FULL, seed=seed), 0) * tv.mask
            assert tv.objective(other, lam) > best - 1e-5 * best


def test_under_a_heavy_weight_the_solution_is_the_best_constant() -> None:
    tv = problem(guides=0)
    tv.mask[1], tv.pairs[:, 1] = tv.mask[0], tv.pairs[:, 0]  # both in one piece
    seen = tv.scan(tv.mask)
    constant = (seen * tv.measured).sum((1, 2)) / (seen * seen).sum((1, 2))
    found = tv.solve(np.zeros((2, *FULL), np.float32), 1.0, 5000)
    np.testing.assert_allclose(found, constant[:, None, None] * tv.mask, rtol=0.01)


def condition_of(truth: Array, acquired: tuple[int, int], mask: Array, t1: Array | None) -> Any:
    low = truncate(truth * mask, acquired)[..., None]
    guide = None if t1 is None else t1[..., None]
    return form_condition("tNAA", low, mask[..., None] > 0, guide, None, np.eye(4), "mM")


def error(found: Array, truth: Array) -> float:
    return float(np.linalg.norm(found[..., 0] - truth) / np.linalg.norm(truth))


def step_brain() -> tuple[Array, Array]:
    """Return a map with a step at a slanted edge, and its mask."""
    x, y = np.ogrid[:32, :32]
    return np.where(x + 0.4 * y < 22, 2.0, 6.0), ellipse((32, 32)).astype(float)


def test_a_guide_with_the_same_edge_helps_and_one_without_does_not() -> None:
    truth, mask = step_brain()
    truth = truth * mask
    rng = np.random.default_rng(0)
    noise = 0.03 * rng.random((32, 32))
    guides = {"none": None, "edge": (truth == 2) * 0.8 + noise, "flat": 0.5 + noise}
    found = {}
    for name, guide in guides.items():
        condition = condition_of(truth, (8, 8), mask, guide)
        found[name] = error(guided_tv(condition), truth)
    filled = error(zero_filling(condition), truth)
    assert found["edge"] < 0.7 * found["none"] < 0.7 * filled
    assert found["flat"] == pytest.approx(found["none"], rel=0.1)


def test_a_constant_is_restored_up_to_the_edge_of_the_mask() -> None:
    """Zero-filling blurs the edge; the model knows where it is."""
    mask = ellipse((32, 32)).astype(float)
    condition = condition_of(3 * mask, (9, 8), mask, None)
    found = guided_tv(condition)
    np.testing.assert_allclose(found[..., 0], 3 * mask, atol=0.03)
    assert np.abs(zero_filling(condition)[..., 0] - 3 * mask).max() > 1


def test_the_unit_of_the_map_does_not_matter() -> None:
    truth, mask = step_brain()
    once = condition_of(truth, (8, 8), mask, None)
    thousand = condition_of(1000 * truth, (8, 8), mask, None)
    np.testing.assert_allclose(guided_tv(thousand), 1000 * guided_tv(once), rtol=1e-3, atol=1e-1)


def test_slices_are_independent_and_empty_ones_stay_empty() -> None:
    truth, mask = step_brain()
    stacked = np.stack([truth, truth[::-1], truth.T], -1)
    masks = np.stack([mask, 0 * mask, mask], -1)
    affine = oblique_affine((32, 32, 3))
    study = Study({"Glu": Volume(stacked, affine, "mM")}, mask=Volume(masks, affine))
    low = degrade(study, 4)
    found = run_baseline(guided_tv, low, 4.0, (32, 32))["Glu"]
    assert found.unit == "mM"
    np.testing.assert_allclose(found.affine, affine, atol=1e-9)
    assert found.data.dtype == np.float32
    assert not found.data[masks == 0].any()
    assert error(found.data[..., 2:], truth.T * mask) < 0.1
    wild = {"Glu": Volume(np.concatenate([9 * stacked[..., :2], stacked[..., 2:]], -1), affine)}
    # The scale is the whole volume's, and lambda's unit with it; without lambda they are alike.
    one, other = (
        run_baseline(
            lambda c: guided_tv(c, lam=0.0), degrade(Study(maps, mask=study.mask), 4), 4.0,
            (32, 32),
        )["Glu"].data[..., 2]
        for maps in (study.maps, wild)
    )  # fmt: skip
    np.testing.assert_allclose(one, other, atol=0.02)


def test_more_weight_is_smoother() -> None:
    truth, mask = step_brain()
    noisy = truth + 0.5 * np.random.default_rng(1).standard_normal((32, 32))
    condition = condition_of(noisy, (16, 16), mask, None)
    variation = [
        np.abs(np.diff(guided_tv(condition, lam=lam)[8:24, 8:24, 0], axis=0)).mean()
        for lam in (LAMBDA, 10 * LAMBDA, 100 * LAMBDA)
    ]
    assert variation[0] > variation[1] > variation[2]
