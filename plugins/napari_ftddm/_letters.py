"""Words on the canvas: R, L, A, P, S, I at its edges, title, caption and a scale bar.

The letters are read off what the viewer shows, its order of axes and the sense in which its camera
draws them, so that they are right whatever the user turns. The last three axes are those of this
plugin's layers, whatever other layers call them: the display's axes, which are the world's or, for
oblique maps, the nearest to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from napari.components.overlays import TextOverlay

from ftddm_viewer.session.scene import Role
from napari_ftddm._bridge import AXES
from napari_ftddm._stage import known_of

if TYPE_CHECKING:
    from napari import Viewer

OPPOSITE = {"S": "I", "A": "P", "R": "L"}
SIDES = {
    "left": "middle_left",
    "right": "middle_right",
    "top": "top_center",
    "bottom": "bottom_center",
}
PIXELS_PER_LETTER = 0.86
"""Relative to the type's size in points, with some room to spare."""

SIZES = {"title": 11, "caption": 9}

YELLOW = "#ffe04d"
WHITE = "#f0f0f0"


def letters_of(viewer: Viewer) -> dict[str, str]:
    """Return side -> letter; nothing in 3D, or where no layer of this plugin is seen."""
    dims = viewer.dims
    seen = any(layer.visible and "frame" in known_of(layer) for layer in viewer.layers)
    places = [axis - (dims.ndim - len(AXES)) for axis in dims.displayed[-2:]]
    if dims.ndisplay != 2 or not seen or min(places) < 0:
        return {}
    row, column = (AXES[place] for place in places)
    vertical, horizontal = (str(sense) for sense in viewer.scene.camera.orientation2d)
    rows = (OPPOSITE[row], row) if vertical == "down" else (row, OPPOSITE[row])
    columns = (OPPOSITE[column], column) if horizontal == "right" else (column, OPPOSITE[column])
    return dict(zip(("top", "bottom", "left", "right"), (*rows, *columns), strict=True))


class Letters:
    """The overlays of one viewer; to be closed."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._title, self._captions = "", dict[Role, str]()
        # Overlays at one place are stacked in the order in which they first became visible.
        self._add("title", "top_center", SIZES["title"], WHITE)
        self._add("caption", "bottom_center", SIZES["caption"], WHITE)
        for side, position in SIDES.items():
            self._add(side, position, 17, YELLOW)
        bar = viewer.canvas.overlays.scale_bar
        bar.position, bar.font_size = "bottom_right", 9
        for event in self._events():
            event.connect(self._draw)
        viewer.layers.events.connect(self._layers_changed)
        viewer.canvas.events.size.connect(self.fit)
        self.say("", {})
        self._draw()

    def say(self, title: str, captions: Mapping[Role, str]) -> None:
        """Set the title, and the caption of every role of layer, wrapped to the canvas."""
        self._title, self._captions = title, dict(captions)
        self._viewer.canvas.overlays.scale_bar.visible = bool(title)
        self.fit()

    def _said(self) -> dict[str, str]:
        """Return title and caption: that of the layer which lies on top of those that are seen."""
        seen = (known_of(layer) for layer in reversed(self._viewer.layers) if layer.visible)
        top: Role | None = next((known["role"] for known in seen if known.get("managed")), None)
        return {"title": self._title, "caption": "" if top is None else self._captions.get(top, "")}

    def fit(self, event: Any = None) -> None:
        """Wrap the words to the canvas as wide as it is now."""
        for name, text in self._said().items():
            overlay = self._overlay(name)
            if overlay is None:
                continue
            wrapped = "\n".join(wrap(text, self._letters_per_line(name)))
            if wrapped and overlay.text != wrapped:
                overlay.text = wrapped
            if overlay.visible != bool(wrapped):
                overlay.visible = bool(wrapped)

    def close(self) -> None:
        """Take everything off the canvas again."""
        for name in (*SIZES, *SIDES):
            if self._overlay(name) is not None:
                del self._viewer.canvas.overlays[f"ftddm_{name}"]
        self._viewer.canvas.overlays.scale_bar.visible = False

    def disconnect(self) -> None:
        """Follow the viewer no longer."""
        for event in self._events():
            event.disconnect(self._draw)
        self._viewer.layers.events.disconnect(self._layers_changed)
        self._viewer.canvas.events.size.disconnect(self.fit)

    def _events(self) -> tuple[Any, ...]:
        dims, camera = self._viewer.dims.events, self._viewer.scene.camera.events
        return dims.order, dims.ndisplay, dims.ndim, camera.orientation

    def _add(self, name: str, position: str, size: int, color: str) -> None:
        self._viewer.canvas.overlays[f"ftddm_{name}"] = TextOverlay(
            text=" ", position=position, font_size=size, color=color, box=False, visible=True
        )

    def _overlay(self, name: str) -> Any:
        return self._viewer.canvas.overlays.get(f"ftddm_{name}")

    def _layers_changed(self, event: Any) -> None:
        """Follow what is seen: layers come and go, and are hidden."""
        if event.type in ("inserted", "removed", "reordered", "visible"):
            self._draw()
            self.fit()

    def _draw(self, event: Any = None) -> None:
        letters = letters_of(self._viewer)
        for side in SIDES:
            overlay = self._overlay(side)
            if overlay is not None:
                overlay.text = letters.get(side, " ")
                overlay.visible = side in letters

    def _letters_per_line(self, name: str) -> int:
        """Return how many letters fit; the caption leaves room for the scale bar at its right."""
        width = self._viewer.canvas.size[1]
        room = width - 260 if name == "caption" else width - 40
        return max(30, int(room / (PIXELS_PER_LETTER * SIZES[name])))
