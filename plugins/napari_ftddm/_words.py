"""Words on the canvas: what lies on top says what it is, where it lies and what it is not for.

They belong to the layers: whoever opened them, and whether or not the panel is open. The letters
R, L, A, P, S, I are read off what the viewer shows, its order of axes and the sense in which its
camera draws them, so that they are right whatever the user turns. The last three axes are those of
this plugin's layers, whatever other layers call them: the display's axes, which are the world's or,
for oblique maps, the nearest to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.components.overlays import TextOverlay
from qtpy.QtGui import QFont, QFontMetricsF, QGuiApplication

from ftddm_core.saving.notice import NOTICE, RESEARCH_ONLY
from ftddm_viewer.session.planes import PARTLY, VIEWS, middle_of
from ftddm_viewer.session.scene import NOT_COMPUTED, title_of
from napari_ftddm._bridge import AXES, dims_order, layer_axis
from napari_ftddm._record import (
    CHANGED,
    COMPUTED,
    complete,
    known_of,
    on_this_side,
    say_if_changed,
)
from napari_ftddm._sides import convention

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer

    from ftddm_viewer.session.case import Case

OPPOSITE = {"S": "I", "A": "P", "R": "L"}
SIDES = {
    "left": "middle_left",
    "right": "middle_right",
    "top": "top_center",
    "bottom": "bottom_center",
}
SIZES = {"title": 11, "caption": 9}
"""In points."""

ROOM = 20
"""Pixels left free at either side of a line."""

LEAST_WIDTH = 200
"""In pixels: no line is shorter than that, however small the canvas is."""

TINY, TINY_SIZE, TINY_ROOM = 280, 5, 12
"""Canvas in pixels that has no room for more than the notice, as an exported figure may be; its
type in points; and the pixels left free beside it."""
MOST_LINES, TOO_LOW = 3, 8
"""As many lines napari's box encloses; beyond, it misses about one for so many."""

DRAWN_LARGER = 96 / 72
"""Width of a text on the canvas relative to Qt's font metrics, as measured on screenshots."""

YELLOW, WHITE, BOX = "#ffe04d", "#f0f0f0", "#000000b0"

HARD = "\u00a0"
"""A space at which no line ends if there is room."""


def letters_of(viewer: Viewer) -> dict[str, str]:
    """Return side -> letter; nothing in 3D, or where no layer of this plugin is seen."""
    dims = viewer.dims
    places = [axis - (dims.ndim - len(AXES)) for axis in dims.displayed[-2:]]
    if dims.ndisplay != 2 or top_layer(viewer) is None or min(places) < 0:
        return {}
    row, column = (AXES[place] for place in places)
    vertical, horizontal = (str(sense) for sense in viewer.scene.camera.orientation2d)
    rows = (OPPOSITE[row], row) if vertical == "down" else (row, OPPOSITE[row])
    columns = (OPPOSITE[column], column) if horizontal == "right" else (column, OPPOSITE[column])
    return dict(zip(("top", "bottom", "left", "right"), (*rows, *columns), strict=True))


def top_layer(viewer: Viewer, at: Sequence[float] | None = None) -> Layer | None:
    """Return the highest layer of this plugin that is seen; a veil is seen through.

    Of the two halves of a swipe, that at a position of the viewer's world if one is given.
    """
    layers = [each for each in reversed(viewer.layers) if known_of(each).get("role") != "veil"]
    if at is not None:
        layers = [each for each in layers if on_this_side(known_of(each), at)]
    return next((each for each in layers if each.visible and "case" in known_of(each)), None)


def stacked_along(viewer: Viewer) -> int:
    """Return the display axis (0, 1, 2: x, y, z) along which the slices seen are stacked."""
    order = viewer.dims.order
    places = {axis: order.index(layer_axis(axis, viewer.dims.ndim)) for axis in range(3)}
    hidden = [axis for axis, place in places.items() if place < len(order) - 2]
    return max(hidden, key=lambda axis: places[axis])  # there is one: two axes are in the plane


def computed_here(
    viewer: Viewer, layer: Layer, axis: int | None = None, at: Sequence[float] | None = None
) -> bool:
    """Return whether a layer has values in the slice that the viewer shows, however it lies.

    Or, with a display axis and a position in the viewer's world, in the slice along it there.
    """
    stacked = stacked_along(viewer) if axis is None else axis
    along = layer_axis(stacked, layer.ndim)
    point = viewer.dims.point if at is None else at
    place = point[layer_axis(stacked, len(point))]
    inside = layer.affine.inverse(np.full(layer.ndim, place))  # no layer of ours is oblique
    k = int(np.clip(np.rint(inside[along]), 0, layer.data.shape[along] - 1))
    return bool(np.isfinite(np.take(layer.data, k, axis=along)).any())


def said_of(viewer: Viewer, layer: Layer, *, all_views: bool = False) -> dict[str, str]:
    """Return title and caption of a layer in the view, or in planes of all three directions."""
    known, dims = known_of(layer), viewer.dims
    case: Case = known["case"]
    role, caption = known["role"], known["caption"]
    across = all_views or stacked_along(viewer) != case.frame.axis
    if role in NOT_COMPUTED and not (
        np.isfinite(layer.data).any() if all_views else computed_here(viewer, layer)
    ):
        caption = NOT_COMPUTED[role]
    elif across and role in COMPUTED and not complete(known):
        caption = f"{PARTLY} {caption}"
    if across and not all_views:
        view = VIEWS[stacked_along(viewer)]
        title = f"{case.label}: {known['name']}, {view} view. {known['voxels']}".strip()
    else:
        k = case.slice_at(dims.point[layer_axis(case.frame.axis, dims.ndim)])
        title = title_of(case, known["name"], k, known["voxels"])
    return {"title": title, "caption": caption}


