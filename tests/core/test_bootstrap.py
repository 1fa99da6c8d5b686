"""Intervals over patients: known cases, pairing, and how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest

from ftddm_core.evaluation.bootstrap import estimate, mean, ratio, ratio_difference


def test_patients_that_agree_leave_no_doubt() -> None:
    found = mean(["a", "a", "b"], [2.0, 2.0, 2.0])
    assert (found.value, found.low, found.high) == (2, 2, 2)
    assert (found.slices, found.patients) == (3, 2)


def test_slices_of_one_patient_are_no_patients() -> None:
    """A hundred copies of a slice say no more about other patients than one does."""
    values = [1.0, 3.0]
    few = mean(["a", "b"], values)
    many = mean(["a"] * 100 + ["b"] * 100, np.repeat(values, 100).tolist())
    assert (few.low, few.high) == (many.low, many.high) == (1, 3)
    alone = mean(["a"] * 9, list(range(9)))
    assert alone.value == 4
    assert np.isnan([alone.low, alone.high]).all()


def test_undefined_values_are_left_out_and_nothing_is_nan() -> None:
    found = mean(["a", "b", "b"], [1.0, np.nan, 3.0])
    assert (found.value, found.slices) == (2, 2)
    for nothing in (mean([], []), mean(["a"], [np.nan])):
        assert np.isnan(nothing.value)
        assert (nothing.slices, nothing.patients) == (0, 0)


def test_a_ratio_is_pooled() -> None:
    columns = np.array([[1.0, 1.0], [6.0, 2.0]])
    assert estimate(["a", "b"], columns, ratio).value == pytest.approx(7 / 3)
    difference = np.concatenate([columns, columns[:, ::-1]], axis=1)
    found = estimate(["a", "b"], difference, ratio_difference)
    assert found.value == pytest.approx(7 / 3 - 3 / 7)


def test_the_same_rows_give_the_same_interval() -> None:
    rng = np.random.default_rng(0)
    names, values = [f"p{i % 6}" for i in range(30)], rng.standard_normal(30).tolist()
    assert mean(names, values) == mean(names, values)


def test_pairing_removes_what_both_share() -> None:
    """Patients differ by 10, methods by 1: the difference is known far better than the means."""
    rng = np.random.default_rng(1)
    names = [f"p{i}" for i in range(8)]
    level = 10 * rng.standard_normal(8)
    one, two = level + 1 + 0.1 * rng.standard_normal(8), level
    paired = mean(names, (one - two).tolist())
    apart = mean(names, one.tolist())
    assert paired.low > 0.8
    assert paired.high < 1.2
    assert apart.high - apart.low > 20 * (paired.high - paired.low)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(200):
        found = mean([str(i) for i in range(25)], rng.normal(5, 2, 25).tolist())
        held += found.low <= 5 <= found.high
    assert 0.87 <= held / 200 <= 0.99
