"""Simulated patients: fields, anatomy, metabolites, lesion, MRI and acquisition."""

from __future__ import annotations

from dataclasses import fields as fields_of
from dataclasses import replace
from itertools import combinations

import nibabel as nib
import numpy as np
import pytest
from heads import VENTRICLE, half_space, nested_head
from properties import oblique_affine
from scipy import ndimage

from ftddm_core.errors import FormatError
from ftddm_core.imaging.fourier import truncate
from ftddm_core.phantom.acquisition import lipid_rim, quality_mask, wild_fits
from ftddm_core.phantom.anatomy import BRAIN, LABELS, TISSUES, Anatomy, Warp, world_points
from ftddm_core.phantom.contrast import FLAIR_GREY, RELAXATION, T1W_GREY, Contrast
from ftddm_core.phantom.excitation import CENTRE_SHIFT, SHIFT, Excitation
from ftddm_core.phantom.fields import RandomField
from ftddm_core.phantom.lesion import Glioma, soft_step
from ftddm_core.phantom.metabolites import (
    METABOLITES,
    SHARED_VARIATION,
    Metabolism,
    correlated,
    regional_variation,
)
from ftddm_core.phantom.patient import (
    Patient,
    axial_affine,
    lay_slab,
    scan_coarsely,
    simulate_study,
    site,
)
from ftddm_core.phantom.scan import FULL, Sampling, measure, scan_again

INDEX = {name: number for number, name in enumerate(METABOLITES)}
STILL = Warp(np.eye(3), np.zeros(3))


def rng_of(seed):
    return np.random.default_rng(seed)


def tissue(fractions, *names):
    return fractions[[TISSUES.index(name) for name in names]].sum(0)


def still(field):
    """Return a random field turned to 0 everywhere."""
    return replace(field, amplitude=0 * field.amplitude)


@pytest.fixture(scope="module")
def patients():
    """Return twelve patients with a glioma, scanned through its middle, with what lies beneath."""
    found = []
    for seed in range(12):
        patient = Patient.draw(nested_head(), rng_of(seed), glioma=True)
        study, noise_free = simulate_study(
            patient,
            rng_of([seed, 1]),
            matrix=(56, 64),
            n_slices=5,
            height=float(patient.glioma.centre[2]),
            mri_voxel=3.4,
            sampling=FULL,
        )
        points = world_points(study.grid.shape, study.grid.affine)
        fractions = patient.fractions(study.grid.shape, study.grid.affine)
        found.append((patient, study, noise_free, points, fractions))
    return found


# Fields -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [8.0, 30.0])
def test_fields_have_zero_mean_unit_variance_and_their_length(length):
    """Over many draws, the covariance at distance d is exp(-d^2 / (2 l^2)), in any direction."""
    distance = np.array([0, 0.5, 1, 2]) * length
    direction = np.array([2.0, -1.0, 2.0]) / 3
    points = 40 + distance[:, None] * direction
    draws = np.concatenate(
        [RandomField.draw(rng_of(seed), length, 20)(points) for seed in range(400)], axis=1
    )
    np.testing.assert_allclose(draws.mean(1), 0, atol=0.04)
    expected = np.exp(-(distance**2) / (2 * length**2))
    np.testing.assert_allclose((draws[0] * draws).mean(1), expected, atol=0.05)
    np.testing.assert_allclose(draws.var(1), 1, atol=0.05)


def test_fields_are_independent_and_functions_of_the_world():
    field = RandomField.draw(rng_of(0), 10.0, 3, n_features=4000)
    points = world_points((30, 30, 30), np.diag([8.0, 8.0, 8.0, 1.0]))
    values = field(points)
    correlation = np.corrcoef(values.reshape(-1, 3).T)
    np.testing.assert_allclose(correlation, np.eye(3), atol=0.08)
    np.testing.assert_array_equal(field(points[3:9, ::2]), values[3:9, ::2])


# Anatomy ----------------------------------------------------------------------------------------


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


