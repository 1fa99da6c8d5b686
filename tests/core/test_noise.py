"""Noise depends on its key and on nothing else, and the stream never changes unnoticed."""

from __future__ import annotations

import hashlib
from itertools import combinations

import numpy as np
import pytest
import torch

from ftddm_core.sampling.noise import NoiseKey, Tag, batch_normal, keyed_normal

KEYS = [
    NoiseKey(3, name, index, sample)
    for name in ("tNAA", "Glu")
    for index in (0, 19)
    for sample in (0, 1)
]


def test_golden_values() -> None:
    """These numbers are part of the format: a saved seed must give the same map for ever."""
    at_100 = keyed_normal(0, "tNAA", 19, 0, 100, (2, 3))
    flow = keyed_normal(0, "tNAA", 19, 0, "flow", (2, 3))
    expected = [-0.42562944, -0.7981935, -1.206337, 0.8659153, 1.0964527, 1.136467]
    np.testing.assert_allclose(at_100.ravel(), expected, rtol=1e-6)
    expected = [0.5961987, 1.2985188, -0.67496055, 0.6443646, 1.1897511, 0.9376441]
    np.testing.assert_allclose(flow.ravel(), expected, rtol=1e-6)
    # A whole slice under a key that is not plain ASCII and not small.
    rounded = np.round(keyed_normal(2**32 - 1, "β-Glc", 63, 63, 1000, (64, 64)) * 1000).astype(
        "<i4"
    )
    assert hashlib.sha256(rounded.tobytes()).hexdigest()[:16] == "746db789ad1fefc4"


def test_key_decides_alone() -> None:
    key = NoiseKey(0, "tNAA", 19, 0)
    np.testing.assert_array_equal(key.normal(5, (8, 6)), keyed_normal(0, "tNAA", 19, 0, 5, (8, 6)))
    np.random.seed(1)  # noqa: NPY002 - global generators must not matter
    torch.manual_seed(1)
    np.testing.assert_array_equal(key.normal(5, (8, 6)), key.normal(np.int64(5), (8, 6)))  # type: ignore[arg-type]


def test_batches_and_order_do_not_matter() -> None:
    together = batch_normal(KEYS, "flow", (6, 5))
    assert together.shape == (len(KEYS), 1, 6, 5)
    assert together.dtype == torch.float32
    assert torch.equal(batch_normal(KEYS[::-1], "flow", (6, 5)), together.flip(0))
    for key, z in zip(KEYS, together, strict=True):
        assert torch.equal(batch_normal([key], "flow", (6, 5))[0], z)
    with pytest.raises(ValueError, match="at least one"):
        batch_normal([], "flow", (6, 5))


def test_every_part_of_the_key_counts() -> None:
    base: tuple[int, str, int, int, Tag] = (1, "Glu", 2, 3, 4)
    others: list[tuple[int, str, int, int, Tag]] = [
        (2, "Glu", 2, 3, 4),
        (1, "Gln", 2, 3, 4),
        (1, "Glu", 3, 3, 4),
        (1, "Glu", 2, 2, 4),
        (1, "Glu", 2, 3, 5),
        (1, "Glu", 2, 3, "4"),
        (1, "Glu", 2, 3, "flow"),
        (1, 'Glu", 2, "', 2, 3, 4),
    ]
    draws = [keyed_normal(*key, (64, 64)).ravel() for key in [base, *others]]
    for one, other in combinations(draws, 2):
        # Independent: the correlation of 4096 pairs has deviation 1/64; six of them.
        assert abs(np.corrcoef(one, other)[0, 1]) < 6 / 64


def test_is_standard_normal_and_white() -> None:
    z = np.stack([NoiseKey(0, "Ins", i, 0).normal(50, (64, 64)) for i in range(64)]).astype(float)
    deviation = z.size**-0.5
    assert abs(z.mean()) < 5 * deviation
    assert abs(z.var() - 1) < 5 * deviation * 2**0.5
    assert abs((z**4).mean() - 3) < 5 * deviation * 96**0.5
    for axis in range(3):
        assert abs((z * np.roll(z, 1, axis)).mean()) < 5 * deviation
