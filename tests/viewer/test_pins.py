"""Pinned outputs: what they keep, how they differ from the current one, and when they go."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from sessions import Brake, done
from tiny import write_study

from ftddm_core.errors import SettingsError
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.pins import LETTERS, Pins
from ftddm_viewer.session.scene import resolve
from ftddm_viewer.session.session import Session


@pytest.fixture
def pins(opened: Session) -> Pins:
    return Pins(opened)


def test_a_pin_keeps_what_was_shown(opened: Session, pins: Pins) -> None:
    before = opened.state
    pin = pins.pin()
    assert before.view is not None
    values = before.view.stacked(before.metabolite).data.copy()
    other = next(name for name in before.view.prepared.conditions if name != before.metabolite)
    opened.update(tau_flow=1.0, tau_diffusion=1.0)
    opened.choose(metabolite=other, slice_index=1 - before.slice_index)
    done(opened)
    (kept,) = pins.pins
    assert kept is pin
    assert (pin.state.metabolite, pin.state.slice_index) == (before.metabolite, before.slice_index)
    assert pin.view.settings == before.view.settings
    assert pin.view.prepared.case is before.case
    np.testing.assert_array_equal(pin.output.volume.data, values)
    assert pin.name == f"A (pinned): Output {before.metabolite} 3×"
    assert pin.scene.caption().startswith("OUTPUT, AI-generated")
    assert pin.scene.caption().endswith(f"{RESEARCH_ONLY}.")
    with pytest.raises(FrozenInstanceError):
        pin.letter = "B"  # type: ignore[misc]


def test_a_pin_is_not_faded_and_does_not_say_so(tmp_path: Path, model: Model) -> None:
    """The veil lies over the current output alone."""
    folder = write_study(tmp_path / "crlb")
    image = nib.load(folder / "tNAA.nii.gz")
    bound = np.full(image.shape, 35.0, np.float32)
    nib.save(nib.Nifti1Image(bound, image.affine), folder / "tNAA_crlb.nii.gz")
    session = Session(model, checks_itself=False)
    pins = Pins(session)
    session.display(fade=True)
    session.open(folder)
    state = done(session)
    assert "faded: CRLB above 20 %" in resolve(state).caption()
    assert "faded" not in pins.pin().scene.caption()
    session.close()


def test_a_pin_holds_no_images_but_its_own(opened: Session, pins: Pins) -> None:
    opened.compute_volume()
    state = done(opened)
    assert state.view is not None
    assert len({name for name, _ in state.view.images}) == 2
    pin = pins.pin()
    assert {name for name, _ in pin.view.images} == {state.metabolite}
    assert len(pin.view.images) == state.view.prepared.n_slices
    assert pin.state.finished is None
    assert len(state.view.images) == 2 * state.view.prepared.n_slices


def test_differences_are_named_with_values(opened: Session, pins: Pins) -> None:
    pin = pins.pin()
    assert pin.compared(opened.state) == "A and now: same settings"
    opened.update(tau_flow=1.0, seed=3)
    state = done(opened)
    assert pin.compared(state) == "A: τ_f 0.5, seed 0 | now: τ_f 1, seed 3"
    assert pin.compared(state, now_first=True) == "now: τ_f 1, seed 3 | A: τ_f 0.5, seed 0"
    opened.update(tau_flow=0.5, seed=0, upscale=2.0, steps=None, detail=0.4)
    state = done(opened)
    assert pin.compared(state) == (
        "A: s 3×, steps 10, detail 0.52 | now: s 2×, steps full chain, detail 0.4"
    )


def test_what_is_asked_for_but_not_shown_yet_is_no_difference(opened: Session, pins: Pins) -> None:
    pin = pins.pin()
    opened.choose(live=False)
    opened.update(tau_flow=1.0)
    assert pin.compared(opened.state) == "A and now: same settings"


def test_another_metabolite_and_mode_are_differences(opened: Session, pins: Pins) -> None:
    first = opened.state.metabolite
    pin = pins.pin()
    opened.choose(metabolite="tCho" if first == "tNAA" else "tNAA", mode="restore")
    words = pin.compared(done(opened))
    mine, now = words.split(" | ")
    assert mine.startswith(f"A: {first}, enlarged")
    assert "degraded and restored" in now
    assert first not in now


def test_there_are_four_and_letters_are_used_again(opened: Session, pins: Pins) -> None:
    told: list[str] = []
    pins.changed.connect(lambda: told.append("".join(pin.letter for pin in pins.pins)))
    for _ in LETTERS:
        pins.pin()
    with pytest.raises(SettingsError, match="remove one first"):
        pins.pin()
    pins.unpin("B")
    pins.pin()
    pins.unpin()
    pins.unpin("B")
    pins.unpin("Z")
    assert told == ["A", "AB", "ABC", "ABCD", "ACD", "ACDB", "ACD"]


def test_only_a_finished_output_is_pinned(
    session: Session, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = Pins(session)
    with pytest.raises(SettingsError, match="compute it first"):
        pins.pin()
    session.choose(live=False)
    session.open(study)
    done(session)
    with pytest.raises(SettingsError, match="compute it first"):
        pins.pin()
    brake = Brake(monkeypatch, images=2)
    session.refresh()
    assert brake.holding.wait(60)
    assert session.state.image is not None
    with pytest.raises(SettingsError, match="not finished"):
        pins.pin()
    brake.released.set()
    done(session)
    pins.pin()


def test_another_study_removes_them(opened: Session, pins: Pins, tmp_path: Path) -> None:
    pins.pin()
    told: list[Any] = []
    pins.changed.connect(lambda: told.append(pins.pins))
    opened.open(tmp_path / "nothing there")
    assert opened.wait(60)
    assert len(pins.pins) == 1  # it did not open
    opened.open(write_study(tmp_path / "other"))
    done(opened)
    assert pins.pins == ()
    assert told == [()]
