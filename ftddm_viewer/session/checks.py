"""The self-checks of a session: one for each study that counts as acquired."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

from ftddm_core.errors import Cancelled
from ftddm_core.sampling.self_check import SelfCheck
from ftddm_viewer.session.case import Case, Mode, Prepared
from ftddm_viewer.session.messages import logged_words
from ftddm_viewer.session.model import Model


class Checks:
    """An enlarged case has one self-check, a degraded case has one per factor."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[Case, dict[float, SelfCheck]] = WeakKeyDictionary()

    def of(self, prepared: Prepared) -> SelfCheck | None:
        """Return the check of the acquired maps, None if it is still to be made."""
        return self._known.get(prepared.case, {}).get(_factor(prepared))

    def make(
        self,
        model: Model,
        prepared: Prepared,
        *,
        progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> SelfCheck:
        """Return the check of the acquired maps, made once; parameters as for `Model.check`.

        An error becomes the reason for a missing check: images do not need it.
        """
        check = self.of(prepared)
        if check is None:
            try:
                check = model.check(prepared.acquired, progress=progress, cancelled=cancelled)
            except Cancelled:
                raise
            except Exception as problem:
                check = SelfCheck(reason=logged_words(problem))
            self._known.setdefault(prepared.case, {})[_factor(prepared)] = check
        return check


def _factor(prepared: Prepared) -> float:
    """Return the factor by which the case was degraded; 1 if the maps are the acquired ones."""
    return prepared.upscale if prepared.mode is Mode.RESTORE else 1.0
