"""Calls of networks by several threads at once, computed as one batch.

One thread computes. What is called meanwhile waits, and is then computed together: a slice in a
batch of 16 takes about a third of the time of a slice alone on a CPU (docs/performance.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from threading import Condition, Thread
from time import monotonic
from typing import TypeAlias

import torch
from torch import Tensor

from ftddm_core.model.flow import ConditionalGlow
from ftddm_core.model.merged import Conditioning, MergedFlow
from ftddm_core.sampling.device import computing

Tensors: TypeAlias = tuple[Tensor, ...]

Work: TypeAlias = Callable[..., Tensors]
"""Takes tensors and returns tensors, all with the batch as their first axis; the first of them is
of images, whose last two axes are the slice's."""

LINGER = 1.0
"""In s: how long the thread waits for another call before it ends, and its OpenMP workers with
it."""

CROWDED = 1.0
"""In s: for how long after calls were joined one core is left to the threads that call. They draw
what was computed; if all cores compute, each layer waits for one of them."""


@dataclass(eq=False)
class _Call:
    """One thread's call of a network, and its outcome."""

    work: Work
    inputs: Tensors
    outputs: Tensors | None = None
    error: BaseException | None = None

    @property
    def slices(self) -> int:
        return len(self.inputs[0])

    @property
    def voxels(self) -> int:
        return self.slices * self.inputs[0].shape[-2:].numel()

    @property
    def kind(self) -> Hashable:
        """Calls of one kind can be computed together."""
        return self.work, tuple((given.shape[1:], given.dtype) for given in self.inputs)

    @property
    def ended(self) -> bool:
        return self.outputs is not None or self.error is not None


class Together:
    """Computes the calls of several threads in batches. Thread-safe.

    Parameters
    ----------
    most
        Largest number of voxels that calls are joined to; a larger call is computed alone.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._threads = torch.get_num_threads()
        self._joined = -math.inf
        self._change = Condition()
        self._waiting: list[_Call] = []
        self._computing = False

    def __call__(self, work: Work, *inputs: Tensor) -> Tensors:
        """Return `work(*inputs)`, up to rounding, or raise its error.

        Calls of equal work, whose inputs differ in the first axis only, are joined along it.
        """
        call = _Call(work, inputs)
        with self._change:
            self._waiting.append(call)
            if not self._computing:
                self._computing = True
                Thread(target=self._compute, name="ftddm-networks", daemon=True).start()
            self._change.notify_all()
            self._change.wait_for(lambda: call.ended)
        if call.error is not None:
            raise call.error
        return call.outputs or ()

    def _compute(self) -> None:
        while calls := self._next():
            now = monotonic()
            if len(calls) > 1:
                self._joined = now
            torch.set_num_threads(max(1, self._threads - (now - self._joined < CROWDED)))
            try:
                with computing():
                    outputs = _joined(calls)
                for call, own in zip(calls, outputs, strict=True):
                    call.outputs = own
            except BaseException as error:  # raised again where it was called
                for call in calls:
                    call.error = error
            with self._change:
                self._change.notify_all()
        torch.set_num_threads(self._threads)

    def _next(self) -> list[_Call]:
        """Wait for calls and return those to join, in their order; none where the thread ends."""
        with self._change:
            self._change.wait_for(lambda: self._waiting, LINGER)
            if not self._waiting:
                self._computing = False
                return []
            first = self._waiting[0]
            taken, size = [first], first.voxels
            for call in self._waiting[1:]:
                if call.kind == first.kind and size + call.voxels <= self.most:
                    taken.append(call)
                    size += call.voxels
            self._waiting = [call for call in self._waiting if call not in taken]
            return taken


class JoinedFlow(MergedFlow):
    """A flow whose calls are joined; parameters as for `MergedFlow`, and where they are joined."""

    def __init__(self, flow: ConditionalGlow, together: Together) -> None:
        super().__init__(flow)
        self._together = together

    def encode(self, condition: Tensor, t: Tensor, upscale: Tensor) -> Conditioning:
        """See `MergedFlow.encode`."""
        return Conditioning.of(self._together(self._encode, condition, t, upscale), self.steps)

    def sample(
        self, normal: Tensor, conditioning: Conditioning, tau_flow: float | Tensor
    ) -> Tensor:
        """See `MergedFlow.sample`."""
        each = torch.as_tensor(tau_flow, dtype=normal.dtype, device=normal.device)
        taus = each.expand(len(normal), 1, 1, 1)
        return self._together(self._sample, normal, taus, *conditioning.tensors)[0]

    def _encode(self, condition: Tensor, t: Tensor, upscale: Tensor) -> Tensors:
        return super().encode(condition, t, upscale).tensors

    def _sample(self, normal: Tensor, taus: Tensor, *tensors: Tensor) -> Tensors:
        return (super().sample(normal, Conditioning.of(tensors, self.steps), taus),)


class JoinedDenoiser:
    """A denoiser whose calls are joined; parameters as for `UNet`."""

    def __init__(self, denoiser: Callable[..., Tensor], together: Together) -> None:
        self._denoiser, self._together = denoiser, together

    def __call__(self, *inputs: Tensor) -> Tensor:
        """See `UNet`."""
        return self._together(self._denoise, *inputs)[0]

    def _denoise(self, *inputs: Tensor) -> Tensors:
        return (self._denoiser(*inputs),)


def _joined(calls: Sequence[_Call]) -> list[Tensors]:
    """Return the outputs of calls of one kind."""
    if len(calls) == 1:
        return [calls[0].work(*calls[0].inputs)]
    inputs = (torch.cat(parts) for parts in zip(*(call.inputs for call in calls), strict=True))
    sizes = [call.slices for call in calls]
    outputs = [output.split(sizes) for output in calls[0].work(*inputs)]
    return [tuple(part.clone() for part in own) for own in zip(*outputs, strict=True)]
