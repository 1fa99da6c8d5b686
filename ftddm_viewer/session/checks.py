"""The self-checks of a session: one for each study that counts as acquired."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

from ftddm_core.errors import Cancelled
from ftddm_core.imaging.volume import Study
from ftddm_core.sampling.self_check import SelfCheck
from ftddm_viewer.session.messages import logged_words
from ftddm_viewer.session.model import Model


class Checks:
    """Those that any session has made with the same networks, and why one failed in this session.

    An enlarged case has one self-check, a degraded case has one per factor.
    """

    def __init__(self) -> None:
        self._failed: WeakKeyDictionary[Study, SelfCheck] = WeakKeyDictionary()

    def of(self, model: Model, acquired: Study) -> SelfCheck | None:
        """Return the check of the acquired maps, None if it is still to be made."""
        return model.checks.get(acquired) or self._failed.get(acquired)

    def make(
        self,
        model: Model,
        acquired: Study,
        *,
        progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> SelfCheck:
        """Return the check of the acquired maps, made once; parameters as for `Model.check`.

        An error becomes the reason for a missing check: images do not need it.
        """
        if (check := self.of(model, acquired)) is not None:
            return check
        try:
            check = model.check(acquired, progress=progress, cancelled=cancelled)
        except Cancelled:
            raise
        except Exception as problem:
            return self._failed.setdefault(acquired, SelfCheck(reason=logged_words(problem)))
        return model.checks.setdefault(acquired, check)

    def forget(self) -> None:
        """Forget what failed: other networks may succeed."""
        self._failed.clear()
