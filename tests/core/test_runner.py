"""Cases and the runner on them: nothing is run twice, and nothing depends on what ran before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import tiny_weights
from numpy.typing import NDArray

from ftddm_core.errors import Cancelled, CheckpointError, FormatError, GeometryError
from ftddm_core.evaluation.cache import Cache
from ftddm_core.evaluation.cases import Case, find_anatomies, given_case, record_of, scanned
from ftddm_core.evaluation.measure import measure, name_of_mean
from ftddm_core.evaluation.protocol import Protocol, parse
from ftddm_core.evaluation.real import real_case
from ftddm_core.evaluation.runner import Runner
from ftddm_core.imaging.degrade import degrade
from ftddm_core.imaging.fourier import truncate
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.sampling.resolver import SuperResolver

MATRIX = (24, 32)
AFFINE = np.diag([3.4, 3.4, 3.4, 1.0])
FEW: dict[str, Any] = {"t_trunc": 3}
METHODS = (
    {"name": "zero-filling", "kind": "zero-filling"},
    {"name": "one", "kind": "ftddm", "tau": 1, **FEW},
    {"name": "three, 3 samples", "kind": "ftddm", "tau": 1, "samples": 3, "factors": [4], **FEW},
    {"name": "blind", "kind": "ftddm", "tau": 1, "drop": ["t1"], "factors": [4], **FEW},
    {"name": "regression", "kind": "regression"},
)


def protocol(methods: Sequence[dict[str, Any]] = METHODS) -> Protocol:
    return parse(
        {
            "name": "test", "anatomies": ["a"], "patients": 1, "slices": 2, "patient_seed": 0,
            "matrix": list(MATRIX), "voxel": 3.4, "factors": [2, 4],
            "metabolites": ["tNAA", "tCho"], "method": list(methods),
        }
    )  # fmt: skip


def disc(radius: float = 9.0) -> NDArray[np.bool_]:
    x, y = np.ogrid[:24, :32]
    inside = (x - 12) ** 2 + (y - 16) ** 2 < radius**2
    return np.repeat(inside[..., None], 3, axis=2)


def study(seed: int = 0) -> Study:
    rng = np.random.default_rng(seed)
    maps = {
        name: Volume((level + rng.random((*MATRIX, 3))).astype(np.float32), AFFINE, "mM")
        for name, level in (("tNAA", 9.0), ("tCho", 2.0), ("Lac", 1.0))
    }
    mask = disc().astype(np.float32)
    mask[..., 0] *= disc(5.0)[..., 0]
    t1 = Volume(rng.random((*MATRIX, 3)) + 1, AFFINE)
    return Study(maps, mask=Volume(mask, AFFINE), t1=t1)


def case(name: str = "p0", seed: int = 0) -> Case:
    exact = study(seed + 100)
    return given_case(name, study(seed), protocol(), exact, simulated=True)


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(SuperResolver(tiny_weights(), "cpu"), Cache(tmp_path / "cache"))


def spied(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that collects the number of maps of every computation."""
    counts: list[int] = []
    compute = runner._compute

    def spy(chunk: Any, tell: Any) -> Any:
        counts.append(len(chunk))
        return compute(chunk, tell)

    monkeypatch.setattr(runner, "_compute", spy)
    return counts


def test_what_is_finished_is_not_run_again(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = spied(runner, monkeypatch)
    cases, plans = [case("p0"), case("p1", 1)], protocol().methods
    entries = runner.entries(plans, cases)
    told: list[float] = []
    runner.run(entries, told.append)
    # 2 factors x 2 cases x 2 metabolites of the first two, two draws more, and one without T1.
    assert sum(counts) == 8 + 8 + 2 * 4 + 4
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1)
    counts.clear()
    runner.run(entries)
    assert counts == []
    # Another name is no other method; another setting is.
    same = replace(plans[1], name="another name")
    other = replace(plans[1], settings=plans[1].settings.replace(tau_flow=0.5))  # type: ignore[union-attr]
    assert runner.missing(runner.entries([same], cases)) == []
    assert len(runner.missing(runner.entries([other], cases))) == 8


def test_an_interrupted_run_keeps_what_was_finished(runner: Runner) -> None:
    entries = runner.entries(protocol().methods, [case()])
    asked: list[int] = []

    def enough() -> bool:
        asked.append(1)
        return len(asked) > 8

    runner.cancelled = enough
    with pytest.raises(Cancelled):
        runner.run(entries)
    missing = runner.missing(entries)
    assert 0 < len(missing) < len(entries)
    runner.cancelled = lambda: False
    runner.run(entries)
    assert runner.missing(entries) == []


def test_a_map_does_not_depend_on_what_it_is_run_with(tmp_path: Path) -> None:
    """Alone or beside other patients, the same noise and the same map to rounding."""
    plan = protocol().methods[1]
    images = []
    for folder, cases in (("a", [case("p0")]), ("b", [case("p1", 1), case("p0")])):
        runner = Runner(SuperResolver(tiny_weights(), "cpu"), Cache(tmp_path / folder))
        runner.run(runner.entries([plan], cases))
        images.append(runner.images(plan, cases[-1], 4.0, "tNAA")[0])
    np.testing.assert_allclose(images[0], images[1], atol=2e-3 * images[0].max())


