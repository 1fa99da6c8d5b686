"""The views of an MRI show it, and the maps' outlines, where they are in the world."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from properties import oblique_affine, world_of

from ftddm_core.errors import FormatError
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_viewer.drawing.placement import FIELD, PIXEL_MM, TRUSTED, placement_figure

SHAPE, MRI_SHAPE = (12, 14, 6), (60, 64, 50)
CENTRE = np.array([3.0, -12.0, 25.0])
SPOT = CENTRE + np.array([20.0, 8.0, -12.0])


def study(angles: tuple[float, float, float]) -> Study:
    """Return maps that trust a ball to the right of the centre, and an MRI that shows the ball."""
    affine = oblique_affine(SHAPE, (8.0, 8.0, 10.0), angles, flip=(-1, 1, 1))
    mri = oblique_affine(MRI_SHAPE, (2.0, 2.0, 2.0), (0.0, 0.0, 5.0))
    near = [
        np.linalg.norm(world_of(shape, a) - SPOT, axis=-1) < 16
        for shape, a in ((SHAPE, affine), (MRI_SHAPE, mri))
    ]
    return Study(
        {"tNAA": Volume(np.ones(SHAPE), affine)},
        mask=Volume(near[0].astype(np.float32), affine),
        t1=Volume(near[1] * 100.0 + 1, mri),
    )


def views(figure: Figure) -> dict[str, Axes]:
    return {axes.get_title(): axes for axes in figure.axes}


def outline(axes: Axes, colour: str) -> tuple[np.ndarray, np.ndarray]:
    """Return centre and size in pixels (across, down) of the contour of a colour."""
    (found,) = (c for c in axes.collections if same_color(c.get_edgecolor()[0], colour))  # type: ignore[attr-defined]
    points = np.concatenate([path.vertices for path in found.get_paths()])
    low, high = points.min(axis=0), points.max(axis=0)
    return (low + high) / 2, high - low


@pytest.mark.parametrize("angles", [(0.0, 0.0, 0.0), (12.0, -8.0, 15.0)])
def test_the_outline_lies_on_what_the_mri_shows(angles: tuple[float, float, float]) -> None:
    shown = views(placement_figure(study(angles)))
    assert list(shown) == ["axial", "coronal", "sagittal"]
    for axes in shown.values():
        image = np.asarray(axes.images[0].get_array())
        bright = np.argwhere(image > 50)[:, ::-1]
        middle, size = outline(axes, TRUSTED)
        np.testing.assert_allclose(bright.mean(axis=0) * 1.0, middle, atol=4)
        np.testing.assert_allclose(size * PIXEL_MM, 32, atol=12)
    width = outline(shown["axial"], FIELD)[1] * PIXEL_MM
    np.testing.assert_allclose(width, (12 * 8, 14 * 8), atol=5)
    height = outline(shown["coronal"], FIELD)[1] * PIXEL_MM
    np.testing.assert_allclose(height, (12 * 8, 6 * 10), atol=5)


def test_a_displaced_mri_is_seen_beside_the_outline() -> None:
    """Moved by 40 mm to the patient's right, which is the left of the image."""
    there = study((0.0, 0.0, 0.0))
    assert there.t1 is not None
    affine = there.t1.affine.copy()
    affine[0, 3] += 40
    axes = views(placement_figure(replace(there, t1=replace(there.t1, affine=affine))))["axial"]
    image = np.asarray(axes.images[0].get_array())
    across = np.argwhere(image > 50)[:, 1].mean() - outline(axes, TRUSTED)[0][0]
    assert across * PIXEL_MM == pytest.approx(-40, abs=8)


def test_an_mri_far_from_the_maps_leaves_the_outline_alone() -> None:
    there = study((0.0, 0.0, 0.0))
    assert there.t1 is not None
    affine = there.t1.affine.copy()
    affine[2, 3] += 300
    figure = placement_figure(replace(there, flair=replace(there.t1, affine=affine)), "flair")
    axes = views(figure)["axial"]
    assert not np.asarray(axes.images[0].get_array()).any()
    assert outline(axes, TRUSTED)[1].min() > 8
    assert figure.get_supxlabel() == RESEARCH_ONLY


def test_an_absent_mri_is_refused() -> None:
    with pytest.raises(FormatError, match="no FLAIR to show"):
        placement_figure(study((0.0, 0.0, 0.0)), "flair")
