"""A sweep over settings and what it found: sharpness against fidelity, as plain data."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice, product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import SettingsError
from ftddm_core.samplers import SAMPLERS
from ftddm_core.sampling.self_check import SelfCheck
from ftddm_core.settings import Control, SamplerSettings, Value, controls
from ftddm_viewer.session.case import Mode, Prepared

SWEPT = ("tau_flow", "tau_diffusion", "t_trunc", "mri_weight", "detail", "upscale")
"""Settings that can be swept."""

USUAL_VALUES: Mapping[str, tuple[float, ...]] = {
    "tau_flow": (0.0, 0.5, 1.0),
    "tau_diffusion": (0.0, 0.5, 1.0),
    "t_trunc": (0, 50, 100),
    "mri_weight": (0.0, 0.5, 1.0),
    "detail": (0.0, 0.5, 1.0),
    "upscale": (2.0, 3.0, 4.0),
}
"""Values that front ends offer."""

USUALLY_SWEPT = ("tau_flow", "tau_diffusion", "t_trunc")

MOST_POINTS = 500

TOGETHER = 9
"""Number of points that are drawn at once, all of the usual temperatures: more are hardly quicker,
and a live image waits for one of their steps."""

FIDELITY = {
    "psnr": "PSNR (dB)",
    "nrmse": "NRMSE",
    "gain": "gain in the self-check (dB)",
    "spread": "spread of the samples / map",
}
"""Measures of fidelity: the first two need a reference, the others do without."""

SHARPNESS = {True: "sharpness (1: as the reference)", False: "gradient (1: as zero-filled)"}
"""Whether there is a reference -> what the measure of sharpness is."""

BoolArray = NDArray[np.bool_]


def limited_steps(wanted: Mapping[str, Any]) -> SamplerSettings:
    """Return settings in which the steps follow T_trunc if it is below them."""
    limited = dict(wanted)
    if (wanted["steps"] or 0) > wanted["t_trunc"]:
        limited["steps"] = wanted["t_trunc"] or None
    return SamplerSettings.from_dict(limited)


@dataclass(frozen=True, eq=False)
class Sweep:
    """Which settings to try on one slice.

    Parameters
    ----------
    prepared
        Case, mode and input at the factor that was chosen when the sweep began.
    metabolite, slice_index
        The slice; slices count from 0.
    wanted
        Every setting by name, as chosen by the user; the swept ones are replaced.
    values
        Setting -> the values to try; every combination is a point.
    region
        Voxels (Nx, Ny) of the output grid to measure in; None for all trusted voxels.

    Raises
    ------
    SettingsError
        If a setting cannot be swept, a value is not allowed, there are too many points, or no
        trusted voxel to measure in.
    """

    prepared: Prepared
    metabolite: str
    slice_index: int
    wanted: Mapping[str, Any]
    values: Mapping[str, tuple[Value, ...]]
    region: BoolArray | None = None

    def __post_init__(self) -> None:
        known = {control.name: control for control in controls() if control.name in SWEPT}
        if not self.values or not all(self.values.values()):
            raise SettingsError("There is nothing to sweep: give values of at least one setting.")
        if unknown := [name for name in self.values if name not in known]:
            raise SettingsError(
                f"{', '.join(unknown)} cannot be swept: choose among {', '.join(SWEPT)}."
            )
        checked = {
            name: tuple(sorted({control.check(value) for value in self.values[name]}, key=_number))
            for name, control in known.items()
            if name in self.values
        }
        object.__setattr__(self, "values", checked)
        if (count := prod(map(len, checked.values()))) > MOST_POINTS:
            raise SettingsError(
                f"The sweep would have {count} points, more than {MOST_POINTS}: give fewer values."
            )
        mask = self.prepared.conditions[self.metabolite].mask[..., self.slice_index]
        if self.region is not None and self.region.shape != mask.shape:
            raise SettingsError(
                f"The region has the matrix {self.region.shape}, the map {mask.shape}: draw it "
                "again on the map."
            )
        if not (mask if self.region is None else mask & self.region).any():
            raise SettingsError(
                "There is no trusted voxel to measure in: choose another slice or region."
            )

    @property
    def axes(self) -> tuple[Control, ...]:
        """The swept settings, those with the most values first."""
        swept = [control for control in controls() if control.name in self.values]
        return tuple(sorted(swept, key=lambda control: -len(self.values[control.name])))

    @property
    def place(self) -> tuple[Mode, str, int]:
        """Mode, metabolite and slice."""
        return self.prepared.mode, self.metabolite, self.slice_index

    @property
    def has_reference(self) -> bool:
        """Whether the truth is known."""
        return self.prepared.reference is not None

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures of fidelity that are defined, the usual one first."""
        return ("psnr", "nrmse") if self.has_reference else ("gain", "spread")

    @cached_property
    def points(self) -> tuple[SamplerSettings, ...]:
        """The settings to try, the corners first; each that makes a different image once."""
        ends = {name: (found[0], found[-1]) for name, found in self.values.items()}
        combined = [
            dict(zip(self.values, chosen, strict=True)) for chosen in product(*self.values.values())
        ]
        combined.sort(key=lambda at: not all(at[name] in ends[name] for name in at))
        return tuple(dict.fromkeys(self._effective(at) for at in combined))

    def _effective(self, at: Mapping[str, Value]) -> SamplerSettings:
        """Return the settings of a point, with the usual value of a temperature without effect."""
        settings = limited_steps({**self.wanted, **at})
        alone = settings.t_trunc == 0 or SAMPLERS[settings.sampler_used].deterministic
        if alone and "tau_diffusion" in at:
            return settings.replace(tau_diffusion=self.wanted["tau_diffusion"])
        return settings

    @property
    def corners(self) -> tuple[SamplerSettings, ...]:
        """The points at the ends of every axis."""
        ends = {name: (found[0], found[-1]) for name, found in self.values.items()}
        return tuple(
            dict.fromkeys(
                self._effective(dict(zip(ends, chosen, strict=True)))
                for chosen in product(*ends.values())
            )
        )

    def changes(self, settings: SamplerSettings) -> dict[str, Value]:
        """Return what to change of the session's settings to have a point's image."""
        given = {name: getattr(settings, name) for name in self.values}
        if "upscale" in self.values:  # weights were fixed: another factor has another self-check
            given |= {name: getattr(settings, name) for name in ("mri_weight", "detail")}
        return given


