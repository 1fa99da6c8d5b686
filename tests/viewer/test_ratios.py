"""Ratios in the session: which there are, what they are made of, and what their layers say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sessions import done
from tiny import fine_study

from ftddm_core.errors import SettingsError
from ftddm_core.imaging.io import open_study
from ftddm_core.imaging.metabolites import Ratio
from ftddm_core.imaging.volume import Study
from ftddm_core.sampling.widening import widening
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_core.settings import SamplerSettings
from ftddm_viewer.session import estimates
from ftddm_viewer.session.case import Case, Mode, prepare
from ftddm_viewer.session.ratios import (
    already_ratios,
    kept_ratio,
    known_ratio,
    parts,
    ratio_slice,
    ratio_volume,
    usual_ratios,
)
from ftddm_viewer.session.scene import resolve
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.state import SliceImage, View

PAIR = Ratio("tCho", "tNAA")
INSIDE = (slice(7), slice(7))
"""The last voxels of the output lie beyond the acquired ones."""
AFFINE = np.diag([10.0, 10.0, 12.0, 1.0])


def study_of(unit: str = "mM", **maps: np.ndarray) -> Study:
    return Study.from_arrays(maps, affine=AFFINE, unit=unit)


def view_of(samples: int, detail: float) -> View:
    """Return a view of two maps of 4 x 4 voxels with a scale of 8 each, and no image."""
    settings = SamplerSettings(upscale=2, samples=samples, detail=detail, mri_weight=1.0)
    flat = np.full((4, 4, 2), 8.0)
    return View(prepare(Case.of(study_of(tCho=flat, tNAA=flat)), Mode.ENLARGE, 2), settings)


def image(*samples: float, alone: float = 0.0) -> SliceImage:
    stacked = np.stack([np.full((8, 8), x, np.float32) for x in samples])
    z = np.full((8, 8), alone, np.float32)
    return SliceImage(stacked.mean(0), z, final=True, samples=stacked)


def test_each_sample_is_divided_as_it_is_shown() -> None:
    """Half of the detail: (1 + 3) / 2 over (4 + 0) / 2, and (3 + 3) / 2 over (2 + 0) / 2."""
    view = view_of(2, 0.5).adding(
        {("tCho", 0): image(1, 3, alone=3), ("tNAA", 0): image(4, 2, alone=0)}
    )
    found = ratio_slice(view, PAIR, 0)
    assert found is not None
    assert found.deviation is not None
    np.testing.assert_allclose(found.mean[INSIDE], (1 + 3) / 2)
    np.testing.assert_allclose(found.deviation[INSIDE], np.std([1, 3], ddof=1))
    assert ratio_slice(view, PAIR, 0) is found
    later = view.adding({("tCho", 1): image(1, 1)})
    assert ratio_slice(later, PAIR, 0) is found  # neither image nor detail has changed
    all_detail = ratio_slice(view.showing(1.0), PAIR, 0)
    assert all_detail is not None
    np.testing.assert_allclose(all_detail.mean[INSIDE], (1 / 4 + 3 / 2) / 2)
    volume = ratio_volume(view, PAIR, "output")
    assert volume is not None
    np.testing.assert_allclose(volume.data[..., 0][INSIDE], 2)
    assert np.isnan(volume.data[..., 1]).all()


def test_several_samples_need_the_samples_and_one_does_not() -> None:
    pair = {("tCho", 0): image(2, 2), ("tNAA", 0): image(8, 8)}
    without = {key: replace(each, samples=None) for key, each in pair.items()}
    assert ratio_slice(view_of(2, 1).adding(without), PAIR, 0) is None
    found = ratio_slice(view_of(1, 1).adding(without), PAIR, 0)
    assert found is not None
    assert found.deviation is None
    np.testing.assert_allclose(found.mean[INSIDE], 0.25)
    assert ratio_slice(view_of(1, 1).adding(without), PAIR, 1) is None


def test_below_five_per_cent_of_the_scale_there_is_no_ratio() -> None:
    """The scale of a flat map of 8 is 8, the floor 0.4."""
    for below, expected in ((0.39, np.nan), (0.41, 2 / 0.41)):
        view = view_of(1, 1).adding({("tCho", 0): image(2), ("tNAA", 0): image(below)})
        found = ratio_slice(view, PAIR, 0)
        assert found is not None
        np.testing.assert_allclose(found.mean[INSIDE], expected, rtol=1e-6)
    caption = resolve_caption(view, "ratio output")
    assert "none where tNAA < 0.4 mM (5% of its scale)" in caption


def resolve_caption(view: View, role: str) -> str:
    from ftddm_viewer.session.state import State

    state = State(
        mode=view.prepared.mode, settings=view.asked, metabolite="tNAA", view=view, ratio=PAIR
    )
    return resolve(state).caption(role)  # type: ignore[arg-type]


def test_captions_say_what_was_divided() -> None:
    """A mean of ratios is told from the ratio of one sample; nothing drawn looks measured."""
    pair = {("tCho", 0): image(2, 2), ("tNAA", 0): image(8, 8)}
    many, one = view_of(2, 0.5).adding(pair), view_of(1, 0.5).adding(pair)
    words = resolve_caption(many, "ratio output")
    assert words.startswith("RATIO tCho/tNAA of the output, mean of the ratios of 2 samples, none ")
    assert "AI-generated" in words
    assert words.count("detail") == 1
    assert "detail 0.5" in words
    assert "ratio of one sample of each map" in resolve_caption(one, "ratio output")
    measured = resolve_caption(one, "ratio input")
    assert measured.startswith("RATIO tCho/tNAA of the input, none where tNAA < 0.4 mM")
    assert "AI-generated" not in measured
    empty = resolve_caption(view_of(1, 0.5), "ratio output")
    assert empty == f"RATIO of the OUTPUT not computed for this slice. {RESEARCH_ONLY}."
    assert words.endswith(f"{RESEARCH_ONLY}.")


# ---------------------------------------------------------------- which ratios there are


def test_a_map_that_is_a_ratio_is_noticed() -> None:
    flat = np.ones((4, 4, 2))
    study = study_of(tCho=flat, tNAA=flat, cho2naa=flat)
    assert already_ratios(study) == ("cho2naa",)
    assert parts(study) == ("tCho", "tNAA")
    case = Case.of(study)
    with pytest.raises(SettingsError, match="cho2naa is a ratio already"):
        known_ratio(case, "cho2naa", "tNAA")
    with pytest.raises(SettingsError, match="There is no map of Cr"):
        known_ratio(case, "tCho", "Cr")
    with pytest.raises(SettingsError, match="to itself is 1"):
        known_ratio(case, "tCho", "tCho")
    assert known_ratio(case, "", "") is None


def test_the_usual_ratios_are_found_under_other_names() -> None:
    flat = np.ones((4, 4, 2))
    assert usual_ratios(study_of(Cho=flat, NAA=flat, tCr=flat)) == (
        Ratio("Cho", "NAA"),
        Ratio("Cho", "tCr"),
    )
    assert usual_ratios(study_of(Glx=flat)) == ()
    other = Case.of(study_of(Glx=flat))
    assert kept_ratio(other, PAIR) is None
    assert kept_ratio(Case.of(study_of(tNAA=flat, tCho=flat)), PAIR) == PAIR


# ---------------------------------------------------------------- in a session


def test_the_session_computes_both_maps_and_keeps_their_samples(opened: Session) -> None:
    """And the ratio is what the samples give that the model draws."""
    opened.update(samples=3, tau_flow=1, tau_diffusion=1, detail=1)
    done(opened)
    assert opened.state.image is not None
    assert opened.state.image.samples is None
    opened.choose_ratio("tCho", "tNAA")
    state = done(opened)
    view, k = state.view, state.slice_index
    assert view is not None
    assert state.up_to_date
    above, below = (view.images[name, k] for name in PAIR)
    assert above.samples is not None
    assert below.samples is not None
    np.testing.assert_allclose(above.samples.mean(0), above.drawn, rtol=1e-5, atol=1e-5)
    found = ratio_slice(view, PAIR, k)
    assert found is not None
    floor = 0.05 * view.prepared.conditions["tNAA"].scale
    masks = [view.prepared.conditions[name].mask[..., k] for name in PAIR]
    held = (below.samples >= floor).all(0) & masks[0] & masks[1]
    assert held.any()
    assert np.array_equal(np.isfinite(found.mean), held)
    by_hand = above.samples[:, held].astype(float) / below.samples[:, held]
    np.testing.assert_allclose(found.mean[held], by_hand.mean(0), rtol=1e-5)
    assert found.deviation is not None
    factor = max(widening(view.prepared.conditions[name]) for name in PAIR)
    spread = factor * by_hand.std(0, ddof=1)
    np.testing.assert_allclose(found.deviation[held], spread, rtol=1e-4, atol=1e-7)
    opened.choose_ratio()
    done(opened)
    assert opened.state.ratio is None


def test_a_volume_has_the_ratio_in_every_slice(
    opened: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless its samples would need too much memory: then a slice has it once it is seen."""
    opened.update(samples=2, mri_weight=1, detail=1)
    opened.choose_ratio("tCho", "tNAA")
    done(opened)
    opened.compute_volume()
    view = done(opened).view
    assert view is not None
    assert all(ratio_slice(view, PAIR, k) is not None for k in range(2))
    monkeypatch.setattr(estimates, "KEPT_SAMPLES", 100)
    opened.update(seed=9)
    done(opened)
    opened.compute_volume()
    k = opened.state.slice_index
    view = done(opened).view
    assert view is not None
    assert view.images["tCho", 1 - k].samples is None
    opened.choose(slice_index=1 - k)
    view = done(opened).view
    assert view is not None
    assert ratio_slice(view, PAIR, 1 - k) is not None


def test_the_layers_of_a_ratio_have_limits_of_their_own(study: Path) -> None:
    from ftddm_viewer.session.state import State

    asked = SamplerSettings(upscale=2)
    view = View(prepare(Case.of(fine_study(study)), Mode.RESTORE, 2), asked)
    state = State(mode=Mode.RESTORE, settings=asked, metabolite="tNAA", view=view, ratio=PAIR)
    scene = resolve(state)
    roles = [layer.role for layer in scene.layers]
    assert roles[-3:] == ["ratio input", "ratio reference", "ratio output"]
    limits = {layer.limits for layer in scene.layers[-3:]}
    assert len(limits) == 1
    assert limits != {layer.limits for layer in scene.layers[-4:-3]}
    truth = open_study(study)
    reference = scene.layer("ratio reference")
    assert reference is not None
    back = view.prepared.case.frame.restore(reference.volume).data
    held = np.isfinite(back)
    expected = truth.maps["tCho"].data / truth.maps["tNAA"].data
    np.testing.assert_allclose(back[held], expected[held], rtol=1e-5)
    assert resolve(state).layer("ratio input").volume is scene.layer("ratio input").volume  # type: ignore[union-attr]