# Metabolites ------------------------------------------------------------------------------------


def test_healthy_ratios_follow_the_7_t_literature():
    """PMC10246065: grey/white tCr 1.20, NAA 1.12, Ins 0.99, tCho 0.96; here within 3 %."""
    healthy = np.mean([Metabolism.draw(rng_of(seed)).healthy for seed in range(300)], axis=0)
    ratio = healthy[TISSUES.index("cortex")] / healthy[TISSUES.index("white")]
    for name, expected in (("tCr", 1.20), ("tNAA", 1.12), ("Ins", 0.99), ("tCho", 0.96)):
        assert ratio[INDEX[name]] == pytest.approx(expected, rel=0.03)
    assert healthy[TISSUES.index("csf")].max() < 0.1 * healthy[TISSUES.index("white")].max()
    assert not healthy[[TISSUES.index(t) for t in ("air", "fat", "bone", "soft_tissue")]].any()
    # mM in white matter: 9.0, 5.6, 6.6 for tNAA, tCr, Glu.
    white = healthy[TISSUES.index("white")]
    for name, expected in (("tNAA", 9.0), ("tCr", 5.6), ("Glu", 6.6)):
        assert white[INDEX[name]] == pytest.approx(expected, rel=0.03)


def test_maps_show_these_ratios_in_pure_voxels(patients):
    """Medians over 12 patients; regions and tissues of each vary by 5-12 %, so within 12 %."""
    ratios = []
    for patient, _, noise_free, points, fractions in patients:
        lesion = patient.glioma(points)
        healthy = (lesion.cells < 0.01) & (lesion.necrosis < 0.01)
        maps = np.stack([v.data for v in noise_free.maps.values()])
        grey, white = (
            np.median(maps[:, healthy & (tissue(fractions, name) > 0.95)], axis=1)
            for name in ("cortex", "white")
        )
        ratios.append(grey / white)
    middle = np.median(ratios, axis=0)
    for name, expected in (("tCr", 1.20), ("tNAA", 1.12), ("Ins", 0.99), ("tCho", 0.96)):
        assert middle[INDEX[name]] == pytest.approx(expected, rel=0.12)


def test_tumour_ratios_are_near_the_literature(patients):
    """Cancers 2024 16:943, hotspot and normal white matter, as ratios to tNAA, within a factor 1.7.

    The peritumoral ratios must lie between these two (their place is not defined well enough for
    more).
    """
    literature = {
        "Gln": (0.61, 0.16),
        "Gly": (0.28, 0.07),
        "Ins": (1.15, 0.54),
        "tCho": (0.48, 0.20),
    }
    found = {name: [] for name in literature}
    for patient, _, noise_free, points, fractions in patients:
        lesion = patient.glioma(points)
        brain = tissue(fractions, *BRAIN) > 0.9
        tumour = brain & (lesion.cells > 0.3)
        places = (
            tumour & (lesion.cells >= np.quantile(lesion.cells[tumour], 0.9)),
            brain & (lesion.solid < 0.05) & (lesion.cells > 0.1) & (lesion.necrosis < 0.01),
            (tissue(fractions, "white") > 0.95) & (lesion.cells < 0.01),
        )
        for name in literature:
            ratio = noise_free.maps[name].data / np.maximum(noise_free.maps["tNAA"].data, 0.1)
            found[name].append([np.median(ratio[place]) for place in places])
    for name, (hot, normal) in literature.items():
        core, rim, white = np.median(found[name], axis=0)
        assert hot / 1.7 < core < hot * 1.7
        assert normal / 1.7 < white < normal * 1.7
        assert white < rim < core


def test_variation_is_shared_between_metabolites():
    rng = rng_of(0)
    draws = np.array([correlated(rng.standard_normal(7), rng) for _ in range(20000)])
    expected = SHARED_VARIATION + (1 - SHARED_VARIATION) * np.eye(7)
    np.testing.assert_allclose(np.cov(draws.T), expected, atol=0.03)
    factors = np.log(regional_variation(rng.standard_normal((20000, 8)).astype(np.float32)))
    np.testing.assert_allclose(np.corrcoef(factors.T), expected, atol=0.03)


