"""Derived layers: their values by hand, their words, and what makes and keeps them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sessions import Brake, done

from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.sampling.result import Start
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_core.settings import SamplerSettings
from ftddm_viewer.session.case import Case, Mode, prepare
from ftddm_viewer.session.derived import FADED, unavailable
from ftddm_viewer.session.display import Display
from ftddm_viewer.session.scene import resolve
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.state import SliceImage, State, View

ALL = frozenset({"difference", "detail", "flow", "estimate"})
SHAPE = (12, 10, 2)


def study_of(crlb: float | None = None) -> Study:
    """Return two maps on a grid whose first axis points to the left of the patient."""
    affine = np.diag([-8.0, 8.0, 12.0, 1.0])
    volume = Volume(np.random.default_rng(5).uniform(1, 2, SHAPE), affine, "mM")
    mask = np.ones(SHAPE)
    mask[:2] = 0
    study = Study({"tNAA": volume, "tCho": volume.with_data(volume.data / 4)})
    study = replace(study, mask=volume.with_data(mask))
    if crlb is None:
        return study
    return replace(study, crlb={"tNAA": volume.with_data(np.full(SHAPE, crlb))})


def state_of(mode: Mode = Mode.ENLARGE, crlb: float | None = None, **settings: Any) -> State:
    """Return a state that shows slice 1 of tNAA: x is 3 where z is 1, but 5 in one corner."""
    asked = SamplerSettings(upscale=2, steps=10, detail=0.5).replace(**settings)
    view = View(prepare(Case.of(study_of(crlb), "patient"), mode, 2), asked)
    x = np.full(view.prepared.conditions["tNAA"].shape[:2], 3, np.float32)
    z = np.ones_like(x)
    x[4, 1] = 5
    start = Start(x - 7, x + 1)
    view = view.adding({("tNAA", 1): SliceImage(x, z, final=True, start=start)})
    return State(
        mode=mode,
        settings=asked,
        metabolite="tNAA",
        slice_index=1,
        view=view,
        display=Display(layers=ALL),  # type: ignore[arg-type]
    )


def values(state: State, role: Any) -> np.ndarray:
    """Return a layer on the study's own grid, slice 1."""
    spec = resolve(state).layer(role)
    assert spec is not None
    assert state.case is not None
    return np.asarray(state.case.frame.restore(spec.volume).data[..., 1])


def test_nothing_derived_is_made_unless_it_is_asked_for() -> None:
    state = replace(state_of(), display=Display())
    assert [layer.role for layer in resolve(state).layers] == ["input", "output"]
    some = replace(state, display=Display(layers=frozenset({"detail"})))
    assert [layer.role for layer in resolve(some).layers] == ["input", "output", "detail"]


def test_the_drawn_detail_is_the_output_without_what_the_measurement_says() -> None:
    """x = 3 or 5, z = 1, half of the detail: output 2 or 3, so 1 or 2 of it were drawn."""
    state = state_of()
    found = values(state, "detail")
    mask = state.view.prepared.conditions["tNAA"].mask[..., 1]  # type: ignore[union-attr]
    assert np.array_equal(np.isnan(found), ~mask)
    wanted = np.ones_like(found)
    wanted[4, 1] = 2
    np.testing.assert_allclose(found[mask], wanted[mask])
    all_of_it = replace(state, settings=state.settings.replace(detail=1.0)).aligned()
    np.testing.assert_allclose(values(all_of_it, "detail")[mask], 2 * wanted[mask])


def test_the_difference_is_against_the_input_where_there_is_no_reference() -> None:
    state = state_of()
    view = state.view
    assert view is not None
    condition = view.prepared.conditions["tNAA"]
    output = np.full(condition.shape[:2], 2.0)
    output[4, 1] = 3
    mask = condition.mask[..., 1]
    wanted = (output - condition.lowres[..., 1])[mask]
    np.testing.assert_allclose(values(state, "difference")[mask], wanted, atol=1e-6)
    words = resolve(state).caption("difference")
    assert words.startswith("DIFFERENCE, output − input, in mM; ")


def test_the_difference_is_against_the_reference_where_there_is_one() -> None:
    state = state_of(Mode.RESTORE)
    truth = study_of().maps["tNAA"].data[..., 1]
    found, mask = values(state, "difference"), np.ones(SHAPE[:2], bool)
    mask[:2] = False
    assert np.array_equal(np.isnan(found), ~mask)
    output = np.full(SHAPE[:2], 2.0)
    output[4, 1] = 3
    np.testing.assert_allclose(found[mask], (output - truth)[mask], atol=1e-6)
    words = resolve(state).caption("difference")
    assert words.startswith("DIFFERENCE, output − reference, in mM; ")


def test_signed_layers_have_a_diverging_map_symmetric_about_zero() -> None:
    scene = resolve(state_of())
    top = scene.layer("output").limits[1]  # type: ignore[union-attr]
    for role in ("difference", "detail"):
        spec = scene.layer(role)  # type: ignore[arg-type]
        assert spec is not None
        assert spec.limits == (-0.25 * top, 0.25 * top)
        assert spec.colormap == "coolwarm"
        assert not spec.linked


def test_the_images_at_t_trunc_are_shown_as_they_were_handed_out() -> None:
    state = state_of()
    mask = state.view.prepared.conditions["tNAA"].mask[..., 1]  # type: ignore[union-attr]
    flow, estimate = values(state, "flow"), values(state, "estimate")
    assert flow[mask].min() == -4
    assert flow[4, 1] == -2  # noise may be negative: it is not clipped
    assert estimate[4, 1] == 6
    assert np.isnan(flow[~mask]).all()


