"""The tumour's contrast on a brain whose every ratio is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ftddm_core.errors import GeometryError
from ftddm_core.evaluation.contrast import tumour_contrast_error

Array = NDArray[Any]
SHAPE = (16, 20)


class Brain:
    """Cho/NAA 0.2 in normal tissue, 0.4 in the tumour, 0.6 in its tenth; a necrosis; a rim."""

    def __init__(self, shape: tuple[int, ...] = SHAPE) -> None:
        self.mask = np.zeros(shape, bool)
        self.mask[2:14, 2:18] = True
        self.tumour = np.zeros(shape, bool)
        self.tumour[4:10, 4:10] = True
        self.necrosis = np.zeros(shape, bool)
        self.necrosis[6:8, 6:8] = True
        self.hot = np.zeros(shape, bool)
        self.hot[4, 4:7] = True  # three of 32 living voxels
        self.cho = np.where(self.tumour, 2.4, 1.6)
        self.naa = np.where(self.tumour, 6.0, 8.0)
        self.naa[self.hot] = 4
        # Hardly anything is left in the necrosis, but at the highest ratio of all.
        self.cho[self.necrosis], self.naa[self.necrosis] = 0.1, 0.02

    def error(self, cho: Array, naa: Array) -> float:
        return tumour_contrast_error(cho, naa, self.cho, self.naa, self.tumour, self.mask)


@pytest.mark.parametrize("shape", [SHAPE, (*SHAPE, 1)])
def test_the_truth_has_no_error(shape: tuple[int, ...]) -> None:
    brain = Brain(shape)
    assert brain.error(brain.cho, brain.naa) == 0
    assert brain.error(5 * brain.cho, 3 * brain.naa) == pytest.approx(0)  # contrast has no unit


@pytest.mark.parametrize("gain", [0.5, 1.2])
def test_the_error_is_that_of_the_hot_spots_ratio(gain: float) -> None:
    brain = Brain()
    cho = np.where(brain.hot, gain * brain.cho, brain.cho)
    assert brain.error(cho, brain.naa) == pytest.approx(abs(gain - 1))


def test_a_flat_map_has_lost_two_thirds_of_a_threefold_contrast() -> None:
    brain = Brain()
    assert brain.error(np.full(SHAPE, 2.0), np.full(SHAPE, 7.0)) == pytest.approx(2 / 3)


def test_only_hot_spot_and_normal_tissue_count() -> None:
    """Necrosis, the rest of the tumour, and all outside the mask may be anything."""
    brain = Brain()
    elsewhere = (brain.tumour & ~brain.hot) | ~brain.mask
    wild = np.where(elsewhere, 1e3, brain.cho), np.where(elsewhere, 0, brain.naa)
    assert brain.error(*wild) == 0
    normal = brain.mask & ~brain.tumour
    assert brain.error(np.where(normal, 2, brain.cho), brain.naa) == pytest.approx(0.2)


def test_single_wild_voxels_of_normal_tissue_and_zeros_do_not_matter() -> None:
    brain = Brain()
    cho, naa = brain.cho.copy(), brain.naa.copy()
    naa[12, 3:9] = 0
    cho[13, 3] = naa[13, 3] = 0
    assert brain.error(cho, naa) == pytest.approx(0)


def test_a_zero_within_the_hot_spot_does_not_explode() -> None:
    brain = Brain()
    naa = brain.naa.copy()
    naa[4, 4] = 0
    assert brain.error(brain.cho, naa) == pytest.approx(0.5)  # two of three thirds of NAA left


def test_without_tumour_or_signal_there_is_no_contrast() -> None:
    brain = Brain()
    zero = np.zeros(SHAPE)
    assert np.isnan(brain.error(zero, zero))
    brain.tumour[:] = False
    assert np.isnan(brain.error(brain.cho, brain.naa))
    brain.tumour[4, 4:6] = True  # two voxels are no hot spot
    assert np.isnan(brain.error(brain.cho, brain.naa))
    brain.tumour[:] = True  # nothing to compare with
    assert np.isnan(brain.error(brain.cho, brain.naa))


def test_arrays_of_different_shapes_are_refused() -> None:
    brain = Brain()
    with pytest.raises(GeometryError, match="one shape"):
        brain.error(brain.cho[1:], brain.naa)
