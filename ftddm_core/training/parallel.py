"""Several processes that fit one network, one GPU each: started by torchrun, averaged by torch.

Every process draws its own batches and takes the same step, with the mean of all gradients. Only
the first process, rank 0, validates, writes and logs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel


def rank() -> int:
    """Return this process's number, 0 for a single process."""
    return distributed.get_rank() if _joined() else 0


def size() -> int:
    """Return the number of processes that fit the network."""
    return distributed.get_world_size() if _joined() else 1


@contextmanager
def group(device: str) -> Iterator[str]:
    """Join the processes started by torchrun, if any; yield the device of this one.

    Parameters
    ----------
    device
        Device requested for all of them; of several GPUs, each process takes its own.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield device
    finally:
        distributed.destroy_process_group()


def averaged(module: nn.Module) -> nn.Module:
    """Return a module whose gradients are the mean over all processes; rank 0's weights count."""
    return DistributedDataParallel(module) if size() > 1 else module


def _joined() -> bool:
    return distributed.is_available() and distributed.is_initialized()
