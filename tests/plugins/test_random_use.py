"""A window used at random, from a seed: no fault, no stale image, no false caption, no leak.

In the suite for a few seconds; longer with FTDDM_RANDOM_MINUTES, and otherwise with
FTDDM_RANDOM_SEED.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import random_moves
from panels import said, shown
from random_moves import Hand
from windows import finish, settle

from ftddm_core.settings import controls
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.regions import grid_of, read
from ftddm_viewer.session.scene import NOT_COMPUTED, resolve
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.state import Activity

MINUTES = float(os.environ.get("FTDDM_RANDOM_MINUTES", 0.25))
SEED = int(os.environ.get("FTDDM_RANDOM_SEED", 1))
MOST_BETWEEN_CHECKS = 6
COMPUTED_AGAIN = 0.15
"""How often the image is computed again from nothing, to be compared with what is shown."""


@pytest.fixture
def hand(
    viewer: Any, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> Any:
    """Return a user with tiny weights and studies, whose dialogs answer by themselves."""
    random_moves.with_weights(weights, monkeypatch)
    user = Hand(viewer, tmp_path, SEED)
    random_moves.answered(user, monkeypatch)
    return user


# napari's own words to a user who turns an outline to 3D.
@pytest.mark.long
@pytest.mark.filterwarnings("ignore:Contours are not displayed during 3D rendering")
def test_random_use(hand: Any, weights: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    raised: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, fault, trace: raised.append(fault))
    threads = set(threading.enumerate())
    done: list[str] = []
    panels: list[weakref.ref[Any]] = []
    end = time.monotonic() + 60 * MINUTES
    try:
        while time.monotonic() < end:
            for _ in range(hand.rng.randrange(1, MOST_BETWEEN_CHECKS)):
                done.append(random_moves.step(hand))
                if os.environ.get("FTDDM_RANDOM_VERBOSE"):
                    print(done[-1], flush=True, file=sys.__stderr__)
                if hand.rng.random() < 0.5:
                    settle()
                    check_layers(hand)
            if hand.widget is not None and not any(p() is hand.widget for p in panels):
                panels.append(weakref.ref(hand.widget))
            settle()
            check_layers(hand)
            if hand.widget is not None:
                finish(hand.widget)
                check_window(hand)
                if hand.rng.random() < COMPUTED_AGAIN:
                    check_image(hand.session, weights)
            for dock in hand.docks.values():
                assert dock.engine is (None if hand.widget is None else hand.widget.engine)
            assert not raised, raised
            faults = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
            assert not faults, faults
    except BaseException:
        print(f"seed {SEED}, after {len(done)} moves, the last:", *done[-25:], sep="\n  ")
        for fault in raised:
            sys.__excepthook__(type(fault), fault, fault.__traceback__)
        raise
    check_end(hand, threads, panels)
    assert not raised, raised


def check_layers(hand: Hand) -> None:
    """At any time, and with the panel closed: each layer holds what its own words are about."""
    for layer in hand.known():
        known = layer.metadata["ftddm"]
        if "caption" not in known or known["role"] == "changed":
            continue
        whole = known["volume"].data.transpose(2, 1, 0)
        if "swipe" in known:  # what is left of its half
            whole = np.where(np.isfinite(layer.data), whole, np.nan)
        np.testing.assert_array_equal(layer.data, whole)
        view, role = known.get("view"), known["role"]
        if view is None:
            continue
        assert view.settings == known["settings"]
        if role in ("output", "deviation"):
            what = "shown" if role == "output" else "deviation"
            shown_now = view.stacked(known["metabolite"], what).data
            np.testing.assert_array_equal(known["volume"].data, shown_now)
            check_words_of_output(known["caption"], view, known["metabolite"])


def check_window(hand: Hand) -> None:
    """Everything that is seen belongs to the state."""
    widget = hand.widget
    state = widget.session.state
    assert "Unexpected" not in state.error + widget.panel.error.text()
    assert state.activity is Activity.IDLE
    if state.view is None:
        return
    if state.up_to_date:
        hand.cancelled = False
    assert state.up_to_date or not state.live or state.error or hand.cancelled
    scene, view = resolve(state), state.view
    specs = {spec.role: spec for spec in scene.layers}
    seen: set[str] = set()
    for layer in hand.known():
        known = layer.metadata["ftddm"]
        if known.get("study") is not state.case.study and not {"pinned", "swipe"} & known.keys():
            assert not layer.visible or layer in hand.shown, layer.name
        if not known.get("managed"):
            continue
        role = known["role"]
        assert role not in seen, role
        seen.add(role)
        spec = specs[role]
        np.testing.assert_array_equal(layer.data, spec.volume.data.transpose(2, 1, 0), role)
        flip = np.eye(4)[[2, 1, 0, 3]]
        np.testing.assert_allclose(np.asarray(layer.affine), flip @ spec.volume.affine @ flip)
        assert known["caption"].endswith(scene.captions[role])
        assert known["label"] == state.case.label
        if "metabolite" in known:
            assert known["metabolite"] == state.metabolite
            assert known["settings"] == view.settings
    check_pins(hand)
    check_words(hand)
    check_controls(widget, state)
    check_docks(hand)


def check_words_of_output(caption: str, view: Any, metabolite: str) -> None:
    """The caption gives the settings that the images were drawn with."""
    settings = view.settings
    own = caption.rpartition("OUTPUT")[2]
    assert f"τ_f {settings.tau_flow:.10g}" in own
    assert f"T_trunc {settings.t_trunc}" in own
    assert f"{view.prepared.conditions[metabolite].upscale:.3g}×" in own
    assert (f"mean of {settings.samples} samples" in own) is (settings.samples > 1)


def check_pins(hand: Hand) -> None:
    """Each pin has one layer, with its own pixels and words, unless the user deleted it."""
    pins = {pin.letter: pin for pin in hand.widget.engine._commands._pins.pins}
    layers = {e.metadata["ftddm"]["pinned"]: e for e in hand.known()
              if e.metadata["ftddm"].get("pinned", "below") != "below"}  # fmt: skip
    assert layers.keys() == pins.keys()
    for letter, layer in layers.items():
        expected = pins[letter].output.volume.data.transpose(2, 1, 0)
        np.testing.assert_array_equal(layer.data, expected)
        assert layer.metadata["ftddm"]["caption"].endswith(pins[letter].scene.captions["output"])
        assert layer.metadata["ftddm"]["metabolite"] == pins[letter].state.metabolite


def check_words(hand: Hand) -> None:
    """Title and caption are those of the highest layer that is seen, in the slice that is seen."""
    viewer, state = hand.viewer, hand.session.state
    title, caption = said(viewer, "title"), said(viewer, "caption")
    visible = [e for e in hand.known() if e.visible and e.metadata["ftddm"].get("role") != "veil"
               and "case" in e.metadata["ftddm"]] if hand.known() else []  # fmt: skip
    if not visible:
        assert (title, caption) == ("", "")
        return
    top = visible[-1]
    known = top.metadata["ftddm"]
    assert title.startswith(f"{known['label']}: {known['name']}")
    axis = state.case.frame.axis
    if viewer.dims.ndim != 3 or viewer.dims.order[0] != 2 - axis:
        return
    k = state.case.slice_at(viewer.dims.point[2 - axis])
    assert f"slice {k + 1} of {state.case.study.grid.shape[2]}" in title
    assert k == state.slice_index
    if known["role"] in NOT_COMPUTED:
        place = round(top.world_to_data(viewer.dims.point)[2 - axis])
        there = np.isfinite(np.take(top.data, place, axis=2 - axis)).any()
        assert ("not computed" in caption) is not there, (caption, top.name)
        if there:
            assert caption == " ".join(known["caption"].split())


def check_controls(widget: Any, state: Any) -> None:
    """The panel shows what is chosen."""
    assert widget.panel.metabolite.currentText() == state.metabolite
    assert widget.panel.mode.currentData() is state.mode
    for control in controls():
        value = getattr(state.settings, control.name)
        assert shown(widget, control.name) == value, control.name


def check_docks(hand: Hand) -> None:
    """What is read in a region is what the images hold there now."""
    regions, state = hand.docks.get("Regions"), hand.session.state
    if regions is None:
        return
    settle(lambda: not regions._timer.isActive())
    from napari_ftddm._region_layers import region_in

    reading = regions.reading
    if reading is not None:
        inside = region_in(regions._layer, grid_of(state.view.prepared))
        new = read(state, inside, regions.plane.value())
        assert repr([e.values for e in reading.lines]) == repr([e.values for e in new.lines])


def check_image(session: Session, weights: Path) -> None:
    """The image is what a new session computes with the same settings."""
    state = session.state
    if state.image is None or not state.image.final or state.view is None:
        return
    view, name = state.view, state.metabolite
    other = Session(Model(str(weights), "cpu"), checks_itself=False)
    other.choose(live=False)
    other.show(view.prepared.case.study, "again")
    assert other.wait(60)
    other.choose(mode=view.prepared.mode, metabolite=name, slice_index=state.slice_index)
    asked = view.asked.replace(mri_weight=view.mri_weight, detail=view.detail(name)).to_dict()
    other.update(**asked)
    other.refresh()
    assert other.wait(60)
    again = other.state
    assert again.error == ""
    there = np.s_[..., state.slice_index]
    condition = view.prepared.conditions[name]
    mine = state.image.shown(view.detail(name))
    new = again.image.shown(again.view.detail(name))
    inside = condition.mask[there]
    np.testing.assert_allclose(mine[inside], new[inside], rtol=2e-3,
                               atol=2e-3 * view.prepared.top(name))  # fmt: skip
    other.close()


def check_end(hand: Hand, threads: set[Any], panels: list[weakref.ref[Any]]) -> None:
    """Once all is closed, neither threads nor panels are left."""
    session = None if hand.widget is None else hand.session
    for name in list(hand.docks):
        hand.viewer.window.remove_dock_widget(hand.docks.pop(name))
    if hand.widget is not None:
        hand.viewer.window.remove_dock_widget(hand.widget)
        hand.widget = None
    assert session is None or session.wait(60)
    settle()
    gc.collect()
    settle()
    jobs = [t for t in threading.enumerate() if t not in threads and t.name == "ftddm-job"]
    for each in jobs:
        each.join(60)
    assert not [each for each in jobs if each.is_alive()]
    left = [each() for each in panels if each() is not None]
    assert not left, f"{len(left)} of {len(panels)} panels were not freed"
