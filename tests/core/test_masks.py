"""Which voxels are trusted: masks as they are written, spikes, failed fits and limits."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io import ChoiceNeeded, Choices, open_study, write_volume
from ftddm_core.imaging.io import masks as masks_of_files
from ftddm_core.imaging.volume import Volume

AFFINE = np.diag([8.0, 8, 10, 1])
SHAPE = (8, 8, 2)
PATH = Path("mask.nii.gz")


def image(data):
    return Volume(np.asarray(data, np.float32), AFFINE)


def level(value=9.0, brain=None):
    """Return a map that varies by a tenth, 0 outside the brain."""
    wave = 1 + 0.1 * np.sin(np.arange(np.prod(SHAPE)).reshape(SHAPE))
    return value * wave * (brain_of() if brain is None else brain)


def brain_of():
    brain = np.zeros(SHAPE, bool)
    brain[1:7, 1:7] = True
    return brain


@pytest.fixture
def study(tmp_path):
    """Return a function that writes named arrays to one folder and opens it."""

    def opened(choices=None, /, **arrays):
        for name, data in arrays.items():
            write_volume(tmp_path / f"{name}.nii.gz", image(data))
        return open_study(tmp_path, choices=choices)

    return opened


def trusted(study, name="tNAA"):
    return study.mask_of(name).data > 0


@pytest.mark.parametrize("value", [1, 255, 0.4])
def test_a_mask_of_one_value_trusts_its_voxels(value):
    found, notes = masks_of_files.read_mask(image(value * brain_of()), PATH, Choices())
    np.testing.assert_array_equal(found.data, brain_of())
    assert not notes


def test_probabilities_have_a_threshold_that_is_told(study):
    probability = np.where(np.arange(8)[:, None, None] < 4, 0.3, 0.9) * brain_of()
    found = study(tNAA=level(), mask=probability)
    np.testing.assert_array_equal(trusted(found), probability > 0.5)
    assert "mask.nii.gz holds probabilities: voxels above 0.5 are trusted." in found.notes
    lower = study(Choices(mask_threshold=0.2), tNAA=level(), mask=probability)
    np.testing.assert_array_equal(trusted(lower), brain_of())


def test_labels_are_asked_about(study):
    labels = brain_of() * (1 + (np.arange(2) == 1))
    with pytest.raises(ChoiceNeeded, match="labels 1 and 2: which are trusted") as asked:
        study(tNAA=level(), mask=labels)
    assert asked.value.question.key == "mask_labels"
    assert asked.value.question.options == ("1", "2")
    np.testing.assert_array_equal(trusted(study(Choices(mask_labels=(2,)))), labels == 2)
    np.testing.assert_array_equal(trusted(study(Choices(mask_labels=(1, 2)))), brain_of())
    with pytest.raises(FormatError, match=r"no label 7; its labels are 1 and 2"):
        study(Choices(mask_labels=(7,)))


@pytest.mark.parametrize("data", [level() + 1, level() - 5 * brain_of(), level(10) ** 2 + 0.1])
def test_what_is_no_mask_is_refused(data):
    with pytest.raises(FormatError, match=r"neither a mask, probabilities nor labels: leave it"):
        masks_of_files.read_mask(image(data - 5), PATH, Choices())
    with pytest.raises(FormatError, match=r"neither a mask, probabilities nor labels: leave it"):
        masks_of_files.read_mask(image(np.abs(data) + 1), PATH, Choices(roles={str(PATH): "mask"}))


def test_an_image_of_the_brain_alone_is_a_mask_if_the_user_says_so(study):
    """As FreeSurfer's brainmask, which holds intensities."""
    arrays = {"tNAA": level(), "brainmask": (100 + 20 * level()) * brain_of()}
    with pytest.raises(ChoiceNeeded, match="looks like an image of the brain alone") as asked:
        study(**arrays)
    assert asked.value.question.key == "roles"
    (path,) = asked.value.question.options
    found = study(Choices(roles={path: "mask"}))
    np.testing.assert_array_equal(trusted(found), brain_of())
    assert any("the voxels in which it is not 0 are trusted" in note for note in found.notes)
    assert study(Choices(exclude=(path,))).mask is None


