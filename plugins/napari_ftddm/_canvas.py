"""What a viewer has besides layers, once it holds any of this plugin's: words, read-out, steps."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from weakref import WeakSet

from napari_ftddm._sides import unwrapped

if TYPE_CHECKING:
    from napari import Viewer

    from napari_ftddm._words import Words

_followed: WeakSet[Words] = WeakSet()


def follow(viewer: Viewer) -> Words:
    """Return the words of a viewer, which has them, a read-out and the maps' steps, from now on."""
    from napari_ftddm._readout import Readout
    from napari_ftddm._steps import Steps
    from napari_ftddm._words import Words

    viewer = unwrapped(viewer)
    for words in _followed:
        if words.viewer is viewer:
            return words
    made = Words(viewer)
    _followed.add(made)
    Readout(viewer)
    Steps(viewer)
    return made


def follow_current() -> None:
    """Follow the viewer that a reader reads for; nothing where there is no window."""
    napari = sys.modules.get("napari")
    viewer = None if napari is None else napari.current_viewer()
    if viewer is not None:
        follow(viewer)
