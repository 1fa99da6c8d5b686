"""What is said of the work that goes on: how far it is, and how long it takes."""

from __future__ import annotations

import pytest

from ftddm_viewer.session.messages import DEVICE_LOST, OUT_OF_MEMORY, error_words, going_on
from ftddm_viewer.session.state import Activity, State


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "Sampling, 40%."),
        (0.4, "Sampling, 40%."),
        (1.2, "Sampling, 40%, about 2 s left."),
        (9.0, "Sampling, 40%, about 9 s left."),
        (41.0, "Sampling, 40%, about 45 s left."),
        (90.0, "Sampling, 40%, about 2 min left."),
        (1000.0, "Sampling, 40%, about 17 min left."),
    ],
)
def test_time_left_is_told_where_it_is_known(seconds: float | None, words: str) -> None:
    state = State(activity=Activity.SAMPLING, progress=0.4, remaining=seconds)
    assert going_on(state) == words


def test_a_whole_volume_says_how_long_it_takes_and_how_to_stop_it() -> None:
    state = State(activity=Activity.VOLUME, progress=0.25, remaining=70)
    assert going_on(state).startswith("Computing the whole volume, 25%, about 70 s left. ")
    assert "cancel to change them" in going_on(state)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), OUT_OF_MEMORY),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), OUT_OF_MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9"), OUT_OF_MEMORY),
        (RuntimeError("CUDA error: unspecified launch failure"), DEVICE_LOST),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), DEVICE_LOST),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), None),
        (RuntimeError("memory format option is only supported by strided tensors"), None),
        (ValueError("the GPU is lost"), None),
    ],
)
def test_only_a_device_without_memory_or_life_is_called_so(
    error: Exception, words: str | None
) -> None:
    """Any other is a fault of the program, whose traceback nobody may lose."""
    assert error_words(error) == words
