"""What the tests of simulated patients share: draws, shares of tissue, and fields turned off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ftddm_core.phantom.anatomy import TISSUES, Warp
from ftddm_core.phantom.metabolites import METABOLITES

INDEX = {name: number for number, name in enumerate(METABOLITES)}
STILL = Warp(np.eye(3), np.zeros(3))


def rng_of(seed):
    return np.random.default_rng(seed)


def tissue(fractions, *names):
    return fractions[[TISSUES.index(name) for name in names]].sum(0)


def still(field):
    """Return a random field turned to 0 everywhere."""
    return replace(field, amplitude=0 * field.amplitude)
