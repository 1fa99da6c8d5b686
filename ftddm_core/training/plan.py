"""The networks' part of a configuration file: their sizes, and the parameters of each fit."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args

from ftddm_core.errors import FormatError, SettingsError
from ftddm_core.model.prediction import PREDICTIONS, Prediction
from ftddm_core.model.unet import UNET_PRESETS
from ftddm_core.training.fit_denoiser import LEVELS, Levels
from ftddm_core.training.loop import FitConfig

Which = Literal["denoiser", "flow", "regression"]
NETWORKS: tuple[Which, ...] = get_args(Which)


@dataclass(frozen=True)
class FitPlan:
    """Fits of the networks of a preset.

    Parameters
    ----------
    preset
        Sizes of the networks, a key of `UNET_PRESETS` and `FLOW_PRESETS`.
    denoiser, flow, regression
        Parameters of the fit of each network.
    prediction
        Prediction of the denoiser.
    levels
        Noise levels of its training, see `fit_denoiser.Levels`.

    Raises
    ------
    SettingsError
        If it names something that does not exist.
    """

    preset: str
    denoiser: FitConfig
    flow: FitConfig
    regression: FitConfig
    prediction: Prediction = "v"
    levels: Levels = "low"

    def __post_init__(self) -> None:
        for what, known in (
            ("preset", tuple(UNET_PRESETS)),
            ("prediction", PREDICTIONS),
            ("levels", LEVELS),
        ):
            if (found := getattr(self, what)) not in known:
                raise SettingsError(f"Unknown {what} '{found}', there are {', '.join(known)}.")
        if self.flow.bf16:
            raise SettingsError("A likelihood needs float32: leave bf16 out for the flow.")

    @classmethod
    def load(cls, name_or_path: str) -> FitPlan:
        """Read the networks' part of a TOML file, or of the bundled configuration of a preset.

        Raises
        ------
        FormatError
            If there is no such file or it is not TOML.
        SettingsError
            If it names something that does not exist.
        """
        path, content = read_toml(name_or_path)
        try:
            return FitPlan(**fields_of(content))
        except (KeyError, TypeError) as error:
            raise misfit(path, error) from None

    def of(self, which: Which) -> FitConfig:
        """Return the parameters of the fit of one network."""
        config: FitConfig = getattr(self, which)
        return config

    def changed(self, which: Which, **changes: Any) -> Self:
        """Return the plan with some parameters of the fit of one network changed."""
        changed: Any = {which: replace(self.of(which), **changes)}
        return replace(self, **changed)


def read_toml(name_or_path: str) -> tuple[Path, dict[str, Any]]:
    """Return the path and the content of a TOML file, or of a bundled one by its name.

    Raises
    ------
    FormatError
        If there is no such file or it is not TOML.
    """
    bundled = Path(__file__).parent / f"{name_or_path}.toml"
    path = bundled if bundled.is_file() else Path(name_or_path)
    try:
        return path, tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise FormatError(f"The configuration {path} cannot be read: {error}.") from None


def fields_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a `FitPlan` from the content of a configuration file."""
    fits: dict[str, Any] = {which: FitConfig(**content.get(which, {})) for which in NETWORKS}
    stated = {key: content[key] for key in ("prediction", "levels") if key in content}
    return {"preset": content["preset"], **fits, **stated}


def misfit(path: Path, error: Exception) -> SettingsError:
    """Return the error for an invalid configuration file."""
    return SettingsError(f"{path} does not fit: {error}. Compare with the bundled small.toml.")
