"""The conditions of a study's maps, each formed when it is asked for, and once."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from studies import AFFINE, MRI_AFFINE, MRI_SHAPE, SHAPE, ball, head_study

from ftddm_core.errors import FormatError, GeometryError
from ftddm_core.imaging.volume import Volume
from ftddm_core.sampling import condition as module
from ftddm_core.sampling import guides as guides_module
from ftddm_core.sampling.condition import Conditions, form_conditions
from ftddm_core.sampling.guides import Guides, output_grid


@pytest.fixture
def study():
    return head_study()


@pytest.fixture
def work(monkeypatch):
    """Count the images that are placed and the maps that are formed."""
    count = Counter()

    def counted(name, what):
        home = guides_module if hasattr(guides_module, name) else module
        original = getattr(home, name)

        def call(*args, **kwargs):
            count[what(args)] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(home, name, call)

    counted("regrid_mean", lambda args: "MRI")
    counted("regrid_nearest", lambda args: "mask")
    counted("form_condition", lambda args: args[0])
    return count


def lazily(study, upscale=4.0, matrix=None):
    return Conditions(study, Guides(study, *output_grid(study.grid, upscale, matrix)))


def test_names_and_factor_are_known_before_anything_is_formed(study, work):
    found = lazily(study)
    assert list(found) == ["tNAA", "Ins"]
    assert len(found) == 2
    assert "Ins" in found
    assert "gold" not in found
    assert found.upscale == pytest.approx(4.0)
    assert work == {"MRI": 2}
    assert {c.upscale for c in found.values()} == {found.upscale}


def test_a_map_is_formed_when_it_is_asked_for_and_once(study, work):
    found = lazily(study)
    first = found["Ins"]
    assert work == {"MRI": 2, "mask": 1, "Ins": 1}
    assert found["Ins"] is first
    assert dict(found.items())["Ins"] is first
    assert work == {"MRI": 2, "mask": 1, "Ins": 1, "tNAA": 1}
    with pytest.raises(KeyError):
        found["gold"]


def test_formed_one_by_one_they_are_those_of_the_whole_study(study):
    large, small = study.mask, ball(SHAPE, AFFINE, 20.0)
    for mask in (large, {"tNAA": large, "Ins": small}, {"tNAA": small}, None):
        masked = replace(study, mask=mask)
        for upscale in (2.0, 3.3):
            found = lazily(masked, upscale)
            backwards = {name: found[name].digest for name in reversed(list(found))}
            digests = {c.metabolite: c.digest for c in form_conditions(masked, upscale)}
            assert backwards == digests


def test_many_threads_form_each_map_once(study, work):
    found = lazily(study)
    together = threading.Barrier(8, timeout=60)

    def ask(number):
        together.wait()
        return [found[name] for name in (("tNAA", "Ins") if number % 2 else ("Ins", "tNAA"))]

    with ThreadPoolExecutor(8) as pool:
        asked = list(pool.map(ask, range(8)))
    assert len({id(condition) for conditions in asked for condition in conditions}) == 2
    assert work == {"MRI": 2, "mask": 1, "Ins": 1, "tNAA": 1}


def test_what_is_formed_waits_for_none_that_is_being_formed(study, monkeypatch):
    """So an image of one map can be drawn while another is made ready."""
    found = lazily(study)
    ready = found["tNAA"]
    begun, go_on = threading.Event(), threading.Event()
    original = module.form_condition

    def slow(*args, **kwargs):
        begun.set()
        assert go_on.wait(60)
        return original(*args, **kwargs)

    monkeypatch.setattr(module, "form_condition", slow)
    with ThreadPoolExecutor(2) as pool:
        other = pool.submit(found.__getitem__, "Ins")
        assert begun.wait(60)
        assert pool.submit(found.__getitem__, "tNAA").result(60) is ready
        go_on.set()
        assert other.result(60).metabolite == "Ins"


def test_maps_share_what_is_placed_and_each_mask_is_placed_for_the_first(study, work):
    small = ball(SHAPE, AFFINE, 20.0)
    third = study.maps["tNAA"].with_data(2 * study.maps["tNAA"].data)
    masks = {"tNAA": study.mask, "Ins": small, "tCho": small}
    found = lazily(replace(study, maps={**study.maps, "tCho": third}, mask=masks))
    for name, placed in (("tCho", 1), ("Ins", 1), ("tNAA", 2)):
        assert found[name].mask.any()
        assert (work["mask"], work["MRI"]) == (placed, 2)


@pytest.mark.parametrize(
    ("role", "name"), [("t1", "T1"), ("flair", "FLAIR"), ("mask", "mask of tNAA")]
)
def test_an_image_from_elsewhere_is_found_before_any_map_is_formed(study, work, role, name):
    away = MRI_AFFINE.copy()
    away[:3, 3] += 1000
    elsewhere = replace(study, **{role: Volume(np.ones(MRI_SHAPE), away)})
    with pytest.raises(GeometryError, match=rf"^{name}: .*do not overlap"):
        lazily(elsewhere)
    assert set(work) <= {"MRI"}


def test_a_map_without_signal_is_found_when_it_is_asked_for(study):
    maps = {"Ins": study.maps["Ins"].with_data(np.zeros(SHAPE)), "tNAA": study.maps["tNAA"]}
    found = lazily(replace(study, maps=maps))
    assert found["tNAA"].scale > 0
    for _ in range(2):  # each time
        with pytest.raises(FormatError, match=r"^Ins: .*no signal"):
            found["Ins"]


def test_an_mri_of_another_head_is_found_with_the_first_map(study):
    dark = study.t1.with_data(np.where(np.arange(MRI_SHAPE[2]) < 3, study.t1.data, 0))
    found = lazily(replace(study, t1=dark))
    with pytest.raises(GeometryError, match=r"^T1 shows only \d+% of the trusted voxels"):
        found["Ins"]
