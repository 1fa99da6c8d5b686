"""Sweeps of a session: which points there are, their figures, and who gives way to whom."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sessions import PATIENCE, Brake, Recorder, done
from tiny import Ftddm, checkable_study, fine_study

from ftddm_core.errors import SettingsError
from ftddm_core.evaluation.metrics import gradient, nrmse, psnr, psnr_in_mask, sharpness
from ftddm_core.imaging.volume import finite_or_zero
from ftddm_core.sampling.batch import _Batch
from ftddm_core.sampling.recall import Recall
from ftddm_core.sampling.self_check import MRI_WEIGHTS, check_study
from ftddm_core.sampling.trial import Trial
from ftddm_viewer.drawing.trade_off import draw_trade_off, point_at, position, trade_off_figure
from ftddm_viewer.session.exploration import Exploration, table_of
from ftddm_viewer.session.exploring import Explorer, sweep_of
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.state import Activity

GRID = {"tau_flow": (0.0, 0.5, 1.0), "tau_diffusion": (0.0, 1.0)}


@pytest.fixture
def quiet(model: Model, study: Path) -> Any:
    """Return a session on a degraded study that is not checked by itself."""
    session = Session(model, checks_itself=False)
    session.show(fine_study(study))
    session.update(steps=2, upscale=2.0)
    done(session)
    session.choose(mode="restore")
    done(session)
    yield session
    assert session.close(PATIENCE)


def explored(session: Session, values: Any = None, **options: Any) -> Exploration:
    session.explore(GRID if values is None else values, **options)
    found = done(session).exploration
    assert found is not None
    assert found.problem == ""
    return found


# ---------------------------------------------------------------- which points


def test_every_combination_is_a_point_and_the_corners_come_first(quiet: Session) -> None:
    found = explored(quiet)
    at = [(p.settings.tau_flow, p.settings.tau_diffusion) for p in found.points]
    assert sorted(at) == sorted(product(*GRID.values()))
    assert set(at[:4]) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert [p.settings for p in found.corners] == list(found.sweep.corners)
    assert not found.running
    assert found.progress == 1


def test_a_temperature_without_effect_makes_no_points(quiet: Session) -> None:
    found = explored(quiet, {"tau_diffusion": (0, 0.25, 1), "t_trunc": (0, 1, 50)})
    at = [(p.settings.t_trunc, p.settings.tau_diffusion, p.settings.steps) for p in found.points]
    usual = quiet.state.settings.tau_diffusion
    assert sum(t == 0 for t, _, _ in at) == 1
    assert (0, usual, None) in at
    assert (1, 0.25, 1) in at  # the steps follow T_trunc, as they do for the sliders
    assert (50, 0.25, 2) in at
    assert len(at) == 7


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "nothing to sweep"),
        ({"tau_flow": ()}, "nothing to sweep"),
        ({"seed": (1, 2)}, "seed cannot be swept"),
        ({"tau_flow": (0, 2)}, "tau_flow"),
        ({"tau_flow": np.linspace(0, 1, 30), "detail": np.linspace(0, 1, 30)}, "900 points"),
        ({"detail": (None, 1)}, "takes numbers"),
    ],
)
def test_an_impossible_sweep_is_refused(quiet: Session, values: Any, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        quiet.explore({name: tuple(found) for name, found in values.items()})
    assert quiet.state.exploration is None


def test_a_region_must_fit_and_hold_a_trusted_voxel(quiet: Session) -> None:
    mask = _mask(quiet)
    with pytest.raises(SettingsError, match="no trusted voxel"):
        quiet.explore(GRID, region=~mask)
    with pytest.raises(SettingsError, match="matrix"):
        quiet.explore(GRID, region=mask[1:])


# ---------------------------------------------------------------- what a point is


def _mask(session: Session) -> Any:
    state = session.state
    assert state.view is not None
    return state.view.prepared.conditions[state.metabolite].mask[..., state.slice_index] > 0


@pytest.mark.parametrize("mode", ["restore", "enlarge"])
def test_a_point_is_the_live_image_at_its_settings(quiet: Session, mode: str) -> None:
    quiet.choose(mode=mode)
    done(quiet)
    found = explored(quiet, {**GRID, "t_trunc": (0, 100), "mri_weight": (0.0, 0.5)})
    for point in found.points[::3]:
        quiet._recall.about()  # the live image is computed from the start
        quiet.update(seed=1)
        done(quiet)
        quiet._recall.about()
        quiet.update(seed=0, **found.sweep.changes(point.settings))
        state = done(quiet)
        assert state.settings == point.settings
        assert state.view is not None
        assert state.image is not None
        live = state.image.shown(state.view.detail(state.metabolite))
        scale = state.view.prepared.conditions[state.metabolite].scale
        np.testing.assert_allclose(point.image[_mask(quiet)], live[_mask(quiet)], atol=1e-5 * scale)


def test_points_share_flow_and_first_step(quiet: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three flow temperatures and two of the steps: 3 starts and 3 first steps, not 6 of each."""
    made: list[str] = []

    def counted(name: str, original: Callable[..., Any]) -> None:
        def call(*args: Any) -> Any:
            made.extend([name] * len(args[-1]))  # the items
            return original(*args)

        monkeypatch.setattr(_Batch, name, call)

    quiet._recall.about()
    counted("_start", _Batch._start)
    counted("_denoise", _Batch._denoise)
    explored(quiet)
    # The sliders stand at a seventh image, which is drawn by itself.
    assert made.count("_start") == 3 + 1
    assert made.count("_denoise") == (3 + 6) + 2


