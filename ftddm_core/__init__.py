"""FTDDM: super-resolution of MR spectroscopic imaging, as a library without any front end.

>>> from ftddm_core import SamplerSettings
>>> SamplerSettings(upscale=4).t_trunc
100
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ftddm_core.imaging.io import open_study as open_study
    from ftddm_core.imaging.volume import Study as Study
    from ftddm_core.imaging.volume import Volume as Volume
    from ftddm_core.sampling.resolver import SuperResolver as SuperResolver
    from ftddm_core.sampling.result import Result as Result
    from ftddm_core.settings import SamplerSettings as SamplerSettings

_HOMES = {
    "Result": "ftddm_core.sampling.result",
    "SamplerSettings": "ftddm_core.settings",
    "Study": "ftddm_core.imaging.volume",
    "SuperResolver": "ftddm_core.sampling.resolver",
    "Volume": "ftddm_core.imaging.volume",
    "open_study": "ftddm_core.imaging.io",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import the public names on first use: importing torch takes two seconds."""
    if name not in _HOMES:
        raise AttributeError(f"module 'ftddm_core' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
