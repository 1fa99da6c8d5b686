"""Orientation proven voxel by voxel and pixel by pixel, and what every image must carry."""

from __future__ import annotations

import struct
import subprocess
import sys
from itertools import pairwise, permutations, product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray
from properties import oblique_affine, world_of

from ftddm_core.errors import FormatError, GeometryError
from ftddm_core.imaging.degrade import degrade
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.sampling.condition import form_conditions
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_core.settings import SamplerSettings
from ftddm_viewer.drawing.figures import draw_rows, result_figure, save_figure
from ftddm_viewer.drawing.image_rows import ImageRow, heading, interesting_slice, rows_of
from ftddm_viewer.drawing.orientation import radiological_slice

Array = NDArray[Any]
TOWARDS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
SIGNED_AXES = [
    (order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)
]


def turned(shape: tuple[int, int, int], order: Any, signs: Any, tilt: float = 0) -> Array:
    """Return the affine of a grid whose axes run along the world axes `order`, either way."""
    affine = oblique_affine(shape, (2.0, 3.0, 5.0), angles=(tilt, -tilt, tilt))
    step = affine[:3, :3] / (2.0, 3.0, 5.0)
    affine[:3, :3] = step[:, list(order)] * signs * (2.0, 3.0, 5.0)
    return affine


@pytest.mark.parametrize(("order", "signs"), SIGNED_AXES)
@pytest.mark.parametrize("tilt", [0, 17])
def test_letters_and_aspect_say_where_the_voxels_are(order: Any, signs: Any, tilt: float) -> None:
    """Walking towards a letter, the world coordinate that it names changes its way."""
    shape, k = (5, 7, 4), 2
    affine = turned(shape, order, signs, tilt)
    world = world_of(shape, affine)
    shown = [radiological_slice(Volume(world[..., axis], affine), k) for axis in range(3)]
    x, y, z = (s.image for s in shown)
    image = np.stack([x, y, z], axis=-1)
    down, across = image[1, 0] - image[0, 0], image[0, 1] - image[0, 0]
    for letter, step in zip(shown[0].letters, (-across, across, -down, down), strict=True):
        axis, sign = TOWARDS[letter]
        assert step[axis] * sign > 0.8 * np.linalg.norm(step)
    assert shown[0].aspect == pytest.approx(np.linalg.norm(down) / np.linalg.norm(across))
    assert sorted(map(tuple, image.reshape(-1, 3))) == sorted(
        map(tuple, world[:, :, k].reshape(-1, 3))
    )


def test_the_convention_of_each_plane() -> None:
    planes = {2: ("R", "L", "A", "P"), 1: ("R", "L", "S", "I"), 0: ("A", "P", "S", "I")}
    for order, signs in SIGNED_AXES:
        volume = Volume(np.zeros((3, 4, 2)), turned((3, 4, 2), order, signs))
        assert radiological_slice(volume, 0).letters == planes[order[2]]


@pytest.mark.parametrize("k", [-1, 2])
def test_a_slice_that_does_not_exist(k: int) -> None:
    with pytest.raises(GeometryError, match="from 0 to 1"):
        radiological_slice(Volume(np.zeros((3, 4, 2)), np.eye(4)), k)


def row(affine: Array, data: Array, **changes: Any) -> ImageRow:
    volume = Volume(data, affine, "mM")
    given = {"lowres": volume, "output": volume, "mask": np.ones(data.shape, bool)}
    return ImageRow("tNAA", **{**given, **changes})


def column(figure: Figure, title: str) -> Axes:
    return next(axes for axes in figure.axes if axes.get_title() == title)


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """Return the rendered image (rows, columns, RGBA), row 0 at the top."""
    canvas: Any = figure.canvas
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