def test_figures_with_a_reference(quiet: Session) -> None:
    found = explored(quiet)
    state, mask = quiet.state, _mask(quiet)
    assert state.view is not None
    assert state.case is not None
    condition = state.view.prepared.conditions[state.metabolite]
    truth = finite_or_zero(state.case.study.maps[state.metabolite].data[..., state.slice_index])
    truth = truth * mask
    for point in found.points:
        image = np.where(mask, point.image, 0)
        assert point.figures["psnr"] == pytest.approx(psnr(image, truth, mask, condition.acquired))
        assert point.figures["nrmse"] == pytest.approx(nrmse(image, truth, mask, (1, 1)))
        assert point.figures["sharpness"] == pytest.approx(
            sharpness(image, truth, mask, condition.acquired), nan_ok=True
        )
        assert point.figures["residual"] >= 0
    region = np.zeros_like(mask)
    region[tuple(np.argwhere(mask)[:9].T)] = True
    for point in explored(quiet, region=region).points:
        image = np.where(mask, point.image, 0)
        expected = psnr_in_mask(image, truth, region, condition.acquired)
        assert point.figures["psnr"] == pytest.approx(expected)
        error = np.linalg.norm((image - truth)[region]) / np.linalg.norm(truth[region])
        assert point.figures["nrmse"] == pytest.approx(error)


def test_figures_without_a_reference(model: Model, tmp_path: Path) -> None:
    session = Session(model, checks_itself=False)
    session.open(checkable_study(tmp_path / "s"))
    session.update(steps=2, upscale=2.0, samples=3)
    done(session)
    found = explored(session, {"tau_diffusion": (0.0, 1.0), "detail": (0.0, 1.0)})
    state, mask = session.state, _mask(session)
    assert state.view is not None
    prepared, k = state.view.prepared, state.slice_index
    plain = prepared.conditions[state.metabolite].lowres[..., k] * mask
    trial = Trial(model.load(), prepared.acquired, state.metabolite, k)
    for point in found.points:
        figures = point.figures
        image = np.where(mask, point.image, 0)
        assert figures["sharpness"] == pytest.approx(gradient(image, plain, mask), rel=0.2)
        expected = trial.gains([point.exact])[0]
        assert figures["gain"] == pytest.approx(expected, abs=1e-4)
        assert (figures["spread"] > 0) == (point.settings.detail == 1)
    assert session.close(PATIENCE)


