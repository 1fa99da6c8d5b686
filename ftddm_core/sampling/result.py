"""What a super-resolution yields: pictures on the way, and the result with its full record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ftddm_core.imaging.volume import Volume
from ftddm_core.sampling.condition import Condition
from ftddm_core.sampling.gathered import Residual, Traces, residual_of
from ftddm_core.sampling.self_check import SelfCheck, weighting_of
from ftddm_core.sampling.weighting import Weighting, shown, shown_error
from ftddm_core.settings import SamplerSettings

if TYPE_CHECKING:  # it brings torch, which what is shown of a result can do without
    from ftddm_core.sampling.noise import NoiseKey

FloatArray = NDArray[np.float32]

PROGRESS = 0.1
"""In s: how often work that nobody watches tells how far it is, which costs a picture each time."""


@dataclass(frozen=True, eq=False)
class Result:
    """Super-resolved maps and everything needed to make them again.

    Parameters
    ----------
    maps
        Metabolite -> the map to show and save (Nx, Ny, Z): max(0, z + detail (x - z)).
    drawn
        Metabolite -> x, what the model drew: one sample, or the mean of several.
    alone
        Metabolite -> z, what the measurement alone says.
    deviation
        Metabolite -> standard deviation of x over samples; empty for one.
    conditions
        What the networks were told about each metabolite.
    settings
        The exact settings: `upscale` and `sampler` as they were used.
    weighting
        Metabolite -> the weights of MRI and detail that were used.
    noise
        Metabolite -> typical deviation of the noise that was assumed, in units of `scale`, and
        where it is from.
    check
        The self-check that automatic weights follow; None where there was none.
    residual
        Metabolite -> how far the map is from the measurement.
    weights, digest
        Name and SHA-256 of the networks.
    device
        Where they ran, and in which precision where it is not float32.
    seconds
        Time from start to end.
    traces
        Metabolite -> what decides the residual besides the images.
    """

    maps: Mapping[str, Volume]
    drawn: Mapping[str, Volume]
    alone: Mapping[str, Volume]
    deviation: Mapping[str, Volume]
    conditions: Mapping[str, Condition]
    settings: SamplerSettings
    weighting: Mapping[str, Weighting]
    noise: Mapping[str, tuple[float, str]]
    check: SelfCheck | None
    residual: Mapping[str, Residual]
    weights: str
    digest: str
    device: str
    seconds: float
    traces: Mapping[str, Traces] = field(default_factory=dict, repr=False)

    def showing(self, detail: float | None, check: SelfCheck | None) -> Result:
        """Return the same draw with another share of its detail: nothing is computed anew.

        Parameters
        ----------
        detail
            As in the settings; None for the share that the study supports.
        check
            The study's self-check, if it is known by now.
        """
        settings = self.settings.replace(detail=detail)
        maps, weighting, residual = {}, {}, {}
        for name, condition in self.conditions.items():
            used = self.weighting[name].mri_weight
            drawn = settings.replace(mri_weight=used)
            weighting[name] = weighting_of(check, drawn, name, condition.upscale)
            share = weighting[name].detail
            images = (
                np.asarray(self.drawn[name].data, np.float32),
                np.asarray(self.alone[name].data, np.float32),
            )
            maps[name] = self.maps[name].with_data(shown(*images, share))
            noise = condition.measurement.with_noise(settings.noise).deviation
            residual[name] = residual_of(
                condition, range(condition.shape[2]), images, self.traces[name], share, noise
            )
        return replace(
            self,
            maps=maps,
            settings=settings,
            weighting=weighting,
            check=check,
            residual=residual,
        )

    def error(self, metabolite: str) -> Volume:
        """Return how far the map shown may be off, of several samples; see `shown_error`."""
        x, z, deviation = (
            volumes[metabolite] for volumes in (self.drawn, self.alone, self.deviation)
        )
        detail = self.weighting[metabolite].detail
        return x.with_data(shown_error(x.data, z.data, deviation.data, detail))


@dataclass(frozen=True, eq=False)
class Update:
    """A picture on the way.

    Parameters
    ----------
    stage
        "estimate" for a running estimate of x0, "sample" for one that is finished (the flow's image
        at T_trunc = 0), "result" for the end, when `result` is set and `images` is empty.
    done
        Share of the work that is done, 0..1.
    keys
        What each image shows: seed, metabolite, slice and sample.
    images
        x, what the model drew, (B, Nx, Ny) in the maps' unit.
    alone
        z, what the measurement alone says of each, likewise.
    t
        Noise level at which the images were estimated.
    """

    stage: Literal["estimate", "sample", "result"]
    done: float
    keys: tuple[NoiseKey, ...] = ()
    images: FloatArray = field(default_factory=lambda: np.zeros((0, 0, 0), np.float32))
    alone: FloatArray = field(default_factory=lambda: np.zeros((0, 0, 0), np.float32))
    t: int = 0
    result: Result | None = None

    def showing(self, images: FloatArray, alone: FloatArray) -> Update:
        """Return the same with images."""
        return replace(self, images=images, alone=alone)
