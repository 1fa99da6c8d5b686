"""The methods of a reader study, as they are named on the command line, and their maps."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.conventions import channel
from ftddm_core.errors import FormatError, SettingsError
from ftddm_core.evaluation.baselines import BASELINES
from ftddm_core.imaging.degrade import degrade
from ftddm_core.imaging.fourier import Matrix
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.sampling.condition import Condition, form_conditions
from ftddm_core.settings import SamplerSettings, controls
from ftddm_viewer.readers.items import TOO_FEW
from ftddm_viewer.readers.saved import odd_units, saved_maps
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.restoring import Bar, check_first

FTDDM, SAVED, TRUTH = "ftddm", "maps", "truth"
KINDS = (*BASELINES, FTDDM, SAVED, TRUTH)
SPELT = re.compile(rf"(?:([^=:,]+)=)?({'|'.join(KINDS)})(?::(.+))?")
USUAL = ("zero-filling", "ftddm")


@dataclass(frozen=True)
class Method:
    """One method.

    Parameters
    ----------
    name
        In tables; readers never see it.
    kind
        One of `KINDS`.
    settings
        Of FTDDM, those that differ from the command's.
    folder
        Of saved maps.
    """

    name: str
    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    folder: str = ""

    def record(self, common: SamplerSettings) -> dict[str, Any]:
        """Return what the key says of it."""
        found: dict[str, Any] = {"Name": self.name, "Kind": self.kind}
        if self.kind == FTDDM:
            found["Settings"] = common.replace(**self.settings).to_dict()
        if self.kind == SAVED:
            found["Folder"] = self.folder
        return found


def methods_of(words: Sequence[str]) -> list[Method]:
    """Return the methods that some words name.

    Raises
    ------
    SettingsError
        If a word names none, there is only one, or two have the same name.
    """
    found = [method_of(word) for word in words or USUAL]
    if len(found) < 2:
        raise SettingsError(TOO_FEW)
    names = [method.name.casefold() for method in found]
    if twice := next((m.name for m in found if names.count(m.name.casefold()) > 1), ""):
        raise SettingsError(f"Two methods are called {twice}: name them, as in fast=ftddm:steps=5.")
    return found


def method_of(word: str) -> Method:
    """Return the method that a word names: [NAME=]KIND[:settings or folder].

    >>> method_of("fast=ftddm:steps=5,tau_flow=0").settings
    {'steps': 5, 'tau_flow': 0.0}

    Raises
    ------
    SettingsError
        If it names none, or a setting has another value than it may.
    """
    match = SPELT.fullmatch(word.strip())
    if match is None or (match[3] and match[2] not in (FTDDM, SAVED)):
        raise SettingsError(
            f"{word!r:.80} is not a method: give {', '.join(BASELINES)}, {TRUTH}, {FTDDM}, "
            f"{FTDDM}:steps=10,tau_flow=0.5 or {SAVED}:FOLDER, each with NAME= before it if you "
            "like."
        )
    name, kind, rest = match.groups()
    if kind == FTDDM:
        settings = dict(_setting(part) for part in (rest or "").split(",") if part)
        SamplerSettings.from_dict(settings)
        return Method(name or f"FTDDM {rest or ''}".strip(), kind, settings)
    if kind == SAVED:
        if not rest:
            raise SettingsError(f"{word!r:.80} lacks the folder of the maps: {SAVED}:FOLDER.")
        return Method(name or Path(rest).name, kind, folder=rest)
    return Method(name or kind, kind)


def _setting(part: str) -> tuple[str, Any]:
    name, _, text = part.partition("=")
    name = name.strip().replace("-", "_")
    known = {control.name: control for control in controls()}
    if name not in known or name == "upscale":
        raise SettingsError(
            f"{name!r:.40} is not a setting of a method: choose among "
            f"{', '.join(other for other in known if other != 'upscale')}."
        )
    kind = known[name].type
    if kind not in (int, float):
        return name, text
    if not text and known[name].optional:
        return name, None
    try:
        return name, kind(text)
    except ValueError:
        raise SettingsError(f"{part!r:.40}: {name} takes a number.") from None


@dataclass(frozen=True, eq=False)
class Compared:
    """The maps of a study, all on one grid.

    Parameters
    ----------
    maps
        Method -> metabolite -> map.
    masks
        Metabolite -> trusted voxels (Nx, Ny, Z).
    anatomy
        T1w image on the same grid, scaled to 1; None without one.
    slices
        Those that are shown.
    notes
        What a careful user would want to know.
    """

    maps: Mapping[str, Mapping[str, Volume]]
    masks: Mapping[str, NDArray[np.bool_]]
    anatomy: Volume | None
    slices: tuple[int, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What is computed of every study.

    Parameters
    ----------
    methods
        At least two.
    settings
        Those that the methods of FTDDM have in common, with the factor.
    degraded
        Factor by which the study is degraded first, None to enlarge it as it is.
    metabolites
        Names, those of the study in its order if there are none.
    slices
        How many slices.
    chosen
        The slices themselves, before `slices`.
    """

    methods: Sequence[Method]
    settings: SamplerSettings
    degraded: float | None
    metabolites: Sequence[str]
    slices: int
    chosen: Sequence[int] = ()


