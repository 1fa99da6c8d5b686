"""The regression UNet as a comparison method: one output per condition, evaluated at x_T = 0.

See `ftddm_core.model.prediction.regression_x0` for the meaning of its output.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
import torch

from ftddm_core.conventions import channel_slice
from ftddm_core.errors import NotFiniteError
from ftddm_core.imaging.volume import Volume
from ftddm_core.model.prediction import regression_x0
from ftddm_core.model.schedule import NoiseSchedule
from ftddm_core.model.unet import UNet
from ftddm_core.sampling.condition import Condition
from ftddm_core.sampling.device import computing, pick_device, slices_together


def regress(
    network: UNet,
    conditions: Iterable[Condition],
    slices: Collection[int] | None = None,
    device: str = "cpu",
) -> dict[str, Volume]:
    """Return the regression's map of every condition.

    Parameters
    ----------
    network
        From `model.checkpoint.load_regression`; it is moved to the device.
    conditions
        Conditions of the metabolites to compute.
    slices
        Slices to compute; None for all. Others stay 0, as do those without trusted voxels.
    device
        "auto", or a torch device.

    Returns
    -------
    dict
        Metabolite -> map (Nx, Ny, Z) in its own unit, masked and clipped at 0.

    Raises
    ------
    SettingsError
        If this machine does not have the device.
    NotFiniteError
        If a map is not finite.
    """
    place = pick_device(device)
    network = network.to(place)
    schedule = NoiseSchedule()
    maps = {}
    for condition in conditions:
        nx, ny, n_slices = condition.shape
        image = np.zeros(condition.shape, np.float32)
        wanted = range(n_slices) if slices is None else sorted(slices)
        held = [k for k in wanted if condition.mask[..., k].any()]
        size = slices_together(place, *condition.channels.shape[1:3])
        for first in range(0, len(held), size):
            batch = held[first : first + size]
            stacked = np.ascontiguousarray(np.moveaxis(condition.channels[..., batch], -1, 0))
            channels = torch.from_numpy(stacked).to(place)
            upscale = torch.full((len(batch),), condition.upscale, device=place)
            with computing():
                x0 = regression_x0(schedule, network, channels, upscale)
                shown = (x0 * channels[:, channel_slice("mask")])[:, 0, :nx, :ny].clamp_min(
                    0
                ) * condition.scale
            image[..., batch] = np.moveaxis(shown.cpu().numpy(), 0, -1)
        if not np.isfinite(image).all():
            raise NotFiniteError(
                f"{condition.metabolite}: the regression's map is not finite: check the values of "
                "this map, or copy or train the regression's weights again."
            )
        maps[condition.metabolite] = condition.volume(image)
    return maps
