"""Device of the networks, number of cores, and batch size."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn

from ftddm_core.cores import usable_cores
from ftddm_core.errors import SettingsError

CPU_VOXELS = 16 * 64 * 64
"""Voxels per batch on a CPU: more are not faster and need memory."""

BYTES_PER_VOXEL = 4096
"""Planned memory per voxel; a batch that needs more is halved."""

SHARE = 0.5
"""Share of the free memory of a device that a batch may be planned to take."""

MOST_SLICES = 1024

LOST = (
    "unspecified launch failure", "launch timed out", "no cuda-capable device",
    "cuda error: unknown", "busy or unavailable", "uncorrectable ecc error", "gpu is lost",
    "device lost", "fallen off the bus", "nvlink error", "hardware error",
)  # fmt: skip
"""In lower case: what torch and the drivers say of a GPU that does not work any more."""


def pick_device(wanted: str = "auto") -> torch.device:
    """Return the requested device, or the fastest available one.

    Raises
    ------
    SettingsError
        If this machine or this build of torch does not support it.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.zeros(1, device=device).item()  # "meta" has no values and fails only here
    except (RuntimeError, AssertionError, ImportError):
        raise SettingsError(
            f"The device '{wanted}' is not available here: use auto, cpu, cuda or mps."
        ) from None
    return device


def use_cores() -> None:
    """Limit torch's threads to the number of usable cores.

    Threads synchronise at every layer: one without its own core delays all others. To be called
    once by a program; an existing ``OMP_NUM_THREADS`` or a lower limit is respected.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(torch.get_num_threads(), usable_cores()))


def place(network: nn.Module, device: torch.device) -> None:
    """Move a network to a device, with the fastest memory layout there."""
    network.to(device)
    for parameter in network.parameters():
        if parameter.ndim == 4 and device.type in ("cpu", "cuda"):
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


@contextmanager
def computing() -> Iterator[None]:
    """Compute without gradients, and on a CUDA device in float32 like the CPU, not in TF32."""
    exact = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=False, allow_tf32=False
    )
    with torch.inference_mode(), exact:
        yield


def halved(device: torch.device, *, half: bool) -> AbstractContextManager[object]:
    """Return a context in which convolutions compute in float16 if `half`.

    Torch decides layer by layer; sums and normalisations stay in float32. Casts of weights are not
    cached, since a recording (`graphed`) must include them.
    """
    if not half:
        return nullcontext()
    return torch.autocast(device.type, torch.float16, cache_enabled=False)


def slices_together(device: torch.device, height: int, width: int) -> int:
    """Return the batch size for slices of a grid, at least 1.

    On a GPU it is a power of two, so that small changes of the free memory do not change it and
    steps are recorded (`graphed`) for few sizes.
    """
    free = 0 if device.type == "cpu" else free_memory(device)
    if not free:
        return max(1, CPU_VOXELS // (height * width))
    slices = int(SHARE * free) // BYTES_PER_VOXEL // (height * width)
    return 1 << max(0, min(MOST_SLICES, slices).bit_length() - 1)


def free_memory(device: torch.device) -> int:
    """Return the free bytes on a device; 0 if unknown."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + kept)
    if device.type == "mps":  # torch's cache counts as free
        return int(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    return 0


def ran_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that a device or the machine is out of memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = str(error).lower()  # Apple's GPU and the CPU have no special error type
    return isinstance(error, RuntimeError) and (
        "out of memory" in words or "can't allocate memory" in words
    )


def lost_device(error: BaseException) -> bool:
    """Return whether an error means that a GPU does not work any more, whatever the program does.

    What a fault of the program brings about as well, such as an illegal memory access, is none.
    """
    words = str(error).lower()
    return isinstance(error, RuntimeError) and any(each in words for each in LOST)


def release_memory(device: torch.device) -> None:
    """Release torch's cache, so that a smaller batch fits."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
