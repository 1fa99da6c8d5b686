"""FTDDM: super-resolution of MR spectroscopic imaging, as a library without any front end.

>>> from ftddm_core import SamplerSettings
>>> SamplerSettings(upscale=4).t_trunc
100

`open_study` and `Study.from_arrays` make a study, `SuperResolver` restores it, and `save_result`
writes the result with its record. Research use only, not for clinical use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ftddm_core.errors import Cancelled as Cancelled
    from ftddm_core.errors import FtddmError as FtddmError
    from ftddm_core.imaging.io import open_study as open_study
    from ftddm_core.imaging.volume import Study as Study
    from ftddm_core.imaging.volume import Volume as Volume
    from ftddm_core.sampling.resolver import SuperResolver as SuperResolver
    from ftddm_core.sampling.result import Result as Result
    from ftddm_core.saving.pair import check_pair as check_pair
    from ftddm_core.saving.results import save_result as save_result
    from ftddm_core.settings import SamplerSettings as SamplerSettings

    __version__: str

_HOMES = {
    "Cancelled": "ftddm_core.errors",
    "FtddmError": "ftddm_core.errors",
    "Result": "ftddm_core.sampling.result",
    "SamplerSettings": "ftddm_core.settings",
    "Study": "ftddm_core.imaging.volume",
    "SuperResolver": "ftddm_core.sampling.resolver",
    "Volume": "ftddm_core.imaging.volume",
    "check_pair": "ftddm_core.saving.pair",
    "open_study": "ftddm_core.imaging.io",
    "save_result": "ftddm_core.saving.results",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import the public names on first use: importing torch takes two seconds."""
    if name == "__version__":
        from ftddm_core.saving.software import version_of

        return version_of("ftddm-viewer")
    if name not in _HOMES:
        raise AttributeError(f"module 'ftddm_core' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List the public names too, which are not imported yet."""
    return sorted({*globals(), *__all__, "__version__"})
