"""Concentrations of simulated patients, against the literature."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import INDEX, rng_of, tissue

from ftddm_core.phantom.anatomy import BRAIN, TISSUES
from ftddm_core.phantom.metabolites import (
    SHARED_VARIATION,
    Metabolism,
    correlated,
    regional_variation,
)


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