def test_every_derived_layer_says_that_it_is_no_map() -> None:
    scene = resolve(state_of(samples=4))
    for role, start in {
        "difference": "DIFFERENCE, output − input",
        "detail": "DRAWN DETAIL, output − measurement alone",
        "flow": "FLOW'S IMAGE at T_trunc 100 of sample 1 of 4, where the denoising starts, not a",
        "estimate": "FIRST ESTIMATE at T_trunc 100 of sample 1 of 4, where",
    }.items():
        words = scene.caption(role)  # type: ignore[arg-type]
        assert words.startswith(start)
        assert "AI-generated" in words
        assert "seed 0" in words
        assert words.endswith(f"{RESEARCH_ONLY}.")
    noise = resolve(state_of(t_trunc=1000)).caption("flow")
    assert noise.startswith("NOISE at T_trunc 1000")  # the flow is not used there
    names = [layer.name for layer in scene.layers]
    assert "Flow tNAA at T_trunc 100" in names
    assert "Difference tNAA (output − input)" in names


def test_an_empty_slice_says_that_it_is_empty() -> None:
    empty = resolve(replace(state_of(), slice_index=0))
    for role in ALL:
        words = empty.caption(role)  # type: ignore[arg-type]
        assert words.endswith(f"not computed for this slice. {RESEARCH_ONLY}.")
        assert "AI-generated" not in words
    state = state_of()
    assert state.view is not None
    bare = SliceImage(*2 * [np.ones((24, 20), np.float32)], final=True)
    without = View(state.view.prepared, state.settings).adding({("tNAA", 1): bare})
    scene = resolve(replace(state, view=without))
    assert "not computed for this slice" in scene.caption("flow")
    assert "AI-generated" in scene.caption("detail")


def test_what_did_not_change_is_the_same_object() -> None:
    state = state_of(crlb=30.0)
    before, after = resolve(state), resolve(replace(state, progress=0.5))
    assert len(before.layers) == 7
    for one, other in zip(before.layers, after.layers, strict=True):
        assert one.volume is other.volume
    assert state.view is not None
    more = resolve(replace(state, settings=state.settings.replace(detail=1.0)).aligned())
    changed = {"output", "difference", "detail"}
    for one, other in zip(before.layers, more.layers, strict=True):
        assert (one.volume is other.volume) == (one.role not in changed)


def test_they_follow_the_metabolite() -> None:
    state = replace(state_of(crlb=30.0), metabolite="tCho")
    scene = resolve(state)
    assert {layer.role for layer in scene.layers} == {"input", "output", *ALL}  # no CRLB of tCho
    assert all("tCho" in layer.name for layer in scene.layers)
    first = resolve(state_of()).layer("difference")
    second = scene.layer("difference")
    assert first is not None
    assert second is not None
    assert second.limits[1] == pytest.approx(first.limits[1] / 4)


def test_captions_say_what_is_faded_while_it_is() -> None:
    state = state_of(crlb=30.0)
    fading = replace(state, display=Display(layers=ALL, fade=True, limit=25))  # type: ignore[arg-type]
    for role in ("T1", "flow", "estimate", "deviation", *FADED):
        words = resolve(fading).captions[role]  # type: ignore[index]
        assert ("; faded: CRLB above 25 %" in words) == (role in FADED)
        assert "faded" not in resolve(state).captions[role]  # type: ignore[index]
    veil = resolve(fading).layer("veil")
    assert veil is not None
    assert veil.visible
    assert not resolve(state).layer("veil").visible  # type: ignore[union-attr]
    without = resolve(replace(state_of(), display=fading.display))
    assert without.layer("veil") is None  # nothing is known of these voxels
    assert "faded" not in without.caption("output")


def test_the_deviation_is_not_to_be_had_of_one_sample() -> None:
    assert "set several" in unavailable(state_of(), "deviation")
    assert unavailable(state_of(samples=4), "deviation") == ""
    assert unavailable(state_of(), "difference") == ""
    assert unavailable(State(), "difference") == "No study is open."


# ---------------------------------------------------------------- the images at T_trunc, live


def test_the_images_at_t_trunc_are_made_only_while_they_are_looked_at(opened: Session) -> None:
    assert opened.state.image.start is None  # type: ignore[union-attr]
    before = opened.state.image
    opened.display(start=True)
    state = done(opened)
    image = state.image
    assert image is not None
    assert image.start is not None
    assert image.drawn is before.drawn  # type: ignore[union-attr]
    first = image.start
    opened.update(seed=7)
    image = done(opened).image
    assert image is not None
    assert image.start is not None  # a live image brings its own
    assert not np.array_equal(image.start.flow, first.flow)
    opened.choose(metabolite="tCho")
    assert done(opened).image.start is not None  # type: ignore[union-attr]
    opened.display(start=False)
    opened.update(seed=8)
    assert done(opened).image.start is None  # type: ignore[union-attr]


def test_showing_them_draws_no_image_again(
    opened: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    brake = Brake(monkeypatch)
    brake.released.set()
    opened.display(start=True)
    assert done(opened).image.start is not None  # type: ignore[union-attr]
    opened.display(fade=True, limit=30)
    done(opened)
    assert brake.runs == 0


def test_a_finished_volume_keeps_them(opened: Session) -> None:
    opened.display(start=True)
    start = done(opened).image.start  # type: ignore[union-attr]
    opened.compute_volume()
    assert done(opened).image.start is start  # type: ignore[union-attr]


def test_the_limit_moves_the_note(session: Session, study: Path) -> None:
    session.show(study_of(crlb=30.0))
    state = done(session)
    assert any("CRLB above 20 %" in note and "tNAA 100%" in note for note in state.notes)
    session.display(limit=35)
    notes = session.state.notes
    assert any("CRLB above 35 %" in note and "tNAA 0%" in note for note in notes)
    assert len(notes) == len(state.notes)
