"""Fixtures for the core: simulated patients, a textbook contrast, and the whole method."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from heads import nested_head
from networks import tiny_weights
from phantoms import rng_of

from ftddm_core.phantom.anatomy import world_points
from ftddm_core.phantom.contrast import RELAXATION, Contrast
from ftddm_core.phantom.patient import Patient, simulate_study
from ftddm_core.phantom.scan import FULL
from ftddm_core.sampling.resolver import SuperResolver


@pytest.fixture(scope="session")
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


@pytest.fixture
def resolver() -> SuperResolver:
    return SuperResolver(tiny_weights(), "cpu")
