"""What the tests of the whole method share: a study, quick settings, results and a spy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from properties import head, oblique_affine
from torch import Tensor

from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.model.schedule import NoiseSchedule
from ftddm_core.sampling.condition import form_conditions
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_core.sampling.result import Result
from ftddm_core.settings import SamplerSettings

Shape = tuple[int, int, int]
NAMES = ("tNAA", "tCho")
DRAWN = SamplerSettings(upscale=2, detail=1, mri_weight=1)
"""All that the model draws, held to the measurement: no self-check is needed."""
QUICK = DRAWN.replace(t_trunc=100, steps=3, sampler="ancestral")
PAPER = QUICK.replace(consistency="off")
"""The networks alone."""
SCHEDULE = NoiseSchedule()


def phantom(
    shape: Shape = (8, 10, 4), names: Sequence[str] = NAMES, voxel: float = 10.0, seed: int = 0
) -> Study:
    """Return an asymmetric head with noise, oblique MRI, and an empty last slice of four."""
    rng = np.random.default_rng(seed)
    affine = oblique_affine(shape, (voxel, voxel, 9.0), angles=(5.0, -4.0, 12.0))
    mri_shape = (24, 26, 10)
    mri = head(mri_shape, oblique_affine(mri_shape, (4.0, 4.0, 5.0), angles=(0.0, 3.0, 0.0)))
    signal = head(shape, affine).data
    mask = signal > 0.35 * signal.max()
    if shape[2] == 4:
        mask[..., 3] = False
    maps = {}
    for k, name in enumerate(names):
        data = (3 - k) * signal * (1 + 0.2 * rng.standard_normal(shape))
        maps[name] = Volume(data.astype(np.float32), affine, "mM")
    return Study(
        maps,
        mask=Volume(mask.astype(np.float32), affine),
        t1=mri,
        flair=mri.with_data(mri.data**2),
    )


def noise_settings(mode: str, **changes: Any) -> SamplerSettings:
    return QUICK.replace(consistency=mode, tau_flow=0, tau_diffusion=0, **changes)


def run(
    resolver: SuperResolver,
    study: Study,
    settings: SamplerSettings,
    slices: Collection[int] | None = None,
) -> Result:
    if slices is None:
        *_, final = resolver.stream(study, settings)
    else:
        conditions = form_conditions(study, settings.upscale or 0.0)
        *_, final = resolver.sample(conditions, settings, slices=slices)
    assert final.result is not None
    return final.result


def images(
    resolver: SuperResolver,
    study: Study,
    settings: SamplerSettings,
    slices: Collection[int] | None = None,
) -> dict[str, NDArray[Any]]:
    maps = run(resolver, study, settings, slices).maps
    return {name: volume.data for name, volume in maps.items()}


def assert_equal(first: dict[str, NDArray[Any]], second: dict[str, NDArray[Any]]) -> None:
    assert first.keys() == second.keys()
    for name, image in first.items():
        assert image.tobytes() == second[name].tobytes(), name


def largest_difference(first: dict[str, NDArray[Any]], second: dict[str, NDArray[Any]]) -> float:
    """Return the largest difference of two results of one study at 2x, in units of the scale."""
    scales = {c.metabolite: c.scale for c in form_conditions(phantom(), 2)}
    return max(float(np.abs(first[n] - second[n]).max()) / scales[n] for n in first)


class Spy:
    """A network that counts its calls, remembers their inputs, and answers as the real one."""

    def __init__(self, network: Callable[..., Tensor]) -> None:
        self.network = network
        self.inputs: list[tuple[Tensor, ...]] = []

    def __call__(self, *inputs: Tensor) -> Tensor:
        self.inputs.append(inputs)
        return self.network(*inputs)

    @property
    def levels(self) -> list[int]:
        return [int(t[0]) for _, _, t, _ in self.inputs]


def spy(resolver: SuperResolver, network: Callable[..., Tensor] | None = None) -> Spy:
    found = Spy(network or resolver.denoiser)
    resolver.denoiser = found  # type: ignore[assignment]
    return found
