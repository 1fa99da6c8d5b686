"""Images as SVG: right is on the left down to the pixel, and no word becomes markup."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from properties import head, oblique_affine

from ftddm_core.imaging.geometry import regrid_mean
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_core.settings import SamplerSettings
from ftddm_viewer.session.case import Case, Mode, prepare
from ftddm_viewer.session.scene import resolve
from ftddm_viewer.session.state import Activity, SliceImage, State, View
from ftddm_viewer.web.painter import Drawings, Painter
from ftddm_viewer.web.panels import Box, plane_of, view_box

SHAPE = (24, 22, 7)
CENTRE = np.array([3.0, -12.0, 25.0])
RIGHT, FRONT, TOP = (CENTRE + offset for offset in ([20, 0, 0], [0, 20, 0], [0, 0, 20]))

ORDERS = {
    "axial": ((0, 1, 2), (1, 1, 1)),
    "axial, flipped": ((0, 1, 2), (-1, -1, -1)),
    "axial, exchanged": ((1, 0, 2), (1, -1, 1)),
    "coronal": ((0, 2, 1), (-1, 1, 1)),
    "sagittal": ((1, 2, 0), (1, -1, -1)),
}


def placed(order: tuple[int, int, int], flip: tuple[int, int, int], turn: float = 0.0) -> Any:
    """Return an affine whose voxel axes run along world axes `order`, each in its sense."""
    straight = oblique_affine(SHAPE, (4.0, 4.0, 5.0), (turn, -turn, 2 * turn), flip=flip)
    exchange = np.eye(3)[:, list(order)]
    affine = np.eye(4)
    affine[:3, :3] = exchange @ straight[:3, :3] if not turn else straight[:3, :3]
    affine[:3, 3] = CENTRE - affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return affine


def state_of(affine: Any, label: str = "head", name: str = "tNAA") -> State:
    """Return a state in which the output is the head itself, seen in its middle slice."""
    shown = head(SHAPE, affine)
    mask = Volume((shown.data > 0.3).astype(np.float32), affine)
    study = Study(maps={name: shown}, mask=mask, t1=head(SHAPE, affine))
    case = Case.of(study, label)
    prepared = prepare(case, Mode.ENLARGE, 2.0)
    grid = prepared.conditions[name]
    output = head(grid.shape, grid.affine)
    k = SHAPE[2] // 2
    image = output.data[..., k].astype(np.float32)
    view = View(prepared, SamplerSettings(upscale=2.0)).adding(
        {(name, k): SliceImage(image, np.zeros_like(image), final=True)}
    )
    return State(metabolite=name, slice_index=k, view=view, settings=view.asked)


def paint(state: State, painter: Painter | None = None) -> Drawings:
    return (painter or Painter()).paint(state, resolve(state))


def pixels(elements: str, role: str) -> tuple[NDArray[np.uint8], Box]:
    """Return an image of the page and where it lies, from its markup alone."""
    found = re.search(
        rf'<image id="image-{role}" ([^>]*)href="data:image/png;base64,([^"]+)"', elements
    )
    assert found is not None
    number = {k: float(v) for k, v in re.findall(r'(\w+)="([-\d.e]+)"', found[1])}
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(found[2]))))
    return image, Box(number["x"], number["y"], number["width"], number["height"])


def brightest(image: NDArray[np.uint8], box: Box) -> tuple[float, float]:
    """Return where the yellow of viridis is, in mm of the drawing."""
    brightness = image[..., :3].astype(int).sum(-1) * (image[..., 3] > 0)
    row, column = np.unravel_index(brightness.argmax(), brightness.shape)
    rows, columns = brightness.shape
    return (
        box.x + (column + 0.5) * box.width / columns,
        box.y + (row + 0.5) * box.height / rows,
    )


@pytest.mark.parametrize("plane", ORDERS)
def test_every_side_is_where_its_letter_is(plane: str) -> None:
    """The bright spot on the right, or the one in front, is drawn at its own coordinates."""
    order, flip = ORDERS[plane]
    found = paint(state_of(placed(order, flip)))
    letters = re.findall(r'<text class="letter"[^>]*>(\w)</text>', found.pair)[:4]
    across, upright = sorted(order[:2])
    expected = {(0, 1): "RLAP", (0, 2): "RLSI", (1, 2): "APSI"}[across, upright]
    assert "".join(letters) == expected
    spot = FRONT if across == 1 else RIGHT
    for role in ("input", "output"):
        x, y = brightest(*pixels(found.maps, role))
        assert x == pytest.approx(-spot[across], abs=6)
        assert y == pytest.approx(-spot[upright], abs=6)


def test_an_oblique_study_is_shown_along_its_own_axes() -> None:
    """Turned rigidly about its middle: the spot on the right is on the left, as far out as ever."""
    found = paint(state_of(placed((0, 1, 2), (-1, 1, 1), turn=8.0)))
    image, box = pixels(found.maps, "output")
    x, _ = brightest(image, box)
    assert box.x + box.width / 2 - x == pytest.approx(20, abs=7)


def test_the_backdrop_lies_under_the_maps() -> None:
    """T1 on a grid of its own shows the head where the maps show it."""
    state = state_of(placed((0, 1, 2), (1, 1, 1)))
    assert state.case is not None
    own = oblique_affine((60, 50, 20), (2.0, 2.0, 3.0), (0, 0, 0), flip=(-1, 1, 1))
    t1 = regrid_mean(head((60, 50, 20), own), (60, 50, 20), own)
    case = Case.of(replace(state.case.study, t1=t1), "head")
    view = View(prepare(case, Mode.ENLARGE, 2.0), state.settings)
    found = paint(replace(state, view=view))
    image, box = pixels(found.backdrop, "T1")
    row, column = np.argwhere(image == image.max()).mean(axis=0)
    assert box.x + (column + 0.5) * 2 == pytest.approx(-RIGHT[0], abs=6)
    assert box.y + (row + 0.5) * 2 == pytest.approx(-RIGHT[1], abs=6)
    frame = view_box(case)
    assert box.x <= frame.x + 2
    assert box.width >= frame.width - 4


def test_a_map_is_clear_where_it_means_nothing() -> None:
    state = state_of(placed((0, 1, 2), (1, 1, 1)))
    assert state.view is not None
    image, _ = pixels(paint(state).maps, "output")
    mask = state.view.prepared.conditions["tNAA"].mask[..., state.slice_index]
    assert (image[..., 3] == 255).sum() == mask.sum() > 0
    empty = replace(state, view=View(state.view.prepared, state.settings))
    image, _ = pixels(paint(empty).maps, "output")
    assert not image[..., 3].any()


def test_colours_are_those_of_the_shared_bar() -> None:
    """Every visible colour is one of viridis, and the darkest and lightest are its ends."""
    import matplotlib

    image, _ = pixels(paint(state_of(placed((0, 1, 2), (1, 1, 1)))).maps, "input")
    known = {tuple(c) for c in matplotlib.colormaps["viridis"](np.arange(256), bytes=True)[:, :3]}
    assert {tuple(c) for c in image[image[..., 3] > 0][:, :3]} <= known


def test_every_image_says_what_it_is_not_for() -> None:
    found = paint(state_of(placed((0, 1, 2), (1, 1, 1))))
    for drawings in (found.pair, found.swipe):
        images = drawings.split('<svg class="drawing ')[1:]
        assert len(images) == 2
        for image in images:
            words = " ".join(re.findall(r'<text class="foot"[^>]*>([^<]*)<', image)).split()
            assert RESEARCH_ONLY in " ".join(words)
    assert "AI-generated" in found.pair


@pytest.mark.parametrize("name", ["<script>a()</script>", "\"><img src=x onerror='x'>", "<${x}&>"])
def test_no_word_becomes_markup(name: str) -> None:
    from ftddm_viewer.web import status

    state = state_of(placed((0, 1, 2), (1, 1, 1)), label=name, name=name)
    found = paint(replace(state, notes=(name,)))
    scene = resolve(state)
    shown = [*found, status.heading(state, scene), status.message(name),
             status.progress(state, scene, name),
             status.remarks(replace(state, notes=(name,)), str)]  # fmt: skip
    for text in shown:
        assert "<script" not in text
        assert "<img src=x" not in text
        assert name not in text
    assert any("&lt;" in text or "&amp;" in text for text in shown)


def test_what_did_not_change_is_not_drawn_again() -> None:
    painter = Painter()
    state = state_of(placed((0, 1, 2), (1, 1, 1)))
    first, again = paint(state, painter), paint(state, painter)
    assert first == again
    assert paint(replace(state, slice_index=0), painter).maps != first.maps


def test_a_volume_that_does_not_reach_has_no_slice() -> None:
    volume = head(SHAPE, placed((0, 1, 2), (1, 1, 1)))
    assert plane_of(volume, 2, CENTRE[2] + 200) is None
    assert plane_of(volume, 2, CENTRE[2]) is not None


def test_the_page_says_that_it_opens_a_study_only_while_it_does() -> None:
    from ftddm_viewer.web import status

    opening, nothing = State(activity=Activity.OPENING), State()
    assert "Opening the study …" in status.heading(opening, resolve(opening))
    assert "No study is open." in status.heading(nothing, resolve(nothing))
