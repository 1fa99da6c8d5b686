"""A network whose work on a CUDA device is recorded once and replayed (CUDA graphs).

A small network spends most of its time on launching kernels one by one; a recording launches all
of them at once. The kernels and their numbers are the same.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

KEPT = 4
"""Recordings that are kept, each with its own memory: one for every shape of the inputs."""

WARM_UP = 3
"""Plain runs before a recording, in which libraries choose their algorithms."""


class Graphed:
    """Calls a network as it is, to the caller's eye.

    Parameters
    ----------
    network
        In inference, on a CUDA device, with tensors as inputs and one as output.
    """

    def __init__(self, network: Callable[..., Tensor]) -> None:
        self.network = network
        self._recordings: OrderedDict[tuple[Any, ...], _Recording] = OrderedDict()
        self._able = True

    def forget(self) -> None:
        """Give up the memory of all recordings."""
        self._recordings.clear()

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return the network's output, a tensor of its own."""
        if not self._able:
            return self.network(*inputs)
        key = tuple((given.shape, given.dtype) for given in inputs)
        if key not in self._recordings:
            try:
                self._recordings[key] = _Recording(self.network, inputs)
            except torch.OutOfMemoryError:
                raise  # a smaller batch may be recorded
            except RuntimeError as error:
                logger.warning("No CUDA graph can be recorded, so steps are slower: %s", error)
                self._able = False
                return self.network(*inputs)
        self._recordings.move_to_end(key)
        while len(self._recordings) > KEPT:
            self._recordings.popitem(last=False)
        return self._recordings[key](inputs)


class _Recording:
    """The work for inputs of one shape."""

    def __init__(self, network: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> None:
        self._inputs = tuple(given.clone() for given in inputs)
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UP):
                network(*self._inputs)
        torch.cuda.current_stream().wait_stream(beside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._output = network(*self._inputs)

    def __call__(self, inputs: tuple[Tensor, ...]) -> Tensor:
        for held, given in zip(self._inputs, inputs, strict=True):
            held.copy_(given)
        self._graph.replay()
        return self._output.clone()
