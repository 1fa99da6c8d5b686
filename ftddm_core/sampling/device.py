"""Where the networks run: which device, how many cores, how many slices fit together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn

from ftddm_core.cores import usable_cores
from ftddm_core.errors import SettingsError

CPU_VOXELS = 16 * 64 * 64
"""Voxels that go through the networks together on a CPU: more are no faster, and need memory."""

BYTES_PER_VOXEL = 4096
"""Memory that is planned for each; a batch that needs more after all is halved."""

SHARE = 0.5
"""Of the memory that is free on a device, how much a batch may be planned to take."""

MOST_SLICES = 1024


def pick_device(wanted: str = "auto") -> torch.device:
    """Return the device asked for, or the fastest there is.

    Raises
    ------
    SettingsError
        If this machine or this build of torch does not have it.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.zeros(1, device=device).item()  # "meta" holds no values, and fails only here
    except (RuntimeError, AssertionError, ImportError):
        raise SettingsError(
            f"The device '{wanted}' is not available here: use auto, cpu, cuda or mps."
        ) from None
    return device


def use_cores() -> None:
    """Let torch use as many threads as there are cores to run them, and no more.

    Threads wait for each other at every layer: one without a core of its own holds up all others.
    It is for programs to call, once, and leaves ``OMP_NUM_THREADS`` and fewer threads alone.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(torch.get_num_threads(), usable_cores()))


def place(network: nn.Module, device: torch.device) -> None:
    """Move a network to a device, its kernels in the order that is fastest there."""
    network.to(device)
    for parameter in network.parameters():
        if parameter.ndim == 4 and device.type in ("cpu", "cuda"):
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


@contextmanager
def computing() -> Iterator[None]:
    """Compute without gradients, and on a CUDA device in float32 as the CPU does, not in TF32."""
    exact = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=False, allow_tf32=False
    )
    with torch.inference_mode(), exact:
        yield


def halved(device: torch.device, *, half: bool) -> AbstractContextManager[object]:
    """Return what makes convolutions compute in float16 where `half` asks for it.

    Torch decides layer by layer; sums and normalisations stay in float32. Casts of weights are not
    kept, for a recording (`graphed`) must hold them.
    """
    if not half:
        return nullcontext()
    return torch.autocast(device.type, torch.float16, cache_enabled=False)


def slices_together(device: torch.device, height: int, width: int) -> int:
    """Return how many slices of a grid go through the networks together, at least 1.

    On a GPU a power of two: memory that comes and goes does not change it a little each time, and
    steps are recorded (`graphed`) for few sizes.
    """
    free = 0 if device.type == "cpu" else free_memory(device)
    if not free:
        return max(1, CPU_VOXELS // (height * width))
    slices = int(SHARE * free) // BYTES_PER_VOXEL // (height * width)
    return 1 << max(0, min(MOST_SLICES, slices).bit_length() - 1)


def free_memory(device: torch.device) -> int:
    """Return the bytes that are free on a device; 0 where that is not known."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + kept)
    if device.type == "mps":  # what torch keeps for later is free too
        return int(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    return 0


def ran_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that a device, or the machine, has no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = str(error).lower()  # Apple's GPU and the CPU have no error of their own
    return isinstance(error, RuntimeError) and (
        "out of memory" in words or "can't allocate memory" in words
    )


def release_memory(device: torch.device) -> None:
    """Give back what torch keeps for later, so that a smaller batch finds room."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
