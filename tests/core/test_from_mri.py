"""Simulated metabolites on a real examination's MRI."""

from __future__ import annotations

import numpy as np
import pytest
from properties import save_nifti
from scipy import ndimage

from ftddm_core.errors import FormatError, GeometryError
from ftddm_core.imaging.io.nifti import read_volume
from ftddm_core.imaging.volume import Volume
from ftddm_core.phantom.anatomy import world_points
from ftddm_core.phantom.from_mri import lesion_from_labels, study_from_mri
from ftddm_core.phantom.metabolites import METABOLITES
from ftddm_core.phantom.scan import FULL
from ftddm_core.phantom.segmentation import tissue_classes

SHAPE, VOXEL = (72, 86, 68), 2.0
TUMOUR = np.array([-25.0, 132.0, 80.0])
"""Centre in mm of the tumour; the brain's is (-70, 120, 75)."""

SLAB = {"matrix": (40, 44), "n_slices": 9, "voxel": (4.5, 4.5, 4.5), "sampling": FULL}


def rng_of(seed):
    return np.random.default_rng(seed)


def world(shape=SHAPE):
    """Return an affine whose voxels run left, posterior and up, as many real files have them."""
    affine = np.diag([-VOXEL, -VOXEL, VOXEL, 1.0])
    affine[:3, 3] = np.array([-70.0, 120.0, 75.0]) - affine[:3, :3] @ (np.array(shape) - 1) / 2
    return affine


def distance_to(centre, shape=SHAPE):
    return np.linalg.norm(world_points(shape, world(shape)) - np.float32(centre), axis=-1)


def true_classes():
    """Return 0 outside, 1 fluid, 2 grey, 3 white: nested ellipsoids with a ventricle."""
    points = world_points(SHAPE, world()) - np.float32([-70.0, 120.0, 75.0])
    radius = np.linalg.norm(points / np.array([64.0, 78.0, 60.0], np.float32), axis=-1)
    classes = np.select([radius < 0.71, radius < 0.95, radius < 1], [3, 2, 1], 0)
    classes[np.linalg.norm(points - np.float32([12, 0, 0]), axis=-1) < 13] = 1
    return classes.astype(np.uint8)


def images(shading=0.3, seed=0):
    """Return T1w, FLAIR and labels; the coil sees one side better than the other."""
    classes, points = true_classes(), world_points(SHAPE, world())
    coil = np.exp(shading * (points[..., 1] - 120) / 78)
    noise = rng_of(seed).normal(0, 4, (2, *SHAPE))
    t1w = np.array([0, 90, 220, 300])[classes] * coil + noise[0] * (classes > 0)
    flair = np.array([0, 40, 240, 190])[classes] + noise[1] * (classes > 0)
    distance = distance_to(TUMOUR)
    labels = np.select([distance < 6, distance < 13, distance < 22], [1, 4, 2], 0)
    labels[classes == 0] = 0
    t1w[labels > 0], flair[labels > 0] = 180, 330
    t1w[classes == 0] = -3 * (noise[0][classes == 0] > 6)  # what resampling leaves
    return t1w.astype(np.float32), flair.astype(np.float32), labels.astype(np.uint8)


def write(folder, t1w, flair, labels):
    folder.mkdir()
    save_nifti(folder / "T1w.nii.gz", t1w, world())
    save_nifti(folder / "FLAIR.nii.gz", flair, world())
    save_nifti(folder / "tumour_segmentation_automatic.nii.gz", labels, world())
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("mri") / "patient", *images())


@pytest.fixture(scope="module")
def made(folder):
    return study_from_mri(folder, rng_of(3), **SLAB)


def test_tissue_is_found_in_spite_of_the_shading():
    t1w, flair, labels = images()
    classes = true_classes()
    head, lesion = classes > 0, labels > 0
    found = tissue_classes(Volume(t1w, world()), Volume(flair, world()), head, lesion)
    sure = head & ~lesion
    # Voxels at the surfaces are blurred together; the share of white matter is given beforehand.
    away = sure & (ndimage.maximum_filter(classes, 3) == ndimage.minimum_filter(classes, 3))
    for number in range(3):
        place = away & (classes == number + 1)
        assert (found[place] == number).mean() > 0.85
    assert (found[head & lesion] == 2).all()


def test_the_mri_is_the_real_one(made, folder):
    study, _, _ = made
    for image, name in ((study.t1, "T1w"), (study.flair, "FLAIR")):
        real = read_volume(folder / f"{name}.nii.gz")
        np.testing.assert_array_equal(image.data, np.maximum(real.data, 0))
        np.testing.assert_array_equal(image.affine, real.affine)


def test_the_tumour_lies_where_the_labels_have_it(made):
    """Voxels run left and posterior in the files, right and anterior in the maps."""
    study, noise_free, tumour = made
    points = world_points(tumour.shape, tumour.affine)
    centre = (tumour.data[..., None] * points).sum((0, 1, 2)) / tumour.data.sum()
    np.testing.assert_allclose(centre, TUMOUR, atol=1.5)
    litres = tumour.data.sum() * 4.5**3
    assert litres == pytest.approx(4 / 3 * np.pi * (13**3 - 6**3), rel=0.15)
    np.testing.assert_array_equal(tumour.affine, study.grid.affine)
    # Choline over NAA is highest there.
    mask = study.mask.data > 0
    ratio = noise_free.maps["tCho"].data / np.maximum(noise_free.maps["tNAA"].data, 0.5) * mask
    peak = points[np.unravel_index(ratio.argmax(), ratio.shape)]
    assert np.linalg.norm(peak - TUMOUR) < 20
    near = np.linalg.norm(points - np.float32(TUMOUR), axis=-1) < 13
    assert np.median(ratio[mask & near]) > 1.15 * np.median(ratio[mask & ~near])


