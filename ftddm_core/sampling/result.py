"""Output of a super-resolution: intermediate images, and the result with its full record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import NotFiniteError
from ftddm_core.imaging.volume import Volume, in_short
from ftddm_core.sampling.condition import Condition
from ftddm_core.sampling.gathered import Residual, Sampled, Traces, residual_of
from ftddm_core.sampling.self_check import SelfCheck, weighting_of
from ftddm_core.sampling.weighting import Weighting, shown, shown_error
from ftddm_core.settings import SamplerSettings

if TYPE_CHECKING:  # it imports torch, which displaying a result does not need
    from ftddm_core.sampling.noise import NoiseKey

FloatArray = NDArray[np.float32]

PROGRESS = 0.1
"""In s: interval of progress updates of unattended work, each of which costs an image."""


@dataclass(frozen=True, eq=False)
class Result:
    """Super-resolved maps and everything needed to reproduce them.

    Parameters
    ----------
    maps
        Metabolite -> the map to show and save (Nx, Ny, Z): max(0, z + detail (x - z)).
    drawn
        Metabolite -> x, drawn by the model: one sample, or the mean of several.
    alone
        Metabolite -> z, the estimate from the measurement alone.
    deviation
        Metabolite -> standard deviation of x over samples, widened; see `widening`. Empty for one.
    conditions
        Network inputs of each metabolite.
    settings
        The exact settings, with the `upscale` and `sampler` that were used.
    weighting
        Metabolite -> MRI weight and detail that were used.
    noise
        Metabolite -> typical standard deviation of the assumed noise, in units of `scale`, and its
        source.
    check
        The self-check behind automatic weights; None if there was none.
    residual
        Metabolite -> residual of the map against the measurement.
    weights, digest
        Name and SHA-256 of the networks.
    device
        Device, and precision if it is not float32.
    seconds
        Time from start to end.
    traces
        Metabolite -> quantities that determine the residual together with the images.
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

    def __repr__(self) -> str:
        several = f"{self.settings.samples} samples; " if self.settings.samples > 1 else ""
        grid = next(iter(self.maps.values())).extent if self.maps else "no map"
        return (
            f"Result({in_short(self.maps)}; {grid}; {several}weights {self.weights} on "
            f"{self.device})"
        )

    def showing(self, detail: float | None, check: SelfCheck | None) -> Result:
        """Return the same draw with another share of its detail, without recomputation.

        Parameters
        ----------
        detail
            As in the settings; None for the share supported by the study.
        check
            The study's self-check, if available.
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
        """Return the estimated error of the map shown, for several samples; see `shown_error`."""
        x, z, deviation = (
            volumes[metabolite] for volumes in (self.drawn, self.alone, self.deviation)
        )
        detail = self.weighting[metabolite].detail
        return x.with_data(shown_error(x.data, z.data, deviation.data, detail))


@dataclass(frozen=True, eq=False)
class Start:
    """Where the chain of a slice starts; if the flow fails here, the chain cannot repair it.

    Parameters
    ----------
    flow
        x_{T_trunc}: the flow's image, noisy by design, or plain noise for T_trunc = 1000.
    estimate
        The first x0, estimated from it; for T_trunc = 0 the flow's image itself.

    Both are (Nx, Ny) on the output grid, in the map's unit.
    """

    flow: FloatArray
    estimate: FloatArray


@dataclass(frozen=True, eq=False)
class Update:
    """An intermediate update.

    Parameters
    ----------
    stage
        "estimate" for a running estimate of x0, "sample" for a finished one (the flow's image at
        T_trunc = 0), "result" for the end, when `result` is set and `images` is empty.
    done
        Share of the work that is done, 0..1.
    keys
        Identity of each image: seed, metabolite, slice and sample.
    images
        x, drawn by the model, (B, Nx, Ny) in the maps' unit.
    alone
        z, the estimate from the measurement alone, in the same form.
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
        """Return a copy with images."""
        return replace(self, images=images, alone=alone)

    def check_finite(self, weights: str, where: str, samples: Sequence[Sampled] = ()) -> None:
        """Refuse images that are not finite, before they are shown or written.

        Parameters
        ----------
        weights
            Name of the networks.
        where
            Their device and precision.
        samples
            The finished samples, if any: their `explained` shows minus infinity, which is clipped
            in the images.

        Raises
        ------
        NotFiniteError
            Naming the metabolite of the first such image.
        """
        arrays: Iterable[tuple[FloatArray, ...]] = zip(self.images, self.alone, strict=True)
        if samples:
            arrays = ((sample.image, sample.alone, sample.explained) for sample in samples)
        for key, found in zip(self.keys, arrays, strict=True):
            if not all(np.isfinite(array).all() for array in found):
                half = "leave out half precision, " if "float16" in where else ""
                raise NotFiniteError(
                    f"{key.metabolite}: the result of slice {key.slice_index} is not finite, so it "
                    f"is neither shown nor written ({where}): {half}check the values of this map, "
                    f"or copy or train the weights '{weights}' again."
                )
