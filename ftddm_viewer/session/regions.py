"""Regions that a user draws: their voxels, their statistics, and their mirror image.

A region is a boolean array on the output grid in display space, as every map that is shown; only
trusted voxels with finite values count. It is mirrored in world coordinates across a sagittal plane
x = x0: a voxel belongs to the mirror image if its own mirror image lies in a voxel of the region.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import GeometryError
from ftddm_core.imaging.geometry import regrid_nearest
from ftddm_core.imaging.metabolites import Ratio
from ftddm_core.imaging.space import doubt_about_sides
from ftddm_core.imaging.volume import FloatArray, Volume
from ftddm_viewer.session.case import Prepared
from ftddm_viewer.session.frame import Frame
from ftddm_viewer.session.ratios import ratio_name, ratio_volume, unit_of, usual_ratios
from ftddm_viewer.session.state import State, View

BoolArray = NDArray[np.bool_]
Source = Literal["input", "output", "reference"]
SOURCES: tuple[Source, ...] = ("input", "output", "reference")


@dataclass(frozen=True)
class Statistics:
    """Values of one map in one region, in the map's unit.

    Parameters
    ----------
    mean, spread
        Mean and standard deviation (n - 1) over the voxels; the latter NaN for a single voxel.
    deviation
        Mean over the voxels of the standard deviation of the samples; None where it is unknown.
    voxels
        Number of trusted voxels with a value: above 0.
    """

    mean: float
    spread: float
    deviation: float | None
    voxels: int


@dataclass(frozen=True)
class Line:
    """One map or ratio.

    Parameters
    ----------
    name, unit
        Of the metabolite or ratio.
    values, mirrored
        Of which maps -> statistics in the region, and in its mirror image; those that were not
        computed, and those without a voxel, are absent.
    """

    name: str
    unit: str
    values: dict[Source, Statistics]
    mirrored: dict[Source, Statistics]

    def relative(self, source: Source) -> float | None:
        """Return lesion/normal: the region's mean over that of its mirror image; None if unknown.

        A mirror image whose mean is not above 0 gives none.
        """
        here, there = self.values.get(source), self.mirrored.get(source)
        if here is None or there is None or not there.mean > 0:
            return None
        return here.mean / there.mean


@dataclass(frozen=True)
class Reading:
    """Everything that is read in one region.

    Parameters
    ----------
    lines
        One for every metabolite, then one for every ratio.
    voxels, outside
        Number of voxels of the region, and how many of them lie outside the mask of the metabolite
        that is shown.
    mirrored_voxels, mirrored_outside
        Those of the mirror image; voxels beyond the grid do not count.
    plane
        x0, in mm.
    doubt
        Why it is unknown which side is left; "" where it is known.
    """

    lines: tuple[Line, ...]
    voxels: int
    outside: int
    mirrored_voxels: int
    mirrored_outside: int
    plane: float
    doubt: str = ""


def grid_of(prepared: Prepared) -> Volume:
    """Return the output grid in display space, on which regions lie."""
    return prepared.input(next(iter(prepared.conditions)))


def polygon(grid: Volume, corners: FloatArray) -> BoolArray:
    """Return the voxels whose centre lies in a polygon that is drawn in a plane of the display.

    Parameters
    ----------
    grid
        In display space.
    corners
        Corners (n, 3) in mm, all with the same position along one axis; the slice nearest to it is
        meant. A polygon that ends where it lies beyond the grid is cut off there.

    Raises
    ------
    GeometryError
        If there are fewer than three corners, or they lie in no plane of the display.
    """
    from skimage.measure import points_in_poly

    corners = np.asarray(corners, float)
    inside = np.zeros(grid.shape, bool)
    if corners.ndim != 2 or corners.shape[1] != 3 or len(corners) < 3:
        raise GeometryError(f"A region needs three corners or more, found {len(corners)}.")
    index = (corners - grid.affine[:3, 3]) / np.diag(grid.affine)[:3]
    across = int(np.ptp(index, axis=0).argmin())
    if np.ptp(index[:, across]) > 0.5:
        raise GeometryError("A region must be drawn in one slice: draw one in each slice.")
    k = int(np.floor(index[0, across] + 0.5))
    if not 0 <= k < grid.shape[across]:
        return inside
    first, second = (axis for axis in range(3) if axis != across)
    shape = grid.shape[first], grid.shape[second]
    centres = np.indices(shape).reshape(2, -1).T
    held = points_in_poly(centres, index[:, [first, second]])  # type: ignore[no-untyped-call]
    np.moveaxis(inside, across, 0)[k] = held.reshape(shape)
    return inside


def ellipse(corners: FloatArray, points: int = 72) -> FloatArray:
    """Return points (points, 3) on the ellipse in a parallelogram of four corners (4, 3)."""
    a, b, _, d = np.asarray(corners, float)
    angle = 2 * np.pi * np.arange(points)[:, None] / points
    centre = (b + d) / 2
    return np.asarray(centre + np.cos(angle) * (b - a) / 2 + np.sin(angle) * (d - a) / 2)


def labelled(grid: Volume, labels: Volume) -> BoolArray:
    """Return the voxels of the output grid where a label map in display space is not 0."""
    data = (labels.data != 0).astype(np.uint8)
    try:
        return regrid_nearest(replace(labels, data=data), grid.shape, grid.affine).data > 0
    except GeometryError:  # beside the maps
        return np.zeros(grid.shape, bool)


def middle(prepared: Prepared) -> float:
    """Return the centre x0 in mm of the voxels that are trusted for any metabolite."""
    study, trusted = prepared.case.study, np.zeros(prepared.case.study.grid.shape, bool)
    for each in prepared.case.trusted.values():
        trusted |= each
    index = np.argwhere(trusted if trusted.any() else np.ones_like(trusted))
    affine = study.grid.affine
    return float((index @ affine[0, :3] + affine[0, 3]).mean())


def mirrored(inside: BoolArray, grid: Volume, frame: Frame, plane: float) -> BoolArray:
    """Return the mirror image of a region across the sagittal plane x = `plane` of the world.

    Parameters
    ----------
    inside
        Region (X, Y, Z) on `grid`, in display space.
    grid, frame
        The grid, and the display space it lies in.
    plane
        x0 in mm.
    """
    world = np.linalg.inv(frame.turn) @ grid.affine
    reflection = np.diag([-1.0, 1.0, 1.0, 1.0])
    reflection[0, 3] = 2 * plane
    image = Volume(inside.astype(np.uint8), reflection @ world)
    try:
        return regrid_nearest(image, grid.shape, world).data > 0
    except GeometryError:  # all of it lies beyond the grid
        return np.zeros_like(inside)


def read(
    state: State,
    inside: BoolArray,
    plane: float | None = None,
    ratios: Iterable[Ratio] = (),
    mirror: BoolArray | None = None,
) -> Reading | None:
    """Return what is read in a region; None before anything is open.

    Parameters
    ----------
    state
        Its images: what was not computed with the settings of its view has no statistics.
    inside
        The region on the output grid, in display space.
    plane
        x0 in mm of the plane of the mirror image; None for `middle`.
    ratios
        Ratios to read besides the one that is shown and the usual ones.
    mirror
        The region's mirror image across that plane, if it is known already.

    Raises
    ------
    GeometryError
        If the region is not on the output grid.
    """
    view = state.view
    if view is None:
        return None
    prepared, case = view.prepared, view.prepared.case
    grid = grid_of(prepared)
    if inside.shape != grid.shape:
        raise GeometryError(f"The region has the shape {inside.shape}, the output {grid.shape}.")
    x0 = middle(prepared) if plane is None else plane
    other = mirrored(inside, grid, case.frame, x0) if mirror is None else mirror
    chosen = () if state.ratio is None else (state.ratio,)
    pairs = dict.fromkeys((*chosen, *usual_ratios(case.study), *ratios))
    lines = [_line(view, name, inside, other) for name in case.study.maps]
    lines += [_line(view, pair, inside, other) for pair in pairs]
    trusted = np.isfinite(prepared.input(state.metabolite).data)
    return Reading(
        tuple(lines),
        int(inside.sum()),
        int((inside & ~trusted).sum()),
        int(other.sum()),
        int((other & ~trusted).sum()),
        x0,
        doubt_about_sides(case.study.notes),
    )


def _line(view: View, what: str | Ratio, inside: BoolArray, other: BoolArray) -> Line:
    here: dict[Source, Statistics] = {}
    there: dict[Source, Statistics] = {}
    final = _final(view, what)
    for source in SOURCES:
        if source == "output" and not final.any():
            continue
        volume = _volume(view, what, source)
        deviation = _volume(view, what, "deviation") if source == "output" else None
        for found, region in ((here, inside), (there, other)):
            counted = region & final if source == "output" else region
            statistics = statistics_of(volume, counted, deviation)
            if statistics is not None:
                found[source] = statistics
    case = view.prepared.case
    if isinstance(what, Ratio):
        return Line(ratio_name(what), unit_of(case, what), here, there)
    return Line(what, case.study.maps[what].unit, here, there)


def _final(view: View, what: str | Ratio) -> BoolArray:
    """Return the slices of the display whose images are final, in a shape that broadcasts."""
    frame, names = view.prepared.case.frame, what if isinstance(what, Ratio) else (what,)
    final = np.array([
        all((image := view.images.get((name, k))) is not None and image.final for name in names)
        for k in range(view.prepared.n_slices)
    ])  # fmt: skip
    shape = [1, 1, 1]
    shape[frame.axis] = -1
    return (final[::-1] if frame.reversed else final).reshape(shape)


def _volume(view: View, what: str | Ratio, source: Source | Literal["deviation"]) -> Volume | None:
    """Return a map in display space, NaN where it is not trusted or was not computed."""
    if isinstance(what, Ratio):
        return ratio_volume(view, what, source)
    if source == "input":
        return view.prepared.input(what)
    if source == "reference":
        return view.prepared.truth(what)
    if source == "deviation":
        return view.stacked(what, "deviation") if view.asked.samples > 1 else None
    return view.stacked(what)


def statistics_of(
    volume: Volume | None, inside: BoolArray, deviation: Volume | None = None
) -> Statistics | None:
    """Return the statistics of a map's finite values in a region; None if there are none."""
    if volume is None:
        return None
    values = np.asarray(volume.data[inside], np.float64)
    held = np.isfinite(values)
    values = values[held]
    if not values.size:
        return None
    error = None
    if deviation is not None:
        errors = np.asarray(deviation.data[inside], np.float64)[held]
        error = float(errors.mean()) if np.isfinite(errors).all() else None
    spread = float(values.std(ddof=1)) if values.size > 1 else float("nan")
    return Statistics(float(values.mean()), spread, error, int(values.size))


def union(regions: Sequence[BoolArray], grid: Volume) -> BoolArray:
    """Return the voxels of any of several regions."""
    return np.asarray(np.logical_or.reduce([np.zeros(grid.shape, bool), *regions]))
