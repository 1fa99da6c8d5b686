r"""The self-check: performance of the model on a study, measured on the study itself.

The study is degraded twofold once more, restored to its own acquired matrix, and compared inside
the mask with the acquired map y'. No truth is needed: the check shows whether the model and the MRI
suit this scanner and this patient, at twice the voxel size. With x the restored map and z the
estimate from the coarser measurement alone, both at the resolution of the study's own scan, the
share of the drawn detail that is right on average is

.. math::  a = \langle x - z, y' - z \rangle / |x - z|^2,

the factor for which z + a (x - z) is closest to y'. This share of the detail is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.conventions import UPSCALE_BOUNDS
from ftddm_core.errors import FtddmError
from ftddm_core.imaging.degrade import coarse_matrix, degrade, measured
from ftddm_core.imaging.fit_quality import noise_of
from ftddm_core.imaging.fourier import Matrix, truncate
from ftddm_core.imaging.geometry import output_matrix, regrid_nearest
from ftddm_core.imaging.volume import Outside, Study
from ftddm_core.imaging.window import Window
from ftddm_core.sampling.condition import Condition, form_conditions
from ftddm_core.sampling.guides import default_mask
from ftddm_core.sampling.weighting import Weighting
from ftddm_core.settings import SamplerSettings

if TYPE_CHECKING:
    from ftddm_core.sampling.resolver import SuperResolver

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.floating[Any]]

CHECK_FACTOR = 2.0
"""Factor by which the study is degraded once more."""

LEAST_MATRIX = 6
"""Smallest number of samples per axis after the degradation."""

MRI_WEIGHTS = (0.0, 0.5, 1.0)
"""MRI weights that are tried."""

MOST_SLICES, ALL_SLICES, FEWEST_SLICES = 8, 16, 2
"""Number of slices: largest per map, approximate total, and smallest per map, spread over the
study."""

LEAST_AREA = 0.5
"""Smallest number of trusted voxels of a slice, as a share of the largest number in any slice."""

PRIOR_VOXELS = 300
"""Weight of the mean share of all maps in a map's share, in voxels."""

FEWEST_VOXELS = 20
"""Smallest number of trusted voxels of a slice."""

SAMPLES = 4
"""Number n of draws at temperature 1, whose range should contain the acquired value in (n - 1) / (n
+ 1) of the voxels."""

DECIDES = (
    CHECK_FACTOR, LEAST_MATRIX, MOST_SLICES, ALL_SLICES, FEWEST_SLICES, LEAST_AREA, FEWEST_VOXELS,
    PRIOR_VOXELS, SAMPLES, *MRI_WEIGHTS,
)  # fmt: skip
"""Constants that, with study, networks and `FIXED`, determine a check; part of the key of cached
checks."""

UNCHECKED_MRI_WEIGHT = 0.5
"""MRI weight of a study that cannot be checked: a compromise, since the MRI may help or mislead."""

UNCHECKED_DETAIL = {2.0: 0.4, 4.0: 0.6, 8.0: 0.7}
"""Factor s -> detail shown of such a study: cautious, at most the median share that the truth
supports on randomised patients at that MRI weight, since a measured study supports less. `ftddm
evaluate` reports this share in the column "detail supported"."""

TIE = 0.2
"""In dB: smaller differences between gains are ignored, since few coarse slices cannot resolve
them."""

WORSE = -0.5
"""Gain in dB below which there is a warning for a single map."""

FIXED = SamplerSettings(
    tau_flow=0, tau_diffusion=0, t_trunc=100, steps=10, detail=1, mri_weight=1, consistency="noise"
)
"""Settings of the check, independent of the user's."""


