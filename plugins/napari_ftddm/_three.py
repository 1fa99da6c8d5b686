"""The dock "Three views": axial, coronal and sagittal planes through one point, of one scale.

They show what the canvas shows: its visible layers in their colours, the voxel that lies there in
every pixel. A click or a drag moves the point in all views and on the canvas, the wheel steps
through a view's planes, and the letters follow the side that the patient's right is drawn at.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image, Layer
from qtpy.QtCore import QPointF, QRect, Qt
from qtpy.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from qtpy.QtWidgets import QWidget

from ftddm_viewer.session.planes import VIEWS, Painted, Pane, Point, box_of, paint, panes
from ftddm_viewer.session.state import State
from napari_ftddm._bridge import AXES, from_layer, layer_axis
from napari_ftddm._cross import Cross
from napari_ftddm._dock import Dock
from napari_ftddm._parts import column, say, text
from napari_ftddm._readout import said_at
from napari_ftddm._record import known_of
from napari_ftddm._words import said_of, top_layer

if TYPE_CHECKING:
    import napari
    from napari import Viewer

LEAST = 100
"""Height of the planes in pixels, at least."""

GAP = 4
BAR_MM = 50.0
YELLOW, WHITE = QColor("#ffe04d"), QColor("#f0f0f0")
NOTHING = "Open a study first: its planes are shown here."


class ThreeViews(Dock):
    """Three planes and what is known at their point.

    Attributes
    ----------
    planes
        Draws the planes, and moves the point.
    """

    height_wanted = 330

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self.setObjectName("ftddm_three")
        self.planes = Planes(self.viewer)
        self.place, self.caption = text(small=True), text(small=True)
        layout = column(self.inside)
        layout.setSpacing(2)
        layout.addWidget(self.planes, 1)
        layout.addWidget(self.place)
        layout.addWidget(self.caption)
        self._cross: Cross | None = None
        self._listen(True)
        self.follow()
        say(self.problem, "")
        self._relay.post()

    def _listen(self, on: bool) -> None:
        viewer = self.viewer
        events = [viewer.layers.events, viewer.dims.events.point, viewer.canvas.grid.events,
                  viewer.scene.camera.events.orientation]  # fmt: skip
        for each in events:
            (each.connect if on else each.disconnect)(self._relay.post)

    def show_state(self, state: State) -> None:
        """Draw what the viewer shows now."""
        top = shown_on_top(self.viewer)
        if self._cross is None and top is not None and top.ndim == len(AXES):
            self._cross = Cross(self.viewer)
        self.planes.update()
        if top is None:
            say(self.place, NOTHING)
            say(self.caption, "")
            return
        point = point_of(self.viewer)
        world = np.linalg.inv(known_of(top)["case"].frame.turn)[:3] @ [*point, 1.0]
        value = said_at(self.viewer, top, self.viewer.dims.point[-len(AXES) :])
        where = ", ".join(f"{'LPI'[i] if x < 0 else 'RAS'[i]} {abs(x):.1f}"
                          for i, x in enumerate(world))  # fmt: skip
        say(self.place, f"{where} mm. {value}")
        words = said_of(self.viewer, top, all_views=True)
        say(self.caption, f"{words['title']}. {words['caption']}")

    def stop(self) -> None:
        """Follow nothing any more, and take the cross-hair away."""
        with suppress(RuntimeError, ValueError):  # where the viewer is gone already
            self._listen(False)
            if self._cross is not None:
                self._cross.close()
        self._cross = None
        super().stop()


class Planes(QWidget):
    """The three planes side by side."""

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._held: Pane | None = None
        self.setMinimumHeight(LEAST)
        self.setObjectName("ftddm_planes")
        self.setToolTip("Click or drag to move the cross-hair; the wheel steps through the planes.")

    def panes(self) -> list[tuple[QRect, Pane]]:
        """Return each plane and where it is drawn, from left to right; nothing without a study."""
        top = shown_on_top(self._viewer)
        if top is None or self._viewer.dims.ndim < len(AXES):
            return []
        low, high = box_of(known_of(top)["case"])
        vertical, horizontal = (str(e) for e in self._viewer.scene.camera.orientation2d)
        width, height = max((self.width() - 2 * GAP) // 3, 1), max(self.height(), 1)
        found = panes(low, high, width, height, left=horizontal == "left", up=vertical == "up")
        return [(QRect(i * (width + GAP), 0, width, height), each) for i, each in enumerate(found)]

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Draw planes, cross-hair, letters and scale."""
        painter = QPainter(self)
        layers, point = painted(self._viewer), point_of(self._viewer)
        for place, pane in self.panes():
            pixels = np.ascontiguousarray(paint(layers, pane, point))
            image = QImage(pixels.tobytes(), pane.width, pane.height, 3 * pane.width,
                           QImage.Format.Format_RGB888)  # fmt: skip
            painter.setClipRect(place)
            painter.drawImage(place.topLeft(), image)
            self._mark(painter, place, pane, point)
        painter.end()

    def _mark(self, painter: QPainter, place: QRect, pane: Pane, point: Point) -> None:
        x, y = pane.pixel(point)
        left, top = place.left(), place.top()
        painter.setPen(QPen(YELLOW, 1))
        middle = QPointF(left + x, top + y)
        painter.drawLine(QPointF(middle.x(), top), QPointF(middle.x(), top + pane.height))
        painter.drawLine(QPointF(left, middle.y()), QPointF(left + pane.width, middle.y()))
        sides = zip(pane.letters, ("Left", "Right", "Top", "Bottom"), strict=True)
        inner = place.adjusted(4, 2, -4, -2)
        for letter, side in sides:
            across = "VCenter" if side in ("Left", "Right") else "HCenter"
            flags = getattr(Qt.AlignmentFlag, f"Align{side}") | getattr(
                Qt.AlignmentFlag, f"Align{across}"
            )
            _write(painter, inner, flags, letter, YELLOW)
        corner = Qt.AlignmentFlag.AlignLeft
        _write(painter, inner, corner | Qt.AlignmentFlag.AlignTop, VIEWS[pane.axis], WHITE)
        _write(painter, inner, corner | Qt.AlignmentFlag.AlignBottom, f"{BAR_MM:g} mm", WHITE)
        painter.setPen(QPen(WHITE, 2))
        level = place.bottom() - painter.fontMetrics().height() - 4
        painter.drawLine(left + 5, level, left + 5 + round(BAR_MM / pane.edge), level)

    # ---- the user

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Take hold of the point in one of the planes."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            x, y = event.position().x(), event.position().y()
            self._held = next((p for r, p in self.panes() if r.contains(int(x), int(y))), None)
            self._go(x, y)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Move the point."""
        if event is not None:
            self._go(event.position().x(), event.position().y())

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Let go of the point."""
        self._held = None

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Step through the planes of the view under the pointer."""
        if event is None:
            return
        x, y = event.position().x(), event.position().y()
        pane = next((p for r, p in self.panes() if r.contains(int(x), int(y))), None)
        if pane is not None and event.angleDelta().y():
            dims = self._viewer.dims
            axis = layer_axis(pane.axis, dims.ndim)
            step = 1 if event.angleDelta().y() > 0 else -1
            dims.set_current_step(axis, dims.current_step[axis] + step)
        event.accept()

    def _go(self, x: float, y: float) -> None:
        if self._held is None:
            return
        place = next((r for r, p in self.panes() if p.axis == self._held.axis), None)
        if place is None:
            return
        point = self._held.point(x - place.left(), y - place.top(), point_of(self._viewer))
        dims = self._viewer.dims
        moved = (self._held.across, self._held.upright)
        dims.set_point([layer_axis(i, dims.ndim) for i in moved], [point[i] for i in moved])


def _write(
    painter: QPainter, place: QRect, flags: Qt.AlignmentFlag, words: str, colour: QColor
) -> None:
    """Write words that are readable on anything."""
    painter.setPen(QColor("black"))
    for x, y in ((1, 1), (-1, 1), (1, -1), (-1, -1)):
        painter.drawText(place.translated(x, y), flags, words)
    painter.setPen(colour)
    painter.drawText(place, flags, words)


def seen(viewer: Viewer) -> list[Layer]:
    """Return the images that the canvas shows, the lowest first; beside a pin, without it."""
    beside = viewer.canvas.grid.enabled
    found = []
    for each in viewer.layers:
        known = known_of(each)
        ours = isinstance(each, Image) and "case" in known and each.ndim == len(AXES)
        if ours and each.visible and not (beside and known.get("pinned")):
            found.append(each)
    return found


def shown_on_top(viewer: Viewer) -> Layer | None:
    """Return what the planes show on top; a veil is seen through."""
    position = viewer.dims.point if viewer.dims.ndim >= len(AXES) else None
    top = top_layer(viewer, at=position)
    layers = seen(viewer)
    if top in layers:
        return top
    below = [each for each in layers if known_of(each).get("role") != "veil"]
    return below[-1] if below else None


def painted(viewer: Viewer) -> list[Painted]:
    """Return the images that the canvas shows as they are to be painted."""
    steps = np.linspace(0, 1, 256)
    return [
        Painted(
            from_layer(each.data, np.asarray(each.affine)),
            (float(each.contrast_limits[0]), float(each.contrast_limits[1])),
            np.asarray(each.colormap.map(steps), float),
            float(each.opacity),
            float(each.gamma),
        )
        for each in seen(viewer)
    ]


def point_of(viewer: Viewer) -> Point:
    """Return the viewer's point in display space."""
    if viewer.dims.ndim < len(AXES):
        return 0.0, 0.0, 0.0
    z, y, x = viewer.dims.point[-len(AXES) :]
    return float(x), float(y), float(z)
