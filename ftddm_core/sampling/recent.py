"""Data consistency of the slices that were drawn last."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import count
from threading import Lock
from weakref import WeakKeyDictionary

import torch

from ftddm_core.sampling.consistency import Consistency
from ftddm_core.sampling.measurement import Measurement

KEPT = 2**28
"""Most bytes that are kept, more only of one batch: a 64 x 64 slice takes half of them."""


class RecentConsistency:
    """Consistency of the slices that were drawn last, for all that samples with the same networks.

    With a large acquired matrix, its factors take most of an image's time and memory. Those of a
    closed study are dropped. Thread-safe; they are computed one at a time, each once.

    Parameters
    ----------
    limit
        Most bytes to keep.
    """

    def __init__(self, limit: int = KEPT) -> None:
        self.limit = limit
        self._kept: WeakKeyDictionary[Measurement, dict[Hashable, Consistency]]
        self._kept = WeakKeyDictionary()
        self._used: WeakKeyDictionary[Consistency, int] = WeakKeyDictionary()
        self._numbers = count()
        self._lock = Lock()

    def of(
        self,
        measurements: Sequence[Measurement],
        slices: Sequence[int],
        noise: float | None,
        device: torch.device,
        *,
        exact: bool,
        check: Callable[[], None] = lambda: None,
    ) -> Consistency:
        """Return the consistency of a batch; parameters as for `consistency_of`.

        Parameters
        ----------
        check
            Called before it is computed: raises an error if it must not be.
        """
        first, *others = measurements
        key = (tuple(others), tuple(slices), noise, device, exact)
        with self._lock:
            own = self._kept.setdefault(first, {})
            if key not in own:
                check()
                own[key] = consistency_of(measurements, slices, noise, device, exact=exact)
            self._used[own[key]] = next(self._numbers)
            self._limit()
            return own[key]

    def _limit(self) -> None:
        """Drop what was used least recently, but for the last."""
        kept = {each: (own, key) for own in self._kept.values() for key, each in own.items()}
        for each in sorted(kept, key=self._used.__getitem__)[:-1]:
            if self.nbytes <= self.limit:
                break
            own, key = kept[each]
            del own[key]

    @property
    def nbytes(self) -> int:
        """Memory of what is kept, in bytes."""
        return sum(each.nbytes for own in self._kept.values() for each in own.values())


def consistency_of(
    measurements: Sequence[Measurement],
    slices: Sequence[int],
    noise: float | None,
    device: torch.device,
    *,
    exact: bool,
) -> Consistency:
    """Return the consistency of slices with a noise level set by the user, in per cent, if any; see
    `Consistency`."""
    held = [each.with_noise(noise) for each in measurements]
    return Consistency(held, slices, device, exact=exact)