# Lesion -----------------------------------------------------------------------------------------


def test_a_glioma_fades_from_its_core_beyond_what_mri_shows():
    glioma = Glioma.draw(rng_of(1), np.array([10.0, 0.0, 5.0]))
    glioma = replace(
        glioma,
        axes=np.eye(3, dtype=np.float32),
        radius=15.0,
        necrotic_radius=6.0,
        reach=6.0,
        oedema_width=8.0,
        activity=0.75,
        rim=0.4,
        shape=still(glioma.shape),
        texture=still(glioma.texture),
    )
    offsets = np.array([0.0, 3.0, 10.0, 18.0, 27.0, 60.0])
    along = glioma.centre + offsets[:, None] * np.array([0, 1, 0])
    lesion = glioma(along.astype(np.float32))
    np.testing.assert_allclose(lesion.necrosis, [1, 1, 0, 0, 0, 0], atol=1e-3)
    np.testing.assert_allclose(lesion.solid, [0, 0, 1, 0, 0, 0], atol=1e-3)
    np.testing.assert_allclose(lesion.oedema, [0, 0, 0, 1, 0, 0], atol=1e-3)
    beyond = offsets[2:] - 15
    ring = 1 + 0.4 * np.exp(-((beyond / 3) ** 2))
    fading = 0.75 * ring * np.exp(-np.maximum(beyond, 0) / 6)
    np.testing.assert_allclose(lesion.cells, [0, 0, *fading], atol=1e-3)


def test_parts_of_a_lesion_are_shares():
    points = world_points((30, 30, 30), axial_affine((30, 30), 30, (2.0, 2.0, 2.0)))
    for seed in range(20):
        lesion = Glioma.draw(rng_of(seed), np.zeros(3))(points)
        for field in fields_of(lesion):
            part = getattr(lesion, field.name)
            assert part.min() >= 0
            assert part.max() <= (1.15 if field.name == "cells" else 1)
        assert (lesion.necrosis + lesion.solid + lesion.oedema).max() < 1 + 1e-5
    np.testing.assert_allclose(soft_step(np.array([-9.0, 0.0, 9.0])), [0, 0.5, 1], atol=1e-6)


def test_gliomas_begin_in_white_matter():
    """But for the elastic part of the warp, whatever the head's size and tilt."""
    head = nested_head()
    linear = np.array([[1.6, 0.3, 0.0], [-0.4, 0.7, 0.2], [0.1, 0.0, 1.3]])
    warp = Warp(linear, head.centre_of_brain())
    for seed in range(30):
        place = warp(site(head, warp, rng_of(seed)), np.zeros(3, np.float32))
        index = np.rint(np.linalg.inv(head.affine) @ [*place, 1])[:3].astype(int)
        assert head.tissue[tuple(index)] == TISSUES.index("white")


def test_necrosis_holds_almost_no_metabolites():
    patient = Patient.draw(nested_head(), rng_of(4), glioma=True)
    patient = replace(patient, glioma=replace(patient.glioma, radius=20.0, necrotic_radius=13.0))
    affine = axial_affine((24, 24), 10, (3.4, 3.4, 3.4))
    affine[:3, 3] += patient.glioma.centre
    points = world_points((24, 24, 10), affine)
    found = patient.concentrations(patient.fractions((24, 24, 10), affine), points)
    dead = patient.glioma(points).necrosis > 0.99
    assert dead.sum() > 20
    assert (found[:, dead].max(1) < 0.1 * np.percentile(found, 99, axis=(1, 2, 3))).all()


# MRI --------------------------------------------------------------------------------------------


