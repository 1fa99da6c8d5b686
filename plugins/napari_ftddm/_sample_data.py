"""The bundled case for napari's File > Open Sample: a patient who does not exist."""

from __future__ import annotations

from ftddm_core.assets import asset_folder
from ftddm_core.imaging.io import open_study
from ftddm_viewer import CASE_LABEL
from napari_ftddm._bridge import LayerTuple
from napari_ftddm._canvas import follow_current
from napari_ftddm._layers import study_layers


def simulated_case() -> list[LayerTuple]:
    """Return the layers of the bundled glioma patient; every name says that it is simulated."""
    layers = study_layers(open_study(asset_folder("case")), " (simulated)", CASE_LABEL)
    follow_current()
    return layers
