"""What is read under the pointer, against values put there by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from properties import oblique_affine

from ftddm_core.imaging.metabolites import Ratio
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.settings import SamplerSettings
from ftddm_viewer.session.case import Case, Mode, prepare
from ftddm_viewer.session.hover import crlb_words, details, deviation_at, value_at, value_words
from ftddm_viewer.session.state import SliceImage, View

PAIR = Ratio("tCho", "tNAA")
SHAPE = (6, 6, 3)


def view_of(affine: np.ndarray) -> tuple[View, list[float]]:
    """Return images of two samples in the middle slice, and the display position of (4, 2, 1)."""
    flat, crlb = np.full(SHAPE, 8.0), np.full(SHAPE, 5.0)
    crlb[4, 2, 1] = 12.0
    crlb[3, 2, 1] = 999.0
    study = Study.from_arrays(
        {"tCho": flat, "tNAA": flat}, affine=affine, unit="mM", crlb={"tCho": crlb},
        mask=np.ones(SHAPE),
    )  # fmt: skip
    asked = SamplerSettings(upscale=2, samples=2, detail=1.0, mri_weight=1.0)
    case = Case.of(study)
    images = {}
    for name, first, second in (("tCho", 1.0, 3.0), ("tNAA", 4.0, 2.0)):
        samples = np.zeros((2, 6, 6), np.float32)
        samples[:, 4, 2] = first, second
        deviation = samples.std(0, ddof=1)
        images[name, 1] = SliceImage(
            samples.mean(0), samples.mean(0), deviation, final=True, samples=samples
        )
    view = View(prepare(case, Mode.RESTORE, 2), asked).adding(images)
    world = affine @ [4.0, 2.0, 1.0, 1.0]
    return view, (case.frame.turn @ world)[:3].tolist()


@pytest.mark.parametrize("angles", [(0, 0, 0), (10, -15, 20), (3, 91, -87)])
@pytest.mark.parametrize("flip", [(1, 1, 1), (-1, 1, -1)])
def test_a_point_is_read_where_it_lies(
    angles: tuple[float, float, float], flip: tuple[int, int, int]
) -> None:
    """Mean of 1/4 and 3/2 with its deviation; CRLB of the same voxel, and not of its mirror's."""
    view, point = view_of(oblique_affine(SHAPE, (10, 10, 12), angles, flip=flip))
    case = view.prepared.case
    assert value_at(view.stacked("tCho"), point) == 2.0
    assert deviation_at(view, "output", "tCho", None, point) == pytest.approx(math.sqrt(2))
    found = details(case, view, "output", "tCho", PAIR, point)
    spread = np.std([0.25, 1.5], ddof=1)
    assert found == ["CRLB 12 %", f"tCho/tNAA 0.875 ± {spread:.2g}"]
    assert details(case, view, "output", "tNAA", None, point) == []
    assert details(case, view, "ratio output", "tNAA", PAIR, point) == [
        "tCho 2 mM, CRLB 12 %",
        "tNAA 3 mM",
    ]
    assert deviation_at(view, "ratio output", "tCho", PAIR, point) == pytest.approx(spread)
    assert math.isnan(deviation_at(view, "input", "tCho", PAIR, point))


def test_a_failed_fit_is_named_and_beyond_the_maps_nothing_is() -> None:
    view, point = view_of(oblique_affine(SHAPE, (10, 10, 12), (0, 0, 0)))
    case = view.prepared.case
    assert crlb_words(case, "tCho", [point[0] - 10, *point[1:]]) == "fit failed"
    assert crlb_words(case, "tCho", [point[0] + 4.9, *point[1:]]) == "CRLB 12 %"
    assert crlb_words(case, "tCho", [point[0] + 900, *point[1:]]) == ""
    assert math.isnan(value_at(Volume(np.ones((2, 2, 2)), np.eye(4)), (1.6, 0, 0)))
    assert math.isnan(value_at(None, point))
    assert value_words(0.5, 0.25, "mM") == "0.5 ± 0.25 mM"