@pytest.fixture
def textbook():
    """Return a contrast at the middle of every range, without coil and noise."""
    return replace(
        Contrast.draw(rng_of(0)),
        properties=np.array(list(RELAXATION.values()), np.float32),
        flip_angle=np.deg2rad(20.0),
        t1w_tr=25.0,
        flair_te=110.0,
        flair_ti=2350.0,
        flair_tr=9000.0,
        bias_amplitude=0.0,
        noise=0.0,
        resolution=(0.0, 0.0, 0.0),
    )


def test_signals_follow_the_equations_and_are_relative_to_white_matter(textbook):
    t1w, flair = textbook.signals()
    for number, (density, t1, t2) in enumerate(RELAXATION.values()):
        rho, r1, r2 = RELAXATION["white"]
        a, e1, w1 = np.deg2rad(20), np.exp(-25 / t1), np.exp(-25 / r1)
        expected = density * (1 - e1) / (1 - e1 * np.cos(a))
        expected /= rho * (1 - w1) / (1 - w1 * np.cos(a))
        assert t1w[number] == pytest.approx(expected, rel=1e-4)

        def recovered(density, t1, t2):
            left = 1 - 2 * np.exp(-2350 / t1) + np.exp(-9000 / t1)
            return density * abs(left) * np.exp(-110 / t2)

        expected = recovered(density, t1, t2) / recovered(rho, r1, r2)
        assert flair[number] == pytest.approx(expected, abs=1e-4)


def test_contrast_is_as_radiologists_know_it(textbook):
    name = {substance: number for number, substance in enumerate(RELAXATION)}
    t1w, flair = textbook.signals()
    assert t1w[name["white"]] > t1w[name["cortex"]] > t1w[name["csf"]]
    assert t1w[name["tumour"]] < t1w[name["cortex"]]
    assert t1w[name["necrosis"]] < t1w[name["tumour"]]
    assert flair[name["csf"]] < 0.2
    assert 1 < flair[name["cortex"]] < flair[name["oedema"]]
    assert flair[name["tumour"]] > 1.2
    # Sequences are drawn at random.
    drawn = np.array([Contrast.draw(rng_of(seed)).signals() for seed in range(400)])
    t1w, flair = drawn[:, 0].T, drawn[:, 1].T
    assert (t1w[name["csf"]] < t1w[name["cortex"]]).all()
    assert (flair[name["oedema"]] > 1).mean() > 0.95
    assert (flair[name["csf"]] < flair[name["cortex"]]).all()
    assert (flair[name["csf"]] < 0.5).mean() > 0.95  # the inversion time follows the fluid's T1


def test_white_matter_is_brighter_in_every_t1w_and_darker_in_every_flair():
    for seed in range(60):
        t1w, flair = Contrast.draw(rng_of(seed)).signals()
        assert t1w[TISSUES.index("cortex")] < T1W_GREY < 1
        assert flair[TISSUES.index("cortex")] > FLAIR_GREY > 1


def test_images_have_their_stated_resolution(textbook):
    """A point on a grid of 1 mm becomes a Gaussian of the stated width in each direction."""
    spread = replace(textbook, resolution=(3.0, 4.0, 6.0))
    composition = np.zeros((len(RELAXATION), 41, 41, 41), np.float32)
    composition[TISSUES.index("white"), 20, 20, 20] = 1
    points = world_points((41, 41, 41), np.eye(4))
    for image, widths in zip(
        spread.images(composition, points, rng_of(0)), ((3, 3, 3), (4, 4, 6)), strict=True
    ):
        share = image / image.sum()
        middle = (points * share[..., None]).sum((0, 1, 2))
        deviation = np.sqrt(((points - middle) ** 2 * share[..., None]).sum((0, 1, 2)))
        # The grid's own voxel of 1 mm stands for a part of the width.
        expected = np.sqrt((np.array(widths) / 2.355) ** 2 - 1 / 12)
        np.testing.assert_allclose(deviation, expected, rtol=0.02)


