"""Two maps on one canvas with a divider between them: one at its left, the other at its right.

napari draws a layer whole. So each map is seen through a copy of its layer that is empty beyond the
divider; the layers themselves are hidden and stay as they are, and the copies follow their values
and their colours. Which voxels lie on which side follows from the sense in which the camera draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.components.overlays import TextOverlay
from napari.layers import Image, Vectors

from napari_ftddm._bridge import AXES, placement
from napari_ftddm._cross import draw_lines, lines_layer, reach_of
from napari_ftddm._links import Links
from napari_ftddm._record import known_of
from napari_ftddm._words import BOX, WHITE

if TYPE_CHECKING:
    from napari import Viewer

SIDES = ("left", "right")

GRIP = 10.0
"""Pixels from the divider within which it is taken hold of."""

STEP = 0.05
"""Of the map's width: how far a key moves the divider."""

NAME, MARK = "Divider of the swipe", "ftddm_divider"


class Swipe:
    """A swipe in one viewer, on or off.

    Parameters
    ----------
    removed
        Called when the user has removed one of its layers, and the swipe has ended.
    """

    def __init__(self, viewer: Viewer, removed: Callable[[], None]) -> None:
        self._viewer, self._gone = viewer, removed
        self._sources: tuple[Image, ...] = ()
        self._copies: tuple[Image, ...] = ()
        self._line: Vectors | None = None
        self._links = (Links(), Links())
        self._place: tuple[int, float] | None = None
        self._busy = False

    @property
    def on(self) -> bool:
        """Whether two maps are seen."""
        return bool(self._copies)

    @property
    def layers(self) -> tuple[Image, ...]:
        """The copies, that at the left first."""
        return self._copies

    def start(self, left: Image, right: Image, names: tuple[str, str]) -> None:
        """Show two layers, with a name at each side; they are hidden by whoever calls this."""
        self.stop()
        viewer, active = self._viewer, self._viewer.layers.selection.active
        self._sources = (left, right)
        made = []
        for source, side, links in zip(self._sources, SIDES, self._links, strict=True):
            copy = Image(
                source.data,
                name=f"{side}: {source.name}",
                colormap=source.colormap,
                contrast_limits=source.contrast_limits,
                gamma=source.gamma,
                opacity=source.opacity,
                interpolation2d=source.interpolation2d,
                metadata={"ftddm": {**known_of(source), "managed": False, "swipe": None}},
                **placement(source.affine),
            )
            known_of(copy).pop("pinned", None)
            viewer.layers.append(copy)
            links.follow([source, copy])
            made.append(copy)
        self._copies = (made[0], made[1])
        self._line = lines_layer(NAME, MARK)
        viewer.layers.append(self._line)
        viewer.layers.selection.active = active
        for side, name in zip(SIDES, names, strict=True):
            viewer.canvas.overlays[f"ftddm_swipe_{side}"] = TextOverlay(
                text=name, position=f"middle_{side}", font_size=11, color=WHITE,
                box=True, box_color=BOX, visible=True,
            )  # fmt: skip
        self._place = None
        self._listen(True)
        self.refresh()

    def stop(self) -> None:
        """Take the copies away."""
        if not self.on:
            return
        self._listen(False)
        for links in self._links:
            links.close()
        gone = [*self._copies, self._line]
        self._copies = self._sources = ()
        self._line = None
        for each in gone:
            if each in self._viewer.layers:
                self._viewer.layers.remove(each)
        for side in SIDES:
            self._viewer.canvas.overlays.pop(f"ftddm_swipe_{side}", None)

    def _listen(self, on: bool) -> None:
        viewer, camera = self._viewer, self._viewer.scene.camera.events
        dims = viewer.dims.events
        for each in (dims.point, camera.zoom):  # neither moves the divider
            (each.connect if on else each.disconnect)(self._draw_line)
        sources = [each.events.data for each in self._sources]
        for each in (dims.order, dims.ndisplay, camera.orientation, *sources):
            (each.connect if on else each.disconnect)(self.refresh)
        removed = viewer.layers.events.removed
        (removed.connect if on else removed.disconnect)(self._removed)
        calls = viewer.mouse_drag_callbacks
        (calls.append if on else calls.remove)(self._drag)

    def _removed(self, event: Any) -> None:
        if any(event.value is each for each in (*self._copies, *self._sources, self._line)):
            self.stop()
            self._gone()

    # ---- the divider

    def refresh(self, event: Any = None) -> None:
        """Show each map on its side of the divider."""
        if self._busy or not self.on:
            return
        self._busy = True
        try:
            axis = self._axis
            if self._place is None or self._place[0] != axis:
                low, high = self._extent(axis)
                self._place = (axis, (low + high) / 2)
            for copy, source, side in zip(self._copies, self._sources, SIDES, strict=True):
                low_side = (side == "left") is self._grows_to_the_right
                copy.data = _half(source, axis, self._place[1], low_side)
                known_of(copy)["swipe"] = (*self._place, low_side)
            self._draw_line()
        finally:
            self._busy = False

    def move(self, share: float) -> None:
        """Move the divider to the right by a share of the map's width."""
        if self.on and self._place is not None:
            low, high = self._extent(self._place[0])
            sign = 1 if self._grows_to_the_right else -1
            self._move_to(self._place[1] + sign * share * (high - low))

    def _move_to(self, position: float) -> None:
        low, high = self._extent(self._axis)
        self._place = (self._axis, float(np.clip(position, low, high)))
        self.refresh()

    @property
    def _axis(self) -> int:
        """The layers' axis that is drawn from left to right."""
        dims = self._viewer.dims
        axis: int = dims.displayed[-1] - (dims.ndim - len(AXES))
        return max(axis, 0)

    @property
    def _grows_to_the_right(self) -> bool:
        return str(self._viewer.scene.camera.orientation2d[1]) == "right"

    def _extent(self, axis: int) -> tuple[float, float]:
        """Return the outer edges of the map at the right, in mm."""
        affine, layer = np.asarray(self._sources[1].affine), self._sources[1]
        start, step = affine[axis, -1], affine[axis, axis]
        return float(start - step / 2), float(start + (layer.data.shape[axis] - 0.5) * step)

    def _draw_line(self, event: Any = None) -> None:
        if self._line is None or self._place is None:
            return
        axis = self._place[0]
        dims = self._viewer.dims
        first = dims.ndim - len(AXES)
        low, high = reach_of(self._viewer)
        line = np.zeros((1, 2, len(AXES)))
        line[0, 0] = np.clip(dims.point[first:], low, high)
        line[0, 0, axis] = self._place[1]
        upright = max(int(dims.displayed[-2]) - first, 0)
        line[0, 0, upright] = low[upright]
        line[0, 1, upright] = high[upright] - low[upright]
        draw_lines(self._line, line, self._viewer)

    def _drag(self, viewer: Viewer, event: Any) -> Iterator[None]:
        """Move the divider with the pointer, from where it is taken hold of."""
        if not self.on or self._place is None or viewer.dims.ndisplay != 2:
            return
        axis = self._axis + viewer.dims.ndim - len(AXES)
        distance = abs(event.position[axis] - self._place[1]) * viewer.scene.camera.zoom
        if event.button != 1 or distance > GRIP:
            return
        camera = viewer.scene.camera
        before, camera.mouse_pan = camera.mouse_pan, False
        try:
            yield
            while event.type == "mouse_move":
                self._move_to(event.position[axis])
                yield
        finally:
            camera.mouse_pan = before


def _half(layer: Image, axis: int, position: float, low_side: bool) -> Any:
    """Return a layer's values with NaN on one side of a position along an axis."""
    affine = np.asarray(layer.affine)
    centres = affine[axis, -1] + affine[axis, axis] * np.arange(layer.data.shape[axis])
    there = centres < position if low_side else centres >= position
    shape = [1] * layer.ndim
    shape[axis] = -1
    return np.where(there.reshape(shape), layer.data, np.nan)
