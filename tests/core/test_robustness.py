"""Robustness: what decides a map, what automatic weights do, tables and criteria by the numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import tiny_weights

from ftddm_core.errors import Cancelled, SettingsError
from ftddm_core.evaluation.anchors import alone, inside, measurement
from ftddm_core.evaluation.cache import Cache
from ftddm_core.evaluation.cases import Case
from ftddm_core.evaluation.kinds import LITERATURE, MASKED, MEASURED, NULL, SCAN, WHOLE, KindCase
from ftddm_core.evaluation.measure import Measured
from ftddm_core.evaluation.protocol import Protocol, parse
from ftddm_core.evaluation.robust_checks import check_robust
from ftddm_core.evaluation.robust_tables import (
    KINDS,
    lesion_table,
    rank_correlation,
    robust_calibration,
    robustness_table,
    self_check_table,
    share_table,
)
from ftddm_core.evaluation.robustness import (
    ALONE,
    AT_DEFAULT,
    AT_ONE,
    AT_ZERO,
    AUTOMATIC,
    CHECKED,
    MANY,
    MEAN,
    OFF,
    OFF_AT_ZERO,
    UNGUIDED,
    ZERO_FILLING,
    Checked,
    Lesion,
    Robust,
    calls_of,
    check_calls,
    lesion_errors,
    plans_of,
    robust_calls,
    run_robust,
)
from ftddm_core.evaluation.runner import Entry, Runner
from ftddm_core.evaluation.tables import Row
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.sampling.resolver import SuperResolver
from ftddm_core.sampling.self_check import SelfCheck

MATRIX = (24, 32)
AFFINE = np.diag([6.8, 6.8, 6.8, 1.0])
NAMES = ("tNAA", "tCho")
PROTOCOL = parse(
    {
        "name": "test", "anatomies": ["a"], "patients": 1, "slices": 1, "patient_seed": 0,
        "matrix": list(MATRIX), "voxel": 6.8, "factors": [2, 4], "metabolites": list(NAMES),
        "method": [{"name": "zero-filling", "kind": "zero-filling"}],
        "robustness": {"patients": 1, "steps": 2, "samples": 3, "factors": [2, 4]},
    }
)  # fmt: skip


def study(seed: int = 0) -> Study:
    rng = np.random.default_rng(seed)
    x, y = np.ogrid[:24, :32]
    mask = ((x - 12) ** 2 + (y - 16) ** 2 < 81)[..., None]
    maps = {
        name: Volume((level + rng.random((*MATRIX, 1))).astype(np.float32), AFFINE, "mM")
        for name, level in (("tNAA", 9.0), ("tCho", 2.0))
    }
    t1 = Volume(rng.random((*MATRIX, 1)) + 1, AFFINE)
    return Study(maps, mask=Volume(mask.astype(np.float32), AFFINE), t1=t1)


def item(kind: str = LITERATURE, acquisition: str = MASKED, seed: int = 0) -> KindCase:
    tumour = np.zeros((*MATRIX, 1), bool)
    tumour[10:14, 14:18] = True
    name = f"p{seed}, {kind}, {acquisition}"
    case = Case(name, "a", study(seed), study(seed + 100), tumour, whole=acquisition != MASKED)
    return KindCase(kind, acquisition, case, (2.0, 4.0))


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(SuperResolver(tiny_weights(), "cpu"), Cache(tmp_path / "cache"))


def plan(name: str, of: KindCase, protocol: Protocol = PROTOCOL) -> Any:
    return next(m for m in plans_of(protocol, of) if m.name == name)


# ---- what decides a map


def test_what_is_kept_goes_by_consistency_and_mri_weight_and_never_by_detail(
    runner: Runner,
) -> None:
    one = item()
    method = plan(AT_DEFAULT, one)

    def key(**changes: Any) -> str:
        other = replace(method, settings=method.settings.replace(**changes))
        return runner.key(Entry(other, 0, one.case, 2.0, "tNAA"))

    keys = [
        key(), key(consistency="off"), key(consistency="exact"), key(mri_weight=0),
        key(mri_weight=0.5), key(noise=5), key(tau_flow=0.1), key(seed=1),
    ]  # fmt: skip
    assert len(set(keys)) == len(keys)
    assert key(detail=0.3) == key()
    assert key(detail=0) == key(samples=4) == key()


def test_detail_mixes_what_is_kept_with_the_measurement(runner: Runner) -> None:
    one = item()
    method = plan(AT_DEFAULT, one)
    runner.run([Entry(method, 0, one.case, 2.0, "tNAA")])
    images = {}
    for detail in (0.0, 0.5, 1.0):
        other = replace(method, settings=method.settings.replace(detail=detail))
        entry = Entry(other, 0, one.case, 2.0, "tNAA")
        assert runner.missing([entry]) == []
        images[detail] = runner.image(entry)
    z = alone(runner.condition(Entry(method, 0, one.case, 2.0, "tNAA")))
    np.testing.assert_allclose(images[0.0], np.maximum(z, 0), atol=2e-2)
    np.testing.assert_allclose(images[0.5], (z + images[1.0]) / 2, atol=2e-2)
    assert np.abs(images[1.0] - z).max() > 0.1


def test_the_measurement_alone_is_what_a_run_returns_beside_its_map(runner: Runner) -> None:
    for one in (item(), item(acquisition=SCAN)):
        told = runner.conditions(one.case, 2.0)
        settings = plan(AT_ZERO, one).settings
        *_, last = runner.resolver.sample(told.values(), settings)
        assert last.result is not None
        for condition in told.values():
            expected = last.result.alone[condition.metabolite].data
            np.testing.assert_allclose(alone(condition), expected, atol=1e-4 * condition.scale)
            assert (measurement(condition) >= 0).all()
            assert not inside(condition)[~condition.mask].any()
            assert inside(condition)[condition.mask].max() > 0.5 * condition.scale


def test_automatic_weights_are_those_of_the_self_check(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = item()
    gains = {0.0: {"tNAA": 0.5, "tCho": 0.4}, 1.0: {"tNAA": -1.0, "tCho": -1.0}}
    shares = {0.0: {"tNAA": 0.25, "tCho": 0.5}, 1.0: {"tNAA": 0.0, "tCho": 0.0}}
    check = SelfCheck(gains, shares, 0.6, 1)
    asked: list[Study] = []

    def found(low: Study, **_: Any) -> SelfCheck:
        asked.append(low)
        return check

    monkeypatch.setattr(runner.resolver, "check", found)
    entries = runner.entries([plan(AUTOMATIC, one)], [one.case])
    assert [tuple(runner.weighting(e)) for e in entries[:2]] == [(0.0, 0.25), (0.0, 0.5)]
    assert len(asked) == 1  # one check for a case and a factor
    runner.run(entries)
    # x is that of the same temperatures at this MRI weight, so nothing is drawn twice.
    unguided = runner.entries([plan(AT_DEFAULT + UNGUIDED, one)], [one.case])
    assert runner.missing(unguided) == []
    x, z = runner.image(unguided[0]), alone(runner.condition(unguided[0]))
    np.testing.assert_allclose(
        runner.image(entries[0]), np.maximum(z + 0.25 * (x - z), 0), atol=2e-2
    )
    # What was found is kept: another run asks no more.
    again = Runner(runner.resolver, runner.cache)
    kept = again.check(one.case, 2.0)
    assert (kept.gains, kept.shares, kept.within, kept.slices, kept.reason) == (
        gains, shares, 0.6, 1, "",
    )  # fmt: skip
    assert len(asked) == 2  # the second factor's


# ---- running


@pytest.mark.long
def test_every_kind_is_run_and_measured_and_nothing_twice(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [item(), item(acquisition=SCAN), item(NULL, SCAN, 1)]
    told: list[str] = []
    found = run_robust(PROTOCOL, items, runner, lambda what, done: told.append(what))
    assert set(told) == {"self-checks", "other kinds of patients"}
    assert set(found.measured) == {(LITERATURE, MASKED), (LITERATURE, SCAN), (NULL, SCAN)}
    methods = {row.method for row in found.measured[LITERATURE, MASKED].rows}
    assert {ZERO_FILLING, ALONE, AT_ZERO, AT_ONE + UNGUIDED, OFF, AUTOMATIC, MEAN} <= methods
    assert len(found.checks) == 3 * 2 * 2
    # Halved, 12 x 16 leaves 6 samples an axis, 6 x 8 does not.
    assert {(c.upscale, c.checkable) for c in found.checks} == {(2.0, True), (4.0, False)}
    assert {e.kind for e in found.lesions} == {LITERATURE}
    table = robustness_table(found)
    assert [(e["kind"], e["upscale"]) for e in table] == [
        (LITERATURE, 2), (LITERATURE, 4), (LITERATURE, 2), (LITERATURE, 4), (NULL, 2), (NULL, 4),
    ]  # fmt: skip
    assert {e["method"] for e in robust_calibration(found)} == {MANY, MANY + UNGUIDED}
    assert np.isfinite([e["zero"] for e in table]).all()

    ran: list[Any] = []
    monkeypatch.setattr(runner, "_compute", lambda *args: ran.append(args))
    again = Runner(runner.resolver, runner.cache)
    monkeypatch.setattr(again, "_compute", lambda *args: ran.append(args))
    monkeypatch.setattr(again.resolver, "check", lambda *a, **k: ran.append(a))
    twice = run_robust(PROTOCOL, items, again)
    assert ran == []
    assert robustness_table(twice) == table
    assert twice.checks == found.checks


def test_it_stops_when_asked_and_goes_on(runner: Runner) -> None:
    items = [item()]
    calls: list[int] = []

    def enough() -> bool:
        calls.append(1)
        return len(calls) > 60

    runner.cancelled = enough
    with pytest.raises(Cancelled):
        run_robust(PROTOCOL, items, runner)
    runner.cancelled = lambda: False
    assert run_robust(PROTOCOL, items, runner).checks


def test_the_calls_are_counted_from_cases_or_from_the_protocol() -> None:
    items = [item(), item(acquisition=SCAN)]
    own = robust_calls(PROTOCOL, items[:1])
    assert robust_calls(PROTOCOL, items) == 2 * own
    plans = plans_of(PROTOCOL, items[0])
    assert own == calls_of(plans) + check_calls(MATRIX, 2.0, 2, 1)
    assert check_calls(MATRIX, 4.0, 2, 1) == 0
    assert robust_calls(PROTOCOL) > 10 * own // 2
    assert robust_calls(replace(PROTOCOL, robustness=None)) == 0
    names = {m.name for m in plans_of(PROTOCOL, item(acquisition=WHOLE))}
    assert CHECKED in names
    assert MANY not in names


# ---- tables and criteria


def rows(method: str, psnr: float, detail: float = 1.0, s: float = 2.0) -> list[Row]:
    values = {"psnr_in_mask": psnr, "detail": detail, "detail_truth": 1.0}
    return [
        Row(case, method, s, name, 0, values, 0.0) for case in ("p0", "p1") for name in NAMES
    ]  # fmt: skip


GOOD = {
    ZERO_FILLING: (20.0, 0.2), ALONE: (20.5, 0.3), AT_ZERO: (21.0, 0.6), AT_DEFAULT: (20.6, 0.8),
    AT_ZERO + UNGUIDED: (20.8, 0.5), MEAN: (20.9, 0.5), MEAN + UNGUIDED: (20.9, 0.5),
    AUTOMATIC: (20.6, 0.78), OFF: (20.0, 1.0), OFF_AT_ZERO: (20.5, 0.9),
}  # fmt: skip


def robust(kind: str = NULL, acquisition: str = MASKED, **changes: Any) -> Robust:
    given = {**GOOD, **changes.pop("given", {})}
    found = [row for name, (psnr, detail) in given.items() for row in rows(name, psnr, detail)]
    return Robust({(kind, acquisition): Measured(found, **changes)})


def misses(found: Robust) -> set[str]:
    return {line["what"] for line in check_robust(found) if not line["passed"]}


def test_nothing_may_get_worse_on_foreign_maps() -> None:
    assert misses(robust()) == set()
    lines = {line["what"]: line["value"] for line in check_robust(robust())}
    over = "null, masked: τ 0 over zero-filling, MRI weight 1, PSNR in mask (dB)"
    assert lines[over] == pytest.approx(1)
    (missed,) = misses(robust(given={AT_ZERO + UNGUIDED: (19.99, 0.5), ALONE: (19.0, 0)}))
    assert missed == "null, masked: τ 0 over zero-filling, MRI weight 0, PSNR in mask (dB)"
    (missed,) = misses(robust(given={MEAN: (20.1, 0.5)}))
    assert missed.startswith("null, masked: mean of 16 over the measurement alone, MRI weight 1")
    (missed,) = misses(robust(given={AUTOMATIC: (19.6, 0.5)}))
    assert missed.startswith("null, masked: automatic weights over zero-filling")
    for kind in (MEASURED, LITERATURE):
        harmed = misses(robust(kind, given={AT_ZERO: (19.0, 0.5), OFF_AT_ZERO: (19.0, 0.5)}))
        assert any("τ 0 over zero-filling" in what for what in harmed) == (kind == MEASURED)


def test_literature_patients_keep_what_they_had() -> None:
    assert misses(robust(LITERATURE)) == set()
    (missed,) = misses(robust(LITERATURE, given={OFF_AT_ZERO: (21.3, 0.9)}))
    assert "τ 0 over no consistency" in missed
    assert misses(robust(LITERATURE, given={OFF_AT_ZERO: (21.1, 0.9)})) == set()
    # A whole-head scan has to gain.
    assert len(misses(robust(LITERATURE, SCAN, given={OFF_AT_ZERO: (21.1, 0.9)}))) == 1
    found = misses(robust(LITERATURE, given={AUTOMATIC: (20.5, 0.7)}))
    assert {what.split("of the ")[1].split(" kept")[0] for what in found} == {"gain", "sharpness"}


def check(true: float, found: float, kind: str = NULL, share: float = 0.2, **changes: Any) -> Any:
    given = Checked(
        kind, MASKED, "p0", 2.0, "tNAA", True, share, 0.4, 1.0, 0.6, found < 0, found, true
    )
    return replace(given, **changes)


def test_the_self_check_is_held_against_the_truth() -> None:
    good = [check(-2, -1), check(-1, -0.5), check(0.5, 0.2), check(1, 2)]
    (line,) = self_check_table(good)
    assert line["correlation"] == pytest.approx(1)
    assert (line["losing"], line["warned_losing"]) == (2, 1.0)
    assert (line["gaining"], line["warned_gaining"]) == (2, 0.0)
    assert misses(Robust(checks=good)) == set()
    bad = [check(-2, 1), check(-1, 0.5), check(0.5, -0.2), check(1, -2)]
    found = misses(Robust(checks=bad))
    assert len(found) == 3
    assert all(what.startswith("null: ") for what in found)
    # What could not be checked says nothing of the check.
    blind = replace(good[0], checkable=False, found=np.nan)
    assert self_check_table([blind]) == []
    assert share_table([*good, blind])[0]["maps"] == 5


def test_shares_are_large_where_the_prior_holds_and_small_where_it_does_not() -> None:
    fits = [check(1, 1, LITERATURE, share=0.9), check(1, 1, NULL, share=0.2)]
    assert not any("median share" in what for what in misses(Robust(checks=fits)))
    not_at_all = [check(1, 1, LITERATURE, share=0.7), check(1, 1, NULL, share=0.4)]
    missed = {what for what in misses(Robust(checks=not_at_all)) if "median share" in what}
    assert len(missed) == 2


def test_ranks_correlate_by_hand() -> None:
    assert rank_correlation([1, 2, 3], [1, 8, 27]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert rank_correlation([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(0.9486833)
    assert np.isnan(rank_correlation([1, 2], [1, 2]))
    assert np.isnan(rank_correlation([1, 1, 1], [1, 2, 3]))


def test_lesions_are_compared_with_zero_filling() -> None:
    def one(method: str, error: float, name: str = "tCho", case: str = "p0") -> Lesion:
        return Lesion(LITERATURE, MASKED, case, 2.0, method, name, error)

    lesions = [
        one(ZERO_FILLING, 0.10), one(ZERO_FILLING, 0.2, case="p1"), one(AT_DEFAULT, 0.14),
        one(AT_DEFAULT, 0.22, case="p1"), one(ZERO_FILLING, 0.1, "tCho/tNAA"),
        one(AT_DEFAULT, 0.3, "tCho/tNAA"),
    ]  # fmt: skip
    line = next(e for e in lesion_table(lesions) if e["method"] == AT_DEFAULT)
    assert line["mean_error"] == pytest.approx(0.18)
    assert line["worst_mean"] == pytest.approx(0.22)
    assert line["mean_excess"] == pytest.approx(0.03)
    assert line["ratio_excess"] == pytest.approx(0.2)
    (missed,) = misses(Robust(lesions=lesions))
    assert (
        missed
        == "literature, masked: error of the lesion's Cho/NAA minus zero-filling's, default τ"
    )


def test_a_lesions_errors_by_hand() -> None:
    case = item().case
    truths = {name: case.truth(name, noise_free=True) for name in NAMES}
    images = {"tNAA": 0.5 * truths["tNAA"], "tCho": 1.2 * truths["tCho"]}
    found = lesion_errors(case, {n: x.astype(np.float32) for n, x in images.items()})
    assert found == {
        "tNAA": pytest.approx(0.5), "tCho": pytest.approx(0.2), "tCho/tNAA": pytest.approx(1.4),
    }  # fmt: skip
    small = replace(case, tumour=np.zeros((*MATRIX, 1), bool))
    assert lesion_errors(small, {n: x.astype(np.float32) for n, x in images.items()}) == {}


def test_calibration_is_asked_of_nineteen_samples(runner: Runner) -> None:
    values = {"coverage": 0.8, "widened": 0.9, "crps": 0.1, "spread": 1.0, "error": 1.0}
    line = [Row(case, MANY, 2.0, "tNAA", 0, values, 0.0) for case in ("p0", "p1")]
    found = robust(calibration=line, ranks={(2.0, MANY): np.ones(20)})
    what = "null, masked: share of voxels within the widened range of 19 samples"
    assert {e["what"]: e["passed"] for e in check_robust(found)}[what]
    wide = [replace(row, values=values | {"widened": 0.99}) for row in line]
    found = robust(calibration=wide, ranks={(2.0, MANY): np.ones(20)})
    assert what in misses(found)
    found = robust(calibration=line, ranks={(2.0, MANY): np.ones(5)})
    assert what not in {e["what"] for e in check_robust(found)}


def test_real_cases_come_first() -> None:
    measured = robust(MEASURED).measured | robust(LITERATURE).measured
    table = robustness_table(Robust(dict(reversed(measured.items()))))
    assert [line["kind"] for line in table] == [MEASURED, LITERATURE]
    assert KINDS[0] == MEASURED


def test_calibration_alone_makes_many_draws_and_nothing_else(runner: Runner) -> None:
    content = dict(PROTOCOL.content)
    content["robustness"] = {**content["robustness"], "calibration_only": True}
    protocol = parse(content)
    items = [item(NULL), item(NULL, WHOLE), item(MEASURED)]
    found = run_robust(protocol, items, runner)
    assert list(found.measured) == [(NULL, MASKED)]
    assert found.checks == []
    assert {line["method"].split()[0] for line in robust_calibration(found)} == {MANY.split()[0]}
    assert 0 < robust_calls(protocol, items) < robust_calls(PROTOCOL, items) / 3
    content["robustness"]["calibration_only"] = "yes"
    with pytest.raises(SettingsError, match="'calibration_only' is 'yes': give true or false"):
        parse(content)