def test_misregistration_is_small_rigid_and_moves_mri_against_maps():
    drawn = [Patient.draw(nested_head(4.0), rng_of(seed)).misregistration for seed in range(40)]
    for motion in drawn:
        np.testing.assert_allclose(motion[:3, :3] @ motion[:3, :3].T, np.eye(3), atol=1e-12)
        assert np.linalg.det(motion[:3, :3]) > 0
        assert np.abs(np.array([60, 60, 60, 1]) @ (motion - np.eye(4)).T).max() < 6
    shift = np.linalg.norm([motion[:3, 3] for motion in drawn], axis=-1)
    assert 0.3 < shift.mean() < 1.5


def test_images_show_tissue_and_lesion(textbook):
    patient = Patient.draw(nested_head(), rng_of(2), glioma=True)
    glioma = replace(patient.glioma, radius=18.0, necrotic_radius=8.0, oedema_width=12.0)
    patient = replace(patient, contrast=textbook, glioma=glioma)
    affine = axial_affine((80, 90), 8, (2.0, 2.0, 2.0), float(glioma.centre[2]))
    points = world_points((80, 90, 8), affine)
    fractions, lesion = patient.fractions((80, 90, 8), affine), glioma(points)
    t1w, flair = patient.mri(fractions, points, rng_of(0))
    healthy = lesion.solid + lesion.oedema + lesion.necrosis < 1e-3
    brain = tissue(fractions, *BRAIN) > 0.999
    for image, signals in zip((t1w, flair), textbook.signals(), strict=True):
        level = dict(zip(RELAXATION, signals, strict=True))
        for place, expected in (
            (healthy & (tissue(fractions, "white") > 0.999), level["white"]),
            (healthy & (tissue(fractions, "csf") > 0.999), level["csf"]),
            (healthy & (tissue(fractions, "air") > 0.999), 0),
            (brain & (lesion.solid > 0.999), level["tumour"]),
            (brain & (lesion.oedema > 0.999), level["oedema"]),
            (brain & (lesion.necrosis > 0.999), level["necrosis"]),
        ):
            assert place.sum() > 3
            np.testing.assert_allclose(image[place], expected, atol=0.01)


def test_noise_and_coil_have_their_stated_size(textbook):
    white = np.zeros((len(RELAXATION), 40, 40, 40), np.float32)
    white[1] = 1
    points = world_points((40, 40, 40), np.diag([4.0, 4.0, 4.0, 1.0]))
    noisy, _ = replace(textbook, noise=0.03).images(white, points, rng_of(0))
    assert noisy.std() == pytest.approx(0.03, rel=0.02)
    assert noisy.mean() == pytest.approx(1, abs=0.001)
    coil, _ = replace(textbook, bias_amplitude=0.1).images(white, points, rng_of(0))
    np.testing.assert_allclose(np.log(coil), 0.1 * textbook.bias(points)[..., 0], atol=1e-5)


# Acquisition ------------------------------------------------------------------------------------


def test_a_tenth_to_a_third_of_the_brain_fails_quality_control(patients):
    height_of_failures, near_scalp = [], []
    for _, study, _, points, fractions in patients:
        mask = study.mask.data > 0
        parts = tissue(fractions, *BRAIN)
        brain = (parts + tissue(fractions, "csf") > 0.6) & (parts > 0.05)
        assert not mask[~brain].any()
        assert 0.1 - 0.01 <= (brain & ~mask).sum() / brain.sum() <= 0.33 + 0.01
        rim = np.linalg.norm(points - points[brain].mean(0), axis=-1)
        near_scalp.append(rim[brain & ~mask].mean() > rim[mask].mean())
        height_of_failures.append(points[brain & ~mask, 2].mean())
    assert np.mean(near_scalp) > 0.8


