"""Three planes through one point of display space, as pixels: axial, coronal and sagittal.

A pane is a rectangle of square pixels in a plane that is normal to an axis of display space. Its
pixel (row, column) shows the voxel that its centre lies in: nothing is interpolated, and nothing is
drawn beyond a layer's own voxels. Pixels, letters and clicks follow from the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ftddm_core.imaging.volume import FloatArray, Volume
from ftddm_viewer.session.case import Case

Point = tuple[float, float, float]
"""Position (x, y, z) in display space, in mm."""

ENDS = (("R", "L"), ("A", "P"), ("S", "I"))
"""For each display axis, the letters of its positive and its negative end."""

HEAD = 0.1
"""Of an MRI's upper grey limit: what is brighter belongs to the head."""

VIEWS = ("sagittal", "coronal", "axial")
"""By the display axis that a view's planes are normal to."""

PARTLY = "OUTPUT ONLY in the slices that were computed; elsewhere, the layer below shows."
"""Before the caption of an output that crosses the slices of the study."""

_boxes: WeakKeyDictionary[Case, tuple[Point, Point]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Pane:
    """A view of one plane.

    Parameters
    ----------
    axis
        Display axis (0, 1, 2: x, y, z) that the plane is normal to.
    centre
        What is drawn in the middle.
    edge
        Edge of a pixel, in mm.
    width, height
        In pixels.
    left, up
        Whether the positive end of the horizontal axis is at the left, as radiologists draw it, and
        that of the vertical axis at the top.
    """

    axis: int
    centre: Point
    edge: float
    width: int
    height: int
    left: bool = True
    up: bool = True

    @property
    def across(self) -> int:
        """The display axis that is drawn from left to right."""
        return 1 if self.axis == 0 else 0

    @property
    def upright(self) -> int:
        """The display axis that is drawn from top to bottom."""
        return 1 if self.axis == 2 else 2

    @property
    def letters(self) -> tuple[str, str, str, str]:
        """Directions at the left, right, top and bottom."""
        left, right = ENDS[self.across] if self.left else ENDS[self.across][::-1]
        top, bottom = ENDS[self.upright] if self.up else ENDS[self.upright][::-1]
        return left, right, top, bottom

    def columns(self) -> FloatArray:
        """Return the positions of the columns' centres along the horizontal axis."""
        return self._positions(self.across, self.width, self.left)

    def rows(self) -> FloatArray:
        """Return the positions of the rows' centres along the vertical axis."""
        return self._positions(self.upright, self.height, self.up)

    def _positions(self, axis: int, count: int, falling: bool) -> FloatArray:
        offsets = (np.arange(count) + 0.5 - count / 2) * self.edge
        return np.asarray(self.centre[axis] + (-offsets if falling else offsets))

    def pixel(self, point: Sequence[float]) -> tuple[float, float]:
        """Return where a point is drawn: pixels from the left and from the upper edge."""
        x = (point[self.across] - self.centre[self.across]) / self.edge
        y = (point[self.upright] - self.centre[self.upright]) / self.edge
        return (
            self.width / 2 + (-x if self.left else x),
            self.height / 2 + (-y if self.up else y),
        )

    def point(self, x: float, y: float, at: Sequence[float]) -> Point:
        """Return the point drawn at a pixel, in the plane of another point."""
        across = (x - self.width / 2) * self.edge
        upright = (y - self.height / 2) * self.edge
        found = [float(value) for value in at]
        found[self.across] = self.centre[self.across] + (-across if self.left else across)
        found[self.upright] = self.centre[self.upright] + (-upright if self.up else upright)
        return found[0], found[1], found[2]


def panes(
    low: Sequence[float],
    high: Sequence[float],
    width: int,
    height: int,
    *,
    left: bool = True,
    up: bool = True,
) -> tuple[Pane, Pane, Pane]:
    """Return axial, coronal and sagittal panes of one scale, side by side.

    Parameters
    ----------
    low, high
        Corners of the box that all of them show, in mm.
    width, height
        Of a pane at most, in pixels.
    left, up
        As in `Pane`.
    """
    size = np.maximum(np.subtract(high, low), 1.0)
    x, y, z = ((a + b) / 2 for a, b in zip(low, high, strict=True))
    edge = max(size[0] / width, size[1] / width, size[1] / height, size[2] / height)
    axial, coronal, sagittal = (
        Pane(axis, (float(x), float(y), float(z)), float(edge), width, height, left, up)
        for axis in (2, 1, 0)
    )
    return axial, coronal, sagittal


def box_of(case: Case) -> tuple[Point, Point]:
    """Return the corners, in mm, of the trusted voxels and of what the MRI show of the head.

    They depend only on the case, so that nothing moves when settings change.
    """
    if case not in _boxes:
        grid = case.study.grid
        trusted = np.any([*case.trusted.values()], axis=0)
        maps = case.frame.show(Volume(trusted.astype(np.float32), grid.affine))
        boxes = [_box(maps, 0.5)]
        boxes += [_box(image, HEAD * case.mri_tops[name]) for name, image in case.mri.items()]
        lows, highs = zip(*boxes, strict=True)
        _boxes[case] = _point(np.min(lows, axis=0)), _point(np.max(highs, axis=0))
    return _boxes[case]


def middle_of(case: Case) -> Point:
    """Return the middle of the trusted voxels: where the views begin."""
    grid = case.study.grid
    trusted = np.argwhere(np.any([*case.trusted.values()], axis=0))
    index = trusted.mean(axis=0) if len(trusted) else (np.array(grid.shape) - 1) / 2
    return _point(case.frame.turn @ grid.affine @ [*index, 1.0])


def _point(values: FloatArray) -> Point:
    return float(values[0]), float(values[1]), float(values[2])


def _box(volume: Volume, floor: float) -> tuple[FloatArray, FloatArray]:
    """Return the corners of the voxels above a value, of the whole volume where none is."""
    above = volume.data > floor
    low, high = np.zeros(3), np.array(volume.shape, float)
    for axis in range(3) if above.any() else ():
        others = tuple(i for i in range(3) if i != axis)
        (found,) = np.nonzero(above.any(axis=others))
        low[axis], high[axis] = found[0], found[-1] + 1
    start, step = volume.affine[:3, 3], np.diag(volume.affine)[:3]
    return start + (low - 0.5) * step, start + (high - 0.5) * step


def values_in(volume: Volume, pane: Pane, point: Sequence[float]) -> FloatArray | None:
    """Return what a volume of display space holds in a pane's pixels, (rows, columns).

    Pixels beyond its voxels are NaN; None where the plane does not meet them.
    """
    indices: list[NDArray[np.intp]] = []
    for axis in (pane.axis, pane.across, pane.upright):
        places = {pane.axis: np.array([point[pane.axis]]), pane.across: pane.columns(),
                  pane.upright: pane.rows()}[axis]  # fmt: skip
        start, step = volume.affine[axis, 3], volume.affine[axis, axis]
        indices.append(np.floor((places - start) / step + 0.5).astype(np.intp))
    (k,), columns, rows = indices
    if not 0 <= k < volume.shape[pane.axis]:
        return None
    through: list[int | slice] = [slice(None)] * 3
    through[pane.axis] = int(k)
    plane = volume.data[tuple(through)]  # axes: across, upright; a view, where take would copy
    inside = ((rows >= 0) & (rows < plane.shape[1]))[:, None]
    inside = inside & ((columns >= 0) & (columns < plane.shape[0]))
    rows, columns = rows.clip(0, plane.shape[1] - 1), columns.clip(0, plane.shape[0] - 1)
    found: FloatArray = plane.T[rows[:, None], columns].astype(np.float32)
    found[~inside] = np.nan
    return found


@dataclass(frozen=True, eq=False)
class Painted:
    """A layer and its colours.

    Parameters
    ----------
    volume
        In display space.
    limits
        Values of the first and the last colour.
    colours
        Red, green, blue and alpha from 0 to 1 of (n, 4) equal steps between the limits.
    opacity, gamma
        Of the whole layer; the exponent of the values between the limits.
    """

    volume: Volume
    limits: tuple[float, float]
    colours: FloatArray
    opacity: float = 1.0
    gamma: float = 1.0


def paint(layers: Iterable[Painted], pane: Pane, point: Sequence[float]) -> NDArray[np.uint8]:
    """Return a pane's pixels (rows, columns, 3), the first layer the lowest, on black."""
    image = np.zeros((pane.height, pane.width, 3), np.float32)
    for layer in layers:
        values = values_in(layer.volume, pane, point)
        if values is None:
            continue
        low, high = layer.limits
        share = np.clip((values - low) / max(high - low, 1e-12), 0, 1) ** layer.gamma
        there = np.isfinite(share)
        last = len(layer.colours) - 1
        colour = layer.colours[np.where(there, share * last + 0.5, 0).astype(np.intp)]
        alpha = (colour[..., 3] * layer.opacity * there)[..., None]
        image += alpha * (colour[..., :3] - image)
    return np.asarray(np.round(255 * image.clip(0, 1)), np.uint8)