def test_a_trial_of_the_check_s_own_settings_is_the_check(model: Model, tmp_path: Path) -> None:
    """On a study of a single slice, both compare the same voxels."""
    from ftddm_core.imaging.io import open_study
    from ftddm_core.sampling.self_check import FIXED

    study = open_study(checkable_study(tmp_path / "s")).slab(1, 2)
    check = check_study(model.load(), study)
    trial = Trial(model.load(), study, "tNAA", 0)
    for weight in MRI_WEIGHTS[: len(check.gains)]:
        gain = trial.gains([FIXED.replace(mri_weight=weight)])[0]
        assert gain == pytest.approx(check.gains[weight]["tNAA"], abs=1e-4)


def test_a_study_that_cannot_be_halved_says_so(model: Model, study: Path) -> None:
    session = Session(model, checks_itself=False)
    session.open(study)
    session.update(steps=1, upscale=2.0)
    done(session)
    found = explored(session)
    assert all(np.isnan(point.figures["gain"]) for point in found.points)
    assert "too small to be halved" in found.note
    assert session.close(PATIENCE)


# ---------------------------------------------------------------- with the rest of a session


def test_a_moved_slider_comes_first_and_the_sweep_goes_on(
    quiet: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    brake = Brake(monkeypatch, images=0, of="sweep")
    quiet.explore(GRID)
    assert brake.holding.wait(PATIENCE)  # the first image of the sweep is under way
    recorder = Recorder(quiet)
    quiet.update(seed=7)
    brake.released.set()
    state = done(quiet)
    assert state.up_to_date
    assert state.exploration is not None
    assert len(state.exploration.points) == 6
    live = next(i for i, s in enumerate(recorder.states) if s.up_to_date)
    first = next(i for i, s in enumerate(recorder.states) if s.exploration and s.exploration.points)
    assert live < first
    assert {point.settings.seed for point in state.exploration.points} == {0}


def test_the_mark_follows_the_sliders_even_without_live_images(quiet: Session) -> None:
    found = explored(quiet)
    assert found.here is not None
    assert found.here.settings == quiet.state.settings
    quiet.choose(live=False)
    quiet.update(tau_flow=0.0, tau_diffusion=1.0)
    state = done(quiet)
    assert not state.up_to_date
    assert state.exploration is not None
    assert state.exploration.here is not None
    assert state.exploration.here.settings == state.settings
    own = next(p for p in found.points if p.settings == state.settings)
    assert state.exploration.here.figures == pytest.approx(own.figures, rel=1e-5, nan_ok=True)


def test_a_stopped_sweep_keeps_its_points(quiet: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    brake = Brake(monkeypatch, images=0, of="sweep")
    quiet.explore(GRID)
    assert brake.holding.wait(PATIENCE)
    quiet.stop_exploring()
    brake.released.set()
    found = done(quiet).exploration
    assert found is not None
    assert not found.running
    assert len(found.points) < 6
    assert quiet.state.activity is Activity.IDLE


def test_another_study_ends_the_exploration(quiet: Session, study: Path) -> None:
    explored(quiet)
    quiet.show(fine_study(study))
    assert done(quiet).exploration is None


def test_several_factors_keep_the_weights(quiet: Session) -> None:
    found = explored(quiet, {"upscale": (2.0, 3.0)})
    assert {p.exact.upscale for p in found.points} == {2.0, 3.0}
    assert all(p.settings.detail == 1 and p.settings.mri_weight == 1 for p in found.points)
    changes = found.sweep.changes(found.points[1].settings)
    assert set(changes) == {"upscale", "mri_weight", "detail"}


# ---------------------------------------------------------------- drawn and written


def test_the_table_has_a_line_for_every_point(quiet: Session) -> None:
    found = explored(quiet)
    head, *lines = csv.reader(table_of(found).splitlines())
    assert len(set(head)) == len(head)
    rows = [dict(zip(head, line, strict=True)) for line in lines]
    assert [(r["tau_flow"], r["tau_diffusion"]) for r in rows[:2]] == [("0", "0"), ("0", "1")]
    by = {p.settings: p for p in found.points}
    first = by[found.sweep.points[0]]
    assert float(rows[0]["psnr"]) == pytest.approx(first.figures["psnr"], rel=1e-6)
    assert rows[0]["mri_weight"] == "1"  # what was used, not that it was automatic


def test_a_click_finds_the_nearest_point(quiet: Session) -> None:
    found = explored(quiet)
    figures = [
        {**p.figures, "sharpness": i / 5, "psnr": 20.0 + i} for i, p in enumerate(found.points)
    ]
    points = tuple(replace(p, figures=f) for p, f in zip(found.points, figures, strict=True))
    found = replace(found, points=points)
    figure = trade_off_figure(found)
    axes = draw_trade_off(figure, found)
    figure.canvas.draw()
    for point in points:
        x, y = axes.transData.transform(position(point, "psnr"))
        assert point_at(axes, found, "psnr", x + 3, y - 3) is point
    assert point_at(axes, found, "psnr", x + 40, y) is not points[-1]
    words = [text.get_text() for text in figure.findobj(lambda o: hasattr(o, "get_text"))]
    assert any("Research use only" in each for each in words)


def test_the_command_writes_what_the_explorer_finds(
    tmp_path: Path, weights: Path, model: Model, ftddm: Ftddm
) -> None:
    study = checkable_study(tmp_path / "s")
    outcome = ftddm(
        "sweep", study, "--weights", weights, "--csv", tmp_path / "out" / "t.csv", "--png",
        tmp_path / "t.png", "--vary", "tau_flow=0,1", "--vary", "detail=0,1", "--steps", 2,
        "--mri-weight", 1, "--slice", 1, "--upscale", 2, "--device", "cpu",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "slice 2 of 2 (index 1)" in outcome.out
    assert (tmp_path / "t.png").read_bytes()[:4] == b"\x89PNG"
    session = Session(model, checks_itself=False)
    session.open(study)
    done(session)
    session.update(steps=2, upscale=2.0, mri_weight=1.0)
    session.choose(slice_index=1)
    state = done(session)
    values = {"tau_flow": (0.0, 1.0), "detail": (0.0, 1.0)}
    explorer = Explorer(sweep_of(state, session._wanted, values), Recall())
    rows = list(csv.DictReader((tmp_path / "out" / "t.csv").read_text().splitlines()))
    assert len(rows) == 4
    for row in rows:
        at = {name: float(row[name]) for name in values}
        (point,) = explorer.points(model.load(), [state.settings.replace(**at)], None)
        assert float(row["gain"]) == pytest.approx(point.figures["gain"], abs=1e-4)
        assert float(row["sharpness"]) == pytest.approx(point.figures["sharpness"], rel=1e-4)
    assert session.close(PATIENCE)


def test_the_command_names_what_is_wrong(tmp_path: Path, ftddm: Ftddm) -> None:
    outcome = ftddm("sweep", "--vary", "tau_flow=0")
    assert (outcome.code, "need --csv or --png" in outcome.err) == (2, True)


def test_a_small_figure_has_room_for_its_points(quiet: Session) -> None:
    """No warning of a layout that does not fit, whatever the size of the dock."""
    found = explored(quiet, {"tau_flow": (0, 1), "tau_diffusion": (0, 1), "t_trunc": (50, 100)})
    figure = trade_off_figure(found)
    for size in product((2.0, 4.2, 9.0), (1.0, 1.8, 4.0)):
        figure.set_size_inches(*size)
        axes = draw_trade_off(figure, found)
        figure.canvas.draw()
        box = axes.get_window_extent()
        assert min(box.width, box.height) > 20, size


def test_the_ring_lies_within_the_axes_wherever_the_sliders_are(quiet: Session) -> None:
    """Far from the points, beside which a baseline far below has no place."""
    found = explored(quiet, {"tau_flow": (0.0, 1.0)})
    assert found.here is not None
    far = {**found.here.figures, "psnr": 7.0}
    axes = draw_trade_off(
        trade_off_figure(found), replace(found, here=replace(found.here, figures=far))
    )
    low, high = axes.get_ylim()
    assert low < 7.0 < high
