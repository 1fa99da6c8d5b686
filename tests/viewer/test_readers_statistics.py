"""Statistics of a reader study on answers whose outcome is known."""

from __future__ import annotations

import numpy as np
import pytest

from ftddm_viewer.readers.items import SCALES
from ftddm_viewer.readers.statistics import (
    Chosen,
    Rated,
    agreement,
    comparisons,
    preferences,
    summary,
)

METHODS = ("plain", "model")
READERS = ("Ann", "Bo")


def ratings(cases: int, gain: int, scale: str = "sharpness") -> list[Rated]:
    """Return ratings of two readers: the model is better by `gain` in every case."""
    return [
        Rated(
            reader, f"s{case // 3}", case, method, scale,
            1 + case % 3 + gain * (method == "model"),
        )
        for case in range(cases)
        for method in METHODS
        for reader in READERS
    ]  # fmt: skip


def test_a_clear_difference() -> None:
    """Six cases, all of one sign: the two-sided exact p is 2 / 2^6."""
    (row,) = comparisons(ratings(6, 2), METHODS)
    assert (row["method"], row["other"], row["units"]) == ("plain", "model", 6)
    assert row["mean difference"] == row["median difference"] == -2
    assert row["p"] == row["p (Holm)"] == pytest.approx(2 / 2**6)


def test_a_study_counts_once_where_it_is_the_unit() -> None:
    (row,) = comparisons(ratings(6, 2), METHODS, "study")
    assert row["units"] == 2
    assert row["p"] == pytest.approx(2 / 2**2)


def test_no_difference_is_no_evidence() -> None:
    (row,) = comparisons(ratings(6, 0), METHODS)
    assert row["p"] == 1


def test_p_is_corrected_over_all_scales() -> None:
    rows = comparisons(ratings(6, 2) + ratings(6, 1, "noise"), METHODS)
    assert [row["scale"] for row in rows] == ["sharpness", "noise"]
    assert [row["p (Holm)"] for row in rows] == pytest.approx([2 * 2 / 2**6] * 2)


def test_wilcoxon_on_means_over_readers() -> None:
    """The readers disagree about by how much; what counts is one value a case."""
    found = ratings(5, 1)
    found += [Rated("Cy", "s0", case, "model", "sharpness", 5) for case in range(5)]
    (row,) = comparisons(found, METHODS)
    by_hand = [(2 * (2 + c % 3) + 5) / 3 - (1 + c % 3) for c in range(5)]
    assert row["units"] == 5
    assert row["mean difference"] == pytest.approx(-np.mean(by_hand))


def test_summary() -> None:
    plain, model = summary(ratings(3, 2), METHODS)
    assert (plain["ratings"], plain["mean"], plain["median"]) == (6, 2, 2)
    assert (model["mean"], model["SD"]) == (4, pytest.approx(np.std([3, 3, 4, 4, 5, 5], ddof=1)))


def choices(cases: int, *, agreed: bool = True) -> list[Chosen]:
    """Return choices of two readers for the model, or of one for it and one against it."""
    found = []
    for case in range(cases):
        for reader in READERS:
            model = agreed or reader == "Ann"
            pair = METHODS[::-1] if model else METHODS
            # The model is on the left in even cases.
            found.append(
                Chosen(reader, "s", case, 100 + case, *pair, left=model == (case % 2 == 0))
            )
    return found


def test_preference_for_one() -> None:
    (row,) = preferences(choices(8), METHODS)
    assert (row["answers"], row["preferred"]) == (16, 0)
    assert (row["units for it"], row["units against it"]) == (0, 8)
    assert row["p"] == pytest.approx(2 / 2**8)


def test_readers_who_disagree_prefer_none() -> None:
    (row,) = preferences(choices(8, agreed=False), METHODS)
    assert row["preferred"] == 0.5
    assert row["units for it"] == row["units against it"] == 0
    assert row["p"] == 1


def test_agreement_of_all_and_of_none() -> None:
    rows = {row["scale"]: row for row in agreement(ratings(6, 1), choices(6), 2)}
    assert list(rows) == [*(scale.name for scale in SCALES), "preferred"]
    assert rows["sharpness"]["answered by all"] == 12
    for name in ("Fleiss' kappa", "ICC(2,1)", "ICC(2,k)"):
        assert rows["sharpness"][name] == pytest.approx(1)
    assert rows["noise"]["answered by all"] == 0
    assert np.isnan(rows["noise"]["ICC(2,1)"])
    assert rows["preferred"]["Fleiss' kappa"] == pytest.approx(1)
    (row,) = [r for r in agreement([], choices(6, agreed=False), 2) if r["scale"] == "preferred"]
    assert row["Fleiss' kappa"] == pytest.approx(-1)


def test_what_one_reader_left_out_is_left_out_of_the_agreement() -> None:
    found = [r for r in ratings(6, 1) if (r.reader, r.case) != ("Bo", 2)]
    row = agreement(found, [], 2)[0]
    assert row["answered by all"] == 10


def test_one_reader_agrees_with_nobody() -> None:
    own = [r for r in ratings(6, 1) if r.reader == "Ann"]
    row = agreement(own, [], 1)[0]
    assert np.isnan([row["Fleiss' kappa"], row["ICC(2,1)"], row["ICC(2,k)"]]).all()
