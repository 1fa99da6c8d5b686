"""Runs the methods of a protocol on cases; maps in the cache are not recomputed.

Maps of many cases are batched. Their noise depends only on seed, case, metabolite, factor and
slice, so neither the order nor an interruption changes a map beyond rounding.

For sampling methods, x is cached: the share of detail that is shown does not affect the cache.
Automatic weights follow the case's own self-check, which is cached too.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import Cancelled, CheckpointError, SettingsError
from ftddm_core.evaluation.anchors import ANCHORS, alone
from ftddm_core.evaluation.baselines import BASELINES
from ftddm_core.evaluation.cache import Cache, key_of
from ftddm_core.evaluation.cases import Case
from ftddm_core.evaluation.guided_tv import ETA, ITERATIONS, LAMBDA, guided_tv
from ftddm_core.evaluation.protocol import MethodPlan, denoiser_calls
from ftddm_core.sampling.condition import Condition
from ftddm_core.sampling.result import PROGRESS
from ftddm_core.sampling.self_check import DECIDES, FIXED, SelfCheck
from ftddm_core.sampling.weighting import Weighting, shown
from ftddm_core.settings import SamplerSettings

if TYPE_CHECKING:  # they import torch, which the tables do not need
    from ftddm_core.model.unet import UNet
    from ftddm_core.sampling.resolver import SuperResolver

CHUNK = 48
"""Largest number of slices run before they are cached: the most that an interruption can cost."""

PLAIN_COST = {"guided-tv": 30.0}
"""Cost of a slice of a plain method in denoiser calls; 1 if not listed."""


@dataclass(frozen=True)
class Entry:
    """One map to compute: a draw of a method on one metabolite of a case at a factor."""

    method: MethodPlan
    draw: int
    case: Case
    factor: float
    metabolite: str

    @property
    def cost(self) -> float:
        """Slices times denoiser calls, for the progress."""
        chosen = self.method.settings
        calls = denoiser_calls(self.method) * passes(chosen.mri_weight) + 1 if chosen else 0
        return self.case.study.grid.shape[2] * (calls or PLAIN_COST.get(self.method.kind, 1.0))


def passes(mri_weight: float | None) -> int:
    """Return the denoiser calls per step: with MRI, without, or both; the maximum for None."""
    return 1 if mri_weight in (0, 1) else 2


class Runner:
    """Runs methods and caches their maps.

    Parameters
    ----------
    resolver
        The networks on their device.
    cache
        Cache of the maps.
    regression
        Network and digest; if None, its methods are left out.
    cancelled
        Callback before every chunk and every denoising step: whether to stop.
    """

    def __init__(
        self,
        resolver: SuperResolver,
        cache: Cache,
        regression: tuple[UNet, str] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self.resolver = resolver
        self.cache = cache
        self.regression = regression
        self.cancelled = cancelled
        self._conditions: dict[tuple[Case, float, tuple[str, ...]], dict[str, Condition]] = {}
        self._checks: dict[str, SelfCheck] = {}

    def conditions(
        self, case: Case, factor: float, drop: Sequence[str] = ()
    ) -> dict[str, Condition]:
        """Return the network inputs of a case at a factor, without some of the MRI."""
        key = (case, factor, tuple(sorted(drop)))
        if key not in self._conditions:
            self._conditions[key] = case.conditions(factor, tuple(case.study.maps), drop)
        return self._conditions[key]

    def runs(self, method: MethodPlan) -> bool:
        """Return whether this method can be run at all."""
        return method.kind != "regression" or self.regression is not None

    def entries(self, methods: Iterable[MethodPlan], cases: Sequence[Case]) -> list[Entry]:
        """Return all maps of the methods, in the order they are run."""
        return [
            Entry(method, draw, case, factor, metabolite)
            for method in methods
            if self.runs(method)
            for draw in range(method.samples)
            for factor in method.factors
            for case in cases
            for metabolite in method.metabolites
            if metabolite in case.study.maps
        ]

    def missing(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return the entries that are not in the cache, each map once."""
        keys = {self.key(entry): entry for entry in entries}
        return [entry for key, entry in keys.items() if key not in self.cache]

    def key(self, entry: Entry) -> str:
        """Return the cache key of a map: everything it depends on."""
        method = entry.method
        stated: dict[str, Any]
        if method.settings is not None:
            stated = self.settings(entry).to_dict()
            # The case determines the first, the entry the second, and x does not depend on the
            # third.
            for other in ("upscale", "samples", "detail"):
                del stated[other]
            stated["steps"] = denoiser_calls(method)
            stated["sampler"] = method.settings.sampler_used
            stated["weights"] = self.resolver.weights.digest
            if self.resolver.half:
                stated["half"] = True
        else:
            stated = {"kind": method.kind}
            if method.kind == "guided-tv":
                stated |= {"lam": LAMBDA, "eta": ETA, "iterations": ITERATIONS}
            if method.kind == "regression" and self.regression is not None:
                stated["weights"] = self.regression[1]
        return key_of(stated | {"told": self.condition(entry).digest})

    def condition(self, entry: Entry) -> Condition:
        """Return the network input for a map."""
        return self.conditions(entry.case, entry.factor, entry.method.drop)[entry.metabolite]

    def settings(self, entry: Entry) -> SamplerSettings:
        """Return the sampling settings of a map, with its seed and MRI weight.

        Raises
        ------
        SettingsError
            If the method draws no samples.
        Cancelled
            If `cancelled()` returns true.
        """
        chosen = entry.method.settings
        if chosen is None:
            raise SettingsError(f"{entry.method.name} draws no samples.")
        weight = self.weighting(entry).mri_weight
        return chosen.replace(seed=chosen.seed + entry.draw, mri_weight=weight)

    def weighting(self, entry: Entry) -> Weighting:
        """Return the weights of a map: the method's own, or the self-check's."""
        chosen = entry.method.settings
        if chosen is None:
            return Weighting()
        if chosen.mri_weight is not None and chosen.detail is not None:
            return Weighting(chosen.mri_weight, chosen.detail)
        check = self.check(entry.case, entry.factor, entry.method.drop)
        return check.weighting(chosen, entry.metabolite, self.condition(entry).upscale)

    def check(
        self,
        case: Case,
        factor: float,
        drop: Sequence[str] = (),
        progress: Callable[[float], None] = lambda done: None,
    ) -> SelfCheck:
        """Return the self-check of a case at a factor, made once and cached.

        Raises
        ------
        Cancelled
            If `cancelled()` returns true.
        """
        conditions = self.conditions(case, factor, drop)
        key = key_of(
            {
                "self-check": {name: condition.digest for name, condition in conditions.items()},
                "settings": FIXED.to_dict(),
                "how": DECIDES,
                "weights": self.resolver.weights.digest,
                "half": self.resolver.half,
            }
        )
        if key not in self._checks:
            kept = self.cache.load_json(key)
            if kept is None:
                low = case.acquired(factor, list(conditions), drop)
                found = self.resolver.check(low, progress=progress, cancelled=self.cancelled)
                kept = _stated(found)
                self.cache.save_json(key, kept)
            self._checks[key] = _check_of(kept)
        return self._checks[key]

    def run(
        self, entries: Iterable[Entry], progress: Callable[[float], None] = lambda done: None
    ) -> None:
        """Compute the maps that are not in the cache.

        Parameters
        ----------
        entries
            See `entries`.
        progress
            Callback with the share of the missing work that is done, 0..1.

        Raises
        ------
        Cancelled
            If `cancelled()` returns true; finished maps are kept.
        CheckpointError
            If a method gives a map that is not finite.
        """
        todo = self.missing(entries)
        total = sum(entry.cost for entry in todo) or 1.0
        done = 0.0
        for chunk in self._chunks(todo):
            if self.cancelled():
                raise Cancelled("The evaluation was stopped; finished maps are kept.")
            cost = sum(entry.cost for entry in chunk)

            def report(share: float, start: float = done, cost: float = cost) -> None:
                progress((start + share * cost) / total)

            images, seconds = self._compute(chunk, report)
            for entry, image in zip(chunk, images, strict=True):
                if not np.isfinite(image).all():
                    raise CheckpointError(
                        f"{entry.method.name} gave values that are not finite for "
                        f"{entry.metabolite} of {entry.case.name} at {entry.factor:g}x. "
                        "Are the weights complete?"
                    )
                self.cache.save(self.key(entry), image, seconds)
            done += cost
            progress(done / total)

    def image(self, entry: Entry) -> NDArray[np.float32]:
        """Return a finished map (Nx, Ny, Z) on the case's own matrix.

        Raises
        ------
        CheckpointError
            If it was not run, or its entry is damaged: running again recomputes it.
        """
        found = self.cache.load(self.key(entry))
        if found is None:
            key = self.key(entry)
            self.cache.discard(key)
            raise CheckpointError(
                f"The stored map of {entry.metabolite} of {entry.case.name} by {entry.method.name} "
                "is missing or damaged: run the evaluation again."
            )
        image, detail = found[0], self.weighting(entry).detail
        if detail < 1 and entry.method.settings is not None:
            exact = entry.method.settings.consistency == "exact"
            image = shown(image, alone(self.condition(entry), exact=exact), detail)
        return entry.case.seen(image, entry.metabolite)

    def images(self, method: MethodPlan, case: Case, factor: float, metabolite: str) -> Any:
        """Return all draws of a method on one map, (samples, Nx, Ny, Z)."""
        return np.stack(
            [
                self.image(Entry(method, draw, case, factor, metabolite))
                for draw in range(method.samples)
            ]
        )

    def time(
        self,
        methods: Sequence[MethodPlan],
        case: Case,
        factor: float,
        metabolites: Sequence[str],
        progress: Callable[[float], None] = lambda done: None,
    ) -> dict[str, Any]:
        """Run methods one after the other on the same maps, timing one draw of each.

        Methods that differ only in temperatures, MRI or number of draws are timed once.

        Returns
        -------
        dict
            `seconds`, method -> seconds a slice; `slices`, the number run together; `device` and
            `case`. Cached together, so that all times are from one run.
        """
        groups: dict[tuple[Any, ...], list[str]] = {}
        run: list[MethodPlan] = []
        for method in methods:
            chosen = method.settings
            how: tuple[Any, ...] = (method.kind,)
            if chosen:
                how += (chosen.t_trunc, denoiser_calls(method), chosen.sampler_used,
                        chosen.consistency == "off", passes(chosen.mri_weight))  # fmt: skip
            group = groups.setdefault(how, [])
            if not group and self.runs(method):
                alone = replace(method, drop=(), samples=1)
                run.append(replace(alone, factors=(factor,), metabolites=tuple(metabolites)))
            group.append(method.name)
        device = f"{platform.machine()} {self.resolver.where}"
        kept = [self.key(Entry(method, 0, case, factor, metabolites[0])) for method in run]
        key = key_of({"timing": kept, "device": device, "metabolites": list(metabolites)})
        found = self.cache.load_json(key)
        if isinstance(found, dict):
            return found
        work = [(method, self.entries([method], [case])) for method in run]
        total = sum(entry.cost for _, entries in work for entry in entries) or 1.0
        done = 0.0
        timed: dict[str, float] = {}
        self._warm_up(run, case)
        for method, entries in work:
            if self.cancelled():
                raise Cancelled("The evaluation was stopped; finished maps are kept.")
            timed[method.name] = self._compute(entries, lambda share: None)[1]
            done += sum(entry.cost for entry in entries)
            progress(done / total)
        known = [group for group in groups.values() if group[0] in timed]
        seconds = {name: timed[group[0]] for group in known for name in group}
        slices = len(metabolites) * case.study.grid.shape[2]
        result = {"seconds": seconds, "slices": slices, "device": device, "case": case.name}
        self.cache.save_json(key, result)
        return result

    def _chunks(self, entries: Sequence[Entry]) -> Iterator[list[Entry]]:
        """Yield entries that can run together, at most `CHUNK` slices: equal settings, one grid."""
        chunk: list[Entry] = []
        how: tuple[Any, ...] = ()
        slices = 0
        for entry in entries:
            drawn = self.settings(entry) if entry.method.settings else None
            its = (entry.method, drawn, entry.factor, self.condition(entry).shape)
            depth = entry.case.study.grid.shape[2]
            if chunk and (its != how or slices + depth > CHUNK):
                yield chunk
                chunk, slices = [], 0
            how = its
            chunk.append(entry)
            slices += depth
        if chunk:
            yield chunk

    def _warm_up(self, methods: Sequence[MethodPlan], case: Case) -> None:
        """Run two steps: the first run allocates memory and chooses algorithms."""
        for method in methods:
            if method.settings is not None and method.settings.t_trunc:
                short = replace(method, settings=method.settings.replace(t_trunc=2, steps=None))
                self._compute(self.entries([short], [case]), lambda share: None)
                return

    def _compute(
        self, chunk: Sequence[Entry], progress: Callable[[float], None]
    ) -> tuple[list[NDArray[np.float32]], float]:
        """Return the maps of entries of one method, draw, factor and matrix; seconds a slice."""
        method = chunk[0].method
        conditions = [self.condition(entry) for entry in chunk]
        start = time.perf_counter()
        if method.settings is not None:
            images = self._sample(self.settings(chunk[0]), conditions, progress)
        elif method.kind == "regression":
            images = self._regress(conditions)
        else:
            images = [_plain(method.kind, t, self.cancelled) for t in conditions]
        seconds = time.perf_counter() - start
        return images, seconds / sum(condition.shape[2] for condition in conditions)

    def _sample(
        self,
        settings: SamplerSettings,
        conditions: Sequence[Condition],
        progress: Callable[[float], None],
    ) -> list[NDArray[np.float32]]:
        """Return x of every condition, with all drawn detail."""
        result = None
        updates = self.resolver.sample(
            conditions, settings.replace(detail=1), cancelled=self.cancelled, every=PROGRESS
        )
        for update in updates:
            progress(update.done)
            result = update.result
        if result is None:
            raise RuntimeError("The stream ended without a result.")
        return [np.asarray(result.drawn[c.metabolite].data, np.float32) for c in conditions]

    def _regress(self, conditions: Sequence[Condition]) -> list[NDArray[np.float32]]:
        from ftddm_core.evaluation.regression import regress

        if self.regression is None:
            raise SettingsError("There is no regression to run: give its weights.")
        maps = regress(self.regression[0], conditions, device=str(self.resolver.device))
        return [np.asarray(maps[c.metabolite].data, np.float32) for c in conditions]


def _plain(kind: str, condition: Condition, cancelled: Callable[[], bool]) -> NDArray[np.float32]:
    if cancelled():
        raise Cancelled("The evaluation was stopped; finished maps are kept.")
    if kind == "guided-tv":
        return np.asarray(guided_tv(condition), np.float32)
    return (BASELINES | ANCHORS)[kind](condition)


def _stated(check: SelfCheck) -> dict[str, Any]:
    """Return a self-check in JSON form, without numeric keys and NaN."""
    return {
        "gains": list(check.gains.items()),
        "shares": list(check.shares.items()),
        "within": check.within if np.isfinite(check.within) else None,
        "slices": check.slices,
        "reason": check.reason,
    }


def _check_of(kept: dict[str, Any]) -> SelfCheck:
    """Return the self-check from its JSON form."""
    within = np.nan if kept["within"] is None else kept["within"]
    gains, shares = (dict(map(tuple, kept[name])) for name in ("gains", "shares"))
    return SelfCheck(gains, shares, within, kept["slices"], kept["reason"])
