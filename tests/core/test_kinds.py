"""Kinds of patients: what each is said to differ in, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from heads import nested_head
from properties import save_nifti

from ftddm_core.evaluation.cases import simulate
from ftddm_core.evaluation.kinds import (
    ACQUISITIONS,
    HIDDEN,
    LITERATURE,
    MASKED,
    MEASURED,
    NULL,
    SCAN,
    SHARED,
    SILENT,
    SIMULATED,
    SWAPPED,
    WHOLE,
    KindCase,
    measured_kinds,
    null_truth,
    simulated_kinds,
    whole_mask,
)
from ftddm_core.evaluation.protocol import Protocol, parse
from ftddm_core.imaging.volume import Outside, Study, Volume
from ftddm_core.phantom.anatomy import LABELS, TISSUES, Anatomy

NAMES = ("tNAA", "tCho")
Kinds = dict[tuple[str, str], list[KindCase]]


def protocol(patients: int = 1) -> Protocol:
    return parse(
        {
            "name": "test", "anatomies": ["nested"], "patients": 1, "slices": 1, "patient_seed": 3,
            "matrix": [36, 40], "voxel": 5.0, "factors": [2, 4], "metabolites": list(NAMES),
            "method": [{"name": "zero-filling", "kind": "zero-filling"}],
            "robustness": {"patients": patients, "factors": [2]},
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def label_map(tmp_path_factory: pytest.TempPathFactory) -> Path:
    anatomy = nested_head(4.0)
    number = np.array([LABELS[tissue][0] for tissue in TISSUES], np.int16)
    path = tmp_path_factory.mktemp("anatomy") / "nested.nii.gz"
    return save_nifti(path, number[anatomy.tissue], anatomy.affine)


@pytest.fixture(scope="module")
def kinds(label_map: Path) -> Kinds:
    found: Kinds = {}
    for item in simulated_kinds(protocol(), [label_map]):
        found.setdefault((item.kind, item.acquisition), []).append(item)
    return found


def same_maps(one: Study, two: Study) -> bool:
    return all(np.array_equal(v.data, two.maps[n].data) for n, v in one.maps.items())


def same_mri(one: Study, two: Study) -> bool:
    assert one.t1 is not None
    assert two.t1 is not None
    assert np.array_equal(one.t1.affine, two.t1.affine)
    return np.array_equal(one.t1.data, two.t1.data)


def test_every_kind_is_acquired_as_it_should_be(kinds: Kinds) -> None:
    assert set(kinds) == {(kind, a) for kind in SIMULATED for a in ACQUISITIONS[kind]}
    names = [item.case.name for items in kinds.values() for item in items]
    assert len(set(names)) == len(names)
    for (_, acquisition), (item,) in kinds.items():
        assert item.case.from_scans == (acquisition != MASKED)
        assert tuple(item.case.study.maps) == NAMES
        low = item.case.acquired(2.0, NAMES)
        assert low.grid.shape == (18, 20, 1)
        assert low.outside is (Outside.EMPTY if acquisition == MASKED else Outside.SEEN)
        assert (low.window is not None) == (acquisition != MASKED)
        assert item.case.conditions(2.0, NAMES)["tNAA"].shape == (36, 40, 1)


def test_a_swapped_mri_leaves_the_maps_untouched(kinds: Kinds) -> None:
    for acquisition in (MASKED, SCAN):
        (own,), (swapped,) = kinds[LITERATURE, acquisition], kinds[SWAPPED, acquisition]
        assert same_maps(own.case.study, swapped.case.study)
        assert not same_mri(own.case.study, swapped.case.study)
        one, two = (item.case.acquired(2.0, NAMES) for item in (own, swapped))
        assert same_maps(one, two)
        assert not same_mri(one, two)
        told = swapped.case.conditions(2.0, NAMES)["tNAA"], own.case.conditions(2.0, NAMES)["tNAA"]
        np.testing.assert_array_equal(told[0].channels[:2], told[1].channels[:2])
        assert np.abs(told[0].channels[2] - told[1].channels[2]).max() > 0.1


def test_a_hidden_lesion_is_in_the_maps_alone_and_a_silent_one_in_the_mri_alone(
    kinds: Kinds,
) -> None:
    (literature,), (hidden,), (silent,) = (
        kinds[kind, MASKED] for kind in (LITERATURE, HIDDEN, SILENT)
    )
    assert same_maps(literature.case.study, hidden.case.study)
    assert not same_mri(literature.case.study, hidden.case.study)
    assert same_mri(literature.case.study, silent.case.study)
    assert not same_maps(literature.case.study, silent.case.study)
    mask, tumour = literature.case.mask("tCho"), literature.case.tumour
    assert tumour is not None
    for item in (hidden, silent):
        np.testing.assert_array_equal(item.case.tumour, tumour)
    region = mask & tumour
    sick, well = (
        item.case.truth("tCho", noise_free=True) / item.case.truth("tNAA", noise_free=True).clip(1)
        for item in (literature, silent)
    )
    normal = mask & ~tumour
    assert sick[region].mean() > 1.3 * sick[normal].mean()
    assert well[region].mean() < 1.2 * well[normal].mean()


def test_null_patients_lie_where_measured_maps_do(label_map: Path) -> None:
    """CV 0.4 to 0.54, two maps' correlation, and that of neighbours: real-maps.md, section 2."""
    anatomy = Anatomy.load(label_map)
    slab = simulate(protocol(), anatomy, 0).slab
    mask = slab.mask[..., 0]
    variations, correlations, lagged = [], [], []
    for seed in range(12):
        maps = null_truth(slab, np.random.default_rng(seed))[..., 0]
        assert (maps >= 0).all()
        inside = maps[:, mask]
        variations += list(inside.std(1) / inside.mean(1))
        correlations += list(np.corrcoef(inside)[np.triu_indices(len(inside), 1)])
        relative = (maps - inside.mean(1)[:, None, None]) / inside.std(1)[:, None, None]
        lagged.append([_lagged(relative, mask, lag) for lag in (1, 2, 3)])  # 5, 10, 15 mm
        # No MRI shows it: the tissue's own contrast is not in it.
        white = slab.fractions[TISSUES.index("white")][..., 0][mask]
        assert abs(np.corrcoef(white, inside[0])[0, 1]) < 0.6
    assert 0.40 < np.mean(variations) < 0.54
    low, high = SHARED
    assert low - 0.05 < np.mean(correlations) < high
    assert np.quantile(correlations, 0.05) > low - 0.15
    np.testing.assert_allclose(np.mean(lagged, 0), (0.6, 0.35, 0.27), atol=0.07)


