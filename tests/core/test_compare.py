"""The comparison on a tiny study with methods whose metrics are known beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ftddm_core.errors import Cancelled, FormatError, GeometryError, SettingsError
from ftddm_core.evaluation.compare import (
    baseline_methods,
    compare,
    ftddm_method,
    sharpness_sweep,
    slice_metrics,
)
from ftddm_core.evaluation.metrics import METRICS
from ftddm_core.evaluation.tables import Row, metrics_over, summarise, to_markdown
from ftddm_core.imaging.degrade import coarse_matrix
from ftddm_core.imaging.fourier import Matrix, low_pass
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.settings import SamplerSettings

AFFINE = np.diag([3.4, 3.4, 5.0, 1.0])
MATRIX = (24, 20)
Maps = Mapping[str, Volume]


def disc() -> NDArray[np.float32]:
    """Slices with many, 19 and 20 trusted voxels."""
    x, y = np.ogrid[:24, :20]
    mask = np.zeros((*MATRIX, 3), np.float32)
    mask[..., 0] = (x - 12) ** 2 + (y - 10) ** 2 < 64
    for k, count in ((1, 19), (2, 20)):
        mask[8:13, 8:12, k] = np.reshape(np.arange(20) < count, (5, 4))
    return mask


@pytest.fixture
def study() -> Study:
    rng = np.random.default_rng(0)
    maps = {
        name: Volume(level + rng.standard_normal((*MATRIX, 3)), AFFINE, "mM")
        for name, level in (("tNAA", 9.0), ("tCho", 4.0))
    }
    maps["tCho"].data[0, 0, 0] = np.nan  # outside the mask
    return Study(maps, mask=Volume(disc(), AFFINE))


def inside(study: Study) -> dict[str, Volume]:
    mask = disc() > 0
    return {n: v.with_data(np.where(mask, v.data, 0)) for n, v in study.maps.items()}


def zeros(low: Study, matrix: Matrix, upscale: float) -> Maps:
    shape = (*matrix, low.grid.shape[2])
    return {name: Volume(np.zeros(shape), AFFINE) for name in low.maps}


def test_the_truth_is_perfect_and_nothing_is_a_full_error(study: Study) -> None:
    truth = inside(study)
    rows = compare(study, (2, 3.5), {"truth": lambda *_: truth, "zero": zeros}, case="one")
    values = {(row.method, key): row.values[key] for row in rows for key in METRICS}
    assert values["truth", "nrmse"] == 0
    assert values["truth", "ssim"] == pytest.approx(1)
    assert values["truth", "psnr"] == np.inf
    assert values["zero", "nrmse"] == 1
    sharp = [row.values["sharpness"] for row in rows if row.slice_index == 0]
    assert sharp == pytest.approx(
        [float(row.method == "truth") for row in rows if row.slice_index == 0]
    )
    assert {row.case for row in rows} == {"one"}


def test_every_slice_with_twenty_trusted_voxels_is_measured_once(study: Study) -> None:
    rows = compare(study, (2, 4), {"a": zeros, "b": zeros})
    keys = [(row.upscale, row.method, row.metabolite, row.slice_index) for row in rows]
    assert keys == [
        (s, m, name, k) for s in (2, 4) for m in "ab" for name in ("tNAA", "tCho") for k in (0, 2)
    ]


def test_methods_see_the_degraded_study_alone(study: Study) -> None:
    seen: list[tuple[Study, Matrix, float]] = []

    def spy(low: Study, matrix: Matrix, upscale: float) -> Maps:
        seen.append((low, matrix, upscale))
        return zeros(low, matrix, upscale)

    compare(study, (2, 3.5), {"spy": spy})
    assert [(low.grid.shape, matrix, s) for low, matrix, s in seen] == [
        ((12, 10, 3), MATRIX, 2),
        ((7, 6, 3), MATRIX, 3.5),
    ]
    assert all(np.isfinite(low.maps["tCho"].data).all() for low, *_ in seen)


def test_baselines_beat_nothing_and_zero_filling_adds_no_detail_of_its_own(study: Study) -> None:
    whole = replace(study, mask=Volume(np.ones((*MATRIX, 3)), AFFINE))
    finite = replace(
        whole, maps={n: v.with_data(np.nan_to_num(v.data, nan=4)) for n, v in whole.maps.items()}
    )
    rows = compare(finite, (2.2,), baseline_methods() | {"zero": zeros})
    means = {line["method"]: line for line in summarise(rows)}
    assert means["zero-filling"]["nrmse"] < 0.3 < means["zero"]["nrmse"]
    assert means["bicubic"]["nrmse"] < 0.3
    # 11 x 9 samples, odd both ways: every one of them lies within the box.
    assert means["zero-filling"]["sharpness"] == pytest.approx(0, abs=1e-9)
    assert means["bicubic"]["sharpness"] > 1e-3


def test_a_noise_free_truth_adds_its_own_sharpness(study: Study) -> None:
    smooth = {name: v.with_data(v.data / 2) for name, v in inside(study).items()}
    rows = compare(
        study, (2,), {"truth": lambda *_: inside(study)}, noise_free=Study(smooth, mask=study.mask)
    )
    found = [row.values["sharpness_noise_free"] for row in rows if row.slice_index == 0]
    assert found == pytest.approx([4, 4])


def test_progress_goes_to_one_and_time_is_shared_out(study: Study) -> None:
    told: list[float] = []
    rows = compare(study, (2, 4), {"a": zeros, "b": zeros}, progress=told.append)
    assert told == [0.25, 0.5, 0.75, 1]
    assert len({row.seconds for row in rows if (row.method, row.upscale) == ("a", 2)}) == 1
    assert all(row.seconds > 0 for row in rows)


def test_it_stops_when_asked(study: Study) -> None:
    calls: list[float] = []

    def count(low: Study, matrix: Matrix, upscale: float) -> Maps:
        calls.append(upscale)
        return zeros(low, matrix, upscale)

    with pytest.raises(Cancelled):
        compare(study, (2, 3, 4), {"m": count}, cancelled=lambda: len(calls) == 2)
    assert calls == [2, 3]


def test_errors_name_the_method_and_the_metabolite(study: Study) -> None:
    truth = inside(study)
    with pytest.raises(FormatError, match=r"half: no map of tCho; there are tNAA"):
        compare(study, (2,), {"half": lambda *_: {"tNAA": truth["tNAA"]}})
    low = {n: v.with_data(v.data[::2, ::2]) for n, v in truth.items()}
    with pytest.raises(GeometryError, match=r"lazy: tNAA has matrix \(12, 10, 3\)"):
        compare(study, (2,), {"lazy": lambda *_: low})
    with pytest.raises(FormatError, match="noise-free study: no map of tCho"):
        compare(study, (2,), {"a": zeros}, noise_free=Study({"tNAA": truth["tNAA"]}))
    with pytest.raises(GeometryError, match="no mask"):
        compare(replace(study, mask=None), (2,), {"a": zeros})


class FakeResolver:
    """Returns the truth's box plus a share of its detail: tau of the temperature that matters."""

    def __init__(self, study: Study) -> None:
        self.truth = inside(study)
        self.calls: list[SamplerSettings] = []

    def run(self, study: Study, settings: SamplerSettings, *, matrix: Matrix, **_: Any) -> Any:
        assert matrix == MATRIX
        assert settings.upscale is not None
        self.calls.append(settings)
        flow_alone = settings.t_trunc == 0
        gain = settings.tau_flow if flow_alone else settings.tau_diffusion
        acquired = coarse_matrix(matrix, settings.upscale)
        assert study.grid.shape[:2] == acquired
        maps = {}
        for name, volume in self.truth.items():
            smooth = low_pass(volume.data, acquired)
            maps[name] = volume.with_data(smooth + gain * (volume.data - smooth))
        return SimpleNamespace(maps=maps)


