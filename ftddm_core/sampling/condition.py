"""From a study to the network inputs: scaling and cleaning.

The acquired map is scaled by the 99th percentile of its trusted values and zero-filled to the
output grid: trusted values unchanged, plus equally reliable values outside the mask, so that
neither an outlier nor the mask's edge rings through the brain. Mask, T1 and FLAIR are resampled
onto it by world coordinates. Training forms its inputs with the same functions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ftddm_core.conventions import channel
from ftddm_core.errors import FormatError
from ftddm_core.imaging.degrade import WILD
from ftddm_core.imaging.fit_quality import noise_of, top_of
from ftddm_core.imaging.fourier import Matrix, zero_fill
from ftddm_core.imaging.geometry import effective_upscale
from ftddm_core.imaging.support import fit_inside
from ftddm_core.imaging.volume import Noise, Outside, Study, Volume
from ftddm_core.imaging.window import Window
from ftddm_core.sampling.guides import Guides, output_grid
from ftddm_core.sampling.measurement import Measurement, form_measurement

FloatArray = NDArray[np.floating[Any]]
BoolArray = NDArray[np.bool_]
Shape = tuple[int, int, int]
T = TypeVar("T")

MULTIPLE = 8
"""Slices are padded to a multiple of this: the networks halve the grid three times."""

LEAST_SCALE, LARGEST_SCALE = 1e-30, 1e30
"""Between these a map can be computed with in single precision."""


def cells(n: int, n_out: int) -> NDArray[np.intp]:
    """Return for each of n_out >= n output voxels the acquired voxel in whose cell it lies.

    Both grids share the centre of the first voxel, so output voxel J lies in the cell of the
    acquired voxel nearest to J n / N; a tie goes to the upper one, as in `regrid_nearest`. The last
    output voxels extend up to half an acquired voxel beyond the last cell and belong to it.
    """
    nearest = (np.arange(n_out) * n / n_out + 0.5).astype(np.intp)
    return np.minimum(nearest, n - 1)


def trusted_cells(mask: BoolArray, acquired: Matrix) -> BoolArray:
    """Return the acquired voxels (nx, ny, Z) whose cell contains a trusted output voxel.

    Parameters
    ----------
    mask
        Trusted voxels of the output grid, (Nx, Ny, Z).
    acquired
        Acquired matrix (nx, ny).
    """
    result = mask
    for axis in (0, 1):
        n = acquired[axis]
        starts = np.searchsorted(cells(n, mask.shape[axis]), np.arange(n))
        result = np.logical_or.reduceat(result, starts, axis=axis)
    return result


def clean(acquired: FloatArray, trusted: BoolArray) -> FloatArray:
    """Set untrusted and non-finite acquired voxels to 0; trusted values are never altered."""
    return np.where(trusted & np.isfinite(acquired), acquired, 0).astype(np.float32)


def intensity_scale(cleaned: FloatArray, trusted: BoolArray) -> float:
    """Return the 99th percentile of the trusted values of a whole cleaned map.

    Raises
    ------
    FormatError
        If it is not positive: there is no signal; or if it is beyond what can be computed with.
    """
    scale = top_of(cleaned, trusted)
    if not scale > 0:
        raise FormatError(
            f"The map has no signal inside the mask (99th percentile {scale:g} over "
            f"{int(trusted.sum())} trusted voxels). Check that the mask belongs to this map."
        )
    if not LEAST_SCALE <= scale <= LARGEST_SCALE:
        raise FormatError(
            f"The map's values reach {scale:g}, which cannot be computed with. Check the scale "
            "factor in its header, or the fit or export that made it."
        )
    return scale


def stack(
    lowres: FloatArray,
    mask: FloatArray,
    t1: FloatArray | None,
    flair: FloatArray | None,
    inside: FloatArray,
) -> NDArray[np.float32]:
    """Stack the channels of `CHANNELS` along a new first axis; None becomes zeros."""
    zeros = np.zeros_like(lowres)
    mri = (zeros if image is None else image for image in (t1, flair))
    given = (lowres, mask, *mri, inside)
    return np.stack(given, dtype=np.float32, casting="same_kind")


@dataclass(frozen=True, eq=False)
class Condition:
    """Network input of one metabolite, for every slice of a volume.

    Parameters
    ----------
    metabolite
        Its name.
    channels
        Array (5, Hp, Wp, Z) in the order of `CHANNELS`, padded at the far ends to a multiple of 8.
    shape
        Output matrix (Nx, Ny, Z) before padding.
    affine
        Of the output grid, in mm.
    cleaned
        The acquired map (nx, ny, Z) in its unit, 0 where it is not trusted.
    upscale
        Effective factor s = sqrt((Nx/nx)(Ny/ny)).
    scale
        Value in the map's unit that corresponds to 1 in the networks.
    unit
        The map's unit.
    outliers
        Number of trusted acquired voxels beyond ten times the scale: kept, but suspicious.
    measurement
        The measurement and its noise.
    header
        Header of the map, passed on to the maps made from it; None if unknown.
    stored
        File axis of each array axis of the map, passed on as well.
    """

    metabolite: str
    channels: NDArray[np.float32]
    shape: tuple[int, int, int]
    affine: FloatArray
    cleaned: NDArray[np.float32]
    upscale: float
    scale: float
    unit: str
    outliers: int
    measurement: Measurement
    header: Any = field(default=None, repr=False)
    stored: tuple[int, int, int] = (0, 1, 2)

    def volume(self, data: FloatArray) -> Volume:
        """Return values (Nx, Ny, Z) on the output grid as an image of the map's unit and origin."""
        return Volume(data, self.affine, self.unit, self.header, self.stored)

    @property
    def acquired(self) -> Matrix:
        """Acquired matrix (nx, ny)."""
        return self.cleaned.shape[0], self.cleaned.shape[1]

    @property
    def lowres(self) -> NDArray[np.float32]:
        """The zero-filled map (Nx, Ny, Z) in the map's unit."""
        nx, ny, _ = self.shape
        return self.channels[channel("lowres"), :nx, :ny] * np.float32(self.scale)

    @property
    def mask(self) -> BoolArray:
        """Trusted voxels (Nx, Ny, Z) of the output grid."""
        nx, ny, _ = self.shape
        return np.asarray(self.channels[channel("mask"), :nx, :ny] > 0)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that determines the result, in hexadecimal."""
        held = self.measurement
        stated = (self.metabolite, self.shape, self.upscale, self.scale)
        prior = (held.model_variance, held.outside_variance, held.spread, str(held.window))
        total = hashlib.sha256(json.dumps([*stated, *prior]).encode())
        arrays = (self.channels, self.cleaned, held.y, held.w, held.deviation, held.outside)
        for array in arrays:
            total.update(np.ascontiguousarray(array, np.float32).tobytes())
        return total.hexdigest()

    def cover(self, role: str) -> float:
        """Return the share of the trusted voxels where an MRI ("t1", "flair") is not 0."""
        nx, ny, _ = self.shape
        image = self.channels[channel(role), :nx, :ny]
        return float((image[self.mask] > 0).mean())


def form_condition(
    metabolite: str,
    acquired: FloatArray,
    mask: BoolArray,
    t1: FloatArray | None,
    flair: FloatArray | None,
    affine: FloatArray,
    unit: str = "",
    header: Any = None,
    stored: tuple[int, int, int] = (0, 1, 2),
    *,
    noise: Noise | None = None,
    outside: Outside = Outside.SEEN,
    window: Window | None = None,
) -> Condition:
    """Scale, zero-fill and stack one map, and form its measurement.

    Parameters
    ----------
    metabolite, unit, header, stored
        Name, unit, header and order of axes in the file of the map.
    acquired
        The measured map, (nx, ny, Z).
    mask
        Trusted voxels of the output grid, (Nx, Ny, Z).
    t1, flair
        MRI on the output grid, scaled to 0..1; None if absent.
    affine
        Of the output grid, in mm.
    noise
        Noise of the acquired map; None to estimate it.
    outside, window
        See `imaging.volume.Study`.

    Raises
    ------
    FormatError
        If the map has no signal inside the mask; the message names the metabolite.
    """
    matrix = (acquired.shape[0], acquired.shape[1])
    trusted = trusted_cells(mask, matrix)
    cleaned = clean(acquired, trusted)
    try:
        scale = intensity_scale(cleaned, trusted)
    except FormatError as error:
        raise FormatError(f"{metabolite}: {error}") from None
    measurement = form_measurement(
        acquired,
        noise or noise_of(Study({metabolite: Volume(acquired, affine)}), metabolite, trusted),
        mask,
        trusted,
        scale,
        outside,
        window,
    )
    beside = np.where(_sure(measurement, trusted), measurement.y, 0)
    # An outlier is no measurement: at its own size it would ring through the whole slice.
    limited = np.clip(cleaned / scale, -WILD, WILD)
    seen = np.where(trusted, limited, beside)
    lowres = zero_fill(seen, (mask.shape[0], mask.shape[1]))
    if outside is Outside.SEEN:  # part of a scan's signal comes from outside the mask
        inside = np.maximum(lowres, 0) * mask
    else:  # failed fits are 0: they carry no information about their neighbours
        inside = fit_inside(limited, cleaned != 0, mask)
    channels = stack(lowres, mask.astype(np.float32), t1, flair, inside)
    pad = [(0, 0), *((0, -n % MULTIPLE) for n in mask.shape[:2]), (0, 0)]
    return Condition(
        metabolite=metabolite,
        channels=np.pad(channels, pad),
        shape=(mask.shape[0], mask.shape[1], mask.shape[2]),
        affine=affine,
        cleaned=cleaned,
        upscale=effective_upscale(matrix, (mask.shape[0], mask.shape[1])),
        scale=scale,
        unit=unit,
        outliers=int((np.abs(cleaned) > WILD * scale).sum()),
        measurement=measurement,
        header=header,
        stored=stored,
    )


def _sure(measurement: Measurement, trusted: BoolArray) -> BoolArray:
    """Return the acquired voxels (nx, ny, Z) that are neither larger nor noisier than trusted
    ones."""
    held = measurement.w & trusted
    if not held.any():
        return held
    size, noise = np.abs(measurement.y), measurement.deviation
    sure = (size <= size[held].max()) & (noise <= noise[held].max())
    return np.asarray(measurement.w & sure)


class Conditions(Mapping[str, Condition]):
    """Metabolite -> the condition of its map, formed once, on first access.

    Names, their number and `upscale` are available without forming any. Iterating over the values
    forms all of them. Thread-safe.

    Parameters
    ----------
    study
        Maps as they were acquired.
    guides
        Masks and MRI on the output grid.
    """

    def __init__(self, study: Study, guides: Guides) -> None:
        self._study = study
        self._guides = guides
        self._formed: dict[str, Condition] = {}
        self._lock = Lock()

    def __iter__(self) -> Iterator[str]:
        return iter(self._study.maps)

    def __len__(self) -> int:
        return len(self._study.maps)

    def __contains__(self, metabolite: object) -> bool:
        return metabolite in self._study.maps

    def __getitem__(self, metabolite: str) -> Condition:
        """Return one map's condition, always the same object; errors as for `form`."""
        if metabolite not in self._formed:  # an existing one does not wait for others being formed
            with self._lock:
                if metabolite not in self._formed:
                    self._formed[metabolite] = self.form(metabolite)
        return self._formed[metabolite]

    @property
    def upscale(self) -> float:
        """Effective factor s of every condition."""
        return effective_upscale(self._study.grid.shape[:2], self._guides.shape[:2])

    @property
    def plane(self) -> Matrix:
        """Output matrix (Nx, Ny) of every condition."""
        return self._guides.shape[0], self._guides.shape[1]

    def form(self, metabolite: str) -> Condition:
        """Form one map's condition without storing it.

        Raises
        ------
        FormatError
            If the map has no signal inside its mask.
        GeometryError
            If an MRI shows too few of the trusted voxels.
        """
        study, volume = self._study, self._study.maps[metabolite]
        guide, affine = self._guides.of(metabolite), self._guides.affine
        trusted = trusted_cells(guide.mask, (volume.shape[0], volume.shape[1]))
        return form_condition(
            metabolite,
            volume.data,
            *guide,
            affine,
            volume.unit,
            volume.header,
            volume.stored,
            noise=noise_of(study, metabolite, trusted),
            outside=study.outside,
            window=study.window,
        )


def form_conditions(
    study: Study, upscale: float, matrix: Matrix | None = None
) -> Iterator[Condition]:
    """Yield the condition of every map of a study at a factor s.

    Without a mask, every acquired voxel with a value is trusted.

    Parameters
    ----------
    study
        Acquired maps.
    upscale
        Factor s.
    matrix
        Output matrix if known, as for a degraded study; None to compute it from s.

    Raises
    ------
    GeometryError
        If a mask or an MRI (named in the message) does not overlap the maps, or if the output would
        be larger than `LARGEST_MATRIX`.
    FormatError
        If a map has no signal inside its mask.
    """
    guides = Guides(study, *output_grid(study.grid, upscale, matrix))
    yield from map(Conditions(study, guides).form, study.maps)
