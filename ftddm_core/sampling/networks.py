"""The networks on their device, in the fastest form there."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ftddm_core.imaging.memory import plannable
from ftddm_core.model.checkpoint import Weights
from ftddm_core.model.merged import MergedFlow
from ftddm_core.model.prediction import Prediction
from ftddm_core.model.schedule import NoiseSchedule
from ftddm_core.sampling.device import CPU_VOXELS, place
from ftddm_core.sampling.graphed import Graphed
from ftddm_core.sampling.recent import RecentConsistency
from ftddm_core.sampling.together import JoinedDenoiser, JoinedFlow, Together


class Networks(NamedTuple):
    """The networks applied to a batch.

    Parameters
    ----------
    denoiser
        Maps (x_t, channels, t, s) to the output described by `prediction`, like a `UNet`.
    prediction
        See `model.prediction`.
    flow
        Draws x_t.
    t_flow_max
        Largest level of the flow.
    schedule
        Noise schedule.
    recent
        Data consistency of the slices that were drawn last.
    device
        Device of the networks.
    half
        Whether the denoiser computes in float16.
    memory
        Returns the bytes that one slice may take on a CPU.
    """

    denoiser: Callable[..., Tensor]
    prediction: Prediction
    flow: MergedFlow
    t_flow_max: int
    schedule: NoiseSchedule
    recent: RecentConsistency
    device: torch.device
    half: bool = False
    memory: Callable[[], float] = plannable


def placed(
    weights: Weights, device: torch.device, *, joined: bool = False
) -> tuple[Callable[..., Tensor], MergedFlow]:
    """Move networks to a device; return denoiser and flow as `Networks` has them.

    Parameters
    ----------
    weights
        The networks.
    device
        Where to.
    joined
        Whether calls of several threads are computed in one batch, on a CPU.
    """
    place(weights.denoiser, device)
    place(weights.flow, device)
    if joined:
        together = Together(CPU_VOXELS)
        return JoinedDenoiser(weights.denoiser, together), JoinedFlow(weights.flow, together)
    graphed = device.type == "cuda"
    return Graphed(weights.denoiser) if graphed else weights.denoiser, MergedFlow(weights.flow)
