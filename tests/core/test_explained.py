"""Statistics of what tissue explains: known where a map is built from known parts."""

from __future__ import annotations

import numpy as np
import pytest
from heads import nested_head

from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.phantom.anatomy import TISSUES
from ftddm_core.phantom.explained import (
    MEASURED,
    compare_explained,
    explained_of,
    explained_statistics,
)
from ftddm_core.phantom.patient import Patient
from ftddm_core.phantom.randomised import MIXTURE, RandomisedPatient

SHAPE = (30, 32, 6)


@pytest.fixture
def fractions():
    rng = np.random.default_rng(0)
    found = np.zeros((len(TISSUES), *SHAPE), np.float32)
    for name, share in zip(("white", "cortex", "csf"), rng.dirichlet((1, 1, 1), SHAPE).T,
                           strict=True):  # fmt: skip
        found[TISSUES.index(name)] = share.T
    return found


def study_of(*maps):
    mask = np.zeros(SHAPE, np.float32)
    mask[2:-2, 2:-2] = 1
    made = {f"m{i}": Volume(np.asarray(data, np.float32), np.eye(4)) for i, data in enumerate(maps)}
    return Study(made, mask=Volume(mask, np.eye(4)))


def test_a_map_of_tissue_alone_is_explained_and_its_contrast_read(fractions):
    white, grey, fluid = (fractions[TISSUES.index(n)] for n in ("white", "cortex", "csf"))
    statistics = explained_statistics(study_of(3 * white + 4 * grey + 0.7 * fluid), fractions)
    assert statistics["tissue explains (%)"] == pytest.approx(100, abs=0.01)
    assert statistics["white/grey"] == pytest.approx(0.75, rel=1e-4)
    assert statistics["other/tissue"] == pytest.approx(0.2, rel=1e-3)
    assert statistics["residual CV"] == pytest.approx(0, abs=1e-3)


def test_what_tissue_does_not_explain_has_its_spread_its_lengths_and_its_correlation(fractions):
    rng = np.random.default_rng(1)
    shared, own = rng.standard_normal((2, *SHAPE))
    # A running mean over two voxels along the first axis correlates by a half at one voxel.
    shared = (shared + np.roll(shared, 1, 0)) / np.sqrt(2)
    first = 1 + 0.3 * shared
    second = 1 + 0.3 * (np.sqrt(0.75) * shared + 0.5 * own)
    statistics = explained_statistics(study_of(first, second), fractions)
    assert statistics["tissue explains (%)"] < 2
    assert statistics["residual CV"] == pytest.approx(0.3, rel=0.05)
    expected = (1 + 0.75) / 2 * (0.5 + 0) / 2  # over the maps and the two axes
    assert statistics["residual autocorrelation, 1 voxel"] == pytest.approx(expected, abs=0.05)
    assert statistics["residual autocorrelation, 3 voxels"] == pytest.approx(0, abs=0.05)
    assert statistics["residual autocorrelation, next slice"] == pytest.approx(0, abs=0.05)
    found = statistics["residual correlation of two maps"]
    assert found == pytest.approx(np.sqrt(0.75), abs=0.03)
    assert statistics["white/grey"] == pytest.approx(1, abs=0.05)


def test_the_edge_is_the_outermost_ring_of_the_mask(fractions):
    data = np.ones(SHAPE)
    data[3:-3, 3:-3] = 2
    assert explained_statistics(study_of(data), fractions)["edge/inside"] == pytest.approx(0.5)


def test_without_enough_trusted_voxels_there_are_no_statistics(fractions):
    bare = Study({"m": Volume(np.ones(SHAPE, np.float32), np.eye(4))})
    assert explained_statistics(bare, fractions) == {}
    assert compare_explained({"none": (1.0, [{}])})[0]["none"] == "–"


def test_a_table_weighs_its_kinds_by_their_shares():
    name = "residual CV"
    few, many = [{name: 1.0}] * 20, [{name: 3.0}] * 90
    kinds = {"few": (0.95, few), "many": (0.05, many)}
    line = next(one for one in compare_explained(kinds) if one["quantity"] == name)
    assert line["few"].startswith("1 ")
    assert line["many"].startswith("3 ")
    assert line["mixture"].startswith("1 ")
    assert line["measured"] == "0.4–0.54"


def test_measured_maps_lie_among_the_mixture_that_is_trained_on_and_not_among_the_literature():
    """With a head of ellipsoids, whose tissue is simpler than a real one's."""
    kinds = {
        "literature": (1 - MIXTURE, Patient),
        "randomised": (MIXTURE, RandomisedPatient),
    }
    drawn = {
        name: [explained_of(kind, nested_head(4.0), np.random.default_rng([9, i]))
               for i in range(12)]
        for name, (_, kind) in kinds.items()
    }  # fmt: skip
    for quantity in ("tissue explains (%)", "residual CV", "residual correlation of two maps"):
        reference = MEASURED[quantity]
        middle = np.median([p[quantity] for p in drawn["randomised"]])
        usual = np.median([p[quantity] for p in drawn["literature"]])
        centre = (reference.low + reference.high) / 2
        assert abs(middle - centre) < abs(usual - centre) / 2
    for quantity, reference in MEASURED.items():
        if "autocorrelation" in quantity:
            continue  # the smooth shells of such a head are left in the rest
        values = [p[quantity] for p in drawn["randomised"]]
        assert min(values) <= reference.high
        assert max(values) >= reference.low
