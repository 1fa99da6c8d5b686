"""Moves in the docks beside the panel, for `random_moves`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from random_moves import Hand

PLUGIN = "ftddm-viewer"


def dock(hand: Hand, name: str = "") -> str:
    name = name or hand.rng.choice(["Trade-off explorer", "Ratio", "Regions", "Three views"])
    if name not in hand.docks:
        _, hand.docks[name] = hand.viewer.window.add_plugin_dock_widget(PLUGIN, name)
    return name


def close_dock(hand: Hand) -> str:
    if hand.docks:
        name = hand.rng.choice(sorted(hand.docks))
        hand.viewer.window.remove_dock_widget(hand.docks.pop(name))
        return name
    return ""


def region(hand: Hand) -> str:
    regions = hand.docks.get("Regions")
    if regions is None:
        return ""
    regions.draw.click()
    layer = next((e for e in hand.viewer.layers if e.metadata.get("ftddm_region")), None)
    if layer is None:
        return "nothing to draw on"
    place = np.array([hand.rng.randrange(2), 15, 12])
    half = hand.rng.randrange(1, 6)
    corners = place + half * np.array([[0, -1, -1], [0, -1, 1], [0, 1, 1], [0, 1, -1]])
    layer.add(corners.astype(float), shape_type=hand.rng.choice(["ellipse", "rectangle"]))
    return str(place)


def plane(hand: Hand) -> str:
    if (regions := hand.docks.get("Regions")) is not None:
        regions.plane.setValue(hand.rng.uniform(-40, 40))
        regions.compared.activated.emit(0)
        regions.mirror.toggle()
    return ""


def ratio(hand: Hand) -> str:
    found = hand.docks.get("Ratio")
    if found is None or not found.ratio.isEnabled():
        return ""
    index = hand.rng.randrange(found.ratio.count())
    found.ratio.setCurrentIndex(index)
    found.ratio.activated.emit(index)
    shown = hand.rng.choice(sorted(found.look_at.items()))
    shown[1].click()
    return f"{index}, {shown[0]}"


def explore(hand: Hand) -> str:
    explorer = hand.docks.get("Trade-off explorer")
    if explorer is None or explorer.engine is None:
        return ""
    for name, (box, values) in explorer.rows.items():
        box.setChecked(name == "tau_flow")
        values.setText("0, 0.7" if name == "tau_flow" else values.text())
    explorer.start.click()
    return ""


def stop_exploring(hand: Hand) -> str:
    explorer = hand.docks.get("Trade-off explorer")
    if explorer is not None and explorer.engine is not None:
        explorer.cancel.click()
    return ""