@pytest.mark.parametrize(
    ("order", "signs"), [(o, s) for o, s in SIGNED_AXES if o[2] == 2 and s[2] == 1]
)
def test_a_spot_right_in_front_is_drawn_at_the_upper_left(order: Any, signs: Any) -> None:
    shape = (12, 9, 1)
    affine = turned(shape, order, signs)
    world = world_of(shape, affine) - affine[:3, :3] @ ((np.array(shape) - 1) / 2) - affine[:3, 3]
    right, front = world[..., 0], world[..., 1]
    spot = (right >= np.unique(right)[-3]) & (front >= np.unique(front)[-2])
    assert spot.sum() == 6
    figure = draw_rows([row(affine, spot.astype(float))], "")
    image = pixels(figure)
    box = column(figure, "Output").get_window_extent()
    x0, x1 = round(box.x0), round(box.x1)
    y0, y1 = (image.shape[0] - round(edge) for edge in (box.y1, box.y0))
    panel = image[y0:y1, x0:x1].astype(int)
    yellow = (panel[..., 0] > 200) & (panel[..., 1] > 200) & (panel[..., 2] < 80)
    rows, columns = np.nonzero(yellow)
    across, upright = (12, 9) if order[0] == 0 else (9, 12)
    assert rows.max() == pytest.approx(2 / upright * panel.shape[0], abs=2)
    assert columns.max() == pytest.approx(3 / across * panel.shape[1], abs=2)
    assert rows.min() <= 1
    assert columns.min() <= 1
    # A voxel that is longer is drawn longer.
    sizes = dict(zip(order, (2.0, 3.0), strict=False))
    drawn = panel.shape[0] / panel.shape[1]
    assert drawn == pytest.approx(upright * sizes[1] / (across * sizes[0]), rel=0.02)


@pytest.fixture(scope="module")
def case() -> tuple[Any, Study]:
    """A result that looks like a resolver's, and the study it was degraded from."""
    rng = np.random.default_rng(0)
    shape = (16, 20, 3)
    affine = oblique_affine(shape, (3.4, 3.4, 4.0), angles=(0, 0, 0))
    mask = np.zeros(shape)
    mask[3:13, 4:16] = 1
    maps = {
        name: Volume(mask * (level + rng.standard_normal(shape)), affine, "mM")
        for name, level in (("tNAA", 9), ("tCho", 5), ("Gln", 4), ("Gly", 3))
    }
    t1 = Volume(rng.random(shape), affine)
    study = Study(maps, mask=Volume(mask, affine), t1=t1)
    conditions = {c.metabolite: c for c in form_conditions(degrade(study, 2), 2, (16, 20))}
    output = {name: v.with_data(np.maximum(v.data + 0.5 * mask, 0)) for name, v in maps.items()}
    settings = SamplerSettings(upscale=2, seed=42)
    return SimpleNamespace(maps=output, conditions=conditions, settings=settings), study


def texts(figure: Figure) -> list[Text]:
    found = figure.findobj(Text)
    return [text for text in found if isinstance(text, Text) and text.get_text()]


def test_every_image_says_what_it_is(case: tuple[Any, Study]) -> None:
    result, study = case
    figure = result_figure(result, study, metabolites=("tCho", "Gly"), k=1)
    words = [text.get_text() for text in texts(figure)]
    assert words.count(RESEARCH_ONLY) == 1
    assert (
        "Nominal voxel 6.8 × 6.8 × 4.0 mm → 3.4 × 3.4 × 4.0 mm\nAI-generated, 2×, seed 42, slice 1"
    ) in words
    columns = ["T1w", "Input (zero-filled)", "Output", "Truth", "Output − truth"]
    assert [axes.get_title() for axes in figure.axes if axes.get_title()] == columns
    assert {"tCho", "Gly"} <= set(words)
    assert words.count("mM") == 4  # two colour bars a row
    assert [words.count(letter) for letter in "RLAP"] == [10] * 4


def test_a_mean_of_samples_says_so(case: tuple[Any, Study]) -> None:
    result, _ = case
    several = SimpleNamespace(**{**vars(result), "settings": SamplerSettings(samples=8)})
    assert heading(several).endswith("seed 0, mean of 8 samples")  # type: ignore[arg-type]


@pytest.mark.parametrize("n_rows", [1, 3])
def test_nothing_is_cut_off_and_no_words_collide(n_rows: int, case: tuple[Any, Study]) -> None:
    result, _ = case
    figure = result_figure(result, metabolites=list(result.maps)[:n_rows])
    height, width = pixels(figure).shape[:2]
    boxes = [text.get_window_extent() for text in texts(figure) if text.get_visible()]
    for box in boxes:
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height
    heads = [a.title.get_window_extent() for a in figure.axes if a.get_title()]
    for one, other in pairwise(heads):
        assert one.x1 < other.x0


