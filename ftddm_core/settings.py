"""All controls of the method, defined once: default, bounds, unit, label, help and symbol.

A field of `SamplerSettings` is at the same time a slider in napari, a slider on the web page, a
command-line flag, an entry of the sidecar and a parameter of a permalink; front ends build all of
them from `controls`. This module does not import torch, so that menus open at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from numbers import Integral, Real
from typing import Any, get_args, get_type_hints

from ftddm_core.conventions import N_TRAIN_STEPS, UPSCALE_BOUNDS
from ftddm_core.errors import SettingsError
from ftddm_core.samplers import FEW_STEPS_SAMPLER, FULL_SAMPLER, SAMPLERS

DEFAULT_TAU_FLOW = 0.5
DEFAULT_TAU_DIFFUSION = 0.5
"""Below the highest temperature that clearly exceeds the other methods on the validation subjects,
which `ftddm evaluate` determines: on patients unlike the training data, the lower one is closer to
the truth. The paper uses 0.81."""
AUTOMATIC = "automatic"
"""In place of a sampler: chosen by the number of steps."""

CONSISTENCY = ("noise", "exact", "off")
"""Agreement of a map with the measurement: to within its noise, exact, or not enforced."""

Value = float | int | bool | str | None


@dataclass(frozen=True)
class Control:
    """Everything a front end needs to display, label and limit one setting.

    Attributes
    ----------
    name, symbol
        The field of `SamplerSettings`, and its symbol in the documentation.
    type, default
        float, int, bool or str; None only if ``optional``; the value then follows from the data or
        from another setting.
    bounds, step
        Smallest and largest allowed value, and a convenient increment; None unless a number.
    choices
        The values allowed; empty unless a str.
    unit
        Empty if dimensionless.
    label, help
        Short label of the control, and text of its tooltip.
    empty
        Label of the value None, "" if None is not allowed.
    """

    name: str
    type: type
    default: Value
    bounds: tuple[float, float] | None
    choices: tuple[str, ...]
    unit: str
    label: str
    help: str
    symbol: str
    step: float | None
    empty: str

    @property
    def optional(self) -> bool:
        """Whether None is allowed."""
        return bool(self.empty)

    def check(self, value: object) -> Value:
        """Return ``value`` as this control's own type.

        Raises
        ------
        SettingsError
            If it has another type, is not a number, out of bounds or not among the choices.
        """
        if value is None and self.optional:
            return None
        if self.type is bool and isinstance(value, bool):
            return value
        if isinstance(value, str) and value in self.choices:
            return value
        if self.bounds is not None and isinstance(value, Real) and not isinstance(value, bool):
            number = int(value) if isinstance(value, Integral) else float(value)
            if self.bounds[0] <= number <= self.bounds[1]:  # false for a NaN
                if self.type is float:
                    return float(number)
                if number == int(number):  # sliders may pass 100.0 for 100
                    return int(number)
        raise SettingsError(f"{self.label} ({self.name}) cannot be {value!r}: {self._advice()}.")

    def _advice(self) -> str:
        empty = ", or leave it empty" if self.optional else ""
        if self.bounds is not None:
            kind = "whole number" if self.type is int else "number"
            return f"give a {kind} from {self.bounds[0]:.10g} to {self.bounds[1]:.10g}{empty}"
        if self.choices:
            return f"choose one of {', '.join(self.choices)}{empty}"
        return f"give true or false{empty}"


def _control(
    default: Value,
    label: str,
    symbol: str,
    help: str,
    *,
    bounds: tuple[float, float] | None = None,
    step: float = 1,
    unit: str = "",
    choices: tuple[str, ...] = (),
    empty: str = "",
) -> Any:
    metadata = {"label": label, "symbol": symbol, "help": help, "unit": unit, "choices": choices}
    number = {"bounds": bounds, "step": step if bounds else None, "empty": empty}
    return field(default=default, metadata=metadata | number)


@dataclass(frozen=True)
class SamplerSettings:
    """Settings of one super-resolution; immutable and always valid.

    Raises
    ------
    SettingsError
        If a value has the wrong type or is out of bounds, or ``steps`` contradicts ``t_trunc``.

    Examples
    --------
    >>> SamplerSettings(upscale=4, steps=10)
    SamplerSettings(upscale=4.0, steps=10)
    """

    upscale: float | None = _control(
        None,
        "Upscaling",
        "s",
        "Output matrix divided by acquired matrix. Empty: the value that brings the voxels nearest "
        "to the 3.4 mm of the training data.",
        bounds=UPSCALE_BOUNDS,
        step=0.1,
        unit="×",
        empty="automatic",
    )
    tau_flow: float = _control(
        DEFAULT_TAU_FLOW,
        "Flow temperature",
        "τ_f",
        "Variance of the flow's latent noise. 0 gives the most probable start, 1 the full variety.",
        bounds=(0, 1),
        step=0.01,
    )
    tau_diffusion: float = _control(
        DEFAULT_TAU_DIFFUSION,
        "Diffusion temperature",
        "τ_d",
        "Variance of the noise in every denoising step. Higher is sharper, lower is closer to the "
        "average of all plausible maps.",
        bounds=(0, 1),
        step=0.01,
    )
    t_trunc: int = _control(
        100,
        "Truncation",
        "T_trunc",
        "Noise level at which the flow hands over to the denoiser. 0 is the flow alone, 1000 the "
        "full diffusion model without a flow.",
        bounds=(0, N_TRAIN_STEPS),
        unit="timesteps",
    )
    steps: int | None = _control(
        None,
        "Denoising steps",
        "steps",
        "Denoiser calls from T_trunc to 0. Empty: one for every timestep, the "
        "full chain; 10 is enough for a live preview.",
        bounds=(1, N_TRAIN_STEPS),
        empty="full chain",
    )
    samples: int = _control(
        1,
        "Samples",
        "samples",
        "Number of independent draws. With 8 or more, their spread shows the uncertainty.",
        bounds=(1, 64),
    )
    seed: int = _control(
        0,
        "Seed",
        "seed",
        "The same seed and settings give the same map, slice by slice.",
        bounds=(0, 2**32 - 1),
    )
    consistency: str = _control(
        "noise",
        "Data consistency",
        "DC",
        "Agreement with the measurement, enforced in every denoising step. noise: to within the "
        "noise of the acquired map. exact: including noise, as far as the mask allows. off: the "
        "network alone decides, as in the paper.",
        choices=CONSISTENCY,
    )
    noise: float | None = _control(
        None,
        "Noise",
        "σ",
        "Standard deviation of the acquired map's noise, in per cent of its scale. Empty: from the "
        "CRLB maps if available, else estimated from the map.",
        bounds=(0, 50),
        step=0.5,
        unit="%",
        empty="automatic",
    )
    mri_weight: float | None = _control(
        None,
        "MRI weight",
        "MRI",
        "Influence of T1 and FLAIR on the map: 0 none, 1 full, as in training. Empty: the weight "
        "that works best when the study is degraded once more and restored (the self-check).",
        bounds=(0, 1),
        step=0.01,
        empty="automatic",
    )
    detail: float | None = _control(
        None,
        "Detail",
        "detail",
        "Share of the drawn detail that is shown: 0 shows the estimate from the measurement alone, "
        "1 all drawn detail. Empty: the share that the study supports by its self-check.",
        bounds=(0, 1),
        step=0.01,
        empty="automatic",
    )
    sampler: str = _control(
        AUTOMATIC,
        "Sampler",
        "step",
        "Type of the denoising step. "
        f"{AUTOMATIC}: {FULL_SAMPLER} for the full chain, {FEW_STEPS_SAMPLER} for fewer steps. "
        + " ".join(f"{name} ({way.label}) {way.help}." for name, way in SAMPLERS.items()),
        choices=(AUTOMATIC, *SAMPLERS),
    )

    def __post_init__(self) -> None:
        for control in controls():
            object.__setattr__(self, control.name, control.check(getattr(self, control.name)))
        if self.steps is not None and self.steps > self.t_trunc:
            raise SettingsError(
                f"Truncation (t_trunc) is 0, the flow alone, yet {self.steps} denoising steps "
                "(steps) are asked for: leave steps empty, or raise t_trunc to at least that."
                if self.t_trunc == 0
                else f"Denoising steps (steps) is {self.steps} but truncation (t_trunc) is only "
                f"{self.t_trunc}: lower steps to 1..{self.t_trunc}, leave it empty for the full "
                "chain, or raise t_trunc."
            )

    def __repr__(self) -> str:
        """Return the call that makes them: the settings that are not at their defaults."""
        changed = (c for c in controls() if getattr(self, c.name) != c.default)
        return (
            f"SamplerSettings({', '.join(f'{c.name}={getattr(self, c.name)!r}' for c in changed)})"
        )

    @property
    def sampler_used(self) -> str:
        """The sampler that runs, one of `SAMPLERS`."""
        if self.sampler != AUTOMATIC:
            return self.sampler
        full = self.steps is None or self.steps == self.t_trunc
        return FULL_SAMPLER if full else FEW_STEPS_SAMPLER

    @property
    def random(self) -> bool:
        """Whether samples differ: a temperature that acts is above 0."""
        denoised = self.t_trunc > 0 and not SAMPLERS[self.sampler_used].deterministic
        return self.tau_flow > 0 or (denoised and self.tau_diffusion > 0)

    @property
    def chain(self) -> SamplerSettings:
        """The settings without temperatures and weights: slices with equal chains can be drawn in
        one batch."""
        return self.replace(tau_flow=0, tau_diffusion=0, mri_weight=None, detail=None)

    def exact(self, upscale: float | None) -> SamplerSettings:
        """Return the settings for the record, with all automatic choices filled in."""
        return self.replace(upscale=upscale, sampler=self.sampler_used)

    def replace(self, **changes: Value) -> SamplerSettings:
        """Return a copy with ``changes`` made together, validated as a whole.

        Raises
        ------
        SettingsError
            For an unknown name or an invalid result; these settings are unchanged.
        """
        return SamplerSettings.from_dict({**self.to_dict(), **changes})

    def to_dict(self) -> dict[str, Value]:
        """Return every setting by name, ready for JSON; `from_dict` undoes it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SamplerSettings:
        """Build settings from a sidecar or permalink; names left out take their defaults.

        Older sidecars and links have true or false for `consistency`: "exact" or "off".

        Raises
        ------
        SettingsError
            For an unknown name or an invalid value.
        """
        names = [control.name for control in controls()]
        if unknown := [str(key) for key in values if key not in names]:
            raise SettingsError(
                f"Unknown setting {', '.join(unknown)}: remove it; there are {', '.join(names)}."
            )
        given = dict(values)
        if isinstance(given.get("consistency"), bool):
            given["consistency"] = "exact" if given["consistency"] else "off"
        return cls(**given)


@cache
def controls() -> tuple[Control, ...]:
    """Return every control, in the order of the fields of `SamplerSettings`."""
    hints = get_type_hints(SamplerSettings)
    found = []
    for item in fields(SamplerSettings):
        kinds = get_args(hints[item.name]) or (hints[item.name],)  # (int, None) or (int,)
        default: Any = item.default
        found.append(Control(item.name, kinds[0], default, **item.metadata))
    return tuple(found)