def _lagged(maps: np.ndarray, mask: np.ndarray, lag: int) -> float:
    both = mask[lag:] & mask[:-lag]
    return float(np.mean((maps[:, lag:] * maps[:, :-lag])[:, both]))


def test_a_whole_mask_has_no_holes_and_only_brain(label_map: Path, kinds: Kinds) -> None:
    from scipy.ndimage import binary_fill_holes

    slab = simulate(protocol(), Anatomy.load(label_map), 0).slab
    mask = whole_mask(slab)
    assert (mask >= slab.mask).all()
    assert mask.sum() > slab.mask.sum()
    air = slab.fractions[TISSUES.index("air")]
    assert not (mask & (air > 0.5)).any()
    closed = binary_fill_holes(mask[..., 0])
    assert (closed & ~mask[..., 0]).sum() < 0.02 * mask.sum()
    (item,) = kinds[LITERATURE, WHOLE]
    np.testing.assert_array_equal(item.case.mask("tNAA"), mask)
    top = item.case.truth("tNAA", noise_free=True).max()
    assert item.case.truth("tNAA").max() < 2 * top  # fits inside it did not fail


def test_cases_are_the_same_every_time(label_map: Path, kinds: Kinds) -> None:
    for item in simulated_kinds(protocol(), [label_map]):
        (before,) = kinds[item.kind, item.acquisition]
        assert item.case.digest == before.case.digest
        one, two = (i.case.conditions(2.0, NAMES)["tCho"].digest for i in (item, before))
        assert one == two


def test_the_other_head_is_of_another_patient(label_map: Path) -> None:
    items = list(simulated_kinds(protocol(patients=2), [label_map]))
    swapped = [i for i in items if (i.kind, i.acquisition) == (SWAPPED, MASKED)]
    own = [i for i in items if (i.kind, i.acquisition) == (LITERATURE, MASKED)]
    assert len(swapped) == 2
    for item, before in zip(swapped, own, strict=True):
        assert not same_mri(item.case.study, before.case.study)


def test_a_protocol_without_robustness_has_no_kinds(label_map: Path) -> None:
    from dataclasses import replace

    assert list(simulated_kinds(replace(protocol(), robustness=None), [label_map])) == []


def test_a_measured_study_is_masked_and_whole() -> None:
    rng = np.random.default_rng(4)
    affine = np.diag([10.2, 10.2, 10.0, 1.0])
    maps = {
        name: Volume((3 + rng.random((12, 10, 2))).astype(np.float32), affine, "mM")
        for name in ("Lac", "tCho", "Ins")
    }
    mask = np.ones((12, 10, 2), np.float32)
    mask[:3] = 0
    study = Study(maps, mask=Volume(mask, affine))
    masked, whole = measured_kinds(protocol(), "mine", study, 3.4)
    assert (masked.kind, masked.acquisition, masked.factors) == (MEASURED, MASKED, (2.0,))
    assert (whole.kind, whole.acquisition) == (MEASURED, SCAN)
    # The protocol's maps first, then the study's own, as many as the protocol has.
    assert list(masked.case.study.maps) == ["tCho", "Lac"]
    one, two = (item.case.acquired(2.0, ("tCho",)) for item in (masked, whole))
    assert (one.outside, two.outside) == (Outside.EMPTY, Outside.SEEN)
    assert abs(one.maps["tCho"].data[0]).mean() < 0.5 * abs(two.maps["tCho"].data[0]).mean()
    np.testing.assert_array_equal(masked.case.truth("tCho"), whole.case.truth("tCho"))


def test_the_null_patient_has_no_lesion(kinds: Kinds) -> None:
    assert all(item.case.tumour is None for item in kinds[NULL, SCAN])
