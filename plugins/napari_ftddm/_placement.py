"""A small image of where the T1, else the FLAIR, lies under the maps."""

from __future__ import annotations

from io import BytesIO

from qtpy.QtCore import Qt
from qtpy.QtGui import QPixmap

from ftddm_core.imaging.volume import Study
from ftddm_viewer.drawing.figures import save_figure
from ftddm_viewer.drawing.placement import placement_figure


def placement_image(study: Study | None, width: int) -> QPixmap:
    """Return the three views of an MRI with the outlines of the maps; empty without an MRI."""
    image = QPixmap()
    if study is None or (study.t1 is None and study.flair is None):
        return image
    content = BytesIO()
    save_figure(placement_figure(study, "flair" if study.t1 is None else "t1"), content)
    image.loadFromData(content.getvalue())
    return image.scaledToWidth(width, Qt.TransformationMode.SmoothTransformation)
