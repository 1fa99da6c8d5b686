"""Which device, how many cores and slices together, and what running out of memory looks like."""

from __future__ import annotations

import pytest
import torch
from networks import tiny_weights

from ftddm_core.errors import SettingsError
from ftddm_core.sampling import device as module
from ftddm_core.sampling.device import pick_device, ran_out_of_memory, slices_together, use_cores
from ftddm_core.sampling.resolver import SuperResolver

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_threads_are_never_more_than_cores_and_a_wish_is_respected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen: list[int] = []
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    for cores in (2, 64):
        monkeypatch.setattr(module, "usable_cores", lambda cores=cores: cores)
        use_cores()
    assert chosen == [2, 8]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    use_cores()
    assert chosen == [2, 8]


def test_slices_together_fill_the_same_number_of_voxels_on_a_cpu() -> None:
    assert slices_together(CPU, 64, 64) == 16
    assert slices_together(CPU, 32, 32) == 64
    assert slices_together(CPU, 128, 128) == 4
    assert slices_together(CPU, 512, 512) == 1


def test_slices_together_follow_the_memory_that_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for free in (0, 2**30, 2**33, 2**40):
        monkeypatch.setattr(module, "free_memory", lambda device, free=free: free)
        found.append(slices_together(CUDA, 64, 64))
        needed = found[-1] * 64 * 64 * module.BYTES_PER_VOXEL
        assert free == 0 or needed <= module.SHARE * free
    assert found == [16, 32, 256, module.MOST_SLICES]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (MemoryError(), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 17 GB)"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_running_out_of_memory_is_told_from_other_errors(error: Exception, expected: bool) -> None:
    assert ran_out_of_memory(error) is expected


@pytest.mark.parametrize("wanted", ["tpu9000", "", "meta", "hpu", "vulkan"])
def test_an_unknown_device_is_refused(wanted: str) -> None:
    with pytest.raises(SettingsError, match=f"'{wanted}' is not available"):
        pick_device(wanted)


def test_a_device_is_found_without_asking() -> None:
    assert pick_device("auto").type in ("cpu", "cuda", "mps")
    assert SuperResolver(tiny_weights(), "cpu").device == torch.device("cpu")