def test_the_method_itself_runs_with_the_settings_given(study: Study) -> None:
    fake: Any = FakeResolver(study)
    settings = SamplerSettings(tau_diffusion=0.5, seed=7)
    rows = compare(study, (2, 4), {"ftddm": ftddm_method(fake, settings)})
    assert fake.calls == [settings.replace(upscale=2), settings.replace(upscale=4)]
    assert [row.values["sharpness"] for row in rows if row.slice_index == 0] == pytest.approx(
        [0.25] * 4
    )


def test_the_sweep_varies_one_temperature_at_a_time(study: Study) -> None:
    fake: Any = FakeResolver(study)
    settings = SamplerSettings(tau_flow=0.7, tau_diffusion=0.6, steps=10, seed=3)
    told: list[float] = []
    table = sharpness_sweep(study, 4, fake, settings, noise_free=study, progress=told.append)
    assert [(c.t_trunc, c.steps, c.tau_flow, c.tau_diffusion, c.seed) for c in fake.calls] == [
        *((0, None, tau, 0.6, 3) for tau in (0, 0.5, 1)),
        *((100, 10, 0.7, tau, 3) for tau in (0, 0.5, 1)),
        *((100, 10, tau, tau, 3) for tau in (0, 0.5, 1)),
    ]
    assert {(c.mri_weight, c.detail) for c in fake.calls} == {(1, 1)}
    names = ("tau_flow", "tau_diffusion", "both")
    assert [line["varied"] for line in table] == [name for name in names for _ in range(3)]
    assert [line["t_trunc"] for line in table] == [0] * 3 + [100] * 6
    for line in table:
        assert line["sharpness"] == pytest.approx(line["tau"] ** 2, abs=1e-12)
        assert set(line) == {
            "varied", "t_trunc", "tau", "sharpness", "sharpness_noise_free", "psnr"
        }  # fmt: skip
    assert table[0]["psnr"] < table[1]["psnr"] < table[2]["psnr"]
    assert told[-1] == 1


