"""The pins of one tab, which of them the output is compared with, and those of its link."""

from __future__ import annotations

from collections.abc import Mapping

from psygnal import SignalInstance

from ftddm_core.settings import SamplerSettings
from ftddm_viewer.session.pins import Pin, Pins
from ftddm_viewer.session.session import Session


class Pinning:
    """Pins, and the choice among them.

    Parameters
    ----------
    session
        Of the tab.

    Attributes
    ----------
    offered
        Letter -> settings, of the pins of whoever made the link that was opened; nothing is
        computed with them before the visitor takes them.
    """

    def __init__(self, session: Session) -> None:
        self._pins = Pins(session)
        self._letter = ""
        self.offered: Mapping[str, SamplerSettings] = {}

    @property
    def changed(self) -> SignalInstance:
        """Emitted when pins came or went."""
        return self._pins.changed

    @property
    def pins(self) -> tuple[Pin, ...]:
        """The pins, the oldest first."""
        return self._pins.pins

    @property
    def chosen(self) -> Pin | None:
        """The pin that the output is compared with: the newest, unless another was chosen."""
        pins = self.pins
        newest = pins[-1] if pins else None
        return next((pin for pin in pins if pin.letter == self._letter), newest)

    @property
    def linked(self) -> Mapping[str, SamplerSettings]:
        """What the link says: the settings of the pins, or those offered while there are none."""
        return {pin.letter: pin.view.asked for pin in self.pins} or self.offered

    def pin(self) -> None:
        """Pin the output that is shown, and compare with it; errors as for `Pins.pin`."""
        self._letter = self._pins.pin().letter

    def unpin(self) -> None:
        """Remove the newest pin; nothing where there is none."""
        self._pins.unpin()

    def choose(self, letter: str) -> None:
        """Compare with another pin."""
        self._letter = letter