def test_failures_lie_near_the_base_and_the_scalp():
    affine = axial_affine((24, 28), 22, (6.8, 6.8, 6.8))
    fractions = nested_head().fractions((24, 28, 22), affine, STILL)
    points = world_points((24, 28, 22), affine)
    rim = np.linalg.norm(points / (66, 80, 62), axis=-1)
    brain = (tissue(fractions, *BRAIN, "csf") > 0.6) & (tissue(fractions, *BRAIN) > 0.05)
    bald = fractions.copy()
    for name in ("fat", "bone"):
        bald[0] += fractions[TISSUES.index(name)]
        bald[TISSUES.index(name)] = 0
    for seed in range(4):
        mask = quality_mask(fractions, affine, rng_of(seed))
        assert points[brain & ~mask, 2].mean() < points[mask, 2].mean() - 10
        without_scalp = quality_mask(bald, affine, rng_of(seed))
        assert rim[brain & ~mask].mean() > rim[brain & ~without_scalp].mean() + 0.01


def test_no_brain_gives_an_empty_mask():
    air = np.zeros((len(TISSUES), 4, 4, 4), np.float32)
    air[0] = 1
    assert not quality_mask(air, np.eye(4), rng_of(0)).any()


@pytest.mark.parametrize("matrix", [(16, 16), (21, 13)])
def test_a_coarse_scan_has_the_noise_of_a_truncated_one(matrix):
    """The same time per k-space sample: deviation falls with sqrt((nx/Nx)(ny/Ny))."""
    truth = np.full((64, 48, 12), 10.0, np.float32)
    anew = scan_again(truth, matrix, 0.5, rng_of(0))
    again = truncate(measure(truth, 0.5, rng_of(1)), matrix)
    expected = 0.5 * np.sqrt(matrix[0] * matrix[1] / (64 * 48))
    assert anew.std() == pytest.approx(expected, rel=0.06)
    assert again.std() == pytest.approx(expected, rel=0.06)
    assert anew.mean() == pytest.approx(10, abs=0.01)
    assert anew.shape == (*matrix, 12)
    np.testing.assert_allclose(
        scan_again(truth * 0 + rng_of(2).random(truth.shape, np.float32), matrix, 0.0, rng_of(0)),
        truncate(rng_of(2).random(truth.shape, np.float32), matrix),
        atol=1e-6,
    )


def test_fits_are_never_negative():
    truth = rng_of(0).random((16, 16, 4), np.float32) - 0.2
    assert measure(truth, 1.0, rng_of(1)).min() == 0
    assert scan_again(truth, (8, 8), 1.0, rng_of(1)).min() == 0
    np.testing.assert_array_equal(measure(truth, 0.0, rng_of(1)), np.maximum(truth, 0))


@pytest.mark.parametrize("matrix", [(16, 16), (21, 14)])
def test_a_full_sampling_changes_nothing_and_a_filter_blurs(matrix):
    image = rng_of(0).random((*matrix, 3), np.float32)
    np.testing.assert_allclose(FULL.blur(image), image, atol=1e-6)
    smooth = Sampling(hamming=1.0)
    point = np.zeros(matrix, np.float32)
    point[0, 0] = 1
    # The weight is 1 in the middle of k-space and 0.08 at its edge, on each axis.
    assert smooth.blur(point).sum() == pytest.approx(1, abs=1e-5)
    assert smooth.weights((16, 16))[8, 0] == pytest.approx(0.08, abs=1e-6)
    assert smooth.weights((16, 16))[4, 0] == pytest.approx(0.54, abs=1e-6)
    half = Sampling(hamming=0.5).weights((16, 16))[4, 0]
    assert half == pytest.approx((1 + 0.54) / 2, abs=1e-6)


@pytest.mark.parametrize("n", [16, 21])
def test_an_ellipse_holds_pi_quarters_of_the_box(n):
    window = Sampling(elliptical=True).weights((4 * n, 4 * n))
    assert window.mean() == pytest.approx(np.pi / 4, abs=0.02)
    assert set(np.unique(window)) == {0, 1}


