"""The viewer's slider in the maps' slices: it counts as the words on the canvas do.

napari steps in the voxels of the finest layer, over the extent of all: an MRI of the whole head
would make a slider of 180 steps for maps of 16 slices. Along the axis of the maps' slices, the
range is therefore that of the maps as long as something of this plugin is seen. napari counts from
0; so that it shows "10|16" for slice 10 of 16, the range begins one step before the first slice,
and whoever goes there is taken back to the first. Slices that run from head to feet are counted
down from the slider's end.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from napari_ftddm._bridge import AXES, layer_axis
from napari_ftddm._record import known_of
from napari_ftddm._words import top_layer

if TYPE_CHECKING:
    from napari import Viewer

    from ftddm_viewer.session.case import Case

CHANGING = ("data", "affine", "inserted", "removed", "visible", "reordered")
"""Events of layers after which the range may be another."""

SLACK = 1e-3
"""In steps, so that rounding takes no slice away from the end."""


class Steps:
    """The range of one viewer's slider, for as long as it lives."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self._kept: tuple[float, ...] = ()
        # A viewer holds methods weakly, and these functions as long as itself.
        viewer.dims.events.point.connect(lambda event=None: self._moved())
        viewer.dims.events.range.connect(lambda event=None: self._ranged())
        # While the viewer tells of a change of its own, it does not tell of the range: what gives
        # it another range is listened to as well.
        viewer.layers.events.connect(
            lambda event: self.apply() if event.type in CHANGING else None, position="last"
        )
        viewer.dims.events.current_step.connect(lambda event=None: self._count_down())
        self.apply()

    def apply(self) -> None:
        """Give the slider the range of the maps that are seen, or napari's own."""
        if not self.viewer.layers:
            return
        dims, extent = self.viewer.dims, self.viewer.layers.extent
        if dims.ndim != len(extent.step):  # layers are changing
            return
        wanted = [
            (float(low), float(high), float(step))
            for low, high, step in zip(*extent.world, extent.step, strict=True)
        ]
        case = self._case()
        if case is not None and dims.ndim >= len(AXES):
            wanted[layer_axis(case.frame.axis, dims.ndim)] = range_of(case)
        if not np.allclose(wanted, dims.range, rtol=0, atol=1e-9):
            dims.range = tuple(wanted)
            self._count_down()

    def _ranged(self) -> None:
        """Give the slider its range; undo what napari's did, which is told of the range before.

        Where there are fewer steps than its own, it goes to the last one, on every axis.
        """
        self.apply()
        dims = self.viewer.dims
        if len(self._kept) != dims.ndim:
            self._kept = tuple(dims.point)
        low, high = np.array([each[:2] for each in dims.range]).T
        kept = np.clip(self._kept, low, high)
        if not np.allclose(kept, dims.point, rtol=0, atol=1e-6):
            dims.point = tuple(float(each) for each in kept)
        dims.events.current_step(value=dims.current_step)

    def _moved(self) -> None:
        self._kept = tuple(self.viewer.dims.point)
        self._stay()

    def _case(self) -> Case | None:
        top = top_layer(self.viewer)
        return None if top is None else known_of(top)["case"]

    def _stay(self) -> None:
        """Go back to the first slice from the step before it."""
        case, dims = self._case(), self.viewer.dims
        if case is None or dims.ndim < len(AXES):
            return
        axis = layer_axis(case.frame.axis, dims.ndim)
        start, _, step = range_of(case)
        if len(case.positions) > 1 and dims.point[axis] <= start + step / 2:
            dims.set_point(axis, start + step)

    def _count_down(self) -> None:
        """Show the slice's own number beside the slider where slices run from head to feet."""
        case, dims = self._case(), self.viewer.dims
        if case is None or dims.ndim < len(AXES):
            return
        axis = layer_axis(case.frame.axis, dims.ndim)
        with suppress(AttributeError, LookupError, RuntimeError):  # napari's parts are its own
            number = self.viewer.window._qt_viewer.dims.slider_widgets[axis].curslice_label
            if number.isReadOnly() is not case.frame.reversed:
                number.setReadOnly(case.frame.reversed)  # what is typed would be a step
            if case.frame.reversed:
                number.setText(str(case.slice_at(dims.point[axis]) + 1))


def range_of(case: Case) -> tuple[float, float, float]:
    """Return first and last position and step of the slider along a case's slices, in mm."""
    first, last = float(case.positions.min()), float(case.positions.max())
    if len(case.positions) == 1:
        return first, first, float(case.study.grid.voxel_size[2])
    step = (last - first) / (len(case.positions) - 1)
    return first - step, last + SLACK * step, step
