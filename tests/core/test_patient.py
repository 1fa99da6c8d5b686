"""Simulated patients as a whole: one seed, one person, and everything in its place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from heads import VENTRICLE, nested_head
from phantoms import INDEX, rng_of, still, tissue
from scipy import ndimage

from ftddm_core.phantom.anatomy import BRAIN, TISSUES, Anatomy, world_points
from ftddm_core.phantom.metabolites import METABOLITES
from ftddm_core.phantom.patient import Patient, axial_affine, simulate_study
from ftddm_core.phantom.scan import FULL


def contents(study):
    guides = [study.mask.data, study.t1.data, study.flair.data]
    return [*(v.data for v in study.maps.values()), *guides]


def test_the_same_seed_is_the_same_patient_and_another_seed_is_not():
    head, slab = nested_head(), {"matrix": (20, 24), "voxel": (9.0, 9.0, 9.0), "n_slices": 2}

    def scan(seed, noise=0):
        patient = Patient.draw(head, rng_of(seed))
        return simulate_study(patient, rng_of(noise), mri_voxel=9.0, sampling=FULL, **slab)

    (one, truth), (same, same_truth), (other, other_truth) = scan(3), scan(3), scan(4)
    for a, b in zip(contents(one), contents(same), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(contents(one), contents(other), strict=True):
        assert not np.array_equal(a, b)
    again, again_truth = scan(3, noise=1)
    for name in METABOLITES:
        np.testing.assert_array_equal(truth.maps[name].data, same_truth.maps[name].data)
        np.testing.assert_array_equal(truth.maps[name].data, again_truth.maps[name].data)
        assert not np.array_equal(one.maps[name].data, again.maps[name].data)
        assert not np.array_equal(truth.maps[name].data, other_truth.maps[name].data)


def test_with_and_without_the_tumour_it_is_the_same_person():
    ill, well = (Patient.draw(nested_head(), rng_of(8), glioma=g) for g in (True, False))
    assert ill.glioma is not None
    assert well.glioma is None
    affine = axial_affine((24, 28), 20, (7.0, 7.0, 7.0))
    points = world_points((24, 28, 20), affine)
    fractions = ill.fractions((24, 28, 20), affine)
    np.testing.assert_array_equal(well.fractions((24, 28, 20), affine), fractions)
    far = np.linalg.norm(points - ill.glioma.centre, axis=-1) > 110
    a, b = (p.concentrations(fractions, points)[:, far] for p in (ill, well))
    np.testing.assert_allclose(a, b, rtol=0.05, atol=0.01)  # some cells reach that far
    assert sum(Patient.draw(nested_head(), rng_of(s)).glioma is not None for s in range(40)) > 20


def centroid(volume, weight):
    """Return the world position in mm of a weight's centre of mass."""
    points = world_points(volume.shape, volume.affine)
    return (weight[..., None] * points).sum((0, 1, 2)) / weight.sum()


def test_maps_are_concentrations_in_mm_with_the_stated_noise(patients):
    for patient, study, noise_free, _, fractions in patients[:4]:
        fat = ndimage.gaussian_filter(tissue(fractions, "fat"), 2 / 3.4)
        clean = (fat < 1e-6) & (study.mask.data > 0)
        for name, volume in study.maps.items():
            assert volume.unit == "mM"
            truth = noise_free.maps[name].data
            assert truth.min() >= 0
            assert volume.data.min() >= 0
            deviation = patient.metabolism.noise[INDEX[name]]
            unclamped = clean & (truth > 5 * deviation)
            spread = (volume.data - truth)[unclamped].std()
            assert spread == pytest.approx(deviation, rel=0.06)
            level = np.median(truth[study.mask.data > 0])
            assert 0.01 < deviation / level < 0.15  # a CRLB of a few per cent


