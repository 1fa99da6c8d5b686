"""How a viewer shows the layers: from where, which side the patient's right is on, how smooth.

Display only: layers and files stay as they are, and the letters on the canvas follow by themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image

from ftddm_viewer.session.planes import VIEWS
from napari_ftddm._bridge import dims_order
from napari_ftddm._record import known_of
from napari_ftddm._sides import switched_convention, unwrapped
from napari_ftddm._words import stacked_along

if TYPE_CHECKING:
    from napari import Viewer

    from napari_ftddm._stage import Stage


class Views:
    """The view of one panel's viewer."""

    def __init__(self, viewer: Viewer, stage: Stage) -> None:
        viewer = unwrapped(viewer)
        self._viewer, self._stage = viewer, stage
        self._interpolation = "nearest"
        self._before = list(viewer.mouse_double_click_callbacks)
        viewer.mouse_double_click_callbacks[:] = [self._double_clicked]
        viewer.layers.events.inserted.connect(self._inserted)

    def turn(self, direction: str) -> None:
        """Show slices of a direction of `VIEWS`, all of the maps in sight."""
        viewer, axis = self._viewer, VIEWS.index(direction)
        if viewer.dims.ndim < len(VIEWS):
            return
        viewer.dims.ndisplay = 2
        viewer.dims.order = dims_order(axis, viewer.dims.ndim)
        self._stage.frame()

    def turned(self, axis: int) -> bool:
        """Return whether the slices seen are stacked along another axis than a display axis."""
        dims = self._viewer.dims
        return dims.ndim >= len(VIEWS) and stacked_along(self._viewer) != axis

    def step(self, by: int) -> None:
        """Go on along the axis that the slices seen are stacked along."""
        dims = self._viewer.dims
        axis = dims.order[-3]
        dims.set_current_step(axis, dims.current_step[axis] + by)

    def switch_convention(self) -> None:
        """Draw the patient's right at the other side."""
        self._viewer.scene.camera.orientation2d = switched_convention(self._viewer)

    def switch_interpolation(self) -> None:
        """Draw voxels as they are, or linearly interpolated."""
        self._interpolation = "linear" if self._interpolation == "nearest" else "nearest"
        for layer in self._viewer.layers:
            self._draw(layer)

    def close(self) -> None:
        """Let go of the viewer."""
        self._viewer.layers.events.inserted.disconnect(self._inserted)
        self._viewer.mouse_double_click_callbacks[:] = self._before

    def _inserted(self, event: Any) -> None:
        if self._interpolation != "nearest":
            self._draw(event.value)

    def _draw(self, layer: Any) -> None:
        if isinstance(layer, Image) and known_of(layer):
            layer.interpolation2d = self._interpolation

    def _double_clicked(self, viewer: Viewer, event: Any) -> None:
        """Reset the contrast; on other layers, do what napari does."""
        active = viewer.layers.selection.active
        if active is not None and known_of(active):
            self._stage.reset_contrast()
        else:
            for call in self._before:
                call(viewer, event)
