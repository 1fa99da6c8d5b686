"""Cache of recent results for the next image of the same slices.

A chain that starts like a previous one continues where the two diverge: the conditions' features,
the flow's image and the denoiser's estimates are stored under everything they depend on, and
reused. This module is independent of their type.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar


class Sized(Protocol):
    """An object that reports its memory."""

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        ...


Kept = TypeVar("Kept", bound=Sized)


class Recall:
    """The most recent results about one subject, within a memory limit.

    Parameters
    ----------
    limit
        Memory limit in bytes; the least recently used entries are dropped first.
    """

    def __init__(self, limit: int = 32 * 2**20) -> None:
        self.limit = limit
        self._subject: tuple[object, ...] = ()
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def about(self, *subject: object) -> None:
        """Drop everything that does not belong to exactly these objects."""
        if len(subject) != len(self._subject) or any(
            new is not old for new, old in zip(subject, self._subject, strict=True)
        ):
            self._kept.clear()
            self._subject = subject

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def __getitem__(self, key: Hashable) -> Any:
        """Return an entry that is there."""
        self._kept.move_to_end(key)
        return self._kept[key]

    def keep(self, key: Hashable, made: Kept) -> Kept:
        """Store an entry, and return it."""
        self._kept[key] = made
        while len(self._kept) > 1 and self.nbytes > self.limit:
            self._kept.popitem(last=False)
        return made

    def __call__(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """Return the entry of a key; if missing, create it with `make` and store it."""
        if key in self._kept:
            found: Kept = self[key]
            return found
        return self.keep(key, make())

    @property
    def nbytes(self) -> int:
        """Memory of all entries in bytes."""
        return sum(kept.nbytes for kept in self._kept.values())
