"""What a hand may do in the window, in any order: each move takes a `Hand` and says what it did."""

from __future__ import annotations

import random
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import layouts
import pytest
from panels import slide
from random_docks import (
    PLUGIN,
    close_dock,
    dock,
    explore,
    plane,
    ratio,
    region,
    stop_exploring,
)
from tiny import checkable_study, write_study
from windows import settle

from ftddm_core.imaging.io import Choices
from ftddm_core.settings import controls
from ftddm_viewer.session.actions import ACTIONS, Group
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.presets import BUILT_IN

MOST_LEVELS = 200
"""Of T_trunc: more take seconds."""


class Hand:
    """A user of one window.

    Attributes
    ----------
    widget
        The docked panel, None while it is closed.
    docks
        Name -> dock, of those that are open.
    studies
        Folders that open, that ask, and that fail.
    file
        Which file or folder every dialog answers with.
    cancelled
        Whether work was cancelled, so that an image may be missing.
    shown
        Layers that the user showed by hand, of any study.
    """

    def __init__(self, viewer: Any, folder: Path, seed: int) -> None:
        self.viewer, self.folder, self.rng = viewer, folder, random.Random(seed)
        self.widget: Any = None
        self.docks: dict[str, Any] = {}
        self.kept: list[Path] = []
        self.cancelled = False
        self.shown: weakref.WeakSet[Any] = weakref.WeakSet()
        self.file = folder / "answer"
        (folder / "fails").mkdir()
        (folder / "broken").mkdir()
        (folder / "broken" / "tNAA.nii.gz").write_bytes(b"no image")
        self.studies = {
            "first": write_study(folder / "first"),
            "second": checkable_study(folder / "second"),
            "third": layouts.of_vienna(folder / "third"),
            "asks": layouts.two_sessions(folder / "asks"),
            "labels": layouts.with_labels(folder / "labels"),
            "fails": folder / "fails",
            "broken": folder / "broken",
        }
        open_panel(self)

    @property
    def session(self) -> Any:
        return self.widget.session

    def press(self, name: str) -> None:
        """Press the key of an action or choose its entry in a menu."""
        self.widget.panel.toolbar.wanted.emit(name)

    def known(self) -> list[Any]:
        """Return the layers that the program made."""
        return [each for each in self.viewer.layers if "ftddm" in each.metadata]


def with_weights(weights: Path, patch: pytest.MonkeyPatch) -> None:
    """Have panels that open from here on start with other weights."""
    patch.setattr("napari_ftddm._widget.Model", lambda *_, **__: Model(str(weights), "cpu"))


def answered(hand: Hand, patch: pytest.MonkeyPatch) -> None:
    """Have every dialog answered by itself, with the hand's file."""
    from qtpy.QtWidgets import QFileDialog, QMessageBox

    patch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(hand.file))
    for name in ("getSaveFileName", "getOpenFileName"):
        patch.setattr(QFileDialog, name, lambda *_: (str(hand.file), ""))
    patch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)


# ---- the panel and what it opens


def open_panel(hand: Hand) -> str:
    if hand.widget is None:
        _, hand.widget = hand.viewer.window.add_plugin_dock_widget(PLUGIN, "FTDDM")
    return ""


def close_panel(hand: Hand) -> str:
    if hand.widget is not None and hand.rng.random() < 0.3:
        hand.viewer.window.remove_dock_widget(hand.widget)
        hand.widget = None
        return "closed"
    return ""


def open_study(hand: Hand) -> str:
    name = hand.rng.choice([*hand.studies, "first", "second"])
    hand.file = hand.studies[name]
    hand.widget.panel.open.click()
    return name


def read_study(hand: Hand) -> str:
    """By napari's own menu, also without the panel."""
    name = hand.rng.choice(["first", "second", "third"])
    hand.viewer.open(str(hand.studies[name]), plugin=PLUGIN)
    return name


