"""T1w and FLAIR of simulated patients: contrast, resolution, noise and misregistration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from heads import nested_head
from phantoms import rng_of, tissue

from ftddm_core.phantom.anatomy import BRAIN, TISSUES, world_points
from ftddm_core.phantom.contrast import FLAIR_GREY, RELAXATION, T1W_GREY, Contrast
from ftddm_core.phantom.patient import Patient, axial_affine


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
