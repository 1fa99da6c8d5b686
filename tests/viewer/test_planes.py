"""Three planes as pixels: each shows the voxel that lies there, letters and clicks agree."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from properties import oblique_affine, world_of

from ftddm_core.imaging.volume import Volume
from ftddm_viewer.session.frame import Frame
from ftddm_viewer.session.planes import ENDS, Painted, Pane, paint, panes, values_in

SHAPE = (9, 11, 7)
SIZE = (4.0, 3.0, 5.0)
GREY = np.repeat(np.linspace(0, 1, 256)[:, None], 4, axis=1)
GREY[:, 3] = 1


def numbered() -> Volume:
    """Return a volume of display space whose voxels all differ, off the world's origin."""
    affine = np.diag([*SIZE, 1.0])
    affine[:3, 3] = (-20.0, 7.0, -11.0)
    return Volume(np.arange(np.prod(SHAPE), dtype=float).reshape(SHAPE), affine)


@pytest.mark.parametrize(("left", "up"), list(product((True, False), repeat=2)))
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_every_pixel_is_the_voxel_at_its_place(axis: int, left: bool, up: bool) -> None:
    """By a click on each pixel: the point that it returns lies in the voxel that was drawn."""
    volume = numbered()
    point = volume.affine[:3] @ [3.2, 6.4, 2.1, 1.0]
    pane = Pane(axis, (-4.0, 22.0, 4.0), 1.3, 40, 36, left, up)
    values = values_in(volume, pane, point)
    assert values.shape == (36, 40)
    inverse, drawn = np.linalg.inv(volume.affine), 0
    for row, column in product(range(36), range(40)):
        clicked = pane.point(column + 0.5, row + 0.5, point)
        assert clicked[axis] == point[axis]
        np.testing.assert_allclose(pane.pixel(clicked), (column + 0.5, row + 0.5))
        index = np.floor(inverse[:3] @ [*clicked, 1.0] + 0.5).astype(int)
        if (index >= 0).all() and (index < SHAPE).all():
            assert values[row, column] == volume.data[tuple(index)]
            drawn += 1
        else:
            assert np.isnan(values[row, column])
    assert drawn > 200
    # Letters name the ends towards which the positions grow.
    for letter, (x, y) in zip(pane.letters, ((0, 18), (40, 18), (20, 0), (20, 36)), strict=True):
        away = np.subtract(pane.point(x, y, point), pane.point(20, 18, point))
        along = int(np.abs(away).argmax())
        assert letter == ENDS[along][0 if away[along] > 0 else 1]
    assert len(set(pane.letters)) == 4


def test_radiological_letters() -> None:
    axial, coronal, sagittal = panes((0, 0, 0), (10, 20, 30), 100, 100)
    assert ["".join(each.letters) for each in (axial, coronal, sagittal)] == ["RLAP", "RLSI",
                                                                             "APSI"]  # fmt: skip
    other = panes((0, 0, 0), (10, 20, 30), 100, 100, left=False)
    assert ["".join(each.letters) for each in other] == ["LRAP", "LRSI", "PASI"]


def test_all_panes_have_one_scale_and_hold_the_box() -> None:
    low, high = (-90.0, -110.0, -60.0), (80.0, 95.0, 120.0)
    for width, height in ((300, 200), (120, 400)):
        found = panes(low, high, width, height)
        assert len({pane.edge for pane in found}) == 1
        for pane in found:
            for corner in product(*zip(low, high, strict=True)):
                x, y = pane.pixel(corner)
                assert -1e-9 <= x <= width + 1e-9
                assert -1e-9 <= y <= height + 1e-9


def test_a_plane_beyond_a_layer_is_empty() -> None:
    volume = numbered()
    pane = Pane(2, (0.0, 20.0, 0.0), 2.0, 20, 20)
    assert values_in(volume, pane, (0, 20, -14.0)) is None
    assert values_in(volume, pane, (0, 20, -13.4)) is not None
    assert not paint([Painted(volume, (0, 1), GREY)], pane, (0, 20, -14.0)).any()


def test_layers_cover_each_other_by_hand() -> None:
    """White at 50 % over black is grey; NaN and what is clear show the layer below."""
    affine = np.eye(4)
    below = Volume(np.full((4, 4, 1), 1.0), affine)
    above = Volume(np.array([0.0, 0.25, 1.0, np.nan]).reshape(4, 1, 1).repeat(4, 1), affine)
    pane = Pane(2, (1.5, 1.5, 0.0), 1.0, 4, 4, left=False)
    red = np.array([[1.0, 0, 0, 1]] * 2)
    clear = GREY.copy()
    clear[0, 3] = 0
    image = paint([Painted(below, (0, 1), red), Painted(above, (0, 1), clear, 0.5, 0.5)], pane,
                  (0, 0, 0))  # fmt: skip
    # Values 0, 0.25, 1, NaN with gamma 0.5: clear, 0.5, 1, nothing; half of each over red.
    assert image[0].tolist() == [[255, 0, 0], [192, 64, 64], [255, 128, 128], [255, 0, 0]]


@pytest.mark.parametrize("flip", [(1, 1, 1), (-1, 1, 1), (1, -1, -1)])
@pytest.mark.parametrize("angles", [(0, 0, 0), (9, -12, 20)])
def test_a_spot_on_the_patients_right_from_file_to_pixel(
    flip: tuple[int, int, int], angles: tuple[float, float, float]
) -> None:
    """Right, front, top: at the left of radiological panes, above, whatever the file's axes are."""
    shape = (24, 22, 20)
    affine = oblique_affine(shape, (6.0, 6.0, 6.0), angles, flip=flip)
    centre = np.array([3.0, -12.0, 25.0])
    spot = centre + np.array([30.0, 25.0, 20.0])
    data = np.exp(-np.sum((world_of(shape, affine) - spot) ** 2, -1) / (2 * 9.0**2))
    volume = Volume(data.astype(np.float32), affine)
    frame = Frame.of(volume)
    shown = frame.show(volume)
    point = frame.turn[:3] @ [*spot, 1.0]
    low = shown.affine[:3, 3]
    high = shown.affine[:3] @ [*(n - 1 for n in shown.shape), 1.0]
    for left in (True, False):
        for pane in panes(low, high, 100, 100, left=left):
            image = paint([Painted(shown, (0, 1), GREY)], pane, point)[..., 0]
            rows, columns = np.nonzero(image > 200)
            x, y = pane.pixel(point)
            assert abs(columns.mean() + 0.5 - x) * pane.edge < 3.5
            assert abs(rows.mean() + 0.5 - y) * pane.edge < 3.5
            assert bool(columns.mean() < 45) is left
            assert rows.mean() < 45
