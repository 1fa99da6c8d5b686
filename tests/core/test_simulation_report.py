"""Statistics of simulated patients, from known regions and values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from heads import nested_head

from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.phantom.anatomy import TISSUES, world_points
from ftddm_core.phantom.literature import LITERATURE, Reference
from ftddm_core.phantom.metabolites import METABOLITES
from ftddm_core.phantom.patient import Patient, simulate_study
from ftddm_core.phantom.report import _places, patient_statistics, summarise
from ftddm_core.phantom.scan import FULL

SLAB = {"matrix": (48, 56), "voxel": (4.0, 4.0, 4.0), "n_slices": 8, "mri_voxel": 4.0}


def rng_of(seed):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def scanned():
    patient = Patient.draw(nested_head(), rng_of(1), glioma=True)
    height = float(patient.glioma.centre[2])
    return patient, *simulate_study(patient, rng_of(2), height=height, sampling=FULL, **SLAB)


def painted(study, patient, values):
    """Return maps that hold a known value in grey, in white and in the hotspot, 1 elsewhere."""
    grid = study.grid
    fractions = patient.fractions(grid.shape, grid.affine)
    places = _places(patient, fractions, world_points(grid.shape, grid.affine))
    maps = {}
    for name in METABOLITES:
        data = np.ones(grid.shape, np.float32)
        for place, level in values.items():
            data[places[place]] = level if name != "tNAA" else 2.0
        maps[name] = Volume(data, grid.affine)
    return Study(maps, mask=study.mask)


def test_ratios_are_read_where_they_are_said_to_be(scanned):
    patient, study, _ = scanned
    levels = {"white": 4.0, "grey": 6.0, "peritumoral": 3.0, "hotspot": 8.0}
    statistics = patient_statistics(patient, study, painted(study, patient, levels))
    for name in METABOLITES:
        assert statistics[f"grey/white {name}"] == pytest.approx(1.5 if name != "tNAA" else 1.0)
    for name in ("Gln", "Gly", "Ins", "tCho"):
        for place in ("hotspot", "peritumoral", "white"):
            assert statistics[f"{place} {name}/tNAA"] == pytest.approx(levels[place] / 2)


def test_places_do_not_overlap_and_the_hotspot_has_the_most_cells(scanned):
    patient, study, _ = scanned
    points = world_points(study.grid.shape, study.grid.affine)
    places = _places(patient, patient.fractions(study.grid.shape, study.grid.affine), points)
    lesion = patient.glioma(points)
    for one, other in (("grey", "white"), ("white", "peritumoral"), ("grey", "hotspot")):
        assert not (places[one] & places[other]).any()
    assert places["hotspot"].sum() >= 3
    assert lesion.cells[places["hotspot"]].min() >= np.median(lesion.cells[lesion.cells > 0.3])
    assert (lesion.solid + lesion.necrosis)[places["peritumoral"]].max() < 0.05
    assert places["brain"].sum() > places["grey"].sum() + places["white"].sum()


def test_noise_failing_and_wild_voxels_are_counted(scanned):
    """A known noise, a known mask, and outliers inserted by hand."""
    patient, study, _ = scanned
    grid = study.grid
    fractions = patient.fractions(grid.shape, grid.affine)
    brain = _places(patient, fractions, world_points(grid.shape, grid.affine))["brain"]
    rng = rng_of(0)
    trusted = brain & (rng.random(grid.shape) > 0.3)
    truth = {name: np.full(grid.shape, 5.0, np.float32) for name in METABOLITES}
    shown = {name: t + 0.25 * rng.standard_normal(t.shape, np.float32) for name, t in truth.items()}
    wild = np.flatnonzero(brain & ~trusted)[:40]
    shown["Gln"].flat[wild[:25]] = 11.0
    shown["Gly"].flat[wild[10:]] = 500.0
    mask = Volume(trusted.astype(np.float32), grid.affine)
    as_study = [
        Study({n: Volume(d, grid.affine) for n, d in maps.items()}, mask=mask)
        for maps in (shown, truth)
    ]
    statistics = patient_statistics(patient, *as_study)
    for name in METABOLITES:
        assert statistics[f"SNR {name}"] == pytest.approx(20, rel=0.05)
    assert statistics["failing voxels (%)"] == pytest.approx(30, abs=2)
    assert statistics["outliers (%)"] == pytest.approx(100 * (25 + 30) / 7 / brain.sum())
    assert statistics["outliers inside the mask (%)"] == 0
    assert np.isnan(statistics["T1w grey/white"])  # these studies have no MRI


def test_contrasts_are_those_of_the_mri(scanned):
    patient, study, noise_free = scanned
    fractions = patient.fractions(study.t1.shape, study.t1.affine)
    share = dict(zip(TISSUES, fractions, strict=True))
    flat = study.t1.with_data((0.7 * share["cortex"] + share["white"]).astype(np.float32))
    bright = study.t1.with_data((1.4 * share["cortex"] + share["white"]).astype(np.float32))
    statistics = patient_statistics(patient, replace(study, t1=flat, flair=bright), noise_free)
    assert statistics["T1w grey/white"] == pytest.approx(0.7, abs=0.02)
    assert statistics["FLAIR grey/white"] == pytest.approx(1.4, abs=0.02)


def test_a_healthy_patient_has_no_tumour_statistics():
    patient = Patient.draw(nested_head(), rng_of(1), glioma=False)
    statistics = patient_statistics(
        patient, *simulate_study(patient, rng_of(2), sampling=FULL, **SLAB)
    )
    assert np.isnan(statistics["hotspot Gln/tNAA"])
    assert np.isnan(statistics["peritumoral Gln/tNAA"])
    assert 0.05 < statistics["white Gln/tNAA"] < 0.5


def test_the_summary_is_a_median_beside_the_literature():
    patients = [
        {"T1w grey/white": t1w, "SNR Gln": snr, "own": 1.0, "hotspot Gln/tNAA": np.nan}
        for t1w, snr in ((0.8, 10.0), (1.1, 20.0), (0.9, np.nan), (np.nan, 90.0))
    ]
    lines = {line["quantity"]: line for line in summarise(patients)}
    assert lines["SNR Gln"]["simulated"] == 20
    assert lines["SNR Gln"]["10 %"] == pytest.approx(12)
    assert lines["SNR Gln"]["90 %"] == pytest.approx(76)
    assert lines["SNR Gln"]["patients"] == 3
    assert lines["SNR Gln"]["literature"] == "12–33"
    brighter = lines["T1w grey brighter (% of patients)"]
    assert (brighter["simulated"], brighter["patients"]) == (pytest.approx(100 / 3), 3)
    assert (lines["own"]["literature"], list(lines)[-1]) == ("–", "own")
    assert "hotspot Gln/tNAA" not in lines


def test_every_reference_is_of_a_quantity_and_has_a_source(scanned):
    statistics = {line["quantity"] for line in summarise([patient_statistics(*scanned)])}
    assert set(LITERATURE) <= statistics
    assert all(isinstance(r, Reference) and r.source for r in LITERATURE.values())
    # The literature's hot spot is hotter than its surroundings, and they than white matter.
    for name in ("Gln", "Gly", "Ins", "tCho"):
        levels = [LITERATURE[f"{p} {name}/tNAA"].low for p in ("hotspot", "peritumoral", "white")]
        assert levels == sorted(levels, reverse=True)