def test_draws_differ_and_are_shared_between_methods(runner: Runner) -> None:
    one, many = protocol().methods[1:3]
    case_ = case()
    runner.run(runner.entries([one], [case_]))
    assert len(runner.missing(runner.entries([many], [case_]))) == 2 * 2
    runner.run(runner.entries([many], [case_]))
    drawn = runner.images(many, case_, 4.0, "tNAA")
    np.testing.assert_array_equal(drawn[0], runner.images(one, case_, 4.0, "tNAA")[0])
    mask = case_.mask("tNAA")
    assert np.abs(drawn[0] - drawn[1])[mask].mean() > 1e-3
    assert not drawn[:, ~mask].any()


def test_patients_do_not_share_their_noise(runner: Runner) -> None:
    """Or errors of different patients would not be independent."""
    same = study()
    plan = protocol().methods[1]
    cases = [given_case(name, same, protocol()) for name in ("p0", "p1")]
    runner.run(runner.entries([plan], cases))
    one, two = (runner.images(plan, c, 4.0, "tNAA")[0] for c in cases)
    assert np.abs(one - two).mean() > 1e-3


def test_what_is_dropped_is_not_seen(runner: Runner) -> None:
    case_ = case()
    told, blind = runner.conditions(case_, 4.0), runner.conditions(case_, 4.0, ("t1",))
    assert told["tNAA"].channels[2].any()
    assert not blind["tNAA"].channels[2].any()
    assert told["tNAA"].digest != blind["tNAA"].digest
    without = given_case("p0", replace(study(), t1=None), protocol())
    assert without.conditions(4.0, ("tNAA",))["tNAA"].digest == blind["tNAA"].digest


def test_without_a_regression_its_methods_are_left_out(runner: Runner) -> None:
    names = {entry.method.name for entry in runner.entries(protocol().methods, [case()])}
    assert "regression" not in names
    assert "zero-filling" in names


