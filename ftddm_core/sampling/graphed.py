"""A network whose computation on a CUDA device is recorded once and replayed (CUDA graphs).

A small network spends most of its time on launching kernels one by one; a recording launches all of
them at once. Kernels and results are the same.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Shapes = tuple[Any, ...]
"""Shape and type of every input."""

logger = logging.getLogger(__name__)

KEPT = 4
"""Largest number of recordings, each with its own memory: one per shape of the inputs."""

WARM_UP = 3
"""Plain calls before a recording, in which libraries choose their algorithms; a shape with fewer
calls is never recorded."""


class Graphed:
    """Drop-in replacement for a network; to be called from one thread at a time.

    Parameters
    ----------
    network
        In inference, on a CUDA device, with tensors as inputs and one as output.
    """

    def __init__(self, network: Callable[..., Tensor]) -> None:
        self.network = network
        self._calls: Counter[Shapes] = Counter()
        self._recordings: OrderedDict[Shapes, _Recording] = OrderedDict()
        self._refused: set[Shapes] = set()

    def forget(self) -> None:
        """Release the memory of all recordings."""
        self._recordings.clear()

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return the network's output as a new tensor."""
        key = tuple((given.shape, given.dtype) for given in inputs)
        with torch.cuda.device(inputs[0].device):
            if key not in self._recordings and not self._record(key, inputs):
                return self.network(*inputs)
            self._recordings.move_to_end(key)
            return self._recordings[key](inputs)

    def _record(self, key: Shapes, inputs: tuple[Tensor, ...]) -> bool:
        """Record the computation for a shape if it is due; return whether it is recorded."""
        self._calls[key] += 1
        if self._calls[key] <= WARM_UP or key in self._refused:
            return False
        here = torch.cuda.current_stream()
        try:
            self._recordings[key] = _Recording(self.network, inputs)
        except torch.OutOfMemoryError:
            raise  # a smaller batch may be recorded
        except RuntimeError as error:
            logger.warning("No CUDA graph can be recorded, so steps are slower: %s", error)
            self._refused.add(key)
            return False
        finally:
            torch.cuda.set_stream(here)  # a failed recording leaves its own stream behind
        while len(self._recordings) > KEPT:
            self._recordings.popitem(last=False)
        return True


class _Recording:
    """The recorded computation for inputs of one shape."""

    def __init__(self, network: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> None:
        self._inputs = tuple(given.clone() for given in inputs)
        self._graph = torch.cuda.CUDAGraph()
        # Other threads may use the device in the meantime: only this thread's work is recorded.
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._output = network(*self._inputs)

    def __call__(self, inputs: tuple[Tensor, ...]) -> Tensor:
        for held, given in zip(self._inputs, inputs, strict=True):
            held.copy_(given)
        self._graph.replay()
        return self._output.clone()
