"""Kept maps: what comes back, what a key tells apart, and damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ftddm_core.errors import FormatError
from ftddm_core.evaluation.cache import Cache, key_of


@pytest.mark.parametrize("peak", [1e-9, 1.0, 3e7])
def test_a_map_comes_back_whatever_its_unit(tmp_path: Path, peak: float) -> None:
    image = peak * np.random.default_rng(0).random((6, 5, 2)).astype(np.float32)
    cache = Cache(tmp_path / "new")
    key = key_of({"a": 1})
    assert key not in cache
    assert cache.load(key) is None
    cache.save(key, image, 1.5)
    assert key in cache
    found, seconds = cache.load(key) or (np.zeros(0), 0.0)
    assert seconds == 1.5
    np.testing.assert_allclose(found, image, atol=peak * 2.0**-11)
    assert found.dtype == np.float32
    cache.discard(key)
    assert key not in cache


def test_an_empty_map_is_a_map(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.save("ab" * 20, np.zeros((2, 2, 1)), 0)
    found = cache.load("ab" * 20)
    assert found is not None
    assert not found[0].any()


def test_keys_tell_contents_apart_and_orders_not() -> None:
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})
    assert len({key_of({"a": 1}), key_of({"a": 2}), key_of({"a": "1"}), key_of({"b": 1})}) == 4


def test_a_damaged_entry_counts_as_none(tmp_path: Path) -> None:
    cache, key = Cache(tmp_path), key_of({})
    cache.save(key, np.ones((4, 4, 1)), 1)
    (path,) = tmp_path.rglob("*.npz")
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"nonsense"):
        path.write_bytes(content)
        assert cache.load(key) is None
    cache.save_json(key, {"x": [1, 2]})
    assert cache.load_json(key) == {"x": [1, 2]}
    (path,) = tmp_path.rglob("*.json")
    path.write_text("{")
    assert cache.load_json(key) is None
    assert not list(tmp_path.rglob("*.part"))


def test_what_cannot_be_kept_is_said(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="not finite"):
        Cache(tmp_path).save("ab", np.array([[[np.nan]]]), 0)
    (tmp_path / "file").write_text("")
    with pytest.raises(FormatError, match="Cannot write"):
        Cache(tmp_path / "file").save("ab" * 20, np.ones((1, 1, 1)), 0)