def test_timing_runs_once_and_shares_times_between_temperatures(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    cold = {"name": "cold", "kind": "ftddm", "tau": 0, **FEW}
    plans = protocol([*METHODS, cold]).methods
    counts = spied(runner, monkeypatch)
    found = runner.time(plans, case(), 4.0, ("tNAA", "tCho"))
    assert set(found["seconds"]) == {"zero-filling", "one", "three, 3 samples", "blind", "cold"}
    assert found["seconds"]["one"] == found["seconds"]["cold"] > 0
    assert found["slices"] == 4
    assert len(counts) == 3  # the warm-up, and two different ways to work
    assert runner.time(plans, case(), 4.0, ("tNAA", "tCho")) == found
    assert len(counts) == 3


def test_measuring_needs_what_was_run_and_gives_every_slice(runner: Runner) -> None:
    plans, cases = protocol().methods[:3], [case()]
    with pytest.raises(CheckpointError, match="zero-filling is missing or damaged"):
        measure(runner, plans, cases)
    runner.run(runner.entries(plans, cases))
    found = measure(runner, plans, cases)
    rows = {(row.method, row.upscale, row.metabolite, row.slice_index) for row in found.rows}
    names = ("zero-filling", "one")
    assert rows == {
        (m, s, x, k) for m in names for s in (2, 4) for x in ("tNAA", "tCho") for k in (0, 1)
    } | {(name_of_mean(plans[2]), 4, x, k) for x in ("tNAA", "tCho") for k in (0, 1)}
    assert name_of_mean(plans[2]) == "mean of 3, three"
    assert {row.method for row in found.calibration} == {"three, 3 samples"}
    (ranks,) = found.ranks.values()
    voxels = sum(int(cases[0].mask(name).sum()) for name in ("tNAA", "tCho"))
    assert ranks.sum() == pytest.approx(voxels)
    mean = runner.images(plans[2], cases[0], 4.0, "tNAA").mean(0)
    truth = cases[0].truth("tNAA")
    row = next(r for r in found.rows if r.method == "mean of 3, three" and r.slice_index == 1
               and r.metabolite == "tNAA")  # fmt: skip
    error = np.linalg.norm(mean[..., 1] - truth[..., 1]) / np.linalg.norm(truth[..., 1])
    assert row.values["nrmse"] == pytest.approx(error)
    assert found.contrast == []  # no tumour is marked


# ---------------------------------------------------------------- cases


def test_a_given_study_gives_its_fullest_slices() -> None:
    found = case()
    assert found.study.grid.shape == (*MATRIX, 2)
    assert list(found.study.maps) == ["tNAA", "tCho"]  # the protocol does not name Lac
    np.testing.assert_allclose(found.study.grid.affine[:3, 3], (0, 0, 3.4))
    assert found.noise_free is not None
    np.testing.assert_array_equal(
        found.truth("tNAA", noise_free=True)[found.mask("tNAA")],
        study(100).maps["tNAA"].data[..., 1:][found.mask("tNAA")],
    )


def test_a_tumour_decides_the_slices() -> None:
    tumour = np.zeros((*MATRIX, 3), np.float32)
    tumour[12, 16, 0] = 1
    found = given_case("p", study(), protocol(), tumour=Volume(tumour, AFFINE))
    np.testing.assert_allclose(found.study.grid.affine[:3, 3], (0, 0, 0))
    assert found.tumour is not None
    assert found.tumour[12, 16, 0]


def test_studies_without_a_truth_are_refused_with_words() -> None:
    whole = study()
    small = {n: v.with_data(v.data[:14, :14]) for n, v in whole.maps.items()}
    with pytest.raises(GeometryError, match=r"14x14 samples.*no truth.*measured study"):
        given_case("low", replace(whole, maps=small), protocol())
    with pytest.raises(FormatError, match="there is no mask"):
        given_case("bare", replace(whole, mask=None), protocol())
    with pytest.raises(FormatError, match=r"none of the protocol's maps.*found Lac"):
        given_case("odd", replace(whole, maps={"Lac": whole.maps["Lac"]}), protocol())


def test_the_digest_is_of_the_content() -> None:
    assert case().digest == case().digest
    assert len({case().digest, case("p1").digest, case(seed=1).digest}) == 3
    assert record_of([case(), case("p1")])["patients"] == 2


def test_label_maps_are_found_by_name(tmp_path: Path) -> None:
    choice = {"anatomies": ["b"], "patients": 1, "taus": [0]}
    plan = replace(protocol(), choice=parse(
        {"name": "x", "anatomies": ["a"], "patients": 1, "slices": 1, "patient_seed": 0,
            "matrix": [24, 24], "voxel": 3, "factors": [2], "metabolites": ["tNAA"],
            "method": [METHODS[0]], "choice": choice}).choice)  # fmt: skip
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.nii.gz").write_bytes(b"")
    a, b, c = (tmp_path / f"{name}.nii.gz" for name in "abc")
    assert find_anatomies([tmp_path], plan) == ([a], [b])
    assert find_anatomies([c, b], plan) == ([c], [b])
    b.unlink()
    with pytest.raises(FormatError, match=r"lacks the label map b\.nii\.gz"):
        find_anatomies([tmp_path], plan)
    with pytest.raises(FormatError, match="is missing"):
        find_anatomies([b], plan)


# ---- a measured study, restored on a finer grid than its own


def coarse_study(voxel: float) -> Study:
    rng = np.random.default_rng(4)
    affine = np.diag([voxel, voxel, 10.0, 1.0])
    maps = {"tCr": Volume((3 + rng.random((12, 10, 2))).astype(np.float32), affine, "mM")}
    return Study(maps, mask=Volume(np.ones((12, 10, 2), np.float32), affine))


def test_a_measured_study_is_enlarged_to_the_trained_voxel_and_seen_on_its_own_grid(
    runner: Runner,
) -> None:
    case_ = real_case("mine", coarse_study(10.2), 3.4)
    assert case_.output == (36, 30)
    assert not case_.simulated
    condition = runner.conditions(case_, 2.0)["tCr"]
    assert condition.shape == (36, 30, 2)
    assert condition.acquired == (6, 5)
    plans = [
        replace(m, factors=(2.0,), metabolites=("tCr",))
        for m in protocol().methods
        if m.name == "zero-filling"
    ]
    runner.run(runner.entries(plans, [case_]))
    found = runner.image(runner.entries(plans, [case_])[0])
    assert found.shape == (12, 10, 2)
    masked = np.maximum(condition.lowres, 0) * condition.mask
    expected = np.maximum(truncate(masked, (12, 10)), 0)
    np.testing.assert_allclose(found, expected, rtol=1e-3)  # kept as float16


def test_a_measured_study_of_small_voxels_keeps_its_own_grid() -> None:
    case_ = real_case("mine", coarse_study(3.4), 3.4)
    assert case_.output is None
    image = np.ones((12, 10, 2), np.float32)
    assert case_.seen(image, "tCr") is image


# ---- coarse scans instead of truncated maps


def test_methods_of_a_scanned_case_get_the_scan(runner: Runner) -> None:
    truncated = case()
    low = degrade(truncated.study, 4.0)
    louder = {name: volume.with_data(2 * volume.data) for name, volume in low.maps.items()}
    scans = {4.0: replace(low, maps=louder)}
    anew = scanned(replace(truncated, scans=scans))
    assert anew.name != truncated.name
    one = runner.conditions(truncated, 4.0)["tNAA"]
    two, blind = (runner.conditions(anew, 4.0, drop)["tNAA"] for drop in ((), ("t1",)))
    np.testing.assert_allclose(two.lowres, 2 * one.lowres, rtol=1e-5)
    assert two.channels[2].any()
    assert not blind.channels[2].any()
    np.testing.assert_array_equal(anew.truth("tNAA"), truncated.truth("tNAA"))
