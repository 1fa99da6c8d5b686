"""What a super-resolution yields: pictures on the way, and the result with its full record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ftddm_core.imaging.volume import Volume
from ftddm_core.sampling.condition import Condition
from ftddm_core.settings import SamplerSettings

if TYPE_CHECKING:  # noise brings torch, which what is shown of a result can do without
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
        Metabolite -> map (Nx, Ny, Z): one sample, or the mean of several.
    deviation
        Metabolite -> standard deviation over samples; empty for one.
    conditions
        What the networks were told about each metabolite.
    settings
        The exact settings: `upscale` and `sampler` as they were used.
    residual
        Metabolite -> k-space residual of the mean before and after data consistency (the same
        where off).
    weights, digest
        Name and SHA-256 of the networks.
    device
        Where they ran, and in which precision where it is not float32.
    seconds
        Time from start to end.
    """

    maps: Mapping[str, Volume]
    deviation: Mapping[str, Volume]
    conditions: Mapping[str, Condition]
    settings: SamplerSettings
    residual: Mapping[str, tuple[float, float]]
    weights: str
    digest: str
    device: str
    seconds: float


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
        (B, Nx, Ny) in the maps' unit.
    t
        Noise level at which the images were estimated.
    """

    stage: Literal["estimate", "sample", "result"]
    done: float
    keys: tuple[NoiseKey, ...] = ()
    images: FloatArray = field(default_factory=lambda: np.zeros((0, 0, 0), np.float32))
    t: int = 0
    result: Result | None = None

    def showing(self, images: FloatArray) -> Update:
        """Return the same with images."""
        return replace(self, images=images)
