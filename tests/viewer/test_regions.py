"""Regions: their voxels, their statistics, and which side of the patient they are on."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from lesioned import LESION, STACKS, ball, state_of
from properties import world_of

from ftddm_core.errors import GeometryError
from ftddm_core.imaging.metabolites import Ratio
from ftddm_core.imaging.volume import Volume
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_viewer.session.frame import Frame
from ftddm_viewer.session.region_table import COLUMNS, about, as_csv, csv_of, rows
from ftddm_viewer.session.regions import (
    Statistics,
    ellipse,
    grid_of,
    labelled,
    middle,
    mirrored,
    polygon,
    read,
    statistics_of,
)
from ftddm_viewer.session.state import State

GRID = Volume(np.zeros((6, 5, 4)), np.diag([2.0, 2.0, 3.0, 1.0]))


# ---------------------------------------------------------------- left and right


@pytest.mark.parametrize("stack", STACKS)
def test_a_lesion_on_the_left_is_read_there_and_its_mirror_image_on_the_right(stack: str) -> None:
    state = state_of(STACKS[stack])
    inside = ball(state, LESION, 7)
    assert inside.sum() > 10
    reading = read(state, inside, plane=0.0)
    assert reading is not None
    cho, naa, ratio = reading.lines
    assert (cho.name, naa.name, ratio.name) == ("tCho", "tNAA", "tCho/tNAA")
    for source in ("reference", "output"):
        assert cho.values[source].mean == pytest.approx(6)  # type: ignore[index]
        assert cho.mirrored[source].mean == pytest.approx(2)  # type: ignore[index]
        assert cho.relative(source) == pytest.approx(3)  # type: ignore[arg-type]
        assert naa.relative(source) == pytest.approx(0.5)  # type: ignore[arg-type]
        assert ratio.values[source].mean == pytest.approx(1.5)  # type: ignore[index]
        assert ratio.relative(source) == pytest.approx(6)  # type: ignore[arg-type]
    # The other way round: drawn on the right, its mirror image is the lesion.
    other = read(state, ball(state, LESION * (-1, 1, 1), 7), plane=0.0)
    assert other is not None
    assert other.lines[0].values["output"].mean == pytest.approx(2)
    assert other.lines[0].relative("output") == pytest.approx(1 / 3)
    # Right and left exchanged by an error, the lesion would be read here.
    for wrong in (LESION * (1, -1, 1), LESION * (1, 1, -1)):
        found = read(state, ball(state, wrong, 4), plane=0.0)
        assert found is not None
        assert found.lines[0].relative("output") == pytest.approx(1)


@pytest.mark.parametrize("stack", STACKS)
def test_a_mirror_image_lies_at_minus_x(stack: str) -> None:
    """By its centre in the world, within half a voxel; twice is the region again, nearly."""
    state = state_of(STACKS[stack])
    assert state.view is not None
    grid, frame = grid_of(state.view.prepared), state.view.prepared.case.frame
    inside = ball(state, LESION, 9)
    image = mirrored(inside, grid, frame, plane=3.0)
    world = world_of(grid.shape, np.linalg.inv(frame.turn) @ grid.affine)
    here, there = world[inside].mean(0), world[image].mean(0)
    np.testing.assert_allclose(there, here * (-1, 1, 1) + (6, 0, 0), atol=2.0)
    again = mirrored(image, grid, frame, plane=3.0)
    assert (again & inside).sum() >= 0.8 * inside.sum()


def test_a_mirror_image_across_the_middle_of_the_grid_is_exact() -> None:
    inside = np.zeros(GRID.shape, bool)
    inside[0, 1, 2] = inside[1, 4, 0] = True
    frame = Frame(np.eye(4), np.array([[0, 1], [1, 1], [2, 1]], float))
    found = mirrored(inside, GRID, frame, plane=5.0)  # voxel centres are at 0 to 10 mm
    assert np.argwhere(found).tolist() == [[4, 4, 0], [5, 1, 2]]
    assert not mirrored(inside, GRID, frame, plane=500.0).any()


def test_the_plane_lies_in_the_middle_of_the_trusted_voxels() -> None:
    """Not of the grid, and in the world whichever way the stack runs."""
    for affine in STACKS.values():
        state = state_of(affine)
        assert state.view is not None
        assert middle(state.view.prepared) == pytest.approx(0, abs=0.5)
    shifted = STACKS["coronal"].copy()
    shifted[0, 3] += 30.0  # the head is cut off at its left: x from -8 on
    state = state_of(shifted)
    assert state.view is not None
    trusted = world_of((20, 20, 20), shifted)[state.view.prepared.case.trusted["tCho"]]
    assert middle(state.view.prepared) == pytest.approx(trusted[:, 0].mean())
    reading = read(state, ball(state, LESION, 7))
    assert reading is not None
    assert reading.plane == middle(state.view.prepared)


def test_an_unknown_side_is_said() -> None:
    state = state_of(STACKS["axial"])
    assert state.view is not None
    reading = read(state, ball(state, LESION, 7))
    assert reading is not None
    assert reading.doubt == ""
    prepared = state.view.prepared
    study = prepared.case.study.with_notes(["no orientation in the header: left and right unknown"])
    doubted = replace(prepared, case=replace(prepared.case, study=study))
    view = replace(state.view, prepared=doubted)
    reading = read(replace(state, view=view), ball(state, LESION, 7))
    assert reading is not None
    assert "no orientation in the header" in about(reading, "tCho")


# ---------------------------------------------------------------- statistics


def test_statistics_by_hand() -> None:
    data = np.full(GRID.shape, np.nan)
    data[0, 0, :3] = (1.0, 2.0, 6.0)
    inside = np.zeros(GRID.shape, bool)
    inside[0] = True
    deviation = GRID.with_data(np.full(GRID.shape, 0.5))
    found = statistics_of(GRID.with_data(data), inside, deviation)
    assert found == Statistics(3.0, pytest.approx(np.sqrt(7)), 0.5, 3)  # type: ignore[arg-type]
    assert statistics_of(GRID.with_data(data), ~inside) is None
    assert statistics_of(None, inside) is None


def test_what_was_not_computed_is_empty_and_not_zero() -> None:
    state = state_of(STACKS["axial"])
    assert state.view is not None
    some = {k: v for k, v in state.view.images.items() if k[0] == "tCho" and k[1] == 10}
    unfinished = {("tCho", 11): replace(state.view.images["tCho", 11], final=False)}
    state = replace(state, view=replace(state.view, images=some | unfinished, _stacked={}))
    reading = read(state, ball(state, LESION, 12), plane=0.0)
    assert reading is not None
    cho, naa, ratio = reading.lines
    one_slice = ball(state, LESION, 12)[..., 10].sum()
    assert 0 < cho.values["output"].voxels == one_slice < reading.voxels
    assert "output" not in naa.values
    assert "output" not in ratio.values
    assert naa.relative("output") is None
    table = rows(reading, "output")
    assert [len(row) for row in table] == [len(COLUMNS)] * 3
    assert table[1][2] == table[1][4] == table[1][5] == ""
    assert table[1][1] != ""


def test_voxels_outside_the_mask_are_counted_and_not_read() -> None:
    state = state_of(STACKS["axial"])
    inside = ball(state, np.array([-36.0, 0.0, 0.0]), 10)
    reading = read(state, inside, plane=0.0)
    assert reading is not None
    head = ball(state, np.zeros(3), 38)
    assert reading.outside == (inside & ~head).sum() > 0
    assert reading.lines[0].values["input"].voxels == reading.voxels - reading.outside
    assert f"{reading.outside} of them outside the mask of tCho" in about(reading, "tCho")


def test_a_region_on_another_grid_is_refused() -> None:
    with pytest.raises(GeometryError, match=r"shape \(2, 2, 2\), the output \(20, 20, 20\)"):
        read(state_of(STACKS["axial"]), np.ones((2, 2, 2), bool))
    assert read(State(), np.ones((2, 2, 2), bool)) is None


# ---------------------------------------------------------------- shapes


def test_a_polygon_holds_the_voxels_whose_centre_it_holds() -> None:
    """Voxels of 2 mm: centres at 2 and 4 mm along x, 4 and 6 mm along y, in the slice at 3 mm."""
    corners = np.array([[1.5, 3.5, 3.9], [4.5, 3.5, 3.9], [4.5, 6.5, 3.9], [1.5, 6.5, 3.9]])
    expected = [[1, 2, 1], [1, 3, 1], [2, 2, 1], [2, 3, 1]]
    assert np.argwhere(polygon(GRID, corners)).tolist() == expected
    beyond = corners + np.array([0, 0, 30])
    assert not polygon(GRID, beyond).any()
    coronal = corners[:, [0, 2, 1]]  # drawn in the plane y = 3.9
    assert set(np.argwhere(polygon(GRID, coronal))[:, 1]) == {2}
    with pytest.raises(GeometryError, match="three corners"):
        polygon(GRID, corners[:2])
    slanted = corners + np.array([[0, 0, 0], [0, 0, 3], [0, 0, 6], [0, 0, 9]])
    with pytest.raises(GeometryError, match="in one slice"):
        polygon(GRID, slanted)


def test_an_ellipse_keeps_its_axes() -> None:
    points = ellipse(np.array([[0.0, 0, 3], [8, 0, 3], [8, 4, 3], [0, 4, 3]]))
    np.testing.assert_allclose(((points[:, 0] - 4) / 4) ** 2 + ((points[:, 1] - 2) / 2) ** 2, 1)
    assert (points[:, 2] == 3).all()


def test_labels_on_their_own_grid_are_brought_to_the_outputs() -> None:
    fine = Volume(np.zeros((12, 10, 8)), np.diag([1.0, 1.0, 1.5, 1.0]))
    fine.data[4, 6, 2] = 3
    assert np.argwhere(labelled(GRID, fine)).tolist() == [[2, 3, 1]]
    shifted = fine.affine.copy()
    shifted[:3, 3] = 900
    assert not labelled(GRID, replace(fine, affine=shifted)).any()


# ---------------------------------------------------------------- on paper


def test_a_saved_table_holds_every_number_with_its_unit() -> None:
    state = state_of(STACKS["axial"])
    reading = read(state, ball(state, LESION, 7), plane=0.0, ratios=[Ratio("tNAA", "tCho")])
    assert reading is not None
    text = as_csv(reading, state)
    lines = list(csv.reader(io.StringIO(text)))
    notes = [line[0] for line in lines if line[0].startswith("#")]
    assert any("AI-generated" in line and RESEARCH_ONLY in line for line in notes)
    head, *body = (line for line in lines if not line[0].startswith("#"))
    table = {line[0]: dict(zip(head, line, strict=True)) for line in body}
    assert list(table) == ["tCho", "tNAA", "tCho/tNAA", "tNAA/tCho"]
    assert (table["tCho"]["unit"], table["tCho/tNAA"]["unit"]) == ("mM", "")
    assert float(table["tCho"]["output mean"]) == pytest.approx(6)
    assert float(table["tCho"]["output mirror mean"]) == pytest.approx(2)
    assert float(table["tNAA/tCho"]["output lesion/normal"]) == pytest.approx((4 / 6) / 4, rel=1e-5)
    assert int(table["tCho"]["output voxels"]) == reading.lines[0].values["output"].voxels
    assert table["tCho"]["output mean deviation of the samples"] == ""
    shown = rows(reading, "output")[0]
    assert shown[0] == "tCho (mM)"
    assert shown[2].startswith("6 ± 0, n ")
    assert shown[5] == "3"


def test_several_regions_are_saved_below_each_other() -> None:
    """Each line names its region, and is that of the region saved alone."""
    state = state_of(STACKS["axial"])
    named = {}
    for name, place in (("A", LESION), ("B", -LESION)):
        reading = read(state, ball(state, place, 7), plane=0.0)
        assert reading is not None
        named[name] = reading
    lines = list(csv.reader(io.StringIO(csv_of(named, state))))
    notes = [line[0] for line in lines if line[0].startswith("#")]
    assert f"# B: {about(named['B'], 'tCho')}" in notes
    head, *body = (line for line in lines if not line[0].startswith("#"))
    assert head[:3] == ["region", "map", "unit"]
    assert [line[0] for line in body] == ["A"] * 3 + ["B"] * 3
    alone = csv.reader(io.StringIO(as_csv(named["B"], state)))
    expected = [line for line in alone if not line[0].startswith("#")]
    assert [line[1:] for line in body[3:]] == expected[1:]