def test_maps_and_mri_show_the_same_thing_in_the_same_place(textbook):
    """The lateral ventricle's centre of mass, on both grids and where the anatomy has it.

    Coil, regional variation and elastic warp are off, so that both images are known functions of
    the tissue; grids, voxels, and their borders differ.
    """
    patient = Patient.draw(nested_head(), rng_of(6), glioma=False)
    warp = replace(patient.warp, field=None)
    patient = replace(
        patient,
        warp=warp,
        contrast=textbook,
        region=still(patient.region),
        misregistration=np.eye(4),
    )
    study, noise_free = simulate_study(
        patient,
        rng_of(0),
        n_slices=20,
        voxel=(3.4, 3.1, 5.0),
        height=7.0,
        mri_voxel=1.7,
        sampling=FULL,
    )
    expected = np.linalg.solve(warp.linear, VENTRICLE - warp.centre)
    white = patient.metabolism.healthy[TISSUES.index("white"), 0]
    for volume, level in ((noise_free.maps["tNAA"], white), (study.t1, 1.0), (study.flair, 1.0)):
        points = world_points(volume.shape, volume.affine)
        near = np.linalg.norm(points - expected, axis=-1) < 22
        missing = near * np.clip(level - volume.data, 0, None)
        np.testing.assert_allclose(centroid(volume, missing), expected, atol=0.3)


def test_a_tumour_lies_in_the_same_place_in_maps_and_mri(textbook):
    patient = Patient.draw(nested_head(), rng_of(10), glioma=True)
    glioma = replace(
        patient.glioma,
        centre=np.array([-20.0, 12.0, 9.0], np.float32),
        radius=12.0,
        necrotic_radius=0.0,
        oedema_width=0.0,
        reach=1.0,
        shape=still(patient.glioma.shape),
        texture=still(patient.glioma.texture),
    )
    ill = replace(
        patient,
        glioma=glioma,
        contrast=textbook,
        hot_spots=still(patient.hot_spots),
        misregistration=np.eye(4),
    )
    slab = {"n_slices": 12, "voxel": (3.4, 3.4, 4.0), "height": 9.0, "sampling": FULL}
    (with_it, truth), (without, healthy) = (
        simulate_study(p, rng_of(0), **slab) for p in (ill, replace(ill, glioma=None))
    )
    for volume, other in (
        (truth.maps["tCho"], healthy.maps["tCho"]),
        (with_it.t1, without.t1),
        (with_it.flair, without.flair),
    ):
        change = np.abs(volume.data - other.data)
        np.testing.assert_allclose(centroid(volume, change), glioma.centre, atol=0.8)


def test_the_mri_covers_the_slab():
    patient = Patient.draw(nested_head(4.0), rng_of(0))
    study, _ = simulate_study(
        patient, rng_of(0), matrix=(10, 12), n_slices=3, voxel=(9.0, 8.0, 11.0), height=-12.0
    )
    for image in (study.t1, study.flair):
        np.testing.assert_allclose(image.voxel_size, 1.7)
        for corner in ((-0.5, -0.5, -0.5), (9.5, 11.5, 2.5)):
            point = np.linalg.inv(image.affine) @ study.grid.affine @ [*corner, 1]
            assert (point[:3] > -0.5 - 1e-6).all()
            assert (point[:3] < np.array(image.shape) - 0.5 + 1e-6).all()
    middle = study.grid.affine @ [4.5, 5.5, 1, 1]
    np.testing.assert_allclose(middle[:3], (0, 0, -12), atol=1e-9)


def test_a_real_label_map_makes_a_patient(shared_data):
    anatomy = Anatomy.load(shared_data / "anatomy-synthseg" / "training_seg_14.nii.gz")
    volume = np.isin(anatomy.tissue, [TISSUES.index(t) for t in BRAIN]).sum() / 1e6  # litres
    assert 0.8 < volume < 1.6
    study, noise_free = simulate_study(Patient.draw(anatomy, rng_of(0)), rng_of(1), n_slices=4)
    mask = study.mask.data > 0
    assert 1000 < mask.sum() < 6000
    tnaa = noise_free.maps["tNAA"].data
    assert 5 < np.median(tnaa[mask]) < 12
    assert tnaa.max() < 25
    # Nose in front, neck below: in the world of the labels, the face is at positive y.
    cerebellum = np.argwhere(anatomy.tissue == TISSUES.index("cerebellar_grey")).mean(0)
    cortex = np.argwhere(anatomy.tissue == TISSUES.index("cortex")).mean(0)
    offset = anatomy.affine[:3, :3] @ (cerebellum - cortex)
    assert offset[1] < -10
    assert offset[2] < -10