@dataclass(frozen=True, eq=False)
class SelfCheck:
    """Result of the self-check.

    Parameters
    ----------
    gains
        MRI weight -> metabolite -> gain in PSNR over zero-filling in dB, inside the mask, all
        detail shown.
    shares
        MRI weight -> metabolite -> share of the detail that is right on average, from 0 to 1.
    within
        Share of the voxels whose acquired value lies within the range of `SAMPLES` draws.
    slices
        Number of slices of each map that were compared.
    reason
        Reason why the study could not be checked; empty if it was.
    """

    gains: Mapping[float, Mapping[str, float]] = field(default_factory=dict)
    shares: Mapping[float, Mapping[str, float]] = field(default_factory=dict)
    within: float = np.nan
    slices: int = 0
    reason: str = ""

    @property
    def mri_weight(self) -> float:
        """The tried weight with the largest mean gain; among equal gains the largest weight."""
        means = {weight: np.mean(list(found.values())) for weight, found in self.gains.items()}
        best = max(means.values(), default=np.nan)
        equal = [weight for weight, mean in means.items() if mean >= best - TIE]
        return max(equal, default=UNCHECKED_MRI_WEIGHT)

    def gain(self, metabolite: str) -> float:
        """Return a map's gain in dB at the best MRI weight, NaN if it was not checked."""
        return self.gains.get(self.mri_weight, {}).get(metabolite, np.nan)

    @property
    def mean_gain(self) -> float:
        """Mean gain over the maps in dB, NaN without a check."""
        found = list(self.gains.get(self.mri_weight, {}).values())
        return float(np.mean(found)) if found else np.nan

    @property
    def worse(self) -> tuple[str, ...]:
        """The maps for which the model is clearly worse than zero-filling."""
        names = self.gains.get(self.mri_weight, {})
        return tuple(name for name in names if self.gain(name) < WORSE)

    @property
    def warned(self) -> bool:
        """Whether to warn the user: the model is worse on average or for some map."""
        return bool(self.mean_gain < 0 or self.worse)

    def warns_of(self, metabolite: str) -> bool:
        """Return whether there is a warning for this map, by name or for the whole study."""
        return bool(self.mean_gain < 0 or metabolite in self.worse)

    @property
    def expected_within(self) -> float:
        """Value of `within` for a calibrated sampler."""
        return (SAMPLES - 1) / (SAMPLES + 1)

    def weighting(
        self, settings: SamplerSettings, metabolite: str, upscale: float | None = None
    ) -> Weighting:
        """Return a map's weights: the user's, else those that the study supports.

        The factor s, `upscale`, matters only if the study could not be checked; None counts as the
        smallest.
        """
        weight = self.mri_weight if settings.mri_weight is None else settings.mri_weight
        if settings.detail is not None:
            return Weighting(weight, settings.detail)
        known = {w: found[metabolite] for w, found in self.shares.items() if metabolite in found}
        if not known:
            return Weighting(weight, unchecked_detail(upscale))
        tried = sorted(known)
        return Weighting(weight, float(np.interp(weight, tried, [known[w] for w in tried])))


def unchecked_detail(upscale: float | None) -> float:
    """Return the share of the detail to show of an unchecked study at a factor s."""
    known = sorted(UNCHECKED_DETAIL)
    shares = [UNCHECKED_DETAIL[s] for s in known]
    share = np.interp(np.log(upscale or known[0]), np.log(known), shares)
    return round(float(share), 2)


def weighting_of(
    check: SelfCheck | None,
    settings: SamplerSettings,
    metabolite: str,
    upscale: float | None = None,
) -> Weighting:
    """Return a map's weights, as `SelfCheck.weighting`; an automatic one is 1 without a check."""
    if check is not None:
        return check.weighting(settings, metabolite, upscale)
    given = (settings.mri_weight, settings.detail)
    return Weighting(*(1.0 if weight is None else weight for weight in given))


