"""What lies outside the patients of the training is reported, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest

from ftddm_core.imaging.scope import output_notes, scope_notes
from ftddm_core.imaging.volume import Study, Volume


def grid(voxel, shape=(14, 14, 3)):
    return Volume(np.ones(shape, np.float32), np.diag([*voxel, 1.0]))


@pytest.mark.parametrize(
    ("name", "voxel", "shape", "words"),
    [
        ("tNAA", (10, 10, 12), (14, 14, 3), ""),
        ("tNAA", (3.4, 3.4, 3.4), (64, 64, 16), ""),
        ("Lac", (10, 10, 12), (14, 14, 3), "Lac: not among the metabolites"),
        ("tNAA_over_tCr", (10, 10, 12), (14, 14, 3), "tNAA_over_tCr is a ratio"),
        ("tNAA", (2, 2, 4), (64, 64, 3), "Voxels of 2 mm in the plane"),
        ("tNAA", (5, 5, 4), (128, 64, 3), "A matrix of 128 x 64"),
        ("tNAA", (10, 10, 20), (14, 14, 3), "Slices of 20 mm"),
    ],
)
def test_a_study_outside_the_training_is_reported(name, voxel, shape, words):
    found = scope_notes(Study({name: grid(voxel, shape)}))
    assert len(found) == bool(words)
    assert "".join(found).startswith(words)


def test_a_result_finer_than_the_training_is_reported():
    assert output_notes(grid((2.5, 2.5, 12))) == ()
    (note,) = output_notes(grid((1.25, 1.25, 12)))
    assert note.startswith("Result of 1.2 mm voxels: finer than any of the training (2.5 mm)")
