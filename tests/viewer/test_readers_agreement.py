"""Agreement of readers and correction of p, against published and hand-worked numbers."""

from __future__ import annotations

import numpy as np
import pytest

from ftddm_core.errors import FormatError
from ftddm_viewer.readers.agreement import fleiss_kappa, holm, icc

SHROUT_FLEISS = [
    [9, 2, 5, 8],
    [6, 1, 3, 2],
    [8, 4, 6, 8],
    [7, 1, 2, 6],
    [10, 5, 6, 9],
    [6, 2, 4, 7],
]
"""Table 2 of Shrout and Fleiss 1979: six subjects, four judges."""

FOURTEEN_READERS = [
    [0, 0, 0, 0, 14],
    [0, 2, 6, 4, 2],
    [0, 0, 3, 5, 6],
    [0, 3, 9, 2, 0],
    [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0],
    [3, 2, 6, 3, 0],
    [2, 5, 3, 2, 2],
    [6, 5, 2, 1, 0],
    [0, 2, 2, 3, 7],
]
"""The worked example of textbooks: 14 readers, ten subjects, five categories; kappa is 0.210."""


def test_icc_of_shrout_and_fleiss() -> None:
    """Their table 4: 0.29 for one judge and 0.62 for the mean of four."""
    found = icc(SHROUT_FLEISS)
    assert found.single == pytest.approx(0.29, abs=0.005)
    assert found.mean == pytest.approx(0.62, abs=0.005)


def test_icc_by_hand() -> None:
    """Ratings 1 2, 2 3 and 3 5 of two readers: B = 19/6, J = 8/3, E = 1/6."""
    # Means of subjects 3/2, 5/2, 4 and of readers 2, 10/3; of all 8/3.
    between = 2 * ((3 / 2 - 8 / 3) ** 2 + (5 / 2 - 8 / 3) ** 2 + (4 - 8 / 3) ** 2) / 2
    judges = 3 * ((2 - 8 / 3) ** 2 + (10 / 3 - 8 / 3) ** 2)
    total = sum((v - 8 / 3) ** 2 for v in (1, 2, 2, 3, 3, 5))
    rest = (total - 2 * between - judges) / 2
    assert (between, judges, rest) == pytest.approx((19 / 6, 8 / 3, 1 / 6))
    found = icc([[1, 2], [2, 3], [3, 5]])
    assert found.single == pytest.approx((19 / 6 - 1 / 6) / (19 / 6 + 1 / 6 + 2 * (5 / 2) / 3))
    assert found.single == pytest.approx(3 / 5)
    assert found.mean == pytest.approx(3 / 4)


def test_icc_at_its_ends() -> None:
    assert icc([[1, 1], [3, 3], [5, 5]]) == pytest.approx((1, 1))
    assert icc([[1, 3], [3, 1], [2, 2]]).single < 0
    for undefined in ([[2, 2], [2, 2]], [[1, 2]], [[1], [2]], np.zeros((0, 0))):
        assert np.isnan(icc(undefined)).all()


def test_kappa_of_fourteen_readers() -> None:
    assert fleiss_kappa(FOURTEEN_READERS) == pytest.approx(0.210, abs=0.0005)


def test_kappa_by_hand() -> None:
    """Two readers, three subjects, agreed on two: P = 2/3, Pe = (1/2)^2 + (1/2)^2."""
    assert fleiss_kappa([[2, 0], [1, 1], [0, 2]]) == pytest.approx((2 / 3 - 1 / 2) / (1 / 2))
    assert fleiss_kappa([[2, 0], [0, 2]]) == pytest.approx(1)
    assert fleiss_kappa([[1, 1], [1, 1]]) == pytest.approx(-1)
    assert np.isnan(fleiss_kappa([[2, 0], [2, 0]]))
    assert np.isnan(fleiss_kappa([]))


@pytest.mark.parametrize("counts", [[[2, 0], [1, 0]], [[1, 0], [0, 1]]])
def test_kappa_needs_the_same_readers_everywhere(counts: list[list[int]]) -> None:
    with pytest.raises(FormatError, match="2 or more"):
        fleiss_kappa(counts)


def test_holm_by_hand() -> None:
    """Of 4 tests: 0.01 x 4, 0.02 x 3, 0.03 x 2 which stays at 0.06, 0.9 x 1."""
    assert holm([0.03, 0.01, 0.9, 0.02]) == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []
    corrected = holm([0.02, float("nan"), 0.5])
    assert corrected[0] == pytest.approx(0.04)
    assert np.isnan(corrected[1])
