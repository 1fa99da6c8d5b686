"""The bundled cases for napari's File > Open Sample: people who do not exist."""

from __future__ import annotations

from ftddm_core.imaging.io import open_study
from ftddm_viewer.session.bundled import Bundled, bundled
from napari_ftddm._bridge import LayerTuple
from napari_ftddm._canvas import follow_current
from napari_ftddm._layers import study_layers


def simulated_case() -> list[LayerTuple]:
    """Return the layers of the bundled glioma patient; every name says that it is simulated."""
    return _layers(bundled("patient"))


def simulated_volunteer() -> list[LayerTuple]:
    """Return the layers of the bundled healthy volunteer, named likewise."""
    return _layers(bundled("volunteer"))


def _layers(case: Bundled) -> list[LayerTuple]:
    layers = study_layers(open_study(case.folder), " (simulated)", case.label)
    follow_current()
    return layers