@pytest.mark.parametrize("sampling", [FULL, Sampling(True), Sampling(False, 1.0)])
def test_noise_has_unit_deviation_and_the_colour_of_the_window(sampling):
    noise = sampling.noise((32, 24, 200), rng_of(0))
    assert noise.std() == pytest.approx(1, rel=0.02)
    power = (np.abs(np.fft.fft2(noise, axes=(0, 1))) ** 2).mean(-1)
    window = sampling.weights((32, 24)) ** 2
    # Each sample's power is a mean over 200 slices: within half, where 7 % is its deviation.
    np.testing.assert_allclose(power / power.mean(), window / window.mean(), rtol=0.5, atol=1e-6)


def test_every_way_to_sample_is_drawn():
    drawn = [Sampling.draw(rng_of(seed)) for seed in range(200)]
    assert 0.2 < np.mean([s.elliptical for s in drawn]) < 0.5
    assert 0.2 < np.mean([s.hamming > 0 for s in drawn]) < 0.5
    assert all(s.hamming == 0 or 0.5 <= s.hamming <= 1 for s in drawn)


def test_a_study_shows_the_point_spread_of_its_sampling():
    patient = Patient.draw(nested_head(), rng_of(1))
    slab = {"matrix": (32, 32), "n_slices": 2, "voxel": (6.8, 6.8, 6.8), "mri_voxel": 6.8}
    smooth = Sampling(hamming=1.0)
    _, sharp = simulate_study(patient, rng_of(0), sampling=FULL, **slab)
    _, blurred = simulate_study(patient, rng_of(0), sampling=smooth, **slab)
    for name in METABOLITES:
        expected = np.maximum(smooth.blur(sharp.maps[name].data), 0)
        np.testing.assert_allclose(blurred.maps[name].data, expected, atol=1e-5)


def test_lipids_lie_in_the_scalp_and_spare_the_middle_of_the_brain():
    affine = axial_affine((48, 56), 6, (4.0, 4.0, 4.0))
    fractions = nested_head().fractions((48, 56, 6), affine, STILL)
    fat = tissue(fractions, "fat") > 0.5
    for seed in range(4):
        rim = lipid_rim(fractions, affine, rng_of(seed))
        assert rim.min() >= 0
        assert 0.3 < np.median(rim[fat]) < 3
        brain = tissue(fractions, *BRAIN, "csf") > 0.5
        deep = brain & (ndimage.distance_transform_edt(~fat, sampling=4.0) > 20)
        assert deep.sum() > 100
        assert rim[deep].max() < 1e-3 * rim.max()


def test_wild_fits_spoil_failing_voxels_alone():
    measured = rng_of(0).random((40, 40, 5), np.float32)
    failing = rng_of(1).random(measured.shape) < 0.5
    spoilt = wild_fits(measured, failing, rng_of(2))
    np.testing.assert_array_equal(spoilt[~failing], measured[~failing])
    assert (spoilt[failing] > 2).mean() == pytest.approx(0.05, abs=0.015)
    assert (spoilt[failing] == 0).mean() == pytest.approx(0.20, abs=0.03)


# Patients ---------------------------------------------------------------------------------------


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


def centroid(volume, weight):
    """Return the world position in mm of a weight's centre of mass."""
    points = world_points(volume.shape, volume.affine)
    return (weight[..., None] * points).sum((0, 1, 2)) / weight.sum()


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


# ---- a box that is excited


def even(box, **changes):
    """Return a box without unevenness and without a turn."""
    quiet = (still(box.unevenness[0]), 0.0)
    return replace(box, turn=np.eye(2, dtype=np.float32), unevenness=quiet, **changes)


