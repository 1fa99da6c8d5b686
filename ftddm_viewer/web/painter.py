"""The page's drawings as HTML: side by side, swipe view, and deviation."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import matplotlib
import numpy as np

from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_viewer.session.case import Case
from ftddm_viewer.session.derived import BUTTONS, FADED
from ftddm_viewer.session.ratios import ratio_name, unit_of
from ftddm_viewer.session.scene import LayerSpec, Role, Scene
from ftddm_viewer.session.state import State
from ftddm_viewer.web.panels import (
    Box,
    Words,
    coloured,
    drawing,
    grey,
    image_element,
    kind_of,
    plane_of,
    png_url,
    store,
    veiled,
    view_box,
    wrapped,
)
from ftddm_viewer.web.plain import plain

LETTERS = 11.5
"""Approximate font size in pixels."""

WIDTHS = {1: 470.0, 2: 420.0, 3: 285.0}
"""Approximate width of a drawing in pixels, by the number side by side."""

RESERVED = {1: 3, 2: 4, 3: 5}
"""Lines of a caption, by the number side by side: what settings add to one moves no image."""

HANDS = 'role="group" aria-label="Images; arrow keys turn the slices"'

MRI: tuple[Role, ...] = ("T1", "FLAIR")


class Drawings(NamedTuple):
    """HTML of all drawings of a state.

    Parameters
    ----------
    backdrop, maps
        Hidden images, see `panels.store`.
    pair, swipe, spread
        Drawings: side by side, input against output, output and deviation. Empty if there is
        nothing to show.
    bar
        Colour bar.
    """

    backdrop: str = ""
    maps: str = ""
    pair: str = ""
    swipe: str = ""
    spread: str = ""
    bar: str = ""


class Panel(NamedTuple):
    """What one drawing shows.

    Parameters
    ----------
    kind
        CSS class of the drawing: what the pointer reads there.
    images
        See `panels.drawing`.
    title, caption
        Its words; escaped where they are drawn.
    """

    kind: str
    images: Sequence[tuple[str, str]]
    title: str
    caption: str


Letters = tuple[str, str, str, str]
"""Directions (left, right, top, bottom)."""


class Painter:
    """Draws states; reuses what did not change from one to the next."""

    def __init__(self) -> None:
        self._case: Case | None = None
        self._box = Box(0, 0, 1, 1)
        self._kept: dict[str, tuple[tuple[Any, ...], str]] = {}

    def paint(self, state: State, scene: Scene) -> Drawings:
        """Return the drawings of a state and its scene."""
        if state.case is None or state.view is None:
            return Drawings()
        if state.case is not self._case:
            self._case, self._box, self._kept = state.case, view_box(state.case), {}
        letters = letters_of(scene)
        elements = {layer.role: self.element(layer, scene) for layer in scene.layers}
        return Drawings(
            backdrop=store([elements[role] for role in elements if role in MRI]),
            maps=store([elements[role] for role in elements if role not in MRI]),
            pair=self._row(scene, ("input", "output", "reference"), letters),
            swipe=self._swipe(scene, letters),
            spread=self._row(scene, ("output", "deviation"), letters, needed="deviation"),
            bar="".join(_bars(scene, state)),
        )

    def beside_output(self, role: Role, state: State, scene: Scene) -> str:
        """Return the output and an image derived from it; "" unless it is asked for."""
        return self.row(("output", role), state, scene, needed=role)

    def alone(self, role: Role, state: State, scene: Scene) -> str:
        """Return one image, as large as one of three; "" where there is none."""
        return self.row((role,), state, scene, needed=role, of=3)

    def row(
        self,
        roles: Sequence[Role],
        state: State,
        scene: Scene,
        needed: Role = "input",
        of: int = 0,
    ) -> str:
        """Return images side by side, as far as they are there, as large as one of so many; ""
        without the one needed."""
        if state.case is not self._case or scene.layer(needed) is None:
            return ""
        return self._row(scene, roles, letters_of(scene), needed, of)

    def element(self, layer: LayerSpec, scene: Scene, name: str = "") -> str:
        """Return a layer's slice as an image element; "" outside the layer.

        `name` is by which drawings refer to it, the layer's role unless another is given.
        """
        name = id_of(name or layer.role)
        return self.plane(name, layer, scene.axis, scene.position, self._box)

    def plane(self, name: str, layer: LayerSpec, axis: int, position: float, box: Box) -> str:
        """Return a plane of a layer as an image element; "" outside the layer.

        Parameters
        ----------
        name
            Id of the element.
        layer
            What to draw.
        axis, position
            See `plane_of`.
        box
            What is seen of an MRI, whose other pixels are left out.
        """
        asked = (layer.volume, layer.limits, layer.colormap, axis, position, layer.visible)
        known, element = self._kept.get(name, ((), ""))
        if len(known) == len(asked) and known[0] is asked[0] and known[1:] == asked[1:]:
            return element
        element = ""
        plane = plane_of(layer.volume, axis, position)
        if plane is not None and layer.role in MRI:
            plane = plane.within(box)
            if plane.image.size:
                element = image_element(name, png_url(grey(plane.image, layer)), plane.box)
        elif layer.role == "veil":
            if plane is not None and layer.visible:
                element = image_element(name, png_url(veiled(plane.image)), plane.box)
        elif plane is not None:
            element = image_element(name, png_url(coloured(plane.image, layer)), plane.box)
        self._kept[name] = (asked, element)
        return element

    def _row(
        self,
        scene: Scene,
        roles: Sequence[Role],
        letters: Letters,
        needed: Role = "input",
        of: int = 0,
    ) -> str:
        """Return drawings side by side, each with its own caption."""
        if scene.layer(needed) is None:
            return ""
        layers = [layer for role in roles if (layer := scene.layer(role)) is not None]
        return self.side_by_side([panel_of(scene, layer) for layer in layers], letters, of)

    def side_by_side(self, panels: Sequence[Panel], letters: Letters, of: int = 0) -> str:
        """Return drawings in a row, as large as one of so many, or as there are."""
        of = of or len(panels)
        size = LETTERS * self._box.width / WIDTHS.get(of, WIDTHS[3])
        feet = [wrapped(panel.caption, self._box, size) for panel in panels]
        lines = max(RESERVED.get(of, RESERVED[3]), *map(len, feet))
        shown = "".join(
            drawing(
                self._box,
                panel.images,
                Words(panel.title, letters, _padded(foot, lines)),
                size,
                kind=kind_of(panel.kind),
            )
            for panel, foot in zip(panels, feet, strict=True)
        )
        return f'<div class="side of-{len(panels)} hands" tabindex="0" {HANDS}>{shown}</div>'

    def _swipe(self, scene: Scene, letters: Letters) -> str:
        """Return input and output on top of each other, with a movable edge between them."""
        left, right = scene.layer("input"), scene.layer("output")
        if left is None or right is None:
            return ""
        first, second = panel_of(scene, left), panel_of(scene, right)
        return self.swiped(
            first._replace(title=short(left.name)),
            second._replace(
                title=short(right.name),
                caption=f"{without_notice(first.caption)} {second.caption}",
            ),
            letters,
            "input and output",
        )

    def swiped(self, left: Panel, right: Panel, letters: Letters, between: str) -> str:
        """Return two drawings on top of each other, with a movable edge `between` them.

        Below both is the caption of `right`, which speaks of both: either may be seen alone.
        """
        size = LETTERS * self._box.width / WIDTHS[1]
        foot = wrapped(right.caption, self._box, size)
        sides = "".join(
            f'<div class="{side}">'
            + drawing(
                self._box,
                panel.images,
                Words(panel.title, letters, foot),
                size,
                end=side == "right",
            )
            + "</div>"
            for side, panel in (("left", left), ("right", right))
        )
        return (
            f'<div class="swipe">{sides}<div class="edge"></div>'
            '<input type="range" min="0" max="100" step="0.1" value="50" '
            f'aria-label="Edge between {html.escape(plain(between))}"></div>'
        )


def letters_of(scene: Scene) -> Letters:
    """Return the directions at the edges of a scene's drawings."""
    shown = scene.layer("input")
    where = None if shown is None else plane_of(shown.volume, scene.axis, scene.position)
    return ("", "", "", "") if where is None else where.letters