def answer(hand: Hand) -> str:
    found = hand.session.state.inspection
    if found is None or found.question is None:
        return ""
    choices = hand.rng.choice(
        [Choices(session="V1"), Choices(session="V2"), Choices(mask_labels=(1,)), None]
    )
    hand.widget.engine._study.wanted.emit(choices)
    return str(choices)


def unfill(hand: Hand) -> str:
    hand.widget.panel.unfill.click()
    return ""


def keep(hand: Hand) -> str:
    hand.file = hand.folder / f"kept{len(hand.kept)}.ftddm.json"
    hand.press("keep")
    if hand.file.is_file():
        hand.kept.append(hand.file)
    return hand.file.name


def reopen(hand: Hand) -> str:
    if hand.kept:
        hand.file = hand.rng.choice(hand.kept)
        hand.press("reopen")
    return hand.file.name


# ---- settings


def move(hand: Hand) -> str:
    control = hand.rng.choice([c for c in controls() if c.bounds is not None])
    share = hand.rng.random()
    if control.name == "t_trunc":
        share *= MOST_LEVELS / 1000
    slide(hand.widget, control.name, share)
    return f"{control.name} {share:.2f}"


def drag(hand: Hand) -> str:
    """With the events of a real drag, images coming in between."""
    from panels import inputs

    name = hand.rng.choice(["tau_flow", "tau_diffusion", "upscale", "detail"])
    slider = inputs(hand.widget, name)
    slider.setSliderDown(True)
    for share in sorted(hand.rng.random() for _ in range(4)):
        slide(hand.widget, name, share)
        settle()
    slider.setSliderDown(False)
    return name


def preset(hand: Hand) -> str:
    chosen = hand.rng.choice(BUILT_IN)
    menu = hand.widget.panel.toolbar.menus[Group.SETTINGS]
    menu.aboutToShow.emit()
    entry = next(each for each in menu.actions() if each.text() == chosen.name)
    entry.trigger()
    return str(chosen.name)


def live(hand: Hand) -> str:
    hand.widget.panel.live.setChecked(hand.rng.random() < 0.7)
    return str(hand.widget.panel.live.isChecked())


def mode(hand: Hand) -> str:
    index = hand.rng.randrange(2)
    hand.widget.panel.mode.setCurrentIndex(index)
    hand.widget.panel.mode.activated.emit(index)
    return str(index)


def metabolite(hand: Hand) -> str:
    box = hand.widget.panel.metabolite
    if box.count():
        box.setCurrentIndex(hand.rng.randrange(box.count()))
        box.textActivated.emit(box.currentText())
    return str(box.currentText())


ASKING = ("keep", "reopen", "report", "help", "model")
"""Actions that a window of their own follows, or that have moves of their own."""


def action(hand: Hand) -> str:
    """Any key or entry of a menu."""
    name = hand.rng.choice([each.name for each in ACTIONS if each.name not in ASKING])
    docks = {"explore": "Trade-off explorer", "ratio": "Ratio", "regions": "Regions"}
    if name in docks:
        return dock(hand, docks[name])
    if name == "three":  # it closes what is open
        hand.docks.pop("Three views", None)
    hand.press(name)
    hand.cancelled |= name == "cancel"
    return name


def volume(hand: Hand) -> str:
    hand.widget.panel.volume.click()
    return ""


def save(hand: Hand) -> str:
    hand.file = hand.folder / "saved"
    hand.file.mkdir(exist_ok=True)
    hand.widget.panel.save.click()
    return ""


def cancel(hand: Hand) -> str:
    hand.widget.panel.cancel.click()
    hand.cancelled = True
    return ""


# ---- what is seen


def look(hand: Hand) -> str:
    role, button = hand.rng.choice(sorted(hand.widget.panel.look_at.items()))
    button.click()
    return str(role)


def derived(hand: Hand) -> str:
    hand.widget.panel.more.click()
    role, button = hand.rng.choice(sorted(hand.widget.engine.more.show_layer.items()))
    button.click()
    return str(role)