def check_study(
    resolver: SuperResolver,
    study: Study,
    *,
    progress: Callable[[float], None] = lambda done: None,
    cancelled: Callable[[], bool] = lambda: False,
    batch: int | None = None,
    begun: MutableMapping[Any, Any] | None = None,
) -> SelfCheck:
    """Degrade a study twofold once more, restore it, and compare it with itself.

    Parameters
    ----------
    resolver
        The networks.
    study
        Maps as they were acquired.
    progress
        Callback with the share of the work that is done, 0..1.
    cancelled
        Callback before every denoising step: whether to stop.
    batch
        Batch size in slices; None as for `SuperResolver`.
    begun
        Partial results of a cancelled check of the same study, to resume from.

    Raises
    ------
    Cancelled
        If `cancelled()` returns true.
    """
    begun = {} if begun is None else begun
    left = coarse_matrix((study.grid.shape[0], study.grid.shape[1]), CHECK_FACTOR)
    if min(left) < LEAST_MATRIX:
        return SelfCheck(
            reason=f"its {study.grid.shape[0]} x {study.grid.shape[1]} matrix is too small to be "
            "halved"
        )
    try:
        held = [Held.of(study, name) for name in study.maps]
        conditions = coarse_conditions(resolver, study, left)
    except FtddmError as error:  # problems of the study are reported when it is sampled
        return SelfCheck(reason=str(error))
    most = int(np.clip(ALL_SLICES // len(held), FEWEST_SLICES, MOST_SLICES))
    slices = {item.name: item.slices(most, i / len(held)) for i, item in enumerate(held)}
    todo = [(item, conditions[item.name]) for item in held if slices[item.name]]
    if not todo:
        return SelfCheck(reason=f"no slice has {FEWEST_VOXELS} trusted voxels")
    guided = any(c.cover(role) > 0 for _, c in todo for role in ("t1", "flair"))
    weights = MRI_WEIGHTS if guided else (1.0,)
    passes = len(weights) + 1

    def run(settings: SamplerSettings, number: int) -> Iterator[tuple[Held, Restored]]:
        for i, (item, condition) in enumerate(todo):
            progress((number + i / len(todo)) / passes)
            key = (item.name, number)
            if key not in begun:
                begun[key] = restore(
                    resolver, item, condition, settings, slices[item.name], cancelled, batch
                )
            yield item, begun[key]

    gains: dict[float, dict[str, float]] = {}
    shares: dict[float, dict[str, float]] = {}
    for number, weight in enumerate(weights):
        found = [item.compare(done) for item, done in run(FIXED.replace(mri_weight=weight), number)]
        names = [item.name for item, _ in todo]
        gains[weight] = {name: one.gain for name, one in zip(names, found, strict=True)}
        shares[weight] = dict(zip(names, _shares(found), strict=True))
    check = SelfCheck(gains, shares, slices=max(map(len, slices.values())))
    several = FIXED.replace(
        mri_weight=check.mri_weight, tau_flow=1, tau_diffusion=1, samples=SAMPLES
    )
    inside = [item.within(done) for item, done in run(several, passes - 1)]
    progress(1.0)
    return replace(check, within=float(np.mean(np.concatenate(inside))))


@dataclass(frozen=True)
class Restored:
    """Slices of a map on the study's own grid: z, and x of every sample (n, nx, ny, slices)."""

    slices: Sequence[int]
    alone: FloatArray
    plain: FloatArray
    drawn: FloatArray


@dataclass(frozen=True)
class _Compared:
    """Comparison of one map: gain over zero-filling in dB, right share, and number of voxels."""

    gain: float
    share: float
    voxels: int


@dataclass(frozen=True, eq=False)
class Held:
    """One map of the study, and the voxels to compare."""

    name: str
    data: FloatArray
    where: BoolArray
    window: Window | None

    @classmethod
    def of(cls, study: Study, name: str) -> Held:
        """Return a map of a study with the voxels that are trusted and were measured."""
        volume = study.maps[name]
        mask = study.mask_of(name) or default_mask(volume)
        trusted = regrid_nearest(mask, volume.shape, volume.affine).data > 0
        noise = noise_of(study, name, trusted)
        where = trusted & np.isfinite(volume.data) & np.isfinite(noise.deviation)
        if study.outside is Outside.SEEN:
            where &= measured(volume.data, noise, trusted)
        return cls(name, np.asarray(volume.data, np.float64), np.asarray(where), study.window)

    def seen(self, image: FloatArray, beside: FloatArray) -> FloatArray:
        """Return a map at the resolution of the study's own scan, (nx, ny, ...).

        Parameters
        ----------
        image, beside
            Map inside and outside the mask, each 0 elsewhere; (Nx, Ny, ...).
        """
        seen = truncate(image + beside, (self.data.shape[0], self.data.shape[1]))
        return seen if self.window is None else self.window.blur(seen)

    def slices(self, most: int, start: float = 0.0) -> tuple[int, ...]:
        """Return slices to compare, evenly spread over those with enough voxels.

        Parameters
        ----------
        most
            Largest number of slices.
        start
            Relative position of each slice within its part of the study, from 0 to below 1: maps
            with different values share few slices, so that all maps together cover more of the
            study.
        """
        area = self.where.sum((0, 1))
        enough = np.flatnonzero(area >= max(FEWEST_VOXELS, LEAST_AREA * area.max()))
        count = min(most, len(enough))
        places = (np.arange(count) + start) * len(enough) / max(count, 1)
        return tuple(int(k) for k in enough[places.astype(int)])

    def _values(self, restored: Restored, image: FloatArray) -> FloatArray:
        """Return the values (..., voxels) to compare of an image (..., nx, ny, slices)."""
        found: FloatArray = image[..., self.where[..., restored.slices]]
        return found

    def compare(self, restored: Restored, detail: float = 1.0) -> _Compared:
        """Compare the first sample, with a share of its detail."""
        truth = self._values(restored, self.data[..., restored.slices])
        x, z, plain = (
            self._values(restored, image)
            for image in (restored.drawn[0], restored.alone, restored.plain)
        )
        seen = np.maximum(x if detail == 1 else z + detail * (x - z), 0)
        ours, theirs = (np.mean(np.square(image - truth)) for image in (seen, plain))
        power = np.mean(np.square(truth))
        gain = 10 * np.log10(max(theirs, 1e-12 * power) / max(ours, 1e-12 * power))
        return _Compared(float(gain), share_of(x - z, truth - z), truth.size)

    def within(self, restored: Restored) -> BoolArray:
        """Return for every voxel whether its value lies within the range of the samples."""
        truth = self._values(restored, self.data[..., restored.slices])
        x = self._values(restored, restored.drawn)
        return np.asarray((x.min(0) <= truth) & (truth <= x.max(0)))


def share_of(drawn: FloatArray, missing: FloatArray) -> float:
    """Return the factor from 0 to 1 that brings the drawn detail closest to the missing detail."""
    square = float(np.sum(np.square(drawn)))
    return float(np.clip(np.sum(drawn * missing) / square, 0, 1)) if square > 0 else 1.0


def _shares(found: Sequence[_Compared]) -> list[float]:
    """Return every map's share, shrunk towards the mean of all maps if it has few voxels."""
    mean = float(np.mean([one.share for one in found]))
    return [
        (one.voxels * one.share + PRIOR_VOXELS * mean) / (one.voxels + PRIOR_VOXELS)
        for one in found
    ]


def coarse_conditions(resolver: SuperResolver, study: Study, left: Matrix) -> dict[str, Condition]:
    """Return the conditions of the degraded study, on the grid of the restoration.

    The grid has about the voxel size of the training data, as a user would choose, if that is finer
    than the study's own.
    """
    masked = study
    if any(study.mask_of(name) is None for name in study.maps):
        masks = {n: study.mask_of(n) or default_mask(v) for n, v in study.maps.items()}
        masked = replace(study, mask=masks)
    low = degrade(masked, CHECK_FACTOR, whole=study.outside is Outside.SEEN)
    own = (study.grid.shape[0], study.grid.shape[1])
    if study.window is not None:
        low = replace(low, window=study.window.cut_to(left, own))
    voxel = float(np.sqrt(low.grid.voxel_size[0] * low.grid.voxel_size[1]))
    upscale = float(np.clip(voxel / resolver.weights.trained_voxel, *UPSCALE_BOUNDS))
    finer = output_matrix(left, upscale)
    matrix = finer if all(n >= have for n, have in zip(finer, own, strict=True)) else own
    return {c.metabolite: c for c in form_conditions(low, CHECK_FACTOR, matrix)}


def restore(
    resolver: SuperResolver,
    item: Held,
    condition: Condition,
    settings: SamplerSettings,
    slices: tuple[int, ...],
    cancelled: Callable[[], bool],
    batch: int | None,
) -> Restored:
    """Restore some slices of a map, and resample them to the study's own grid."""
    own = (item.data.shape[0], item.data.shape[1])
    beside = condition.measurement.outside * np.float32(condition.scale)
    drawn = np.zeros((settings.samples, *own, len(slices)))
    alone = np.zeros((*own, len(slices)))
    updates = resolver.sample(
        [condition], settings, slices=slices, cancelled=cancelled, batch=batch
    )
    for update in updates:
        if update.stage != "sample":
            continue
        for key, image, z in zip(update.keys, update.images, update.alone, strict=True):
            place = slices.index(key.slice_index)
            k = key.slice_index
            drawn[key.sample, ..., place] = item.seen(image, beside[..., k])
            alone[..., place] = item.seen(z, beside[..., k])
    return Restored(slices, alone, plain(item, condition, slices), drawn)


def plain(item: Held, condition: Condition, slices: Sequence[int]) -> FloatArray:
    """Return the zero-filled slices of a map on the study's own grid."""
    where = np.asarray(slices)
    beside = condition.measurement.outside[..., where] * np.float32(condition.scale)
    zero_filled = condition.lowres[..., where] * condition.mask[..., where]
    return np.maximum(item.seen(zero_filled, beside), 0)
