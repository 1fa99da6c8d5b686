"""One study from its files to the content of its results: what `ftddm run` and `ftddm batch` do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftddm_core.imaging.volume import Study
from ftddm_core.saving.results import result_files
from ftddm_core.settings import SamplerSettings
from ftddm_viewer.session.messages import study_notes
from ftddm_viewer.session.model import Model

if TYPE_CHECKING:  # torch takes seconds to import
    from ftddm_core.sampling.result import Result
    from ftddm_core.sampling.self_check import SelfCheck

Bar = Callable[[str], AbstractContextManager[Callable[[float], None]]]
"""Name of a stage -> a context with a function that takes the share that is done."""


@dataclass(frozen=True, eq=False)
class Restored:
    """A study and its result.

    Parameters
    ----------
    study
        As it was restored.
    result
        Its maps.
    notes
        What a careful user would want to know.
    record
        What its sidecars state besides.
    """

    study: Study
    result: Result
    notes: tuple[str, ...]
    record: Mapping[str, Any]

    def files(self) -> dict[str, bytes]:
        """Return name -> content of every map and its sidecar."""
        return result_files(self.result, self.study, self.record)


def restored(
    model: Model, study: Study, settings: SamplerSettings, bar: Bar, *, unfilled: bool = False
) -> Restored:
    """Restore a study.

    Parameters
    ----------
    model
        The networks.
    study
        Maps as they were acquired.
    settings
        The user's settings.
    bar
        Shows the progress.
    unfilled
        Whether earlier zero-filling was undone.
    """
    check_first(model, study, settings, bar)
    with bar("sampling") as progress:
        result = model.load().run(study, settings, progress=progress)
    notes = study_notes(study, result.conditions.values(), settings.noise)
    return Restored(study, result, tuple(notes), {"Unfilled": True} if unfilled else {})


def check_first(
    model: Model, study: Study, settings: SamplerSettings, bar: Bar
) -> SelfCheck | None:
    """Make the self-check, where a weight is automatic; with a progress of its own."""
    model.load()  # report its errors before a bar is drawn
    if settings.mri_weight is not None and settings.detail is not None:
        return None
    with bar("self-check") as progress:
        return model.check(study, progress=progress, cancelled=lambda: False)
