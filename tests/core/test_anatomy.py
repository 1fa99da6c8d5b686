"""Anatomies of simulated patients: labels, fractions of tissue, and warps."""

from __future__ import annotations

from itertools import combinations

import nibabel as nib
import numpy as np
import pytest
from heads import half_space, nested_head
from phantoms import STILL, rng_of, tissue
from properties import oblique_affine

from ftddm_core.errors import FormatError
from ftddm_core.phantom.anatomy import BRAIN, LABELS, TISSUES, Anatomy, Warp, world_points
from ftddm_core.phantom.patient import axial_affine


def test_every_label_has_one_tissue_and_every_tissue_a_label():
    assert set(LABELS) == set(TISSUES)
    assert set(BRAIN) < set(TISSUES)
    for one, other in combinations(LABELS.values(), 2):
        assert not set(one) & set(other)
    # Left and right of the same structure are the same tissue.
    kind = {label: name for name, labels in LABELS.items() for label in labels}
    pairs = [(2, 41), (3, 42), (4, 43), (5, 44), (7, 46), (8, 47), (26, 58), (28, 60), (30, 62)]
    pairs += [(n, n + 39) for n in (10, 11, 12, 13)] + [(17, 53), (18, 54), (25, 57)]
    assert all(kind[left] == kind[right] for left, right in pairs)


@pytest.mark.parametrize("wrong", [[999], [-3], [2035, 999]])
def test_unknown_labels_are_refused_with_their_numbers(tmp_path, wrong):
    labels = np.full((4, 4, 4), 2, np.int16)
    labels.flat[: len(wrong)] = wrong
    path = tmp_path / "head.nii.gz"
    nib.save(nib.Nifti1Image(labels, np.eye(4)), path)
    with pytest.raises(FormatError, match=rf"\[{', '.join(map(str, sorted(wrong)))}\].*LABELS"):
        Anatomy.load(path)


def test_a_label_map_is_read_with_its_place_in_the_world(tmp_path):
    labels = np.array([0, 2, 42, 10, 7, 47, 16, 24, 502, 509, 515], np.int16).reshape(11, 1, 1)
    affine = oblique_affine((11, 1, 1), flip=(-1, 1, 1))
    path = tmp_path / "head-7.nii.gz"
    nib.save(nib.Nifti1Image(labels, affine), path)
    anatomy = Anatomy.load(path)
    assert anatomy.name == "head-7"
    np.testing.assert_array_equal(anatomy.tissue[:, 0, 0], range(11))
    np.testing.assert_allclose(anatomy.affine, affine, atol=1e-5)
    brain = (affine @ [3.5, 0, 0, 1])[:3]  # the mean of voxels 1 to 6
    np.testing.assert_allclose(anatomy.centre_of_brain(), brain, atol=1e-4)


def test_the_anatomy_on_its_own_grid_without_a_warp_is_itself():
    head = nested_head()
    found = head.fractions(head.tissue.shape, head.affine, STILL)
    for number in range(len(TISSUES)):
        np.testing.assert_array_equal(found[number], head.tissue == number)


def test_fractions_sum_to_one_for_any_warp_and_grid():
    head = nested_head()
    for seed in range(3):
        warp = Warp.draw(rng_of(seed), head.centre_of_brain())
        affine = oblique_affine((20, 18, 6), (9.0, 11.0, 6.0), (10.0, 5.0, seed * 40.0))
        found = head.fractions((20, 18, 6), affine, warp)
        np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)
        assert found.min() >= 0
        assert tissue(found, "air")[0, 0, 0] == 1


@pytest.mark.parametrize(
    ("normal", "worst"), [((1, 0, 0), 0.2), ((0, 1, 0), 0.2), ((1, 2, -1.5), 0.1)]
)
def test_partial_volume_is_the_share_on_either_side_of_a_plane(normal, worst):
    """Three points across a 3.4 mm voxel: an axis-aligned plane is known to +-1/6, unbiased."""
    normal = np.array(normal) / np.linalg.norm(normal)
    head = half_space(normal)
    affine = np.diag([3.4, 3.4, 3.4, 1.0])
    affine[:3, 3] = -3.4 * 2
    lattice = (np.stack(np.meshgrid(*[np.arange(20)] * 3, indexing="ij"), -1) + 0.5) / 20 - 0.5
    errors = []
    for shift in np.linspace(0, 3.4, 9, endpoint=False):
        moved = affine.copy()
        moved[:3, 3] += shift * normal
        found = tissue(head.fractions((5, 5, 5), moved, STILL), "white")
        points = world_points((5, 5, 5), moved).reshape(-1, 1, 3) + 3.4 * lattice.reshape(-1, 3)
        expected = (points @ normal < 0).mean(-1).reshape(5, 5, 5)
        errors.append(found - expected)
    assert np.abs(errors).max() < worst
    assert abs(np.mean(errors)) < 0.02


def test_a_warp_goes_from_the_patient_to_the_anatomy():
    """A scaling of 2 looks twice as far out: the patient's head is half as large."""
    head, centre = nested_head(), np.array([5.0, -7.0, 3.0])
    points = rng_of(0).normal(0, 30, (4, 3)).astype(np.float32)
    np.testing.assert_array_equal(STILL(points, STILL.displacement(points)), points)
    linear = np.array([[2.0, 0.1, 0], [0, 2, 0], [-0.2, 0, 2]])
    np.testing.assert_allclose(
        Warp(linear, centre)(points, points * 0 + 1), (points + 1) @ linear.T + centre, rtol=1e-5
    )
    affine = axial_affine((60, 60), 50, (4.0, 4.0, 4.0))
    volumes = [
        tissue(head.fractions((60, 60, 50), affine, Warp(k * np.eye(3), np.zeros(3))), *BRAIN).sum()
        for k in (1.0, 2.0)
    ]
    assert volumes[0] / volumes[1] == pytest.approx(8, rel=0.02)


def test_random_warps_stay_heads():
    """No fold (the way to the anatomy keeps its orientation), and sizes within a third."""
    for seed in range(20):
        warp = Warp.draw(rng_of(seed), np.zeros(3))
        points = rng_of(seed).uniform(-70, 70, (300, 3))
        steps = [points + 2 * e for e in np.eye(3)]
        start = warp(points.astype(np.float32), warp.displacement(points))
        moved = [warp(s.astype(np.float32), warp.displacement(s)) - start for s in steps]
        volume = np.linalg.det(np.stack(moved, -1) / 2)
        assert volume.min() > 0.2
        assert 0.6 < volume.mean() < 1.6