def fade(hand: Hand) -> str:
    more = hand.widget.engine.more
    if more.fade.isEnabled():
        more.fade.toggle()
        more.limit.setValue(hand.rng.randrange(5, 60))
    return str(more.fade.isChecked())


def link(hand: Hand) -> str:
    hand.widget.panel.link.toggle()
    return ""


def scroll(hand: Hand) -> str:
    dims = hand.viewer.dims
    axis = hand.rng.randrange(dims.ndim)
    low, high, _ = dims.range[axis]
    dims.set_point(axis, hand.rng.uniform(low, high))
    return str(axis)


def turn_3d(hand: Hand) -> str:
    hand.viewer.dims.ndisplay = hand.rng.choice([2, 2, 3])
    return str(hand.viewer.dims.ndisplay)


def show_or_hide(hand: Hand) -> str:
    if not hand.known():
        return ""
    layer = hand.rng.choice(hand.known())
    layer.visible = not layer.visible
    (hand.shown.add if layer.visible else hand.shown.discard)(layer)
    return f"{layer.name} {layer.visible}"


# ---- layers


def delete(hand: Hand) -> str:
    if not hand.viewer.layers:
        return ""
    layer = hand.rng.choice(list(hand.viewer.layers))
    hand.viewer.layers.remove(layer)
    return str(layer.name)


def rename(hand: Hand) -> str:
    if not hand.viewer.layers:
        return ""
    layer = hand.rng.choice(list(hand.viewer.layers))
    layer.name = f"renamed {hand.rng.randrange(9)}"
    return str(layer.name)


def clear(hand: Hand) -> str:
    if hand.rng.random() < 0.3:
        hand.viewer.layers.clear()
        return "cleared"
    return ""


def reorder(hand: Hand) -> str:
    n = len(hand.viewer.layers)
    if n > 1:
        hand.viewer.layers.move(hand.rng.randrange(n), hand.rng.randrange(n))
    return ""


def duplicate(hand: Hand) -> str:
    """By an entry of the menu of napari's list."""
    from napari.layers import Image, _layer_actions

    if not hand.known():
        return ""
    layer, name = hand.rng.choice(hand.known()), hand.rng.choice(["_duplicate_layer", "_project"])
    if name == "_project" and not isinstance(layer, Image):  # napari has no projection of others
        return ""
    hand.viewer.layers.selection = {layer}
    getattr(_layer_actions, name)(hand.viewer.layers)
    return f"{name} of {layer.name}"


def contrast(hand: Hand) -> str:
    from napari.layers import Image

    found = [each for each in hand.known() if isinstance(each, Image)]
    if found:
        layer = hand.rng.choice(found)
        layer.contrast_limits = (0.0, hand.rng.uniform(0.5, 9))
        layer.colormap = hand.rng.choice(["gray", "magma", "viridis"])
    return ""


ANYTIME: dict[Callable[[Hand], str], int] = {
    read_study: 2, scroll: 4, turn_3d: 3, show_or_hide: 3, delete: 3, rename: 2, clear: 2,
    reorder: 2, duplicate: 1, contrast: 2, dock: 3, close_dock: 1, region: 3, plane: 1, ratio: 3,
    explore: 2, stop_exploring: 1,
}  # fmt: skip
"""Move -> how often, with the panel open or closed."""

WITH_THE_PANEL: dict[Callable[[Hand], str], int] = {
    open_study: 6, answer: 6, unfill: 2, keep: 2, reopen: 2, move: 10, drag: 4, preset: 1, live: 2,
    mode: 3, metabolite: 3, action: 20, volume: 2, save: 1, cancel: 2, look: 3, derived: 4, fade: 2,
    link: 1, close_panel: 3,
}  # fmt: skip


def step(hand: Hand) -> str:
    """Make one move at random, and return its name and what it did."""
    moves = ANYTIME | (WITH_THE_PANEL if hand.widget is not None else {open_panel: 30})
    (made,) = hand.rng.choices(list(moves), list(moves.values()))
    return f"{made.__name__} {made(hand)}".strip()