def turn_to(viewer: Viewer, case: Case, position: float) -> None:
    """Show a case's slices from the patient's feet, from a position in mm on; the point that all
    views share lies in the middle of the maps."""
    ndim = viewer.dims.ndim
    viewer.dims.order = dims_order(case.frame.axis, ndim)
    viewer.scene.camera.orientation2d = convention(viewer)
    point = list(middle_of(case))
    point[case.frame.axis] = position
    viewer.dims.set_point([layer_axis(i, ndim) for i in range(len(AXES))], point)


class Words:
    """The overlays of one viewer; they follow its layers for as long as it lives."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self._turned: Case | None = None
        self._there = self._tiny = False
        # Overlays at one place are stacked in the order in which they first became visible.
        self._add("title", "top_center", SIZES["title"], WHITE)
        self._add("caption", "bottom_center", SIZES["caption"], WHITE)
        for side, position in SIDES.items():
            self._add(side, position, 17, YELLOW)
        bar = viewer.canvas.overlays.scale_bar
        bar.position, bar.font_size = "bottom_center", 9  # stacked, never through the caption
        # A viewer holds methods weakly, and these functions as long as itself.
        viewer.layers.events.connect(lambda event: self._layers_changed(event))
        viewer.canvas.events.size.connect(lambda event=None: self.refresh())
        dims, camera = viewer.dims.events, viewer.scene.camera.events
        for changed in (dims.order, dims.ndisplay, dims.ndim, dims.point, camera.orientation):
            changed.connect(lambda event=None: self.refresh())
        self.refresh()

    def refresh(self) -> None:
        """Say what is to be said of what is seen now."""
        layer = top_layer(self.viewer)
        letters = letters_of(self.viewer)
        words = {side: letters.get(side, "") for side in SIDES}
        words |= dict.fromkeys(SIZES, "") if layer is None else said_of(self.viewer, layer)
        self._tiny = min(self.viewer.canvas.size) < TINY
        if layer is not None and self._tiny:
            words |= {"title": "", "caption": _notice(layer)}
        for name, text in words.items():
            overlay = self.viewer.canvas.overlays.get(f"ftddm_{name}")
            if overlay is not None:  # the user may have removed it
                shown = self._wrapped(name, text) if name in SIZES else text
                if name in SIZES and overlay.font_size != self._size(name):
                    overlay.font_size = self._size(name)
                if shown and overlay.text != shown:
                    overlay.text = shown
                if overlay.visible != bool(shown):
                    overlay.visible = bool(shown)

    def _layers_changed(self, event: Any) -> None:
        """Follow what is seen: layers come and go, and are hidden."""
        if event.type == "inserted":
            say_if_changed(event.value)
            self._turn(event.value)
        if event.type in ("inserted", "removed", "reordered", "visible", "data"):
            there = any("case" in known_of(each) for each in self.viewer.layers)
            if there is not self._there:  # the scale bar is the user's in between
                self._there = self.viewer.canvas.overlays.scale_bar.visible = there
            self.refresh()

    def _turn(self, layer: Layer) -> None:
        """Show a study that was not there before as radiologists are used to."""
        case: Case | None = known_of(layer).get("case")
        if case is None or case is self._turned or self.viewer.dims.ndim < len(AXES):
            return
        if self._turned is None or self._turned.study is not case.study:
            turn_to(self.viewer, case, float(case.positions[case.first_slice]))
        self._turned = case

    def _add(self, name: str, position: str, size: int, color: str) -> None:
        self.viewer.canvas.overlays[f"ftddm_{name}"] = TextOverlay(
            text=" ", position=position, font_size=size, color=color,
            box=True, box_color=BOX, visible=True,
        )  # fmt: skip

    def _wrapped(self, name: str, text: str) -> str:
        width = self.viewer.canvas.size[1]
        room = width - TINY_ROOM if self._tiny else max(LEAST_WIDTH, width - 2 * ROOM)
        lines = wrapped(text, room, self._size(name))
        # napari's box is too low for many lines: those farthest from the edge would stick out.
        more = [" "] * (0 if len(lines) <= MOST_LINES else 1 + len(lines) // TOO_LOW)
        return "\n".join([*more, *lines] if name == "caption" else [*lines, *more])

    def _size(self, name: str) -> int:
        """Return the size of a line's type in points."""
        return TINY_SIZE if self._tiny else SIZES[name]


def _notice(layer: Layer) -> str:
    """Return what a tiny image must say of a layer."""
    known = known_of(layer)
    computed = known["role"] in COMPUTED or (known["role"] == CHANGED and "settings" in known)
    return NOTICE if computed else f"{RESEARCH_ONLY}."


def wrapped(text: str, room: float, size: int) -> list[str]:
    """Return a text in lines as wide as there is room in pixels, as the canvas draws it."""
    metrics = QFontMetricsF(QFont(QGuiApplication.font().family(), size))

    def fits(line: str) -> bool:
        return DRAWN_LARGER * metrics.horizontalAdvance(line) <= room

    glued = text.replace(" × ", f"{HARD}×{HARD}").replace(" mm", f"{HARD}mm").split(" ")
    lines: list[str] = []
    for piece in glued:
        for word in [piece] if fits(piece) else piece.split(HARD):
            if lines and fits(f"{lines[-1]} {word}"):
                lines[-1] += f" {word}"
            else:
                lines.append(word)
    return [line.replace(HARD, " ") for line in lines]
