"""What was computed a moment ago, for the next picture of the same slices to begin with.

A chain that begins as one before goes on where the two part: the conditions' features, the flow's
image and the denoiser's estimates are kept by what decides them, and found again instead of
computed. Nothing here knows what they are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar


class Sized(Protocol):
    """Whatever tells how much memory it holds."""

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        ...


Kept = TypeVar("Kept", bound=Sized)


class Recall:
    """The newest results about one subject, within a bound of memory.

    Parameters
    ----------
    limit
        Bytes that are kept at most; what was not used for longest goes first.
    """

    def __init__(self, limit: int = 32 * 2**20) -> None:
        self.limit = limit
        self._subject: tuple[object, ...] = ()
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def about(self, *subject: object) -> None:
        """Forget everything that is not about these very objects."""
        if len(subject) != len(self._subject) or any(
            new is not old for new, old in zip(subject, self._subject, strict=True)
        ):
            self._kept.clear()
            self._subject = subject

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def __call__(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """Return what is kept under a key, else what `make` returns, which is kept from now on."""
        if key not in self._kept:
            self._kept[key] = make()
        found: Kept = self._kept[key]
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and self.nbytes > self.limit:
            self._kept.popitem(last=False)
        return found

    @property
    def nbytes(self) -> int:
        """Memory of all that is kept, in bytes."""
        return sum(kept.nbytes for kept in self._kept.values())
