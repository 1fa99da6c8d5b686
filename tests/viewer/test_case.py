"""A case made ready at one factor after another: nothing too early, nothing twice, nothing else."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import fine_study

from ftddm_core.errors import FormatError, GeometryError
from ftddm_core.imaging.io import open_study
from ftddm_core.sampling import condition as module
from ftddm_core.sampling import guides as guides_module
from ftddm_core.sampling.condition import form_conditions
from ftddm_viewer.session import case as case_module
from ftddm_viewer.session import messages
from ftddm_viewer.session.case import Case, Mode, Prepared, prepare
from ftddm_viewer.session.messages import notes

PATIENCE = 60.0


@pytest.fixture
def case(study: Path) -> Case:
    """Return two maps of 12 x 10 voxels with a mask and a T1."""
    return Case.of(open_study(study))


@pytest.fixture
def fine(study: Path) -> Case:
    """Return a case to degrade and restore, with a T1."""
    return Case.of(replace(fine_study(study), t1=open_study(study).t1))


@pytest.fixture
def work(case: Case, fine: Case, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often a T1 is placed and a condition is formed, from here on."""
    count: Counter[str] = Counter()

    def counted(name: str, what: str) -> None:
        home = guides_module if hasattr(guides_module, name) else module
        original = getattr(home, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            count[what] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(home, name, call)

    counted("regrid_mean", "placed")
    counted("form_condition", "formed")
    return count


def digests(prepared: Prepared) -> dict[str, str]:
    return {name: condition.digest for name, condition in prepared.conditions.items()}


@pytest.mark.parametrize("mode", list(Mode))
def test_only_what_is_looked_at_is_formed(
    mode: Mode, case: Case, fine: Case, work: Counter[str]
) -> None:
    prepared = prepare(case if mode is Mode.ENLARGE else fine, mode, 2.0)
    assert work["formed"] == 0
    assert set(prepared.conditions) == {"tNAA", "tCho"}
    prepared.input("tCho")
    prepared.truth("tCho")
    prepared.top("tNAA")
    assert work == {"placed": 1, "formed": 1}


@pytest.mark.parametrize("mode", list(Mode))
def test_moving_s_to_and_fro_places_nothing_twice_and_changes_nothing(
    mode: Mode, case: Case, fine: Case, work: Counter[str]
) -> None:
    opened = case if mode is Mode.ENLARGE else fine
    factors = (2.0, 3.0, 2.5)
    alone = {s: digests(prepare(Case.of(opened.study), mode, s)) for s in factors}
    assert len({tuple(found.values()) for found in alone.values()}) == 3
    for s in factors:
        prepare(opened, mode, s)
    before = work["placed"]
    for s in (*factors, *reversed(factors)):
        assert digests(prepare(opened, mode, s)) == alone[s]
    assert work["placed"] == before


def test_factors_with_the_same_matrix_give_the_same_conditions(
    case: Case, work: Counter[str]
) -> None:
    one, two, other = (prepare(case, Mode.ENLARGE, s) for s in (2.0, 2.04, 2.2))
    assert work["placed"] == 2
    assert (one.upscale, two.upscale) == (2.0, 2.04)  # as they were asked for
    assert one.conditions.upscale == two.conditions.upscale == 2.0
    assert digests(one) == digests(two) != digests(other)
    assert one.conditions["tNAA"].shape != other.conditions["tNAA"].shape


def test_a_grid_that_differs_by_rounding_is_another_one(fine: Case, work: Counter[str]) -> None:
    """What was looked at before must not show in any result, not even in the last bit."""
    shape, affine = fine.study.grid.shape, fine.study.grid.affine
    nearly = affine.copy()
    nearly[0, 0] = np.nextafter(nearly[0, 0], 0)
    one, two = fine.guides.on(shape, affine), fine.guides.on(shape, nearly)
    assert one is not two
    assert fine.guides.on(shape, affine.copy()) is one
    assert work["placed"] == 2


def test_few_grids_are_kept(
    case: Case, work: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ones used last, as far as there is room, and always the newest."""
    room = 2 * 30 * 24 * 2  # for any two grids of s = 2, 2.2 and 2.5
    monkeypatch.setattr(case_module, "KEPT_VOXELS", room)

    def moved(s: float) -> int:
        before = work["placed"]
        prepare(case, Mode.ENLARGE, s)
        return work["placed"] - before

    assert [moved(s) for s in (2.0, 2.5, 2.0, 2.5)] == [1, 1, 0, 0]
    assert [moved(s) for s in (2.2, 2.5, 2.0)] == [1, 0, 1]  # s = 2 was the oldest
    assert [moved(s) for s in (8.0, 8.0, 2.0)] == [1, 0, 1]  # alone larger than the room


def test_threads_at_one_factor_place_once(case: Case, work: Counter[str]) -> None:
    together = threading.Barrier(4, timeout=PATIENCE)

    def ask(_: int) -> str:
        together.wait()
        return prepare(case, Mode.ENLARGE, 3.0).conditions["tNAA"].digest

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(ask, range(4)))) == 1
    assert work["placed"] == 1


def test_acquired_maps_and_network_inputs_are_those_of_the_whole_study(
    case: Case, fine: Case
) -> None:
    for opened, mode, matrix in ((case, Mode.ENLARGE, None), (fine, Mode.RESTORE, (12, 10))):
        prepared = prepare(opened, mode, 2.5)
        expected = form_conditions(prepared.acquired, 2.5, matrix)
        assert digests(prepared) == {c.metabolite: c.digest for c in expected}


def test_a_map_without_signal_is_an_error_when_it_is_asked_for(case: Case) -> None:
    maps = dict(case.study.maps)
    maps["tCho"] = maps["tCho"].with_data(0 * maps["tCho"].data)
    prepared = prepare(Case.of(replace(case.study, maps=maps)), Mode.ENLARGE, 2.0)
    assert prepared.conditions["tNAA"].scale > 0
    with pytest.raises(FormatError, match=r"^tCho: .*no signal"):
        list(prepared.conditions.values())  # as whoever opens a study goes through them


@pytest.mark.parametrize("role", ["t1", "mask"])
def test_an_image_from_elsewhere_is_an_error_at_once(role: str, case: Case) -> None:
    image = getattr(case.study, role)
    away = image.affine.copy()
    away[:3, 3] += 5000
    opened = Case.of(replace(case.study, **{role: replace(image, affine=away)}))
    for _ in range(2):  # what failed is not kept
        with pytest.raises(GeometryError, match="do not overlap"):
            prepare(opened, Mode.ENLARGE, 2.0)


def test_restoring_needs_a_mask(fine: Case) -> None:
    with pytest.raises(GeometryError, match="has no mask"):
        prepare(Case.of(replace(fine.study, mask=None)), Mode.RESTORE, 2.0)


def test_whether_maps_are_zero_filled_is_found_once(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes a transform of every map, and every final image comes with the notes."""

    def refused(study: Any) -> Any:
        raise AssertionError("looked for again")

    monkeypatch.setattr(messages, "acquired_matrix", refused)
    prepared = prepare(case, Mode.ENLARGE, 2.0)
    assert not [note for note in notes(prepared, None) if "zero-filled" in note]
    filled = prepare(replace(case, zero_filled=(6, 7)), Mode.ENLARGE, 2.0)
    (note,) = [note for note in notes(filled, None) if "zero-filled" in note]
    assert "fills 6x7 of" in note
    assert "--" not in note
