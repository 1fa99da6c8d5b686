"""What is kept is found again, what is about something else is forgotten, and memory is bounded."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ftddm_core.sampling.recall import Recall


def kilobyte(value: float = 0.0) -> Tensor:
    return torch.full((256,), value)


def refuse() -> Tensor:
    raise AssertionError("made again")


def test_what_is_kept_is_the_same_object_and_is_not_made_again() -> None:
    recall = Recall()
    first = recall("a", kilobyte)
    assert recall("a", refuse) is first
    assert "a" in recall
    assert "b" not in recall
    with pytest.raises(AssertionError):
        recall("b", refuse)
    assert "b" not in recall


def test_another_subject_forgets_everything_and_the_same_does_not() -> None:
    recall, one, other = Recall(), object(), object()
    recall.about(one, other)
    first = recall("a", kilobyte)
    recall.about(one, other)
    assert recall("a", refuse) is first
    for subject in [(other, one), (one,), (one, object())]:
        recall("a", kilobyte)
        recall.about(*subject)
        assert "a" not in recall


def test_subjects_that_are_equal_are_not_the_same() -> None:
    recall = Recall()
    recall.about([1])
    recall("a", kilobyte)
    recall.about([1])
    assert "a" not in recall


def test_memory_is_bounded_and_what_was_not_used_for_longest_goes_first() -> None:
    recall = Recall(limit=3 * 1024)
    for key in "abc":
        recall(key, kilobyte)
    recall("a", refuse)
    recall("d", kilobyte)
    assert [key in recall for key in "abcd"] == [True, False, True, True]
    assert recall.nbytes == 3 * 1024


def test_what_is_larger_than_the_bound_is_kept_alone() -> None:
    recall = Recall(limit=1024)
    recall("a", kilobyte)
    large = recall("b", lambda: torch.zeros(10_000))
    assert recall("b", refuse) is large
    assert "a" not in recall
