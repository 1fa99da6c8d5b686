"""The method end to end: condition -> flow -> truncated reverse chain -> maps, as a stream.

Dong et al. 2025, with the chain of `sampling.chain` and the geometry of `imaging.fourier`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ftddm_core.conventions import CHANNELS
from ftddm_core.errors import CheckpointError, SettingsError
from ftddm_core.imaging.fourier import Matrix
from ftddm_core.imaging.memory import plannable
from ftddm_core.imaging.volume import Study
from ftddm_core.model.checkpoint import Weights, load_weights
from ftddm_core.model.schedule import NoiseSchedule
from ftddm_core.sampling.batch import Item, draw_start
from ftddm_core.sampling.condition import Condition, form_conditions
from ftddm_core.sampling.device import pick_device
from ftddm_core.sampling.drawing import drawn_in_batches, in_order
from ftddm_core.sampling.gathered import Gathered, Sampled
from ftddm_core.sampling.guides import usual_upscale
from ftddm_core.sampling.networks import Networks, placed
from ftddm_core.sampling.noise import NoiseKey
from ftddm_core.sampling.recall import Recall
from ftddm_core.sampling.recent import RecentConsistency
from ftddm_core.sampling.result import PROGRESS, Result, Start, Update
from ftddm_core.sampling.self_check import SelfCheck, check_study, weighting_of
from ftddm_core.sampling.weighting import Weighting
from ftddm_core.sampling.widening import widening
from ftddm_core.settings import SamplerSettings


def settle_upscale(
    settings: SamplerSettings, study: Study, trained_voxel: float
) -> SamplerSettings:
    """Fill in an empty `upscale`; see `usual_upscale`."""
    if settings.upscale is not None:
        return settings
    return settings.replace(upscale=usual_upscale(study.grid, trained_voxel))


class SuperResolver:
    """Draws high-resolution metabolite maps given a study.

    Parameters
    ----------
    weights
        The networks.
    device
        "auto", or a torch device.
    batch
        Batch size in slices; None to choose it for the device.
    half
        Whether the denoiser computes in float16, for GPUs only: faster; maps differ by about 1e-3
        of the scale for the same seed.
    memory
        Returns the bytes that one slice may take on a CPU.
    together
        How many threads may sample at once, whose slices are computed in one batch, on a CPU.

    Raises
    ------
    SettingsError
        If this machine does not have the device, or float16 is requested on a CPU.
    CheckpointError
        If the networks expect other conditions than are formed here.

    Examples
    --------
    >>> from ftddm_core import SamplerSettings, SuperResolver, open_study
    >>> resolver = SuperResolver.load("small")
    >>> result = resolver.run(open_study("PATIENT/"), SamplerSettings(upscale=4, steps=10))
    >>> result.maps["tNAA"].unit
    'mM'
    """

    def __init__(
        self,
        weights: Weights,
        device: str = "auto",
        *,
        batch: int | None = None,
        half: bool = False,
        memory: Callable[[], float] = plannable,
        together: int = 1,
    ) -> None:
        for config in (weights.denoiser.config, weights.flow.config.encoder):
            if config.condition_channels != len(CHANNELS):
                raise CheckpointError(
                    f"The weights '{weights.name}' expect {config.condition_channels} condition "
                    f"channels, this program forms {len(CHANNELS)} ({', '.join(CHANNELS)}): use "
                    "newer weights."
                )
        self.weights = weights
        self.device = pick_device(device)
        if half and self.device.type == "cpu":
            raise SettingsError("Half precision is for GPUs; it is slower on a CPU: leave it out.")
        self.batch = batch
        self.half = half
        self.memory = memory
        self.schedule = NoiseSchedule()
        self.together = together if self.device.type == "cpu" else 1
        self.denoiser, self.flow = placed(weights, self.device, joined=self.together > 1)
        self._recent = RecentConsistency()
        self._checks: WeakKeyDictionary[Study, SelfCheck] = WeakKeyDictionary()
        self._begun: WeakKeyDictionary[Study, dict[Any, Any]] = WeakKeyDictionary()

    @classmethod
    def load(cls, weights: str = "small", device: str = "auto", **options: Any) -> SuperResolver:
        """Load weights by name or folder; options as for the class."""
        return cls(load_weights(weights), device, **options)

    def __repr__(self) -> str:
        return f"SuperResolver({self.weights.name} on {self.where})"

    @property
    def where(self) -> str:
        """The device, and the precision if it is not float32."""
        return f"{self.device}, float16" if self.half else str(self.device)

    def check(
        self,
        study: Study,
        *,
        progress: Callable[[float], None] = lambda done: None,
        cancelled: Callable[[], bool] = lambda: False,
        batch: int | None = None,
    ) -> SelfCheck:
        """Return the self-check of a study, made once; see `self_check.check_study`.

        A cancelled check is resumed when it is asked for again.

        Parameters
        ----------
        study
            Maps as they were acquired.
        progress
            Callback with the share that is done, 0..1.
        cancelled
            Callback before every batch of slices and every denoising step: whether to stop.
        batch
            Batch size in slices; None for the resolver's own.

        Raises
        ------
        Cancelled
            If `cancelled()` returns true.
        """
        if study not in self._checks:
            begun = self._begun.setdefault(study, {})
            self._checks[study] = check_study(
                self, study, progress=progress, cancelled=cancelled, batch=batch, begun=begun
            )
            del self._begun[study]
        return self._checks[study]

    def run(
        self,
        study: Study,
        settings: SamplerSettings,
        *,
        matrix: Matrix | None = None,
        progress: Callable[[float], None] = lambda done: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Result:
        """Super-resolve a study, and return the result.

        Callbacks run in the calling thread; an error that one raises ends the run.

        Parameters
        ----------
        study
            Maps as they were acquired.
        settings
            The user's settings.
        matrix
            Output matrix, if it is not derived from `upscale` (a degraded study has its own).
        progress
            Callback with the share that is done, 0..1, about ten times per second. A self-check,
            made before if a weight is automatic, is not part of it: `check` has its own.
        cancelled
            Callback before every batch of slices and every denoising step: whether to stop. To
            stop from another thread, give an event's `is_set`.

        Returns
        -------
        Result
            Maps, and everything needed to reproduce them; `save_result` writes them.

        Raises
        ------
        Cancelled
            If `cancelled()` returns true.
        FormatError, GeometryError
            If no conditions can be formed from the study; see `form_conditions`.
        """
        updates = self.stream(study, settings, matrix=matrix, cancelled=cancelled, every=PROGRESS)
        for update in updates:
            progress(update.done)
        if update.result is None:
            raise RuntimeError("The stream ended without a result.")
        return update.result

    def stream(
        self,
        study: Study,
        settings: SamplerSettings,
        *,
        matrix: Matrix | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        every: float = 0.0,
    ) -> Iterator[Update]:
        """Super-resolve a study with intermediate images: `check`, `conditions`, `sample`.

        The self-check is made only if a weight is automatic.

        Parameters
        ----------
        study
            Maps as they were acquired.
        settings
            The user's settings.
        matrix
            Output matrix, if it is not derived from `upscale` (a degraded study has its own).
        cancelled, every
            See `sample`.

        Yields
        ------
        Update
            As from `sample`.

        Raises
        ------
        Cancelled
            If `cancelled()` returns true.
        FormatError, GeometryError
            If no conditions can be formed from the study; see `form_conditions`.
        """
        settings = settle_upscale(settings, study, self.weights.trained_voxel)
        conditions = list(form_conditions(study, settings.upscale or 0.0, matrix))
        check = None
        if settings.mri_weight is None or settings.detail is None:
            check = self.check(study, cancelled=cancelled)
        yield from self.sample(conditions, settings, check=check, cancelled=cancelled, every=every)

    def sample(
        self,
        conditions: Iterable[Condition],
        settings: SamplerSettings,
        *,
        check: SelfCheck | None = None,
        slices: Collection[int] | None = None,
        first: int | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        every: float = 0.0,
        recall: Recall | None = None,
        batch: int | None = None,
    ) -> Iterator[Update]:
        """Super-resolve metabolites from their conditions, with intermediate images.

        A slice's noise depends only on (seed, metabolite, slice, sample, t), so a slice computed
        alone equals the same slice of the volume up to rounding.

        Parameters
        ----------
        conditions
            Conditions of the metabolites to compute, in this order; all on one output grid.
        settings
            The user's settings; `upscale` is only recorded, since the conditions determine it.
        check
            The study's self-check for automatic weights; None sets them to 1.
        slices
            Slices to compute; None for all. Others stay 0 and are excluded from the residual.
        first
            Slice to start with, followed by the others outwards; None for ascending order.
        cancelled
            Callback before every batch of slices and every denoising step: whether to stop.
        every
            Shortest time between two running estimates, in s: each one is a copy from the device.
        recall
            Cache shared by successive images, for one slice with changing settings. Recalled
            estimates are not yielded.
        batch
            Batch size in slices; None for the resolver's own.

        Yields
        ------
        Update
            Running estimates and the samples of each batch of slices; finally the result.

        Raises
        ------
        Cancelled
            If `cancelled()` returns true.
        SettingsError
            If the device's memory is too small for one slice; if it is too small for a batch,
            smaller batches are used.
        NotFiniteError
            If an image, even a running estimate, is not finite.
        """
        start = time.perf_counter()
        named = {condition.metabolite: condition for condition in conditions}
        if recall is not None:
            recall.about(self.weights, *named.values())
        keys = in_order(named, settings, slices, first)
        weighting = {
            name: weighting_of(check, settings, name, condition.upscale)
            for name, condition in named.items()
        }
        gathered = {name: Gathered(c, spread=settings.samples > 1) for name, c in named.items()}
        items = [Item(key, settings, weighting[key.metabolite].mri_weight) for key in keys]
        for update, samples in self._drawn(items, named, cancelled, recall, batch, every):
            yield update
            for key, sample in zip(update.keys, samples, strict=bool(samples)):
                gathered[key.metabolite].add(key.slice_index, sample)
        result = self._finish(named, gathered, settings, weighting, check, start)
        yield Update("result", 1.0, result=result)

    def sweep(
        self,
        condition: Condition,
        k: int,
        settings: Sequence[SamplerSettings],
        *,
        check: SelfCheck | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        recall: Recall | None = None,
        batch: int | None = None,
    ) -> Iterator[tuple[SamplerSettings, Result]]:
        """Super-resolve one slice with several settings.

        Those that differ only in temperatures and weights are drawn in the same batches; up to
        rounding, each result is that of `sample`.

        Parameters
        ----------
        condition, k
            Map and slice.
        settings
            As in `sample`, each of them.
        check, cancelled, recall, batch
            See `sample`.

        Yields
        ------
        settings, result
            As soon as they are computed.

        Raises
        ------
        Cancelled, SettingsError, NotFiniteError
            As `sample`.
        """
        name = condition.metabolite
        if recall is not None:
            recall.about(self.weights, condition)
        groups: dict[SamplerSettings, list[SamplerSettings]] = {}
        for each in settings:
            groups.setdefault(each.chain, []).append(each)
        for group in groups.values():
            start = time.perf_counter()
            weights = {s: weighting_of(check, s, name, condition.upscale) for s in group}
            asked = {
                s: [
                    Item(key, s.replace(mri_weight=None, detail=None), weights[s].mri_weight)
                    for key in in_order({name: condition}, s, (k,), None)
                ]
                for s in group
            }
            items = list(dict.fromkeys(item for listed in asked.values() for item in listed))
            drawing = self._drawn(items, {name: condition}, cancelled, recall, batch)
            arriving = (sample for _, found in drawing for sample in found)
            known: dict[Item, Sampled] = {}
            for s, listed in asked.items():
                while not known.keys() >= set(listed):
                    known[items[len(known)]] = next(arriving)
                gathered = Gathered(condition, spread=s.samples > 1)
                for item in listed:
                    gathered.add(k, known[item])
                yield (
                    s,
                    self._finish(
                        {name: condition}, {name: gathered}, s, {name: weights[s]}, check, start
                    ),
                )

    def _drawn(
        self,
        items: Sequence[Item],
        conditions: Mapping[str, Condition],
        cancelled: Callable[[], bool],
        recall: Recall | None,
        batch: int | None,
        every: float = inf,
    ) -> Iterator[tuple[Update, list[Sampled]]]:
        """Draw items; see `drawing.drawn_in_batches`, and `sample` for the other parameters."""
        size = batch or self.batch or 0
        for update, samples in drawn_in_batches(
            self._networks, items, conditions, cancelled, every, recall, size
        ):
            update.check_finite(self.weights.name, self.where, samples)
            yield update, samples

    def start(
        self,
        condition: Condition,
        settings: SamplerSettings,
        k: int,
        *,
        check: SelfCheck | None = None,
        recall: Recall | None = None,
    ) -> Start:
        """Return where the chain of a slice's first sample starts; parameters as for `sample`."""
        if recall is not None:
            recall.about(self.weights, condition)
        name = condition.metabolite
        weight = weighting_of(check, settings, name, condition.upscale).mri_weight
        key = NoiseKey(settings.seed, name, k, 0)
        return draw_start(self._networks, Item(key, settings, weight), condition, recall)

    @property
    def _networks(self) -> Networks:
        weights = self.weights
        return Networks(
            self.denoiser,
            weights.denoiser.config.prediction,
            self.flow,
            weights.flow.config.t_flow_max,
            self.schedule,
            self._recent,
            self.device,
            self.half,
            self.memory,
        )

    def _finish(
        self,
        conditions: Mapping[str, Condition],
        gathered: Mapping[str, Gathered],
        settings: SamplerSettings,
        weighting: Mapping[str, Weighting],
        check: SelfCheck | None,
        start: float,
    ) -> Result:
        maps, drawn, alone, deviation, noise, residual = {}, {}, {}, {}, {}, {}
        traces = {name: found.traces for name, found in gathered.items()}
        for name, condition in conditions.items():
            found, detail = gathered[name], weighting[name].detail
            image = found.shown(detail)
            maps[name] = condition.volume(image)
            drawn[name] = maps[name].with_data(found.drawn.mean.astype(np.float32))
            alone[name] = maps[name].with_data(found.alone)
            if settings.samples > 1:
                spread = widening(condition) * found.drawn.deviation(settings.samples)
                deviation[name] = maps[name].with_data(spread.astype(np.float32))
            held = condition.measurement.with_noise(settings.noise)
            noise[name] = (held.typical_noise, held.noise_source)
            residual[name] = found.residual(detail, held.deviation)
        return Result(
            maps=maps,
            drawn=drawn,
            alone=alone,
            deviation=deviation,
            conditions=conditions,
            settings=settings.exact(settings.upscale),
            weighting=weighting,
            noise=noise,
            check=check,
            residual=residual,
            weights=self.weights.name,
            digest=self.weights.digest,
            device=self.where,
            seconds=time.perf_counter() - start,
            traces=traces,
        )
