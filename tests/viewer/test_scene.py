"""What is on the screen: layers in one space, and words that belong on every image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from properties import head, oblique_affine
from tiny import fine_study

from ftddm_core.imaging.io import open_study
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_core.settings import CONSISTENCY, SamplerSettings
from ftddm_viewer.session.case import Case, Mode, prepare
from ftddm_viewer.session.scene import Scene, resolve
from ftddm_viewer.session.state import Activity, SliceImage, State, View


def state_of(study: Study, mode: Mode = Mode.ENLARGE, **settings: object) -> State:
    """Return a state with the input of a study, and no image yet."""
    asked = SamplerSettings(upscale=2, steps=10).replace(**settings)  # type: ignore[arg-type]
    case = Case.of(study, "patient")
    view = View(prepare(case, mode, asked.upscale or 2), asked)
    return State(mode=mode, settings=asked, metabolite="tNAA", view=view)


def with_images(state: State, **kwargs: object) -> State:
    """Return a state whose images are the input's own slices, the slice's number added."""
    assert state.view is not None
    images = {}
    for name, condition in state.view.prepared.conditions.items():
        for k in range(condition.shape[2]):
            image = condition.lowres[..., k] + k
            images[name, k] = SliceImage(image, image, **kwargs)  # type: ignore[arg-type]
    return replace(state, view=state.view.adding(images))


def test_nothing_is_open() -> None:
    scene = resolve(State())
    assert scene.layers == ()
    assert RESEARCH_ONLY in scene.caption()


@pytest.mark.parametrize("mode", Mode)
def test_the_two_modes_are_told_apart(study: Path, mode: Mode) -> None:
    opened = fine_study(study) if mode is Mode.RESTORE else open_study(study)
    scene = resolve(state_of(opened, mode))
    roles = [layer.role for layer in scene.layers]
    restored = mode is Mode.RESTORE
    assert roles == [*([] if restored else ["T1"]), "input", *(["reference"] * restored), "output"]
    assert ("Degraded 2× on purpose" in scene.mode) == restored
    assert ("Enlarged 2× from what was measured" in scene.mode) == (not restored)


def test_what_did_not_change_is_the_same_object(study: Path) -> None:
    state = state_of(open_study(study))
    before = resolve(state)
    after = resolve(replace(with_images(state), progress=0.5))
    for role in ("T1", "input"):
        assert after.layer(role).volume is before.layer(role).volume  # type: ignore[union-attr]
    assert after.layer("output").volume is not before.layer("output").volume  # type: ignore[union-attr]
    again = resolve(after_state := with_images(state))
    busy = resolve(replace(after_state, progress=0.7, activity=Activity.SAMPLING))
    assert busy.layer("output").volume is again.layer("output").volume  # type: ignore[union-attr]


def test_input_output_and_reference_share_colours_that_settings_do_not_move(study: Path) -> None:
    opened = fine_study(study)
    scenes = [
        resolve(with_images(state_of(opened, Mode.RESTORE, upscale=s, tau_flow=tau)))
        for s in (2, 4)
        for tau in (0, 1)
    ]
    linked = [layer for scene in scenes for layer in scene.layers if layer.linked]
    assert {layer.role for layer in linked} == {"input", "reference", "output"}
    assert len({(layer.colormap, layer.limits) for layer in linked}) == 1


def test_slices_without_an_image_are_empty(study: Path) -> None:
    state = state_of(open_study(study))
    assert state.view is not None
    ones = np.ones((24, 20), np.float32)
    image = SliceImage(ones, ones)
    scene = resolve(replace(state, view=state.view.adding({("tNAA", 1): image})))
    output = scene.layer("output")
    assert output is not None
    assert state.case is not None
    back = state.case.frame.restore(output.volume)
    mask = state.view.prepared.conditions["tNAA"].mask
    assert np.isnan(back.data[..., 0]).all()
    assert np.array_equal(np.isnan(back.data[..., 1]), ~mask[..., 1])
    assert (back.data[mask[..., 1], 1] == 1).all()


def test_outside_the_mask_the_mri_is_seen(study: Path) -> None:
    """Whatever holds the map to the measurement, it is empty there."""
    for consistency in CONSISTENCY:
        state = with_images(state_of(open_study(study), consistency=consistency))
        assert state.view is not None
        outside = ~state.view.prepared.conditions["tNAA"].mask
        scene = resolve(state)
        for layer in (scene.layer("input"), scene.layer("output")):
            assert layer is not None
            assert state.case is not None
            back = state.case.frame.restore(layer.volume)
            assert np.array_equal(np.isnan(back.data), outside)


@pytest.mark.parametrize("angles", [(0, 0, 0), (10, -15, 20), (88, 2, 3), (3, 91, -87)])
@pytest.mark.parametrize("flip", [(1, 1, 1), (-1, 1, 1), (1, 1, -1), (-1, -1, -1)])
def test_the_position_finds_its_slice_again(
    angles: tuple[float, float, float], flip: tuple[int, int, int]
) -> None:
    shape = (12, 10, 5)
    affine = oblique_affine(shape, (10, 10, 12), angles, flip=flip)
    volume = head(shape, affine)
    state = state_of(Study({"tNAA": volume.with_data(np.abs(volume.data) + 0.1)}))
    marked = with_images(state)
    for k in range(5):
        scene = resolve(replace(marked, slice_index=k))
        assert state.case is not None
        assert state.case.slice_at(scene.position + 5.9) == k
        assert state.case.slice_at(scene.position - 5.9) == k
        output, shown = scene.layer("output"), scene.layer("input")
        assert output is not None
        assert shown is not None
        # The plane at this position is the slice that was computed for it.
        positions = state.case.frame.positions(output.volume)
        index = int(np.abs(positions - scene.position).argmin())
        plane = output.volume.data.take(index, scene.axis) - shown.volume.data.take(
            index, scene.axis
        )
        inside = output.volume.data.take(index, scene.axis) > 0  # nothing is shown below 0
        assert inside.any()
        np.testing.assert_allclose(plane[inside], k, atol=1e-4)


def caption(state: State) -> str:
    return resolve(with_images(state, final=True)).caption()


def test_every_caption_says_how_it_was_made_and_what_it_is_not_for(study: Path) -> None:
    opened = open_study(study)
    usual = caption(state_of(opened, seed=2**32 - 1))
    for words in (
        "AI-generated, 2×",
        "τ_f 0.5",
        "τ_d 0.5",
        "T_trunc 100",
        "steps 10",
        "seed 4294967295",
    ):
        assert words in usual
    assert usual.endswith(f"{RESEARCH_ONLY}.")
    assert "samples" not in usual
    assert "consistency" not in usual
    assert "unfinished" not in usual
    assert "MRI weight 1, detail 1" in usual
    rare = caption(
        state_of(opened, steps=None, samples=8, consistency="exact", sampler="ddim", noise=3,
                 mri_weight=0.25, detail=0.5)
    )  # fmt: skip
    for words in ("steps full chain", "mean of 8 samples", "data consistency exact", "step ddim",
                  "σ 3 %", "MRI weight 0.25", "detail 0.5"):  # fmt: skip
        assert words in rare
    alone = caption(state_of(opened, steps=None, t_trunc=0))
    assert "T_trunc 0, no steps" in alone
    assert "chain" not in alone


def test_every_layer_says_what_it_is(study: Path) -> None:
    """Not what lies above it, and least of all that it was drawn where nothing was."""
    state = state_of(fine_study(study), Mode.RESTORE, samples=4)
    computed, empty = resolve(with_images(state, final=True)), resolve(state)
    for scene in (computed, empty):
        assert {layer.role for layer in scene.layers} <= scene.captions.keys()
        assert all(words.endswith(f"{RESEARCH_ONLY}.") for words in scene.captions.values())
        assert scene.caption("input").startswith("INPUT, degraded 2× on purpose, zero-filled. ")
        assert scene.caption("reference").startswith("REFERENCE, as acquired. ")
    enlarged = resolve(state_of(open_study(study)))
    assert enlarged.caption("input").startswith("INPUT, as acquired, zero-filled. ")
    mean = "OUTPUT, mean of 4 samples, AI-generated, 2×"
    assert computed.caption("output").startswith(mean)
    assert computed.caption("deviation").startswith(f"DEVIATION of the samples. {mean}")
    assert empty.caption("output") == f"OUTPUT not computed for this slice. {RESEARCH_ONLY}."
    drawn = [role for role in empty.captions if "AI-generated" in empty.caption(role)]
    assert drawn == []


def test_an_unfinished_image_says_so(study: Path) -> None:
    state = with_images(state_of(open_study(study)), final=False)
    assert "unfinished" in resolve(state).caption()
    running = replace(state, activity=Activity.SAMPLING)
    assert "unfinished" not in resolve(running).caption()


def test_metrics_come_with_those_of_the_input(study: Path) -> None:
    metrics = {"residual": 0.0512, "noise": 0.0402, "psnr": 26.74, "ssim": 0.9661,
               "input_psnr": 23.2, "input_ssim": 0.925}  # fmt: skip
    state = with_images(state_of(fine_study(study), Mode.RESTORE), final=True)
    assert state.view is not None
    state.view.metrics["tNAA", 0] = metrics
    assert resolve(state).metrics == (
        "PSNR 26.7 dB (input 23.2), SSIM 0.966 (input 0.925), "
        "k-space residual 0.051 (noise alone 0.04)"
    )
    alone = with_images(state_of(open_study(study)), final=True)
    assert alone.view is not None
    alone.view.metrics["tNAA", 0] = {"residual": 0.05, "noise": 0.06}
    assert resolve(alone).metrics == "k-space residual 0.05 (noise alone 0.06)"


def test_a_mean_of_samples_is_called_one(study: Path) -> None:
    output = resolve(with_images(state_of(open_study(study), samples=4), final=True))
    layer = output.layer("output")
    assert layer is not None
    assert layer.name == "Mean of 4 samples tNAA 2×"


def test_the_deviation_has_a_layer_of_its_own(study: Path) -> None:
    state = state_of(open_study(study), samples=4)
    assert state.view is not None
    ones = np.ones((24, 20))
    image = SliceImage(ones, ones, np.full((24, 20), 0.25), final=True)  # type: ignore[arg-type]
    scene: Scene = resolve(replace(state, view=state.view.adding({("tNAA", 0): image})))
    deviation = scene.layer("deviation")
    assert deviation is not None
    assert not deviation.linked
    assert deviation.colormap != "viridis"
    assert np.nanmax(deviation.volume.data) == 0.25


def test_one_outlier_outside_the_mask_does_not_darken_the_image(study: Path) -> None:
    """The tiny study has one of 10 000, where 9 is usual."""
    scene = resolve(state_of(open_study(study)))
    layer = scene.layer("input")
    assert layer is not None
    assert layer.limits[1] < 50


def test_a_map_without_values_still_has_colours() -> None:
    volume = Volume(np.zeros((4, 4, 2)), np.eye(4) * [4, 4, 4, 1])
    assert Case.of(Study({"tNAA": volume})).first_slice == 1
