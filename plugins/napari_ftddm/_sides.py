"""On which side of the canvas the patient's right lies: the one home of that choice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from napari import Viewer

RADIOLOGICAL, NEUROLOGICAL = ("up", "left"), ("up", "right")
"""How the camera draws anterior and right: the patient's right lies at the left, or at the right.
"""

_chosen: WeakKeyDictionary[Any, tuple[str, str]] = WeakKeyDictionary()


def convention(viewer: Viewer) -> tuple[str, str]:
    """Return how a viewer's camera is to draw anterior and right, radiological at first."""
    return _chosen.get(unwrapped(viewer), RADIOLOGICAL)


def switched_convention(viewer: Viewer) -> tuple[str, str]:
    """Choose the other convention for a viewer, and return it."""
    other = NEUROLOGICAL if convention(viewer) == RADIOLOGICAL else RADIOLOGICAL
    _chosen[unwrapped(viewer)] = other
    return other


def unwrapped(viewer: Any) -> Any:
    """Return a viewer itself: napari hands plugins viewers in wrappers."""
    return getattr(viewer, "__wrapped__", viewer)