def test_an_impossible_temperature_is_refused_before_any_work(study: Study) -> None:
    fake: Any = FakeResolver(study)
    with pytest.raises(SettingsError):
        sharpness_sweep(study, 4, fake, SamplerSettings(), taus=(0, 2))
    assert fake.calls == []


ROWS = [
    Row("a", "m", 2.0, "tNAA", 0, {"psnr": 20.0, "sharpness": np.nan}, 0.1),
    Row("a", "m", 2.0, "tCho", 0, {"psnr": 30.0, "sharpness": 0.5}, 0.3),
    Row("a", "n", 2.0, "tNAA", 0, {"psnr": np.inf, "sharpness": np.nan}, 0.2),
]


def test_a_summary_is_the_mean_of_what_is_defined() -> None:
    first, second = summarise(ROWS)
    assert first == {
        "method": "m",
        "upscale": 2.0,
        "slices": 2,
        "psnr": 25.0,
        "sharpness": 0.5,
        "seconds": pytest.approx(0.2),
    }
    assert second["psnr"] == np.inf
    assert np.isnan(second["sharpness"])
    by_metabolite = summarise(ROWS, by=("metabolite",))
    assert [(line["metabolite"], line["slices"]) for line in by_metabolite] == [
        ("tNAA", 2),
        ("tCho", 1),
    ]
    assert summarise([]) == []


def test_sharpness_is_a_ratio_of_sums() -> None:
    """A perfect sampler draws its own noise level: its mean ratio is not 1, the pooled one is.

    Detail of energy a^2 for a uniform in 0.5..1.25: E[a^2] E[1 / b^2] = 0.8125 * 1.6 = 1.3.
    """
    rng = np.random.default_rng(0)
    mask = np.ones(MATRIX, bool)
    values = []
    for _ in range(400):
        level = rng.uniform(0.5, 1.25, 2)
        output, truth = (9 + a * rng.standard_normal(MATRIX) for a in level)
        values.append(slice_metrics(output, truth, mask, (6, 5)))
    rows = [Row("a", "m", 4.0, "tNAA", k, metrics, 0.1) for k, metrics in enumerate(values)]
    (line,) = summarise(rows)
    assert line["sharpness"] == pytest.approx(1, abs=0.08)
    assert np.mean([metrics["sharpness"] for metrics in values]) > 1.2


def test_a_noise_free_truth_without_detail_has_no_sharpness() -> None:
    truth = 9 + np.random.default_rng(0).standard_normal(MATRIX)
    found = slice_metrics(truth, truth, np.ones(MATRIX, bool), (6, 5), low_pass(truth, (6, 5)))
    assert np.isnan(found["sharpness_noise_free"])
    assert found["sharpness"] == 1


def test_pooled_metrics_by_hand() -> None:
    values = [
        {"sharpness": 2.0, "detail": 4.0, "detail_truth": 2.0, "detail_noise_free": 1.0},
        {"sharpness": np.nan, "detail": 2.0, "detail_truth": 0.0, "detail_noise_free": np.nan},
        {"sharpness": np.nan, "detail": np.nan, "detail_truth": np.nan, "detail_noise_free": 5.0},
        {"sharpness": 0.5, "detail": 1.0, "detail_truth": 2.0, "detail_noise_free": 0.0},
    ]
    assert metrics_over(values) == {"sharpness": 7 / 4, "sharpness_noise_free": 5.0}
    assert np.isnan(metrics_over(values[1:2])["sharpness"])
    assert metrics_over([{"sharpness": 2.0}, {"sharpness": 1.0}]) == {"sharpness": 1.5}


def test_rows_carry_the_parts_and_tables_do_not(study: Study) -> None:
    methods = {"truth": lambda *_: inside(study)}
    rows = compare(study, (2,), methods, noise_free=study)
    for row in rows:
        assert row.values["detail"] == pytest.approx(row.values["detail_truth"], nan_ok=True)
        assert row.values["detail"] == pytest.approx(row.values["detail_noise_free"], nan_ok=True)
    each = [{"method": row.method, **row.values} for row in rows]
    for table in (summarise(rows), each):
        assert "detail" not in to_markdown(table)
        assert "Sharpness" in to_markdown(table)


def test_tables_as_text() -> None:
    table = summarise(ROWS)
    assert to_markdown(table).splitlines() == [
        "| method | upscale | slices | PSNR (dB) ↑ | Sharpness → 1 | seconds per slice |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| m | 2 | 2 | 25 | 0.5 | 0.2 |",
        "| n | 2 | 1 | inf | – | 0.2 |",
    ]
    assert to_markdown([]) == ""
