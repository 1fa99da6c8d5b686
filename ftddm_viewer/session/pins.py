"""Pinned outputs, to compare others with: each keeps its images and how they were made.

A pin is a finished output of one metabolite as it was shown. It stays as it is whatever is chosen
afterwards, until it is removed or another study is opened.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import RLock

from psygnal import Signal

from ftddm_core.errors import SettingsError
from ftddm_core.settings import controls
from ftddm_viewer.session.case import Mode
from ftddm_viewer.session.messages import called, value_words
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.scene import LayerSpec, Scene, resolve
from ftddm_viewer.session.session import Session
from ftddm_viewer.session.state import State, View

LETTERS = "ABCD"
"""Names of the pins: there are at most as many, since each keeps a map of its own."""

NOW = "now"
"""What the output is called that a pinned one is compared with."""


@dataclass(frozen=True, eq=False)
class Pin:
    """A pinned output.

    Parameters
    ----------
    letter
        Its name.
    state
        What was shown, with the images of its metabolite alone.
    scene
        What that looked like.
    model
        The networks that drew it.
    """

    letter: str
    state: State
    scene: Scene
    model: Model

    @classmethod
    def of(cls, state: State, letter: str, model: Model) -> Pin:
        """Return a pin of the output that is shown.

        Raises
        ------
        SettingsError
            If there is none, or if it is not finished.
        """
        if state.view is None or state.image is None:
            raise SettingsError("There is no output of this slice to pin: compute it first.")
        if not state.image.final:
            raise SettingsError("The output is not finished: pin it once it is.")
        alone = replace(state, view=state.view.only(state.metabolite), finished=None, error="")
        plain = replace(alone, display=alone.display.changed(fade=False))  # no veil lies over it
        return cls(letter, alone, resolve(plain), model)

    @property
    def view(self) -> View:
        """Images, settings and what they were computed from."""
        if self.state.view is None:  # `of` made sure that there is one
            raise SettingsError("There is no output to compare.")
        return self.state.view

    @property
    def output(self) -> LayerSpec:
        """The output as it was shown."""
        spec = self.scene.layer("output")
        if spec is None:
            raise SettingsError("There is no output to compare.")
        return spec

    @property
    def name(self) -> str:
        """What its layer is called: it cannot be taken for the current output."""
        return f"{self.letter} (pinned): {self.output.name}"

    def compared(self, state: State, *, now_first: bool = False) -> str:
        """Return how its output and that of a state differ: "A: τ_f 0.5 | now: τ_f 1"."""
        if state.view is None:
            return ""
        mine = _made_with(self.view, self.state.metabolite)
        other = _made_with(state.view, state.metabolite)
        differing = [name for name in mine if mine[name] != other[name]]
        if not differing:
            return f"{self.letter} and {NOW}: same settings"
        first, second = (", ".join(found[name] for name in differing) for found in (mine, other))
        words = [f"{self.letter}: {first}", f"{NOW}: {second}"]
        return " | ".join(reversed(words) if now_first else words)


class Pins:
    """The pins of a session, the oldest first.

    Parameters
    ----------
    session
        Whose outputs are pinned; a new study removes the pins.

    Attributes
    ----------
    changed
        Emitted when pins came or went, on the thread that made the change.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = RLock()
        self._pins: tuple[Pin, ...] = ()
        session.hear(self._follow)

    @property
    def pins(self) -> tuple[Pin, ...]:
        """The pins as they are now."""
        return self._pins

    def pin(self) -> Pin:
        """Pin the output that is shown, and return the pin.

        Raises
        ------
        SettingsError
            If there is no finished output, or if there are too many pins.
        """
        with self._lock:
            taken = {pin.letter for pin in self._pins}
            letter = next((each for each in LETTERS if each not in taken), None)
            if letter is None:
                raise SettingsError(f"{len(LETTERS)} outputs are pinned already: remove one first.")
            made = Pin.of(self._session.state, letter, self._session.model)
            self._pins = (*self._pins, made)
        self.changed.emit()
        return made

    def unpin(self, letter: str = "") -> None:
        """Remove a pin, the newest without a letter; nothing where there is none."""
        with self._lock:
            gone = letter or (self._pins[-1].letter if self._pins else "")
            kept = tuple(pin for pin in self._pins if pin.letter != gone)
            if len(kept) == len(self._pins):
                return
            self._pins = kept
        self.changed.emit()

    def _follow(self, old: State, new: State) -> None:
        if new.case is old.case:
            return
        with self._lock:
            if not self._pins:
                return
            self._pins = ()
        self.changed.emit()


def _made_with(view: View, metabolite: str) -> dict[str, str]:
    """Return name -> value in words of all that decides a metabolite's output."""
    mode = "degraded and restored" if view.prepared.mode is Mode.RESTORE else "enlarged"
    found = {"metabolite": metabolite, "mode": mode}
    used = {
        "upscale": view.prepared.conditions[metabolite].upscale,
        "mri_weight": view.mri_weight,
        "detail": view.detail(metabolite),
    }
    for control in controls():
        value = used.get(control.name, getattr(view.asked, control.name))
        if control.name in ("upscale", "mri_weight", "detail") and value is not None:
            words = f"{value:.3g}{'×' if control.name == 'upscale' else ''}"
        else:
            words = value_words(control, value)
        found[control.name] = f"{called(control)} {words}"
    return found
