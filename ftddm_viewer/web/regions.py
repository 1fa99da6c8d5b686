"""The regions that a visitor draws: checked, kept for their study, read, and outlined.

What the browser sends is the slice that was seen and points in the drawing's mm, whose axes run
against those of the display; the voxels follow from `session.regions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

import numpy as np

from ftddm_core.errors import SettingsError
from ftddm_core.imaging.volume import FloatArray, Volume
from ftddm_viewer.session.case import Case, Prepared
from ftddm_viewer.session.derived import NO_CASE
from ftddm_viewer.session.regions import (
    SOURCES,
    BoolArray,
    Reading,
    Source,
    ellipse,
    grid_of,
    middle,
    mirrored,
    polygon,
    read,
)
from ftddm_viewer.session.scene import Scene
from ftddm_viewer.session.state import State
from ftddm_viewer.web.limits import FARTHEST, MOST_POINTS, MOST_REGIONS
from ftddm_viewer.web.outlines import outline, top_of
from ftddm_viewer.web.panels import plane_of, store
from ftddm_viewer.web.plain import plain

SHAPES = ("ellipse", "rectangle", "polygon")
LETTERS = ascii_uppercase[:MOST_REGIONS]
"""Names of regions."""

NOT_DRAWN = (
    f"This is no region: give one of {', '.join(SHAPES)}, and points in mm, {MOST_POINTS} at most."
)
OTHER_STUDY = "This region was drawn on the study before: draw it again."
MANY = f"There are {MOST_REGIONS} regions, which is the limit: remove one first."


@dataclass(frozen=True, eq=False)
class Region:
    """What was drawn in one slice.

    Parameters
    ----------
    letter, shape
        Its name, and one of `SHAPES`.
    slice_index
        Along the study's third axis, from 0.
    corners
        (n, 3) in display space, in mm.
    """

    letter: str
    shape: str
    slice_index: int
    corners: FloatArray

    @property
    def name(self) -> str:
        """Its letter, and what it is."""
        return f"{self.letter} ({self.shape} in slice {self.slice_index + 1})"


class Regions:
    """The regions of one tab; those of another study are dropped.

    Attributes
    ----------
    compared
        Of which maps the mirror image and lesion/normal are shown.
    """

    def __init__(self) -> None:
        self.compared: Source = "output"
        self._case: Case | None = None
        self._number = 0
        self._plane: float | None = None
        self._drawn: tuple[Region, ...] = ()
        self._formed: dict[Region, tuple[Prepared, float, BoolArray, BoolArray]] = {}
        self._read: tuple[Any, dict[Region, Reading | None]] = (None, {})
        self._outlined: tuple[Any, str] = (None, "")

    # ---- commands

    def of(self, state: State) -> tuple[Region, ...]:
        """Return the regions of the study that is open."""
        if state.case is not self._case:
            self._case, self._number, self._plane = state.case, self._number + 1, None
            self.clear()
        return self._drawn

    def number(self, state: State) -> int:
        """Return the number of the study that is open, by which a browser names it."""
        self.of(state)
        return self._number

    def add(self, state: State, drawn: object) -> None:
        """Add what a browser says was drawn: shape, points, slice, and number of the study.

        Raises
        ------
        SettingsError
            If it is no region, is one too many, or was drawn on another study.
        """
        regions, case = self.of(state), state.case
        if case is None:
            raise SettingsError(NO_CASE)
        told: Mapping[Any, Any] = drawn if isinstance(drawn, dict) else {}
        shape, points, k = told.get("shape"), _points(told.get("points")), told.get("slice")
        few = 3 if shape == "polygon" else 2
        if shape not in SHAPES or len(points) < few or type(k) is not int:
            raise SettingsError(NOT_DRAWN)
        if told.get("study") != self._number:
            raise SettingsError(OTHER_STUDY)
        letter = next((x for x in LETTERS if all(x != each.letter for each in regions)), "")
        if not letter:
            raise SettingsError(MANY)
        corners = _placed(case, case.known_slice(k), points if few == 3 else _box(points))
        corners = ellipse(corners) if shape == "ellipse" else corners
        self._drawn = (*regions, Region(letter, shape, k, corners))

    def remove(self, letter: object) -> None:
        """Remove a region, if there is one of this letter."""
        self._drawn = tuple(each for each in self._drawn if each.letter != letter)
        self._formed = {r: formed for r, formed in self._formed.items() if r in self._drawn}

    def clear(self) -> None:
        """Remove all regions."""
        self._drawn, self._formed, self._read = (), {}, (None, {})

    def plane(self, state: State) -> float:
        """Return x0 of the plane of the mirror images, in mm."""
        self.of(state)
        if self._plane is None:
            if state.view is None:
                return 0.0
            self._plane = middle(state.view.prepared)
        return self._plane

    def move_plane(self, state: State, x0: object) -> None:
        """Move the plane of the mirror images.

        Raises
        ------
        SettingsError
            If this is no position.
        """
        self.of(state)
        if not _is_position(x0):
            raise SettingsError(
                f"There is no plane x = {plain(str(x0), 40)}: give a number in mm, from "
                f"{-FARTHEST:g} to {FARTHEST:g}."
            )
        self._plane = float(x0)  # type: ignore[arg-type]

    def compare(self, source: object) -> None:
        """Choose of which maps mirror image and lesion/normal are shown.

        Raises
        ------
        SettingsError
            If there are no such maps.
        """
        found = next((each for each in SOURCES if each == source), None)
        if found is None:
            raise SettingsError(f"There is no map {plain(str(source), 40)!r} to compare with.")
        self.compared = found

    # ---- what they hold

    def readings(self, state: State) -> dict[Region, Reading | None]:
        """Return what is read in each region; None for one that holds no voxel."""
        regions, view = self.of(state), state.view
        if not regions or view is None:
            return {}
        made_of = (view, state.metabolite, state.ratio, self.plane(state), regions)
        if self._read[0] != made_of:
            found: dict[Region, Reading | None] = {}
            for region in regions:
                inside, other = self._form(state, view.prepared, region)
                plane = self.plane(state)
                found[region] = read(state, inside, plane, mirror=other) if inside.any() else None
            self._read = made_of, found
        return self._read[1]

    def outlines(self, state: State, scene: Scene) -> str:
        """Return the outlines in the current slice as one SVG group, mirror images dashed."""
        prepared = None if state.view is None else state.view.prepared
        made_of = (prepared, scene.axis, scene.position, self._plane, self.of(state))
        if self._outlined[0] != made_of:
            drawn: Iterable[str] = ()
            if prepared is not None:
                drawn = self._groups(state, prepared, scene)
            self._outlined = made_of, store([f'<g id="regions">{"".join(drawn)}</g>'])
        return self._outlined[1]

    def _groups(self, state: State, prepared: Prepared, scene: Scene) -> Iterator[str]:
        affine = grid_of(prepared).affine
        for region in self.of(state):
            names = ("region", region.letter), ("region mirror", f"{region.letter}′")
            formed = self._form(state, prepared, region)
            for (css, name), inside in zip(names, formed, strict=True):
                yield _outlined(Volume(inside.astype("f4"), affine), scene, css, name)

    def _form(
        self, state: State, prepared: Prepared, region: Region
    ) -> tuple[BoolArray, BoolArray]:
        """Return the voxels of a region and of its mirror image, on the output grid."""
        x0, known = self.plane(state), self._formed.get(region)
        if known is None or known[0] is not prepared or known[1] != x0:
            grid = grid_of(prepared)
            inside = polygon(grid, region.corners)
            other = mirrored(inside, grid, prepared.case.frame, x0)
            known = self._formed[region] = (prepared, x0, inside, other)
        return known[2:]


def _is_position(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and -FARTHEST <= value <= FARTHEST  # type: ignore[operator]


def _points(told: object) -> FloatArray:
    """Return points (n, 2) of a drawing; none where one of them cannot be used."""
    points = told if isinstance(told, list) and len(told) <= MOST_POINTS else []
    fit = (isinstance(p, list) and len(p) == 2 and all(map(_is_position, p)) for p in points)
    return np.array(points, float).reshape(-1, 2) if all(fit) else np.empty((0, 2))


def _box(points: FloatArray) -> FloatArray:
    """Return the corners of a box in the order in which they follow, from two opposite ones."""
    (a, b), (c, d) = points[:2]
    return np.array([(a, b), (c, b), (c, d), (a, d)])


def _placed(case: Case, k: int, points: FloatArray) -> FloatArray:
    """Return points of a drawing (n, 2) in display space (n, 3)."""
    axis = case.frame.axis
    across, down = (each for each in range(3) if each != axis)
    corners = np.empty((len(points), 3))
    corners[:, across], corners[:, down] = -points[:, 0], -points[:, 1]
    corners[:, axis] = case.positions[k]
    return corners


def _outlined(inside: Volume, scene: Scene, css: str, name: str) -> str:
    plane = plane_of(inside, scene.axis, scene.position)
    if plane is None or not plane.image.any():
        return ""
    there = plane.image > 0
    x, y = top_of(there, plane.box)
    return (
        f'<g class="{css}"><path d="{outline(there, plane.box)}"/>'
        f'<text x="{x:.5g}" y="{y:.5g}" dy="-.25em">{name}</text></g>'
    )
