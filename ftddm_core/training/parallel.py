"""Several processes that fit one network, a GPU each: started by torchrun, averaged by torch.

Every process draws batches of its own and takes the same step: the mean of all gradients. The first
process, rank 0, alone validates, writes and logs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel


def rank() -> int:
    """Return this process's number, 0 where it is alone."""
    return distributed.get_rank() if _joined() else 0


def size() -> int:
    """Return how many processes fit the network."""
    return distributed.get_world_size() if _joined() else 1


@contextmanager
def group(device: str) -> Iterator[str]:
    """Join the processes that torchrun started, if it did; yield the device of this one.

    Parameters
    ----------
    device
        What all of them were asked to use; of several GPUs each process takes its own.
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
