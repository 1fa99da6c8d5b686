"""Slices as SVG drawings in mm, in radiological convention. Pure functions, no GUI toolkit.

A drawing contains no pixels: it refers to images by id, so that several drawings share an image and
an update transfers only its own pixels. Its coordinates are world coordinates in mm with both axes
reversed: the patient's right and front (or head) have the largest world coordinates, and belong at
the left and at the top of the page.
"""

from __future__ import annotations

import base64
import html
import io
import re
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ftddm_core.imaging.volume import Volume, finite_or_zero
from ftddm_viewer.drawing.orientation import radiological_slice
from ftddm_viewer.session.case import Case
from ftddm_viewer.session.reliability import VEIL
from ftddm_viewer.session.scene import LayerSpec
from ftddm_viewer.web.plain import plain

MARGIN = 14.0
"""Margin in mm around the trusted voxels, enough to see the skull."""

LINE = 1.35
"""Height of a line of text, relative to the font size."""

LETTER_WIDTH = 0.53
"""Mean width of a letter, relative to the font size."""

BOLD_WIDTH = 0.68
"""Mean width of a letter of a title, relative to the font size of the other words."""


class Box(NamedTuple):
    """A rectangle of a drawing, in mm: its left and upper edges and its size."""

    x: float
    y: float
    width: float
    height: float

    def svg(self) -> str:
        """Return the four numbers as attributes."""
        names = ("x", "y", "width", "height")
        return " ".join(f'{k}="{v:.5g}"' for k, v in zip(names, self, strict=True))


class Plane(NamedTuple):
    """A slice to draw.

    Parameters
    ----------
    image
        Values, row 0 at the top.
    box
        Position of its outer edges.
    letters
        Directions (left, right, top, bottom).
    """

    image: NDArray[Any]
    box: Box
    letters: tuple[str, str, str, str]

    def within(self, box: Box) -> Plane:
        """Return the pixels that lie in a box, at least in part."""
        rows, columns = self.image.shape
        high, wide = self.box.height / rows, self.box.width / columns
        top, bottom = _cut(box.y - self.box.y, box.height, high, rows)
        left, right = _cut(box.x - self.box.x, box.width, wide, columns)
        kept = Box(
            self.box.x + left * wide,
            self.box.y + top * high,
            (right - left) * wide,
            (bottom - top) * high,
        )
        return Plane(self.image[top:bottom, left:right], kept, self.letters)


def _cut(start: float, length: float, step: float, count: int) -> tuple[int, int]:
    first = int(np.clip(np.floor(start / step), 0, count))
    return first, int(np.clip(np.ceil((start + length) / step), first, count))


def plane_of(volume: Volume, axis: int, position: float) -> Plane | None:
    """Return the slice of a display volume nearest to a position, None outside the volume.

    Parameters
    ----------
    volume
        In display space.
    axis, position
        Display axis along which slices are stacked, and position along it in mm.
    """
    start, step = volume.affine[axis, 3], volume.affine[axis, axis]
    k = round(np.clip((position - start) / step, 0, volume.shape[axis] - 1))
    if abs(start + k * step - position) > step:
        return None
    return _plane(volume, axis, k)


def _plane(volume: Volume, axis: int, k: int) -> Plane:
    order = [*(a for a in range(3) if a != axis), axis]
    turned = Volume(volume.data.transpose(order), volume.affine[:, [*order, 3]])
    image, letters, _ = radiological_slice(turned, k)
    x, width = _extent(volume, order[0])
    y, height = _extent(volume, order[1])
    return Plane(image, Box(x, y, width, height), letters)


def _extent(volume: Volume, axis: int) -> tuple[float, float]:
    """Return the negated position of the edge at an axis' positive end, and the volume's length."""
    start, step = volume.affine[axis, 3], volume.affine[axis, axis]
    n = volume.shape[axis]
    return float(-(start + (n - 0.5) * step)), float(n * step)


def view_box(case: Case) -> Box:
    """Return the part to draw: the bounding box of the trusted voxels of all maps and slices.

    It depends only on the case, so that nothing moves when settings change.
    """
    grid = case.study.grid
    trusted = np.any([*case.trusted.values()], axis=0)
    shown = case.frame.show(Volume(trusted.astype(np.float32), grid.affine))
    axis = case.frame.axis
    flat = Volume(shown.data.max(axis=axis, keepdims=True), shown.affine)
    image, (x, y, width, height), _ = _plane(flat, axis, 0)
    if image.any():
        high, wide = height / image.shape[0], width / image.shape[1]
        rows, columns = (np.flatnonzero(image.any(axis)) for axis in (1, 0))
        x, y = x + columns[0] * wide, y + rows[0] * high
        width = (columns[-1] + 1 - columns[0]) * wide
        height = (rows[-1] + 1 - rows[0]) * high
    return Box(x - MARGIN, y - MARGIN, width + 2 * MARGIN, height + 2 * MARGIN)