def test_a_quality_mask_goes_before_a_brain_mask_which_is_offered(study):
    quality = brain_of() & (np.arange(8)[:, None] > 3)[..., None]
    found = study(tNAA=level(), brain_mask=brain_of(), quality_mask=quality)
    np.testing.assert_array_equal(trusted(found), quality)
    assert any("brain_mask.nii.gz is offered" in note for note in found.notes)


@pytest.mark.parametrize("name", ["spikemask", "fit_failed"])
def test_spikes_and_failed_fits_are_taken_away(study, name):
    bad = np.zeros(SHAPE)
    bad[3, 3] = 1
    with_mask = study(tNAA=level(), mask=brain_of(), **{name: bad})
    np.testing.assert_array_equal(trusted(with_mask), brain_of() & (bad == 0))


def test_spikes_are_taken_away_without_a_mask_too(study):
    bad = np.zeros(SHAPE)
    bad[3, 3] = 1
    found = study(tNAA=level(), spikemask=bad)
    np.testing.assert_array_equal(trusted(found), brain_of() & (bad == 0))


def test_an_empty_map_of_failed_fits_changes_nothing(study):
    assert study(tNAA=level(), fit_failed=np.zeros(SHAPE)).mask is None


def test_minus_one_inside_a_mask_is_a_failed_fit(study):
    failed = level()
    failed[2, 1:7] = -1
    found = study(tNAA=failed, tCr=level(6), mask=brain_of())
    np.testing.assert_array_equal(trusted(found), brain_of() & (failed != -1))
    np.testing.assert_array_equal(trusted(found, "tCr"), brain_of())
    assert np.isnan(found.maps["tNAA"].data[2, 1:7]).all()
    assert "tNAA: 12 voxels hold -1, a sign of failed fits: they were taken out." in found.notes


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 2, 3], []),
        ([-0.3, -0.3, 2], []),
        ([-3.0, 2, 3], []),
        ([-3.0, -3, 3], [-3.0]),
        ([-999.0, 2, 3], [-999.0]),
        ([2.0, 3, 999, 999], [999.0]),
        ([800.0, 900, 999], []),
        ([2.0, 3, 10000, 10000], [10000.0]),
        ([2.0, 3, 10000], []),  # a wild voxel, which is told
        ([2.0, 3, 20, 20], []),
        ([-2.0, -3, 10, 10], []),
        ([np.nan, np.inf, 1], []),
    ],
)
def test_values_of_failed_fits(values, expected):
    assert masks_of_files.failed_values(np.array(values).reshape(1, 1, -1)) == expected


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (~brain_of(), "mask trusts voxels without signal: only 0% of them have a value"),
        (np.indices(SHAPE).sum(0) == 6, ""),
        (np.arange(np.prod(SHAPE)).reshape(SHAPE) == 54, "mask trusts only 1.4% of the voxels"),
    ],
)
def test_a_mask_that_does_not_fit_the_signal_is_told(study, mask, words):
    found = [note for note in study(tNAA=level(), mask=mask).notes if note.startswith("mask")]
    assert len(found) == bool(words)
    assert "".join(found).startswith(words)


def test_an_inverted_mask_of_a_noisy_scan_is_told(study):
    scan = np.where(brain_of(), level(9, True), 0.2)
    found = study(tNAA=scan, mask=~brain_of())
    assert "mask trusts voxels without signal: they hold less than 10%" in " ".join(found.notes)
    assert not study(tNAA=scan, mask=brain_of()).notes


def test_limits_of_quality_decide_which_voxels_are_trusted(study):
    across = np.broadcast_to(np.arange(8.0)[:, None, None], SHAPE)
    arrays = {
        "tNAA": level(),
        "tCr": level(6),
        "tNAA_crlb": 5 + across,
        "tCr_crlb": 10 + across,
        "SNR": 10 - across,
        "FWHM_map": across,
        "mask": brain_of(),
    }
    free = study(**arrays)
    np.testing.assert_array_equal(trusted(free), brain_of())
    assert not {"snr", "fwhm"} & free.source.keys()
    limited = study(Choices(max_crlb=14))
    np.testing.assert_array_equal(trusted(limited), brain_of())
    np.testing.assert_array_equal(trusted(limited, "tCr"), brain_of() & (across <= 4))
    np.testing.assert_array_equal(
        trusted(study(Choices(min_snr=6, max_fwhm=3))), brain_of() & (across <= 3)
    )
    assert {"snr", "fwhm"} <= study(Choices(min_snr=6, max_fwhm=3)).source.keys()