@dataclass(frozen=True, eq=False)
class Point:
    """One image of a sweep.

    Parameters
    ----------
    settings
        As the user would choose them.
    exact
        With all automatic values filled in.
    image
        The map shown (Nx, Ny), in its unit; NaN outside the mask.
    figures
        "sharpness"; with a reference "psnr" and "nrmse", without one "gain" and "spread"; the
        k-space "residual", and "noise_residual", that expected from noise alone. NaN where not
        defined.
    check
        The self-check behind automatic weights; None if there was none.
    """

    settings: SamplerSettings
    exact: SamplerSettings
    image: NDArray[np.float32]
    figures: dict[str, float]
    check: SelfCheck | None = None


@dataclass(frozen=True, eq=False)
class Exploration:
    """A sweep and the points that were computed so far.

    Parameters
    ----------
    sweep
        What to compute.
    points
        In the order in which they were computed.
    here
        The image at the settings that are chosen, whether or not it belongs to the sweep.
    running
        Whether points that are still missing are to be computed.
    problem
        Why it stopped, "" where there is no error.
    note
        What the user should know about the figures.
    baseline
        The same figures of the zero-filled map, as far as they are defined.
    """

    sweep: Sweep
    points: tuple[Point, ...] = ()
    here: Point | None = None
    running: bool = True
    problem: str = ""
    note: str = ""
    baseline: Mapping[str, float] = field(default_factory=dict)

    @property
    def missing(self) -> tuple[SamplerSettings, ...]:
        """Settings whose points are still to be computed."""
        known = {point.settings for point in self.points}
        return tuple(settings for settings in self.sweep.points if settings not in known)

    @property
    def next(self) -> tuple[SamplerSettings, ...]:
        """The missing settings to compute next, in one batch."""
        missing = self.missing
        alike = (settings for settings in missing if settings.chain == missing[0].chain)
        return tuple(islice(alike, TOGETHER))

    @property
    def progress(self) -> float:
        """Share of the points that are computed, 0..1."""
        return len(self.points) / len(self.sweep.points)

    @property
    def corners(self) -> tuple[Point, ...]:
        """The points at the ends of every axis, as far as they are computed."""
        known = {point.settings: point for point in self.points}
        return tuple(known[settings] for settings in self.sweep.corners if settings in known)

    def adding(self, *more: Point, here: bool = False) -> Exploration:
        """Return the exploration with more points, or with that `here`."""
        if here:
            return replace(self, here=more[-1])
        points = (*self.points, *more)
        return replace(self, points=points, running=len(points) < len(self.sweep.points))

    def checked(self, check: SelfCheck | None) -> Exploration:
        """Return the exploration without the points that had another self-check."""
        kept = tuple(point for point in self.points if point.check is check)
        if len(kept) == len(self.points):
            return self
        return replace(self, points=kept, running=True)


def words_of(settings: SamplerSettings, axes: Sequence[Control]) -> str:
    """Return the values of some settings in words, as in "τ_f 0.5, τ_d 1"."""
    values = ((control, getattr(settings, control.name)) for control in axes)
    return ", ".join(
        f"{control.symbol} {control.empty if value is None else format(value, '.3g')}"
        for control, value in values
    )


def table_of(exploration: Exploration) -> str:
    """Return all points as CSV: where, every setting that was used, and the figures."""
    sweep = exploration.sweep
    points = sorted(exploration.points, key=lambda point: sweep.points.index(point.settings))
    names = list(dict.fromkeys(name for point in points for name in point.figures))
    settings = [control.name for control in controls()]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["case", "mode", "metabolite", "slice", *settings, *names])
    mode, metabolite, k = sweep.place
    for point in points:
        writer.writerow(
            [sweep.prepared.case.label, mode, metabolite, k]
            + [_cell(getattr(point.exact, name)) for name in settings]
            + [_cell(point.figures.get(name, np.nan)) for name in names]
        )
    return text.getvalue()


def _cell(value: Value) -> str:
    """Return a value for a table, empty where it is not defined."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    return f"{value:.8g}" if isinstance(value, float) else str(value)


def _number(value: Value) -> float:
    if value is None:
        raise SettingsError("A sweep takes numbers, not automatic values.")
    return float(value)