def coloured(image: NDArray[Any], layer: LayerSpec) -> NDArray[np.uint8]:
    """Return a map's colours (rows, columns, RGBA), transparent where the map is NaN."""
    low, high = layer.limits
    share = np.clip((finite_or_zero(image) - low) / (high - low), 0, 1)
    colours = matplotlib.colormaps[layer.colormap](share, bytes=True)
    colours[..., 3] = np.where(np.isfinite(image), 255, 0)
    return np.asarray(colours)


def veiled(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the grey (rows, columns, RGBA) that covers a map, from its opacity, 0..1 or NaN."""
    pixels = np.full((*image.shape, 4), round(255 * VEIL), np.uint8)
    pixels[..., 3] = np.round(255 * np.clip(finite_or_zero(image), 0, 1))
    return pixels


def grey(image: NDArray[Any], layer: LayerSpec) -> NDArray[np.uint8]:
    """Return an MRI's grey values (rows, columns)."""
    low, high = layer.limits
    share = np.clip((finite_or_zero(image) - low) / (high - low), 0, 1)
    return np.asarray(np.round(255 * share), np.uint8)


def png_url(pixels: NDArray[np.uint8]) -> str:
    """Return an image as a lossless data URL, one pixel per voxel."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", compress_level=4)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def image_element(name: str, url: str, box: Box) -> str:
    """Return an image element for drawings to refer to by id; without interpolation, unless the
    page says otherwise."""
    return (
        f'<image id="{name}" {box.svg()} preserveAspectRatio="none" decoding="sync" '
        f'style="image-rendering:var(--pixels,pixelated)" href="{url}"/>'
    )


def store(elements: Sequence[str]) -> str:
    """Return hidden images for drawings to refer to."""
    return f'<svg class="store" width="0" height="0"><defs>{"".join(elements)}</defs></svg>'


def kind_of(role: str) -> str:
    """Return what a layer's image and drawing are called: a word without spaces."""
    return role.replace(" ", "-")


class Words(NamedTuple):
    """Text in a drawing: above it, at its edges, and below it."""

    title: str
    letters: tuple[str, str, str, str]
    foot: Sequence[str]


def wrapped(text: str, box: Box, size: float) -> list[str]:
    """Break a text into lines that fit a drawing, for a font size in mm; numbers stay with their
    names."""
    kept = re.sub(r"(?<=[^,.]) (?=\d)", "\N{NO-BREAK SPACE}", text)
    return textwrap.wrap(kept, max(12, int(box.width / (LETTER_WIDTH * size))))


def drawing(
    box: Box,
    images: Sequence[tuple[str, str]],
    words: Words,
    size: float,
    *,
    end: bool = False,
    kind: str = "",
    over: str = "",
) -> str:
    """Return one drawing as inline SVG; what is in the group "turned" can be mirrored.

    Parameters
    ----------
    box
        The part of the plane that it shows.
    images
        Id and CSS class of each image, the lowest first.
    words
        Title, orientation letters and caption; escaped here.
    size
        Height of the letters, in mm.
    end
        Whether the title is right-aligned.
    kind
        CSS class of the drawing.
    over
        Elements above the images, in the drawing's mm.
    """
    line = LINE * size
    foot = len(words.foot) * line + 0.5 * size
    whole = Box(box.x, box.y - 1.25 * line, box.width, box.height + 1.25 * line + foot)
    middle, centre = box.x + box.width / 2, box.y + box.height / 2
    inset = 0.45 * size
    left, right, top, bottom = words.letters
    sides = _text(box.x + inset, centre, left, "start", "letter")
    sides += _text(box.x + box.width - inset, centre, right, "end", "letter")
    texts = [
        _text(middle, box.y + 0.95 * size, top, "middle", "letter"),
        _text(middle, box.y + box.height - inset, bottom, "middle", "letter"),
    ]
    above = box.y - 0.45 * line
    title = plain(words.title, max(12, int(box.width / (BOLD_WIDTH * size))))
    if end:
        texts.append(_text(box.x + box.width - inset, above, title, "end", "name"))
    else:
        texts.append(_text(box.x + inset, above, title, "start", "name"))
    for number, text in enumerate(words.foot, 1):
        texts.append(_text(middle, box.y + box.height + number * line, text, "middle", "foot"))
    uses = "".join(f'<use href="#{name}" class="{css}"/>' for name, css in images)
    bounds = f"{box.x:.5g} {box.y:.5g} {box.width:.5g} {box.height:.5g}"
    around = f"{whole.x:.5g} {whole.y:.5g} {whole.width:.5g} {whole.height:.5g}"
    return (
        f'<svg class="drawing {kind}" viewBox="{around}" role="img" '
        f'aria-label="{_escaped(words.title)}" font-size="{size:.4g}"><rect {whole.svg()}/>'
        f'<g class="turned" style="transform-origin:{middle:.5g}px {centre:.5g}px">'
        f'<svg {box.svg()} viewBox="{bounds}">{uses}{over}</svg>{sides}</g>{"".join(texts)}</svg>'
    )


def _text(x: float, y: float, text: str, anchor: str, css: str) -> str:
    place = f'x="{x:.5g}" y="{y:.5g}" text-anchor="{anchor}"'
    return f'<text class="{css}" {place}>{_escaped(text)}</text>'


def _escaped(text: str) -> str:
    return html.escape(plain(text), quote=True)