@pytest.mark.parametrize("limit", ["max_crlb", "min_snr", "max_fwhm"])
def test_a_limit_without_its_map_is_refused(study, limit):
    with pytest.raises(FormatError, match=r"A limit is set for the .*: remove the limit"):
        study(Choices(**{limit: 5}), tNAA=level())


@pytest.mark.parametrize("unit", ["", "fraction", "per cent"])
def test_a_crlb_in_fractions_is_told_and_multiplied(study, unit):
    bound = np.where(np.arange(8)[:, None, None] == 3, 999, 0.07) * brain_of()
    found = study(Choices(crlb_unit=unit), tNAA=level(), tNAA_crlb=bound)
    expected = 0.07 if unit == "per cent" else 7
    assert found.crlb["tNAA"].data[2, 2, 0] == pytest.approx(expected)
    assert found.crlb["tNAA"].data[3, 2, 0] >= 999
    told = any("tNAA's CRLB looks like a fraction" in note for note in found.notes)
    assert told is not bool(unit)


def test_failed_fits_of_a_crlb_in_fractions_stay_failed(study):
    """9.99 stands for 999 %, even if most fits failed."""
    bound = np.where(np.arange(8)[:, None, None] < 4, 0.07, 9.99) * brain_of()
    data = study(tNAA=level(), tNAA_crlb=bound).crlb["tNAA"].data
    assert data[2, 2, 0] == pytest.approx(7)
    assert (data[brain_of() & (bound == 9.99)] == 999).all()


@pytest.mark.parametrize(("bound", "told"), [(600.0, True), (0.6, True), (7.0, False)])
def test_crlb_that_may_be_absolute_are_told(study, bound, told):
    notes = study(tNAA=level(9000), tNAA_sd=bound * brain_of()).notes
    assert any("if they are standard deviations" in note for note in notes) == told


def test_a_mask_without_orientation_is_told(study, tmp_path):
    study(tNAA=level())
    plain = nib.Nifti1Image(brain_of().astype(np.uint8), None)
    nib.save(plain, tmp_path / "mask.nii.gz")
    assert "mask: no orientation in the header: left and right unknown." in study().notes


def test_a_background_of_minus_one_is_not_called_failed_fits_alone(study):
    found = study(tNAA=np.where(brain_of(), level(), -1))
    words = "56 voxels hold -1, no signal outside the head or failed fits: they were taken out."
    assert f"tNAA: {words}" in found.notes
    np.testing.assert_array_equal(trusted(found), brain_of())


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"tNAA": 7.0 * brain_of()}, "tNAA is constant: it holds 7 or nothing"),
        ({"tNAA": -level()}, "tNAA: 100% of its values are negative"),
        ({"tNAA": level(), "tCr": level()}, "tCr and tNAA hold the same values"),
    ],
)
def test_maps_that_hold_no_amounts_are_told(study, arrays, words):
    assert any(note.startswith(words) for note in study(**arrays).notes)


def test_noise_about_zero_is_no_difference(study):
    noise = np.random.default_rng(0).normal(0, 1, SHAPE)
    assert not any("negative" in note for note in study(tNAA=noise).notes)


def test_what_takes_most_trusted_voxels_away_is_told(study):
    """As an inverted file of failed fits does."""
    inverted = brain_of().astype(float)
    inverted[3] = 0
    notes = study(tNAA=level(), fit_failed=inverted).notes
    assert any("leave 12 of 72 trusted voxels; is one of these" in note for note in notes)


def test_copies_are_told_once_however_many(study):
    notes = study(tNAA=level(), tCr=level(), Ins=level()).notes
    assert [n for n in notes if "hold the same" in n] == [
        "Ins, tCr and tNAA hold the same values: is one a copy under a wrong name?"
    ]