def compared(plan: Plan, study: Study, key: str, model: Model, bar: Bar) -> Compared:
    """Compute every method's maps of a study.

    Parameters
    ----------
    plan
        What to compute.
    study
        Maps as they were acquired, or high-resolution ones that are degraded first.
    key
        Name of the study, by which a folder of saved maps has one of its own for it.
    model, bar
        The networks, and progress.

    Raises
    ------
    FormatError, GeometryError, SettingsError
        If a metabolite or slice is missing, or a method cannot be applied.
    """
    if plan.degraded is None and any(method.kind == TRUTH for method in plan.methods):
        raise SettingsError(
            "The truth is known only where the study is degraded first: give the factor, or leave "
            "the truth out."
        )
    study = _only(plan.metabolites or list(study.maps), study, key)
    matrix: Matrix | None = None
    acquired, upscale = study, plan.settings.upscale or 0.0
    if plan.degraded is not None:
        acquired, upscale = degrade(study, plan.degraded), plan.degraded
        matrix = (study.grid.shape[0], study.grid.shape[1])
    elif not upscale:
        upscale = model.usual_upscale(study)
    conditions = list(form_conditions(acquired, upscale, matrix))
    masks = {condition.metabolite: condition.mask for condition in conditions}
    slices = _slices(plan, next(iter(masks.values())))
    maps: dict[str, Mapping[str, Volume]] = {}
    notes: list[str] = []
    for method in plan.methods:
        if method.kind in BASELINES:
            run = BASELINES[method.kind]
            maps[method.name] = {c.metabolite: c.volume(run(c)) for c in conditions}
        elif method.kind == FTDDM:
            settings = plan.settings.replace(upscale=upscale, **method.settings)
            maps[method.name] = _sampled(model, acquired, conditions, settings, slices, bar)
        elif method.kind == SAVED:
            maps[method.name] = saved_maps(method.name, Path(method.folder), conditions, key)
            notes += odd_units(method.name, maps[method.name], conditions, key)
        else:
            maps[method.name] = dict(study.maps)
    first = conditions[0]
    t1 = first.volume(first.channels[channel("t1"), : first.shape[0], : first.shape[1]])
    anatomy = t1 if t1.data.any() else None
    return Compared(maps, masks, anatomy, slices, tuple(notes))


def _only(names: Sequence[str], study: Study, key: str) -> Study:
    """Return a study with some of its maps, in this order."""
    if lacking := [name for name in names if name not in study.maps]:
        raise FormatError(
            f"{key} has no map of {lacking[0]}; there are {', '.join(study.maps)}. Choose among "
            "those that all studies have."
        )
    mask = study.mask
    return replace(
        study,
        maps={name: study.maps[name] for name in names},
        mask={n: m for n, m in mask.items() if n in names} if isinstance(mask, Mapping) else mask,
        crlb={name: bound for name, bound in study.crlb.items() if name in names},
        noise={name: noise for name, noise in study.noise.items() if name in names},
    )


def _slices(plan: Plan, mask: NDArray[np.bool_]) -> tuple[int, ...]:
    """Return the chosen slices, else some that are evenly spread over those with much brain."""
    if plan.chosen:
        if bad := [k for k in plan.chosen if not 0 <= k < mask.shape[2]]:
            raise SettingsError(
                f"There is no slice {bad[0]}: choose from 0 to {mask.shape[2] - 1}."
            )
        return tuple(dict.fromkeys(plan.chosen))
    area = mask.sum((0, 1))
    large = np.flatnonzero(area >= area.max() / 2)
    count = min(plan.slices, len(large))
    places = (np.arange(count) + 0.5) * len(large) / count
    return tuple(int(large[int(place)]) for place in places)


def _sampled(
    model: Model,
    study: Study,
    conditions: Sequence[Condition],
    settings: SamplerSettings,
    slices: Collection[int],
    bar: Bar,
) -> Mapping[str, Volume]:
    check = check_first(model, study, settings, bar)
    result = None
    with bar("sampling") as progress:
        for update in model.load().sample(conditions, settings, check=check, slices=slices):
            progress(update.done)
            result = update.result
    if result is None:
        raise RuntimeError("The stream ended without a result.")
    return result.maps
