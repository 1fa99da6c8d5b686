"""A pinned output as the page draws it: beside the current output, and at the left of the swipe."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ftddm_viewer.session.pins import NOW, Pin
from ftddm_viewer.session.scene import LayerSpec, Scene, resolve
from ftddm_viewer.session.state import State
from ftddm_viewer.web.painter import (
    MRI,
    Painter,
    Panel,
    below_as,
    id_of,
    letters_of,
    panel_of,
    short,
    without_notice,
)
from ftddm_viewer.web.panels import store

ROLE = "pinned"
"""Of the drawing of a pin: what the pointer asks for there."""


class Comparison(NamedTuple):
    """HTML of a pin against the current output.

    Parameters
    ----------
    images
        Hidden images, see `panels.store`.
    beside, swipe
        Drawings: side by side, and on top of each other; "" if there is no current one.
    """

    images: str = ""
    beside: str = ""
    swipe: str = ""


def in_slice(pin: Pin, k: int) -> State:
    """Return what is shown of a pin while slice k is: that slice if it was computed with the pin's
    settings, else the slice that was pinned."""
    image = pin.view.images.get((pin.state.metabolite, k))
    if k == pin.state.slice_index or image is None or not image.final:
        return pin.state
    return replace(pin.state, slice_index=k)


def compare(pin: Pin, state: State, scene: Scene, painter: Painter) -> Comparison:
    """Return the drawings of a pin and a state, whose `scene` the painter has drawn."""
    output = scene.layer("output")
    if output is None:
        return Comparison()
    past = in_slice(pin, state.slice_index)
    then = pin.scene if past is pin.state else resolve(_plain(past))
    shown = _linked(pin, then, output, state)
    # An MRI of the same slice is on the page already.
    prefix = "" if then.position == scene.position else f"{ROLE}-"
    below = [layer for layer in then.layers if layer.role in MRI]
    own = [painter.element(layer, then, f"{prefix}{layer.role}") for layer in below if prefix]
    words, letters = _differing(pin, past, shown, state), letters_of(scene)
    now = panel_of(scene, output)
    images = [(id_of(f"{prefix}{layer.role}"), below_as(layer.role)) for layer in below]
    left = Panel(
        ROLE,
        [*images, (id_of(ROLE), "map")],
        pin.name,
        f"{words}. {pin.letter}: {then.caption()}",
    )
    return Comparison(
        images=store([*own, painter.element(shown, then, ROLE)]),
        beside=painter.side_by_side(
            [
                left,
                now._replace(title=f"{NOW}: {now.title}", caption=f"{words}. {NOW}: {now.caption}"),
            ],
            letters,
        ),
        swipe=painter.swiped(
            left._replace(title=f"{pin.letter} (pinned) {pin.state.metabolite}"),
            now._replace(
                title=f"{NOW}: {short(now.title)}",
                caption=f"{without_notice(left.caption)} {NOW}: {now.caption}",
            ),
            letters,
            f"{pin.letter} (pinned) and the current output",
        ),
    )


def _plain(state: State) -> State:
    """Return a state without a veil: pins are never faded."""
    return replace(state, display=state.display.changed(fade=False))


def _linked(pin: Pin, then: Scene, output: LayerSpec, state: State) -> LayerSpec:
    """Return the pinned output; equal colours are equal values in maps of one metabolite."""
    shown = then.layer("output") or pin.output
    return replace(shown, limits=output.limits) if _alike(pin, state) else shown


def _alike(pin: Pin, state: State) -> bool:
    return pin.state.metabolite == state.metabolite


def _differing(pin: Pin, past: State, shown: LayerSpec, state: State) -> str:
    """Return how a pin and the current output differ, also in slice and colours."""
    words = [pin.compared(state)]
    if past.slice_index != state.slice_index:
        words.append(
            f"{pin.letter}: slice {past.slice_index + 1} | {NOW}: slice {state.slice_index + 1}"
        )
    if not _alike(pin, state):
        low, high = shown.limits
        unit = pin.view.prepared.conditions[pin.state.metabolite].unit or "a.u."
        words.append(f"{pin.letter}: colours from {low:.3g} to {high:.3g} {unit}")
    return ". ".join(words)
