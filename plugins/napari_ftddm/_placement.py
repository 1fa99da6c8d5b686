"""A small image of where the T1, else the FLAIR, lies under the maps."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QPixmap

from ftddm_core.imaging.volume import Study
from ftddm_viewer.drawing.placement import placement_png


def placement_image(study: Study | None, width: int) -> QPixmap:
    """Return the three views of an MRI with the outlines of the maps; empty without an MRI."""
    image = QPixmap()
    if content := placement_png(study):
        image.loadFromData(content)
        image = image.scaledToWidth(width, Qt.TransformationMode.SmoothTransformation)
    return image
