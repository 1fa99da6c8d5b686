"""The self-checks that a session knows: one for each study that was taken as acquired."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

from ftddm_core.errors import Cancelled
from ftddm_core.sampling.self_check import SelfCheck
from ftddm_viewer.session.case import Case, Mode, Prepared
from ftddm_viewer.session.messages import logged_words
from ftddm_viewer.session.model import Model


class Checks:
    """Of a case that is enlarged there is one, of one that is degraded one for every factor."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[Case, dict[float, SelfCheck]] = WeakKeyDictionary()

    def of(self, prepared: Prepared) -> SelfCheck | None:
        """Return the check of what was acquired, None where it is still to be made."""
        return self._known.get(prepared.case, {}).get(_factor(prepared))

    def make(
        self,
        model: Model,
        prepared: Prepared,
        *,
        progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> SelfCheck:
        """Return the check of what was acquired, made once; parameters as for `Model.check`.

        An error becomes the reason why there is none: pictures can do without it.
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
    """Return by how much the case was degraded; 1 where it was acquired as it is."""
    return prepared.upscale if prepared.mode is Mode.RESTORE else 1.0