def test_maps_are_concentrations_inside_the_head(made):
    study, noise_free, _ = made
    assert tuple(study.maps) == tuple(noise_free.maps) == METABOLITES
    mask = study.mask.data > 0
    assert 3000 < mask.sum() < 6500
    assert 6 < np.median(noise_free.maps["tNAA"].data[mask]) < 12
    for name, volume in study.maps.items():
        exact = noise_free.maps[name].data
        assert volume.unit == "mM"
        assert min(volume.data.min(), exact.min()) >= 0
        noise = (volume.data - exact)[mask]
        assert 0.01 < noise.std() / np.median(exact[mask]) < 0.2
    far = np.linalg.norm(world_points(mask.shape, study.grid.affine) - (-70, 120, 75), axis=-1) > 95
    assert not mask[far].any()
    assert noise_free.maps["tNAA"].data[far].max() < 0.5


def test_cells_go_on_beyond_the_visible_edge():
    _, _, labels = images()
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = TUMOUR - 39
    shape = (40, 40, 40)
    distance = np.linalg.norm(world_points(shape, affine) - np.float32(TUMOUR), axis=-1)
    inward = world_points(shape, affine)[..., 0] < TUMOUR[0]  # away from the head's surface
    for seed in range(4):
        lesion = lesion_from_labels(Volume(labels, world()), shape, affine, rng_of(seed))
        rings = [inward & (distance > r - 1.5) & (distance < r + 1.5) for r in (10, 18, 25, 38)]
        solid, oedema, beyond, far = (lesion.cells[ring].mean() for ring in rings)
        assert solid > oedema > beyond > far
        assert beyond > 0.05
        assert lesion.oedema[rings[2]].max() < 0.5  # MRI shows nothing there
        assert lesion.necrosis[distance < 3].min() > 0.8
        assert lesion.cells[distance < 3].max() < 0.25
        assert np.std(lesion.cells[rings[0]]) > 0.02
        assert (lesion.necrosis + lesion.solid + lesion.oedema).max() < 1 + 1e-5


def test_without_enhancement_the_core_is_solid_and_without_labels_there_is_none():
    _, _, labels = images()
    plain = np.where(labels == 4, 1, labels)
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = TUMOUR - 30
    shape = (21, 21, 21)
    lesion = lesion_from_labels(Volume(plain, world()), shape, affine, rng_of(0))
    assert not lesion.necrosis.any()
    assert lesion.solid[10, 10, 10] > 0.99
    oedema = lesion_from_labels(Volume(2 * (plain > 0), world()), shape, affine, rng_of(0))
    assert not oedema.solid.any()
    assert oedema.cells[10, 10, 10] > 0.2
    healthy = lesion_from_labels(Volume(0 * plain, world()), shape, affine, rng_of(0))
    assert not healthy.cells.any()
    assert not healthy.oedema.any()


def test_the_same_seed_is_the_same_patient(folder, made):
    again, _, _ = study_from_mri(folder, rng_of(3), **SLAB)
    other, _, _ = study_from_mri(folder, rng_of(4), **SLAB)
    for name in METABOLITES:
        np.testing.assert_array_equal(again.maps[name].data, made[0].maps[name].data)
        assert not np.array_equal(other.maps[name].data, made[0].maps[name].data)


def test_what_does_not_fit_is_refused_in_words(tmp_path):
    t1w, flair, labels = images()
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(
        FormatError, match=r"holds 0 files named T1w\.nii\*; one is needed as the T1w"
    ):
        study_from_mri(empty, rng_of(0))
    strange = write(tmp_path / "strange", t1w, flair, labels + 5)
    with pytest.raises(FormatError, match=r"labels \[5, 6, 7, 9\]; known are \[0, 1, 2, 3, 4\]"):
        study_from_mri(strange, rng_of(0))
    dark = write(tmp_path / "dark", -1 - t1w, flair, labels)
    with pytest.raises(FormatError, match="shows no brain"):
        study_from_mri(dark, rng_of(0))
    other = write(tmp_path / "other", t1w, flair[:-1], labels)
    with pytest.raises(GeometryError, match=r"FLAIR has matrix \(71, 86, 68\)"):
        study_from_mri(other, rng_of(0))


def test_a_real_glioma(shared_data):
    folder = shared_data / "real-mri-glioma-FG6692"
    study, noise_free, tumour = study_from_mri(folder, rng_of(0), n_slices=12)
    mask = study.mask.data > 0
    assert 6000 < mask.sum() < 14000
    assert tumour.data.sum() * 3.4**3 / 1000 == pytest.approx(6.8, rel=0.15)  # ml of label 4
    ratio = noise_free.maps["tCho"].data / np.maximum(noise_free.maps["tNAA"].data, 0.5)
    hot, rest = (ratio[mask & place] for place in (tumour.data > 0.7, tumour.data == 0))
    assert np.median(hot) > 2 * np.median(rest)
    assert study.t1.data.min() >= 0
