"""The built-in anatomy: the average brain inside a schematic head."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy import ndimage

from ftddm_core.errors import FormatError
from ftddm_core.phantom.anatomy import BRAIN, TISSUES
from ftddm_core.phantom.patient import Patient, simulate_study
from ftddm_core.phantom.template import template


def tissue_at(head, x, y, z):
    """Return the name of the tissue at a point of the world in mm."""
    index = np.rint(np.linalg.inv(head.affine) @ [x, y, z, 1])[:3].astype(int)
    return TISSUES[head.tissue[tuple(index)]]


def is_any(head, *names):
    return np.isin(head.tissue, [TISSUES.index(name) for name in names])


@pytest.fixture(scope="module")
def head():
    pytest.importorskip("nilearn", reason="nilearn, which holds the template, is not installed")
    return template()


def test_volumes_are_a_large_brains(head):
    litres = {name: (head.tissue == n).sum() / 1e6 for n, name in enumerate(TISSUES)}
    assert abs(np.linalg.det(head.affine[:3, :3])) == pytest.approx(1)  # so a voxel is 1 mm^3
    assert 1.2 < sum(litres[name] for name in BRAIN) < 2.0
    cerebrum = litres["white"] / (litres["cortex"] + litres["deep_grey"])
    assert 0.6 < cerebrum < 0.9
    cerebellum = litres["cerebellar_white"] + litres["cerebellar_grey"]
    assert 0.10 < cerebellum / sum(litres[name] for name in BRAIN) < 0.14
    assert 0.03 < litres["deep_grey"] < 0.08
    assert 0.02 < litres["brainstem"] < 0.04
    assert set(np.unique(head.tissue)) == set(range(len(TISSUES)))


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize(
    ("point", "tissue"),
    [
        ((12, -18, 8), "deep_grey"),  # thalamus
        ((26, 6, 2), "deep_grey"),  # putamen
        ((12, 14, 8), "deep_grey"),  # head of the caudate nucleus
        ((39, 2, 0), "cortex"),  # insula
        ((28, -30, 28), "white"),
        ((8, -82, 6), "cortex"),  # beside the calcarine fissure
        ((18, -62, -38), "cerebellar_white"),
        ((30, -70, -50), "cerebellar_grey"),
        ((5, -28, -32), "brainstem"),  # pons
        ((15, -12, 25), "csf"),  # lateral ventricle
        ((45, -30, -22), "cortex"),  # temporal lobe, in front of the cerebellum
        ((97, -20, 10), "air"),
    ],
)
def test_structures_lie_where_mni_coordinates_have_them(head, side, point, tissue):
    """Millimetres of the world, on either side."""
    x, y, z = point
    assert tissue_at(head, side * x, y, z) == tissue


def test_left_and_right_agree_and_front_and_back_do_not(head):
    """The template is symmetric about x = 0, so its mirror image lies on itself."""
    brain = is_any(head, *BRAIN)
    assert (head.affine @ [(head.tissue.shape[0] - 1) / 2, 0, 0, 1])[0] == pytest.approx(0)
    assert (head.tissue == head.tissue[::-1])[brain].mean() > 0.98
    x, y, z = (head.affine @ [*np.argwhere(is_any(head, "cerebellar_grey")).mean(0), 1])[:3]
    assert abs(x) < 0.5
    assert y < -50
    assert z < -25


def test_skin_bone_and_fluid_lie_between_brain_and_air(head):
    brain, air = is_any(head, *BRAIN), is_any(head, "air")
    assert not (ndimage.binary_dilation(brain) & air).any()
    for axis in range(3):  # the head is whole: air all around
        ends = head.tissue.take([0, -1], axis)
        assert not ends.any()
    # From the top of the head down, in mm: no shell is missing, none is twice its size.
    column = head.tissue[head.tissue.shape[0] // 2 + 30, head.tissue.shape[1] // 2]
    found = [(column == TISSUES.index(name)).sum() for name in ("soft_tissue", "fat", "bone")]
    assert all(one > 0 for one in found)
    distance = ndimage.distance_transform_edt(~brain)
    assert distance[is_any(head, "soft_tissue", "fat")].min() > 6


def test_it_makes_a_patient(head):
    rng = np.random.default_rng(0)
    study, noise_free = simulate_study(Patient.draw(head, rng), rng, n_slices=2)
    mask = np.asarray(study.mask_of("tNAA").data > 0)
    assert 800 < mask.sum() < 4000
    assert 6 < np.median(noise_free.maps["tNAA"].data[mask]) < 12


def test_without_nilearn_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "nilearn", None)
    with pytest.raises(FormatError, match=r"pip install 'ftddm-viewer\[simulate\]'.*label map"):
        template()
