"""Protocols: methods and cases of an evaluation, read from a TOML file.

`brief`, `quick`, `full`, `kinds` and `calibration` are bundled. User-visible defaults, above all
the default temperatures, are never repeated in such a file: it says "default".
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ftddm_core.conventions import N_TRAIN_STEPS, UPSCALE_BOUNDS
from ftddm_core.errors import FormatError, SettingsError
from ftddm_core.imaging.fourier import Matrix
from ftddm_core.samplers import FEW_STEPS_SAMPLER, FULL_SAMPLER
from ftddm_core.settings import AUTOMATIC, DEFAULT_TAU_DIFFUSION, DEFAULT_TAU_FLOW, SamplerSettings

BUNDLED = Path(__file__).parent / "protocols"

PLAIN_KINDS = ("zero-filling", "bicubic", "guided-tv", "regression", "measurement", "inside")
"""Methods without sampling and settings; the last two are the estimate from the measurement alone,
and the least-squares map inside the mask (a channel of the condition)."""

SAMPLING_KINDS: dict[str, dict[str, Any]] = {
    "ftddm": {},
    "ddpm": {"t_trunc": N_TRAIN_STEPS},
    "ddim": {"t_trunc": N_TRAIN_STEPS, "sampler": "ddim"},
}
"""Methods that draw samples -> the settings of the kind."""

MRI = ("t1", "flair")

Part = TypeVar("Part", float, str)

DEFAULT = "default"
"""In place of a temperature: the defaults of both in `settings`."""

WHOLE: dict[str, float | None] = {"mri_weight": 1.0, "detail": 1.0}
"""Default weights of a method: full MRI weight and all drawn detail, so that only the method itself
is measured; `AUTOMATIC` in place of a weight takes that of the self-check."""


@dataclass(frozen=True)
class MethodPlan:
    """One method of a protocol.

    Parameters
    ----------
    name
        Unique name for tables and figures.
    kind
        One of `PLAIN_KINDS` or a key of `SAMPLING_KINDS`.
    settings
        Sampling settings without `upscale`; None for a plain kind.
    samples
        Number of draws; draw i has the settings' seed + i, so that methods share draws.
    factors, metabolites
        Factors and metabolites it runs on.
    drop
        MRI withheld from the method, of `MRI`.
    """

    name: str
    kind: str
    settings: SamplerSettings | None
    factors: tuple[float, ...]
    metabolites: tuple[str, ...]
    samples: int = 1
    drop: tuple[str, ...] = ()

    def is_sampler(
        self, t_trunc: int, *, tau: float | str | None = None, steps: int | None = None
    ) -> bool:
        """Return whether this is FTDDM itself with these settings and all MRI.

        That is: the default sampler of the full chain or of fewer `steps`, data consistency to
        within the noise, and all drawn detail.
        """
        chosen = self.settings
        if chosen is None or self.drop or chosen.consistency != "noise":
            return False
        if (chosen.mri_weight, chosen.detail) != (1, 1):
            return False
        used = FULL_SAMPLER if steps is None else FEW_STEPS_SAMPLER
        return (chosen.sampler_used, chosen.t_trunc, chosen.steps) == (used, t_trunc, steps) and (
            tau is None or temperatures(self) == temperatures_of(tau)
        )


@dataclass(frozen=True)
class Choice:
    """Choice of the default temperatures, on subjects separate from the test.

    Parameters
    ----------
    anatomies
        Names of the label maps.
    patients
        Number of patients simulated from each.
    factors, metabolites, taus
        Runs: FTDDM with T_trunc 100 and the full chain, both temperatures equal.
    """

    anatomies: tuple[str, ...]
    patients: int
    factors: tuple[float, ...]
    metabolites: tuple[str, ...]
    taus: tuple[float, ...]


@dataclass(frozen=True)
class Robustness:
    """Tests on patients unlike the training data; see `kinds`.

    Parameters
    ----------
    patients
        Number of patients simulated from each anatomy of the test.
    factors, metabolites
        Factors and metabolites to run.
    steps
        Steps of every chain from T_trunc 100.
    samples
        Number of draws at temperature 1 for calibration; `measure` takes the mean of 16 of them.
    calibration_only
        Whether only these draws are made, on literature, randomised and null patients.
    """

    patients: int
    factors: tuple[float, ...]
    metabolites: tuple[str, ...]
    steps: int
    samples: int
    calibration_only: bool = False


@dataclass(frozen=True)
class Protocol:
    """What an evaluation compares, on which cases.

    Parameters
    ----------
    name
        Name for the results.
    anatomies
        Names of the label maps of the test, without their endings.
    patients, slices, patient_seed
        Patients simulated from each anatomy, every one with a tumour; adjacent slices of each,
        the middle one through the tumour's centre; the seed of all of them.
    matrix, voxel
        In-plane matrix of the truth, and its isotropic voxel in mm.
    factors, metabolites
        All factors and metabolites that any method runs on.
    methods
        In the order of the tables.
    choice
        Choice of the default temperatures; None to leave it out.
    timing
        Factor and metabolites of the one case that every method is timed on; None for no timing.
    flow_levels
        Noise levels t at which the flow's likelihood is measured; empty to leave it out.
    robustness
        Tests on other kinds of patients and on a measured study; None to leave them out.
    content
        Content of the TOML file, for `parse`.
    """

    name: str
    anatomies: tuple[str, ...]
    patients: int
    slices: int
    patient_seed: int
    matrix: Matrix
    voxel: float
    factors: tuple[float, ...]
    metabolites: tuple[str, ...]
    methods: tuple[MethodPlan, ...]
    choice: Choice | None = None
    timing: tuple[float, tuple[str, ...]] | None = None
    flow_levels: tuple[int, ...] = field(default=())
    robustness: Robustness | None = None
    content: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def load(cls, name_or_path: str | Path) -> Protocol:
        """Read a bundled protocol by its name, or a TOML file.

        Raises
        ------
        FormatError
            If there is no such file or it is not TOML.
        SettingsError
            If an entry is unknown or invalid; the message names it.
        """
        bundled = BUNDLED / f"{name_or_path}.toml"
        path = bundled if bundled.is_file() else Path(name_or_path)
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            names = ", ".join(sorted(p.stem for p in BUNDLED.glob("*.toml")))
            raise FormatError(
                f"The protocol {path} cannot be read: {error}. Give {names}, or a TOML file."
            ) from None
        try:
            return parse(content)
        except SettingsError as error:
            raise SettingsError(f"{path}: {error}") from None


def parse(content: Mapping[str, Any]) -> Protocol:
    """Return the protocol that the content of a TOML file describes; errors as `Protocol.load`."""
    known = (
        "name", "anatomies", "patients", "slices", "patient_seed", "matrix", "voxel", "factors",
        "metabolites", "method", "choice", "timing", "flow_levels", "robustness",
    )  # fmt: skip
    _only(content, known, "the protocol")
    factors = _factors(_need(content, "factors", list), "factors")
    metabolites = _names(_need(content, "metabolites", list), "metabolites")
    matrix = _need(content, "matrix", list)
    if len(matrix) != 2 or any(not isinstance(n, int) or n < 16 or n % 2 for n in matrix):
        raise SettingsError(f"matrix is {matrix}: give two even numbers of 16 or more.")
    voxel = _need(content, "voxel", (int, float))
    if not 0 < voxel < 100:
        raise SettingsError(f"voxel is {voxel} mm: give an edge between 0 and 100.")
    methods = [_method(entry, factors, metabolites) for entry in _need(content, "method", list)]
    names = [method.name for method in methods]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SettingsError(f"Two methods are called '{min(twice)}': give each its own name.")
    levels = content.get("flow_levels", [])
    if any(not isinstance(t, int) or not 1 <= t < N_TRAIN_STEPS for t in levels):
        raise SettingsError(f"flow_levels is {levels}: give whole numbers from 1 to 999.")
    if levels and len(set(levels)) < 2:
        raise SettingsError(f"flow_levels is {levels}: give two or more, to tell them apart.")
    return Protocol(
        name=_need(content, "name", str),
        anatomies=_names(_need(content, "anatomies", list), "anatomies"),
        patients=_count(content, "patients"),
        slices=_count(content, "slices"),
        patient_seed=_count(content, "patient_seed", least=0),
        matrix=(matrix[0], matrix[1]),
        voxel=float(voxel),
        factors=factors,
        metabolites=metabolites,
        methods=tuple(methods),
        choice=_choice(content.get("choice"), factors, metabolites),
        timing=_timing(content.get("timing"), factors, metabolites),
        flow_levels=tuple(levels),
        robustness=_robustness(content.get("robustness"), factors, metabolites),
        content=dict(content),
    )


def choice_methods(choice: Choice) -> tuple[MethodPlan, ...]:
    """Return the methods of a choice: two baselines, and FTDDM-100 at every temperature."""
    baselines = {"zero-filling": "zero-filling", "guided TV": "guided-tv"}
    return (
        *(
            MethodPlan(name, kind, None, choice.factors, choice.metabolites)
            for name, kind in baselines.items()
        ),
        *(
            MethodPlan(
                f"τ {tau:g}",
                "ftddm",
                SamplerSettings(
                    t_trunc=100, tau_flow=tau, tau_diffusion=tau, mri_weight=1, detail=1
                ),
                choice.factors,
                choice.metabolites,
            )
            for tau in choice.taus
        ),
    )


def temperatures(method: MethodPlan) -> tuple[float, float]:
    """Return tau_flow and tau_diffusion of a sampling method.

    Raises
    ------
    SettingsError
        If the method draws no samples.
    """
    if method.settings is None:
        raise SettingsError(f"{method.name} has no temperature: it draws no samples.")
    return method.settings.tau_flow, method.settings.tau_diffusion


def temperatures_of(tau: float | str) -> tuple[float, float]:
    """Return both temperatures of a number, or of "default"."""
    if tau == DEFAULT:
        return DEFAULT_TAU_FLOW, DEFAULT_TAU_DIFFUSION
    return float(tau), float(tau)


def denoiser_calls(method: MethodPlan) -> int:
    """Return the number of denoiser calls for one slice of one metabolite and one draw."""
    if method.settings is None:
        return 0
    steps = method.settings.steps
    return method.settings.t_trunc if steps is None else steps


def _method(
    entry: Mapping[str, Any], factors: tuple[float, ...], metabolites: tuple[str, ...]
) -> MethodPlan:
    name = _need(entry, "name", str)
    kind = _need(entry, "kind", str)
    own = ("name", "kind", "factors", "metabolites", "drop")
    kinds = (*PLAIN_KINDS, *SAMPLING_KINDS)
    if kind not in kinds:
        raise SettingsError(f"{name}: unknown kind '{kind}', there are {', '.join(kinds)}.")
    drop = tuple(entry.get("drop", ()))
    if not set(drop) <= set(MRI):
        raise SettingsError(f"{name}: drop is {list(drop)}, choose among {', '.join(MRI)}.")
    settings = None
    if kind in SAMPLING_KINDS:
        choices = ("tau", "tau_flow", "tau_diffusion", "t_trunc", "steps", "sampler", "seed",
                   "consistency", *WHOLE)  # fmt: skip
        _only(entry, (*own, *choices, "samples"), name)
        settings = _settings(name, {**SAMPLING_KINDS[kind], **entry}, choices)
    else:
        _only(entry, own, f"{name}, which draws no samples,")
    return MethodPlan(
        name,
        kind,
        settings,
        _part("factors", _factors(entry.get("factors", factors), name), factors, name),
        _part("metabolites", tuple(entry.get("metabolites", metabolites)), metabolites, name),
        _count(entry, "samples") if "samples" in entry else 1,
        drop,
    )


def _settings(name: str, entry: Mapping[str, Any], choices: Iterable[str]) -> SamplerSettings:
    values = {key: entry[key] for key in choices if key in entry}
    tau = values.pop("tau", DEFAULT)
    if isinstance(tau, str) and tau != DEFAULT:
        raise SettingsError(f'{name}: tau is {tau!r}, give a number from 0 to 1 or "{DEFAULT}".')
    both = dict(zip(("tau_flow", "tau_diffusion"), temperatures_of(tau), strict=True))
    weights = {
        key: None if values.get(key) == AUTOMATIC else values.get(key, whole)
        for key, whole in WHOLE.items()
    }
    try:
        return SamplerSettings.from_dict(both | values | weights)
    except SettingsError as error:
        raise SettingsError(f"{name}: {error}") from None


def _choice(
    entry: Mapping[str, Any] | None, factors: tuple[float, ...], metabolites: tuple[str, ...]
) -> Choice | None:
    if entry is None:
        return None
    _only(entry, ("anatomies", "patients", "factors", "metabolites", "taus"), "choice")
    taus = _need(entry, "taus", list)
    for tau in taus:
        _settings("choice", {"tau_flow": tau}, ("tau_flow",))
    return Choice(
        anatomies=_names(_need(entry, "anatomies", list), "choice: anatomies"),
        patients=_count(entry, "patients"),
        factors=_part("factors", _factors(entry.get("factors", factors), "choice"), factors, ""),
        metabolites=_part(
            "metabolites", tuple(entry.get("metabolites", metabolites)), metabolites, "choice"
        ),
        taus=tuple(float(tau) for tau in taus),
    )


def _robustness(
    entry: Mapping[str, Any] | None, factors: tuple[float, ...], metabolites: tuple[str, ...]
) -> Robustness | None:
    if entry is None:
        return None
    where = "robustness"
    known = ("patients", "factors", "metabolites", "steps", "samples", "calibration_only")
    _only(entry, known, where)
    held = tuple(entry.get("metabolites", metabolites))
    given = {"steps": 10, "samples": 19, **entry}
    return Robustness(
        patients=_count(entry, "patients"),
        factors=_part("factors", _factors(entry.get("factors", factors), where), factors, where),
        metabolites=_part("metabolites", held, metabolites, where),
        steps=_count(given, "steps"),
        samples=_count(given, "samples", least=2),
        calibration_only=_yes(entry, "calibration_only"),
    )


def _timing(
    entry: Mapping[str, Any] | None, factors: tuple[float, ...], metabolites: tuple[str, ...]
) -> tuple[float, tuple[str, ...]] | None:
    if entry is None:
        return None
    _only(entry, ("factor", "metabolites"), "timing")
    factor = _factors([_need(entry, "factor", (int, float))], "timing")
    named = tuple(entry.get("metabolites", metabolites))
    return _part("factor", factor, factors, "timing")[0], _part(
        "metabolites", named, metabolites, "timing"
    )


def _only(entry: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    if unknown := [key for key in entry if key not in known]:
        raise SettingsError(
            f"Unknown entry '{unknown[0]}' in {where}: remove it; there are {', '.join(known)}."
        )


def _need(entry: Mapping[str, Any], key: str, kind: type | tuple[type, ...]) -> Any:
    value = entry.get(key)
    if not isinstance(value, kind) or isinstance(value, bool) or value in ("", []):
        where = f" of '{entry['name']}'" if key != "name" and "name" in entry else ""
        raise SettingsError(f"'{key}'{where} is {'missing' if value is None else repr(value)}.")
    return value


def _yes(entry: Mapping[str, Any], key: str) -> bool:
    value = entry.get(key, False)
    if not isinstance(value, bool):
        raise SettingsError(f"'{key}' is {value!r}: give true or false.")
    return value


def _count(entry: Mapping[str, Any], key: str, least: int = 1) -> int:
    value = _need(entry, key, int)
    if value < least:
        raise SettingsError(f"'{key}' is {value}: give {least} or more.")
    return int(value)


def _names(values: Sequence[Any], where: str) -> tuple[str, ...]:
    if any(not isinstance(value, str) for value in values) or len(set(values)) < len(values):
        raise SettingsError(f"{where} is {list(values)}: give different names.")
    return tuple(values)


def _factors(values: Sequence[Any], where: str) -> tuple[float, ...]:
    low, high = UPSCALE_BOUNDS
    for value in values:
        if not isinstance(value, int | float) or not low <= value <= high:
            raise SettingsError(
                f"{where}: a factor is {value!r}, give numbers from {low} to {high}."
            )
    return tuple(float(value) for value in values)


def _part(
    what: str, values: tuple[Part, ...], allowed: tuple[Part, ...], where: str
) -> tuple[Part, ...]:
    if not values or not set(values) <= set(allowed):
        shown = ", ".join(map(str, allowed))
        raise SettingsError(f"{where}: {what} is {list(values)}, choose among {shown}.")
    return values
