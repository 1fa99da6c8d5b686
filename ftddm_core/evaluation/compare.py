"""Comparison of methods on cases with a known truth: degrade, enlarge, measure, summarise.

A high-resolution study is degraded to its own n x n map by k-space truncation (`imaging.degrade`);
every method brings it back to the original matrix, and each slice of each metabolite is measured
against the map it came from, inside the mask. That truth contains noise, like the training data; a
noise-free study, known for a simulation, adds a second sharpness.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ftddm_core.errors import Cancelled, FormatError, GeometryError
from ftddm_core.evaluation.baselines import BASELINES, run_baseline
from ftddm_core.evaluation.metrics import (
    METRICS,
    NO_DETAIL,
    BoolArray,
    FloatArray,
    detail,
    evaluate,
)
from ftddm_core.evaluation.tables import (
    DETAIL,
    DETAIL_NOISE_FREE,
    DETAIL_TRUTH,
    NOISE_FREE,
    Row,
    Table,
    summarise,
)
from ftddm_core.imaging.degrade import coarse_matrix, degrade
from ftddm_core.imaging.fourier import Matrix
from ftddm_core.imaging.geometry import regrid_nearest
from ftddm_core.imaging.volume import Study, Volume

if TYPE_CHECKING:  # the resolver imports torch, which baselines do not need
    from ftddm_core.sampling.resolver import SuperResolver
    from ftddm_core.settings import SamplerSettings

Method = Callable[[Study, Matrix, float], Mapping[str, Volume]]
"""``method(low_study, matrix, upscale)`` -> metabolite -> map on the output matrix."""

MIN_VOXELS = 20
"""Slices with fewer trusted voxels are skipped: their metrics would be unreliable."""


def baseline_methods() -> dict[str, Method]:
    """Return every entry of `BASELINES` as a method."""

    def method_of(name: str) -> Method:
        return lambda study, matrix, s: run_baseline(BASELINES[name], study, s, matrix)

    return {name: method_of(name) for name in BASELINES}


def ftddm_method(
    resolver: SuperResolver,
    settings: SamplerSettings,
    cancelled: Callable[[], bool] = lambda: False,
) -> Method:
    """Return a resolver as a method; the comparison sets `upscale`, `settings` the rest."""

    def method(study: Study, matrix: Matrix, upscale: float) -> Mapping[str, Volume]:
        chosen = settings.replace(upscale=upscale)
        return resolver.run(study, chosen, matrix=matrix, cancelled=cancelled).maps

    return method


def metrics_of(study: Study, upscale: float, maps: Mapping[str, Volume]) -> dict[str, Any]:
    """Return metabolite -> metrics of the restored maps of a study that was degraded, for a record.

    Each is over the slices that `compare` measures, None where it is undefined; errors as there.
    """
    rows = compare(study, [upscale], {"": lambda low, matrix, s: maps})
    return {
        line["metabolite"]: {
            key: round(line[key], 6) if np.isfinite(line[key]) else None for key in METRICS
        }
        for line in summarise(rows, by=("metabolite",))
    }


def compare(
    study: Study,
    upscales: Sequence[float],
    methods: Mapping[str, Method],
    *,
    case: str = "",
    noise_free: Study | None = None,
    progress: Callable[[float], None] = lambda done: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[Row]:
    """Measure every method at every factor on one case.

    Parameters
    ----------
    study
        High-resolution maps (Nx, Ny, Z) with a mask. The truth is each map inside its mask;
        slices with fewer than 20 trusted voxels are skipped.
    upscales
        Factors s.
    methods
        Name -> method.
    case
        Name of the case, for the rows.
    noise_free
        The same maps without noise, for `sharpness_noise_free`.
    progress
        Callback with the share of the work that is done, 0..1.
    cancelled
        Callback before every method: whether to stop.

    Returns
    -------
    list of Row
        By upscale, method, metabolite and slice.

    Raises
    ------
    Cancelled
        If `cancelled()` returns true.
    GeometryError
        If the study has no mask, or a method's map or a noise-free map has another matrix.
    FormatError
        If a method or the noise-free study lacks a metabolite.
    """
    truths = _truths(study, noise_free)
    matrix = (study.grid.shape[0], study.grid.shape[1])
    rows: list[Row] = []
    done = 0
    for upscale in upscales:
        low = degrade(study, upscale)
        for name, method in methods.items():
            if cancelled():
                raise Cancelled("The comparison was stopped.")
            start = time.perf_counter()
            maps = method(low, matrix, upscale)
            seconds = time.perf_counter() - start
            found = list(_measure(name, maps, truths, coarse_matrix(matrix, upscale)))
            rows += [
                Row(case, name, upscale, metabolite, k, values, seconds / len(found))
                for metabolite, k, values in found
            ]
            done += 1
            progress(done / (len(upscales) * len(methods)))
    return rows


@dataclass(frozen=True, eq=False)
class _Truth:
    """A map inside its mask, the mask, and the map without noise: (Nx, Ny, Z) each."""

    measured: FloatArray
    mask: BoolArray
    noise_free: FloatArray | None


def _truths(study: Study, noise_free: Study | None) -> dict[str, _Truth]:
    truths = {}
    for name, volume in study.maps.items():
        given = study.mask_of(name)
        if given is None:
            raise GeometryError(f"{name} has no mask; give the voxels to compare in.")
        mask = np.asarray(regrid_nearest(given, volume.shape, volume.affine).data > 0)
        exact = None
        if noise_free is not None:
            found = _find("noise-free study", noise_free.maps, name, volume.shape)
            exact = np.where(mask, found.data, 0)
        truths[name] = _Truth(
            np.where(mask & np.isfinite(volume.data), volume.data, 0),
            mask,
            exact,
        )
    return truths


def _measure(
    method: str, maps: Mapping[str, Volume], truths: Mapping[str, _Truth], acquired: Matrix
) -> Iterator[tuple[str, int, dict[str, float]]]:
    """Yield metabolite, slice and metrics of every slice with enough trusted voxels."""
    for name, truth in truths.items():
        volume = _find(method, maps, name, truth.mask.shape)
        for k in np.flatnonzero(truth.mask.sum((0, 1)) >= MIN_VOXELS):
            exact = None if truth.noise_free is None else truth.noise_free[..., k]
            yield (
                name,
                int(k),
                slice_metrics(
                    volume.data[..., k], truth.measured[..., k], truth.mask[..., k], acquired, exact
                ),
            )


def slice_metrics(
    output: FloatArray,
    truth: FloatArray,
    mask: BoolArray,
    acquired: Matrix,
    noise_free: FloatArray | None = None,
) -> dict[str, float]:
    """Return the values of a `Row`: all metrics of a slice, and the parts of its sharpness.

    Parameters
    ----------
    output, truth, mask, acquired
        As for `evaluate`.
    noise_free
        The truth without noise (Nx, Ny), 0 outside the mask; None if unknown.

    Raises
    ------
    GeometryError
        As for `evaluate`.
    """
    values = evaluate(output, truth, mask, acquired)
    values[DETAIL], values[DETAIL_TRUTH] = detail(output, truth, mask, acquired)
    if noise_free is not None:
        exact, _ = detail(noise_free, truth, mask, acquired)
        values[DETAIL_NOISE_FREE] = exact
        values[NOISE_FREE] = values[DETAIL] / exact if exact > NO_DETAIL else np.nan
    return values


def _find(
    source: str, maps: Mapping[str, Volume], metabolite: str, shape: tuple[int, ...]
) -> Volume:
    if metabolite not in maps:
        raise FormatError(f"{source}: no map of {metabolite}; there are {', '.join(maps)}.")
    if maps[metabolite].shape != shape:
        raise GeometryError(
            f"{source}: {metabolite} has matrix {maps[metabolite].shape}, the truth {shape}; "
            "both must be on the grid of the high-resolution study."
        )
    return maps[metabolite]


def sharpness_sweep(
    study: Study,
    upscale: float,
    resolver: SuperResolver,
    settings: SamplerSettings,
    taus: Sequence[float] = (0.0, 0.5, 1.0),
    *,
    noise_free: Study | None = None,
    progress: Callable[[float], None] = lambda done: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Table:
    """Return the effect of each temperature on sharpness: tau_f alone, tau_d alone, and both.

    tau_f is varied at T_trunc = 0, the flow alone, where nothing else is random; tau_d and both at
    T_trunc = 100. The other temperature and all other settings are as in `settings`.

    Parameters
    ----------
    study, noise_free
        As for `compare`.
    upscale
        Factor s.
    resolver, settings
        The method; `steps` of the settings applies at T_trunc = 100. Automatic weights are set to
        1, to show the full effect of a temperature.
    taus
        Temperatures to try.
    progress, cancelled
        As for `compare`; `cancelled` is also called between denoising steps.

    Returns
    -------
    list of dict
        `varied`, `t_trunc`, `tau`, `sharpness` (and `sharpness_noise_free`), mean `psnr` in dB.

    Raises
    ------
    Cancelled, FormatError, GeometryError, SettingsError
        As for `compare`, and if a temperature is out of bounds.
    """
    plans: dict[str, tuple[dict[str, int | None], tuple[str, ...]]] = {
        "tau_flow": ({"t_trunc": 0, "steps": None}, ("tau_flow",)),
        "tau_diffusion": ({"t_trunc": 100}, ("tau_diffusion",)),
        "both": ({"t_trunc": 100}, ("tau_flow", "tau_diffusion")),
    }
    given = (settings.mri_weight, settings.detail)
    weights = (1.0 if weight is None else weight for weight in given)
    settings = settings.replace(**dict(zip(("mri_weight", "detail"), weights, strict=True)))
    heads: dict[str, dict[str, Any]] = {}
    methods: dict[str, Method] = {}
    for varied, (fixed, temperatures) in plans.items():
        for tau in taus:
            chosen = settings.replace(**fixed, **dict.fromkeys(temperatures, tau))
            name = f"{varied} {tau:g}"
            heads[name] = {"varied": varied, "t_trunc": chosen.t_trunc, "tau": tau}
            methods[name] = ftddm_method(resolver, chosen, cancelled)
    rows = compare(
        study,
        (upscale,),
        methods,
        noise_free=noise_free,
        progress=progress,
        cancelled=cancelled,
    )
    return [
        heads[line["method"]]
        | {key: line[key] for key in ("sharpness", NOISE_FREE, "psnr") if key in line}
        for line in summarise(rows, by=("method",))
    ]
