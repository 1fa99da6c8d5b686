"""The docked panel in tests: its layers, and inputs moved and read as a user does."""

from __future__ import annotations

from typing import Any

import numpy as np
from properties import world_of
from windows import settle

MARKERS = np.array([[25.0, 10.0, 30.0], [-22.0, -30.0, 22.0], [12.0, -28.0, 28.0]])
"""Patient positions in mm: right front, left back, right back."""


def layer(viewer: Any, role: str) -> Any:
    """Return the managed layer of a role; there must be one only."""
    found = [
        each
        for each in viewer.layers
        if each.metadata.get("ftddm", {}).get("role") == role
        and each.metadata["ftddm"].get("managed")
    ]
    assert len(found) == 1
    return found[0]


def inputs(widget: Any, name: str) -> Any:
    """Return the Qt widget of a name."""
    from qtpy.QtWidgets import QWidget

    found = widget.findChild(QWidget, name)
    assert found is not None, name
    return found


def slide(widget: Any, name: str, share: float) -> None:
    """Move a slider to a share of its range, which is the value of one from 0 to 1."""
    slider = inputs(widget, name)
    slider.setValue(round(share * slider.maximum()))


def enter(widget: Any, name: str, value: float) -> None:
    """Type a value into the box beside a slider."""
    box = inputs(widget, f"{name}_box")
    box.setValue(value)
    box.editingFinished.emit()


def drag(widget: Any, name: str) -> None:
    """Move a control as a hand does: a slider through several values, others by choice."""
    from qtpy.QtWidgets import QCheckBox, QComboBox, QSlider

    found = inputs(widget, name)
    if isinstance(found, QSlider):
        found.setSliderDown(True)
        start, end = found.value(), found.maximum() // 3
        for stop in np.linspace(start, end, 5).round().astype(int)[1:]:
            found.setValue(int(stop))
            settle()
        found.setSliderDown(False)
    elif isinstance(found, QComboBox):
        found.setCurrentIndex((found.currentIndex() + 2) % found.count())
    elif isinstance(found, QCheckBox):
        found.toggle()
    else:
        found.setValue(found.value() + 1)


def shown(widget: Any, name: str) -> Any:
    """Return the value that a control shows."""
    return widget.panel.form[name].value


def letters(viewer: Any) -> str:
    """Return the letters at the left, right, top and bottom, - for none."""
    overlays = [viewer.canvas.overlays[f"ftddm_{side}"] for side in
                ("left", "right", "top", "bottom")]  # fmt: skip
    return "".join(each.text if each.visible else "-" for each in overlays)


def said(viewer: Any, name: str) -> str:
    """Return title or caption in one line, "" where there is none."""
    overlay = viewer.canvas.overlays[f"ftddm_{name}"]
    return " ".join(overlay.text.split()) if overlay.visible else ""


def blobs(shape: tuple[int, int, int], affine: np.ndarray, width: float) -> np.ndarray:
    """Return an image with a blob of a width in mm at every marker."""
    world = world_of(shape, affine)
    spots = [np.exp(-np.sum((world - m) ** 2, -1) / (2 * width**2)) for m in MARKERS]
    return np.sum(spots, axis=0).astype(np.float32)
