"""Pinned outputs as layers of their own: in turn with the current output, beside it, or swiped."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari.layers import Image

from ftddm_viewer.session.pins import NOW, Pin, Pins
from ftddm_viewer.session.scene import resolve
from ftddm_viewer.session.state import State
from napari_ftddm._bridge import image_layer, placement
from napari_ftddm._record import about, known_of
from napari_ftddm._sides import unwrapped
from napari_ftddm._stage import MRI, limits_range
from napari_ftddm._swipe import MARK, SIDES, Swipe

if TYPE_CHECKING:
    from napari import Viewer

    from napari_ftddm._stage import Stage

IN_BOTH = ("ftddm_left", "ftddm_right")
"""Overlays that each of two views needs; top and bottom are the same for both."""


class Pinned:
    """The layers of a session's pins, and what of them is seen.

    Parameters
    ----------
    stage
        Of the layers that they are compared with.
    pins
        Of the session.
    """

    def __init__(self, viewer: Viewer, stage: Stage, pins: Pins) -> None:
        self._viewer, self._stage, self._pins = unwrapped(viewer), stage, pins
        self._layers: dict[str, Image] = {}
        self._grid: dict[str, Any] | None = None
        self._below: Image | None = None
        self._busy = False
        self._swipe = Swipe(self._viewer, self._swiped_away)
        self._swiped = ""
        left = [e for e in viewer.layers if {"pinned", "swipe"} & known_of(e).keys()]
        self._drop([*left, *(each for each in viewer.layers if MARK in each.metadata)])
        viewer.layers.events.removed.connect(self._removed)
        viewer.layers.events.inserted.connect(self._arrange)

    # ---- from the pins to the screen

    def before(self, state: State) -> None:
        """Share colours with no pin of another metabolite; to be called before the stage acts."""
        here = {pin.letter for pin in self._pins.pins if pin.state.metabolite == state.metabolite}
        self._stage.join([each for letter, each in self._layers.items() if letter in here])

    def show_state(self, state: State) -> None:
        """Show the layers of the pins, and say how they differ from the output of a state."""
        pins = {pin.letter: pin for pin in self._pins.pins}
        gone = [letter for letter in self._layers if letter not in pins]
        self._drop([self._layers.pop(letter) for letter in gone])
        for letter, pin in pins.items():
            if letter not in self._layers:
                self._layers[letter] = self._made(pin)
        self.before(state)
        output = self._stage.layer("output")
        if self._swipe.on and (self._swiped in gone or output is None):
            self._end_swipe()
            self._look_at("")
        seen = self._swiped or self._seen()
        for letter, layer in self._layers.items():
            words = pins[letter].compared(state, now_first=self.beside)
            known, name = known_of(layer), f"{letter} (pinned) {pins[letter].state.metabolite}"
            known["caption"] = f"{words}. {letter}: {pins[letter].scene.captions['output']}"
            known["name"] = f"left: {NOW}, right: {name}" if self.beside else name
            if output is not None and letter == (seen or self._newest()):
                current = known_of(output)
                current["caption"] = f"{words}. {current['caption']}"
                if self._swipe.on:
                    self._say_swiped(pins[letter], state)
        if not self._layers or (gone and not seen):
            self._leave_grid()
        self._arrange()

    def _made(self, pin: Pin) -> Image:
        spec = pin.output
        known = about(spec, pin.state, pin.scene, pin.model)
        known |= {"managed": False, "pinned": pin.letter}
        data, arguments, _ = image_layer(
            spec.volume, pin.name, spec.colormap, spec.limits, visible=False, about=known
        )
        layer = Image(data, **arguments)
        layer.contrast_limits_range = limits_range(spec)
        layer.contrast_limits = spec.limits
        active = self._viewer.layers.selection.active
        self._viewer.layers.append(layer)
        self._viewer.layers.selection.active = active  # what is worked with stays the output
        return layer

    def _drop(self, layers: list[Image]) -> None:
        self._busy = True
        try:
            for layer in layers:
                if layer in self._viewer.layers:
                    self._viewer.layers.remove(layer)
        finally:
            self._busy = False

    # ---- what is seen

    def flicker(self) -> None:
        """Show the next of the current output and the pins; of input and output without a pin."""
        output = self._stage.layer("output")
        self._end_swipe()
        if not self._layers:
            visible = output is not None and output.visible
            self._stage.look_at("input" if visible else "output")
            return
        letters = list(self._layers)
        seen = self._seen()
        if self.beside:  # the current one stays
            self._show(letters[(letters.index(seen) + 1) % len(letters)] if seen else letters[0])
            return
        order = ["", *letters]
        self._look_at(order[(order.index(seen) + 1) % len(order)])

    def hide(self) -> None:
        """Show no pin."""
        self._end_swipe()
        self._leave_grid()
        self._show("")

    @property
    def beside(self) -> bool:
        """Whether a pin is shown beside the current output."""
        return self._grid is not None and self._viewer.canvas.grid.enabled

    def side_by_side(self) -> None:
        """Show a pin beside the current output, or the current output alone again."""
        self._end_swipe()
        if self.beside:
            self._leave_grid()
            self._look_at("")
        elif self._layers:
            letter = self._seen() or self._newest()
            grid = self._viewer.canvas.grid
            self._grid = {name: getattr(grid, name) for name in ("enabled", "shape", "stride")}
            self._stage.look_at("output")
            self._show(letter)
            grid.shape = (1, 2)
            self._lay_below()
            self._repeat(True)
            self._arrange()
            grid.enabled = True
            self._stage.frame()

    # ---- swipe

    @property
    def swiping(self) -> bool:
        """Whether a divider lies between a pin and the current output."""
        return self._swipe.on

    def swipe(self) -> None:
        """Show a pin at the left of a divider and the current output at its right, or end that."""
        output = self._stage.layer("output")
        if self._swipe.on:
            self._end_swipe()
            self._look_at("")
        elif self._layers and output is not None:
            letter = self._seen() or self._newest()
            self._leave_grid()
            self._stage.look_at("")
            self._show("")
            self._swiped = letter
            self._swipe.start(self._layers[letter], output, (f"{letter}\n(pinned)", NOW))

    def move_divider(self, share: float) -> None:
        """Move the divider to the right by a share of the map's width."""
        self._swipe.move(share)

    def _say_swiped(self, pin: Pin, state: State) -> None:
        """Let both halves say what they are; neither is faded, since the veil is not seen."""
        words = pin.compared(state)
        what = resolve(replace(state, display=state.display.changed(fade=False)))
        captions = {"left": pin.scene.captions["output"], "right": what.captions["output"]}
        for side, layer in zip(SIDES, self._swipe.layers, strict=True):
            source = self._layers[pin.letter] if side == "left" else self._stage.layer("output")
            swiped = known_of(layer)["swipe"]
            known = {**known_of(source), "managed": False, "swipe": swiped} if source else {}
            known.pop("pinned", None)
            known["name"] = f"left: {pin.letter} (pinned) {pin.state.metabolite}, right: {NOW}"
            known["caption"] = f"{words}. {captions[side]}"
            layer.metadata["ftddm"] = known

    def _end_swipe(self) -> None:
        self._swiped = ""
        self._swipe.stop()

    def _swiped_away(self) -> None:
        """Show the current output: the user has removed a layer of the swipe."""
        self._swiped = ""
        self._look_at("")

    def _look_at(self, letter: str) -> None:
        """Show one pin and no other map, or for "" the current output."""
        self._stage.look_at("" if letter else "output")
        self._show(letter)

    def _show(self, letter: str) -> None:
        for each, layer in self._layers.items():
            layer.visible = each == letter
        self._arrange()

    def _seen(self) -> str:
        return next((letter for letter, each in self._layers.items() if each.visible), "")

    def _newest(self) -> str:
        return next(reversed(self._layers), "")

    def _arrange(self, event: Any = None) -> None:
        """Put the pin that is seen on top, where the grid gives it a view of its own."""
        seen = self._seen()
        if self._busy or self._grid is None or not seen:
            return
        self._busy = True
        try:
            layers = self._viewer.layers
            beside = [each for each in (self._below, self._layers[seen]) if each is not None]
            for layer in beside:
                layers.move(layers.index(layer), len(layers))
            self._viewer.canvas.grid.stride = max(len(beside), len(layers) - len(beside))
        finally:
            self._busy = False

    def _leave_grid(self) -> None:
        if self._grid is None:
            return
        before, self._grid = self._grid, None
        grid = self._viewer.canvas.grid
        for name, value in before.items():
            setattr(grid, name, value)
        self._repeat(False)
        if self._below is not None:
            below, self._below = self._below, None
            self._drop([below])
        self._stage.frame()

    def _lay_below(self) -> None:
        """Put a copy of the MRI that is seen below the pin."""
        shown = [self._stage.layer(role) for role in MRI]
        mri = next((each for each in reversed(shown) if each is not None and each.visible), None)
        if mri is None:
            return
        self._below = Image(
            mri.data,
            name=f"{mri.name} (below the pinned output)",
            colormap=mri.colormap,
            contrast_limits=mri.contrast_limits,
            interpolation2d=mri.interpolation2d,
            metadata={"ftddm": {"pinned": "below"}},
            **placement(mri.affine),
        )
        active = self._viewer.layers.selection.active
        self._viewer.layers.append(self._below)
        self._viewer.layers.selection.active = active

    def _repeat(self, on: bool) -> None:
        """Repeat the letters of the sides in both views."""
        overlays = self._viewer.canvas.overlays
        for name in IN_BOTH:
            if name in overlays:
                overlays[name].gridded = on

    # ---- the user's own ways

    def _removed(self, event: Any) -> None:
        """Forget a pin whose layer the user removed."""
        if event.value is self._below:
            self._below = None
        if self._busy:
            return
        for letter, layer in list(self._layers.items()):
            if layer is event.value:
                del self._layers[letter]
                self._pins.unpin(letter)

    def close(self) -> None:
        """Let go of the viewer; the layers stay."""
        if self._swipe.on:
            with suppress(RuntimeError):  # Qt, where the window is gone already
                self._end_swipe()
                self._look_at("")
        self._viewer.layers.events.removed.disconnect(self._removed)
        self._viewer.layers.events.inserted.disconnect(self._arrange)