def test_a_box_excites_its_inside_alone_and_moves_with_the_chemical_shift():
    box = even(
        Excitation.draw(rng_of(3)),
        centre=np.array([10, -5], np.float32),
        half=np.array([30, 40], np.float32),
        edge=4.0,
        displacement=np.array([0, 5], np.float32),
    )
    middle, outside = (np.array([[[[10, -5 + y, 7.0]]]], np.float32) for y in (0, 60))
    np.testing.assert_allclose(box(middle), 1, atol=1e-4)
    np.testing.assert_allclose(box(outside), 0, atol=1e-3)
    assert len(SHIFT) == len(METABOLITES)
    for number, ppm in enumerate(SHIFT):
        side = np.array([[[[10, -5 + 40 + 5 * (ppm - CENTRE_SHIFT), 0.0]]]], np.float32)
        assert box(side)[number] == pytest.approx(0.5, abs=1e-3)  # half way, where it lies
    x = np.array([10 + 30 - 4, 10 + 30 + 4], np.float32)
    points = np.stack([x, np.full(2, -5.0), np.zeros(2)], -1).reshape(2, 1, 1, 3)
    inner, outer = box(points.astype(np.float32))[0].ravel()
    assert inner == pytest.approx(0.995, abs=2e-3)
    assert outer == pytest.approx(0.005, abs=2e-3)


def test_a_patients_box_holds_the_tumour_and_scales_what_is_measured():
    """Without noise, the maps with a box are those without it times its share."""
    slab = {"matrix": (40, 48), "n_slices": 3, "voxel": (5.0, 5.0, 5.0), "mri_voxel": 9.0}
    for seed in range(6):
        patient = Patient.draw(nested_head(), rng_of(seed), glioma=True)
        box = patient.draw_box(rng_of([seed, 2]))
        study, exact = simulate_study(patient, rng_of(1), box=box, sampling=FULL, **slab)
        whole_study, whole = simulate_study(patient, rng_of(1), sampling=FULL, **slab)
        points = world_points(exact.grid.shape, exact.grid.affine)
        for share, name in zip(box(points), METABOLITES, strict=True):
            np.testing.assert_allclose(
                exact.maps[name].data, share * whole.maps[name].data, rtol=1e-4, atol=1e-5
            )
        passed = whole_study.mask.data * box.passes(points)
        np.testing.assert_array_equal(study.mask.data, passed)
        centre = patient.glioma.centre.reshape(1, 1, 1, 3)
        assert even(box, displacement=np.zeros(2, np.float32))(centre).min() > 0.5


def test_some_masks_reach_beyond_the_box_and_some_do_not():
    boxes = [Excitation.draw(rng_of(seed)) for seed in range(60)]
    free = np.mean([box.seen == 0 for box in boxes])
    assert 0.3 < free < 0.7
    far = np.full((1, 1, 1, 3), 200, np.float32)
    for box in boxes:
        assert box.passes(far).item() == (box.seen == 0)


# ---- a coarse scan


def test_a_coarse_scan_sees_the_whole_head_with_noise_of_its_own(patients):
    patient, *_ = patients[0]
    slab = lay_slab(patient, rng_of(1), matrix=(40, 48), n_slices=2, voxel=(5.0,) * 3,
                    mri_voxel=9.0)  # fmt: skip
    quiet = replace(slab, deviation=0 * slab.deviation, lipid_amount=0 * slab.lipid_amount)
    one, two = (scan_coarsely(slab, (20, 24), rng_of(seed)) for seed in (2, 3))
    exact = scan_coarsely(quiet, (20, 24), rng_of(2))
    grid = one.grid
    assert grid.shape == (20, 24, 2)
    np.testing.assert_allclose(grid.affine[:3, 3], slab.affine[:3, 3])  # the first voxel's centre
    np.testing.assert_allclose(grid.voxel_size, (10, 10, 5))
    assert one.t1 is slab.t1
    np.testing.assert_array_equal(one.mask.data, slab.mask)
    for number, name in enumerate(METABOLITES):
        assert (one.maps[name].data != two.maps[name].data).any()
        whole = truncate(slab.truth[number], (20, 24))
        masked = truncate(slab.truth[number] * slab.mask, (20, 24))
        seen = exact.maps[name].data
        assert np.abs(seen - whole).mean() < 0.8 * np.abs(seen - masked).mean()