def test_maps_of_a_row_share_their_colours_and_no_voxel_is_smoothed(
    case: tuple[Any, Study],
) -> None:
    result, study = case
    figure = result_figure(result, study, metabolites=("tNAA",))
    maps = [column(figure, t).images[0] for t in ("Input (zero-filled)", "Output", "Truth")]
    assert len({image.get_clim() for image in maps}) == 1
    assert {image.get_cmap().name for image in maps} == {"viridis"}
    difference = column(figure, "Output − truth").images[0]
    low, high = difference.get_clim()
    assert low == -high
    assert {image.get_interpolation() for image in (*maps, difference)} == {"nearest"}


def test_the_difference_is_the_output_minus_the_truth(case: tuple[Any, Study]) -> None:
    result, study = case
    figure = result_figure(result, study, metabolites=("tNAA",), k=0)
    shown: Any = column(figure, "Output − truth").images[0].get_array()
    assert np.ma.count(shown) == 120
    np.testing.assert_allclose(shown.compressed(), 0.5)


def test_without_a_truth_the_difference_is_what_was_added(case: tuple[Any, Study]) -> None:
    result, _ = case
    figure = result_figure(result, metabolites=("tNAA",), k=0)
    shown: Any = column(figure, "Output − input").images[0].get_array()
    added = result.maps["tNAA"].data - result.conditions["tNAA"].lowres
    inside = result.conditions["tNAA"].mask[..., 0]
    np.testing.assert_allclose(
        np.sort(shown.compressed()), np.sort(added[..., 0][inside]), rtol=1e-6
    )


def test_a_column_that_no_row_fills_is_left_out_and_names_stay(case: tuple[Any, Study]) -> None:
    result, _ = case
    with_t1, other = rows_of(result, ("tNAA", "tCho"))
    bare = ImageRow(other.metabolite, other.lowres, other.output, other.mask)
    assert "T1w" not in [axes.get_title() for axes in draw_rows([bare], "").axes]
    figure = draw_rows([with_t1, bare], "")
    pixels(figure)
    names = [t for t in texts(figure) if t.get_text() in ("tNAA", "tCho")]
    assert len(names) == 2
    assert all(name.get_window_extent().x0 >= 0 for name in names)


def test_the_slice_shown_is_the_one_with_most_contrast() -> None:
    flat = np.ones((8, 8, 4))
    flat[2:5, 2:5, 2] = 2
    flat[2, 2, 0] = 1e4  # wild, and a single voxel
    assert interesting_slice([row(np.eye(4), flat)]) == 2
    assert interesting_slice([row(np.eye(4), np.zeros((8, 8, 5)))]) == 2


def test_a_figure_is_of_the_most_interesting_slice_and_the_first_three_maps(
    case: tuple[Any, Study],
) -> None:
    result, study = case
    best = interesting_slice(rows_of(result, truth=study))
    words = [text.get_text() for text in texts(result_figure(result, study))]
    assert any(word.endswith(f"slice {best}") for word in words)
    assert {"tNAA", "tCho", "Gln"} <= set(words)
    assert "Gly" not in words


def test_what_cannot_be_shown_is_refused(case: tuple[Any, Study]) -> None:
    result, study = case
    with pytest.raises(FormatError, match="no map of Tau to show; there are tNAA, tCho"):
        rows_of(result, ("Tau",))
    with pytest.raises(FormatError, match="at least one"):
        draw_rows([], "")
    with pytest.raises(GeometryError, match="output grid"):
        rows_of(result, None, degrade(study, 2))
    with pytest.raises(GeometryError, match="no slice 7"):
        result_figure(result, k=7)


def chunks(png: bytes) -> set[str]:
    """Return the kinds of chunk of a PNG file."""
    kinds, at = set(), 8
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        kinds.add(png[at + 4 : at + 8].decode())
        at += size + 12
    return kinds


def test_the_same_figure_gives_the_same_file(case: tuple[Any, Study], tmp_path: Path) -> None:
    result, study = case
    for name in ("a.png", "b.png"):
        save_figure(result_figure(result, study), tmp_path / name)
    written = (tmp_path / "a.png").read_bytes()
    assert written == (tmp_path / "b.png").read_bytes()
    assert not chunks(written) & {"tEXt", "iTXt", "zTXt", "tIME"}
    with pytest.raises(FormatError, match="Cannot write"):
        save_figure(result_figure(result), tmp_path / "missing" / "c.png")


def test_neither_pyplot_nor_torch_is_imported() -> None:
    code = "import sys, ftddm_viewer.drawing.figures; print([m for m in sys.modules if m in %r])"
    heavy = ("matplotlib.pyplot", "torch")
    done = subprocess.run(
        [sys.executable, "-c", code % (heavy,)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