def panel_of(scene: Scene, layer: LayerSpec) -> Panel:
    """Return the drawing of a layer over the MRI, and below what fades it."""
    below = [(id_of(each.role), below_as(each.role)) for each in scene.layers if each.role in MRI]
    veil = scene.layer("veil")
    faded = layer.role in FADED and veil is not None and veil.visible
    above = [(id_of("veil"), "map")] if faded else []
    images = [*below, (id_of(layer.role), "map"), *above, ("regions", "regions")]
    return Panel(layer.role, images, layer.name, scene.caption(layer.role))


def below_as(role: str) -> str:
    """Return the CSS class of an MRI below a map."""
    return f"mri {role}"


def id_of(name: str) -> str:
    """Return the id of an image."""
    return f"image-{kind_of(name)}"


def without_notice(caption: str) -> str:
    """Return a caption that another one follows, which has the notice."""
    return caption.removesuffix(f" {RESEARCH_ONLY}.")


def short(name: str) -> str:
    """Return a layer's name without the part in brackets, so that two names fit."""
    return name.partition(" (")[0]


def _padded(lines: Sequence[str], count: int) -> list[str]:
    return [*lines, *[""] * (count - len(lines))]


def _bars(scene: Scene, state: State) -> Iterator[str]:
    """Yield a colour bar for the maps, and one for each further kind of image that there is."""
    if state.view is None:
        return
    unit = state.view.prepared.conditions[state.metabolite].unit or "a.u."
    shown: tuple[tuple[Role, str], ...] = (
        ("output", state.metabolite),
        ("deviation", "Deviation"),
        *((role, BUTTONS[role]) for role in ("difference", "detail", "flow", "estimate")),
    )
    for role, what in shown:
        if (layer := scene.layer(role)) is not None:
            yield _bar(layer, what, unit)
    layer, pair = scene.layer("ratio output"), state.ratio
    if layer is not None and pair is not None:
        yield _bar(layer, ratio_name(pair), unit_of(state.view.prepared.case, pair))


def _bar(layer: LayerSpec, what: str, unit: str) -> str:
    low, high = layer.limits
    return (
        f'<div class="bar"><b>{html.escape(plain(what, 24))}</b><span>{_short_number(low)}</span>'
        f'<img alt="" src="{_ramp(layer.colormap)}"><span>{_short_number(high)}</span>'
        f"<span>{html.escape(unit)}</span></div>"
    )


def _short_number(value: float) -> str:
    """Return a number with three digits, without an exponent where possible."""
    if value and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.2e}"
    return np.format_float_positional(value, precision=3, fractional=False, trim="-")


@cache
def _ramp(colormap: str) -> str:
    """Return a colour map as an image, from its first to its last colour."""
    return png_url(matplotlib.colormaps[colormap](np.arange(256), bytes=True)[None, :, :3])
