"""A few hundred damaged studies: each opens or is refused in words, within bounds of memory."""

from __future__ import annotations

import random

import pytest
from fuzz_readers import KINDS, SHAPE, attempt, spoiled

from ftddm_core.imaging.io import open_study


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_damaged_studies_open_or_are_refused(kind, tmp_path):
    outcomes = {seed: attempt(kind, seed, tmp_path / "study") for seed in range(120)}
    assert not {seed: o.detail for seed, o in outcomes.items() if o.kind == "fault"}
    kinds = [outcome.kind for outcome in outcomes.values()]
    # Both ends are met: the files are valid before, and the damage is felt.
    assert kinds.count("opened") > 20
    assert kinds.count("refused") > 20
    assert len({o.detail.rpartition("study/")[2] for o in outcomes.values()}) > 30


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_seed_makes_the_same_study_again(kind):
    once, again, other = (spoiled(KINDS[kind](rng), rng) for rng in map(random.Random, (7, 7, 8)))
    assert once == again
    assert once != other


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_undamaged_studies_open(kind, tmp_path):
    """Otherwise nothing behind the first check would be tried."""
    for seed in range(12):
        files = KINDS[kind](random.Random(seed))
        if any(b"'<c8'" in content[:128] for content in files.values()):
            continue  # complex arrays are refused, damaged or not
        for name, content in files.items():
            path = tmp_path / f"{seed}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        study = open_study(tmp_path / f"{seed}")
        assert list(study.maps) in (["Ins", "NAA"], ["NAA", "Ins"])
        assert study.grid.shape == SHAPE


def test_a_fault_is_reported_as_one(tmp_path, monkeypatch):
    def crash(*_, **__):
        raise ZeroDivisionError("here")

    monkeypatch.setattr("fuzz_readers.open_study", crash)
    outcome = attempt("npy", 0, tmp_path / "study")
    assert outcome.kind == "fault"
    assert outcome.detail.strip().endswith("ZeroDivisionError: here")


def test_too_much_memory_is_a_fault(tmp_path, monkeypatch):
    monkeypatch.setattr("fuzz_readers.MEMORY", 100)
    outcome = attempt("npy", 0, tmp_path / "study")
    assert outcome.kind == "fault"
    assert outcome.detail.startswith("allocated")
