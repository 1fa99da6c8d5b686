"""The page's tools, each a part of its own: what it looks like, what it does, what it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from ftddm_viewer.session.scene import Scene
from ftddm_viewer.session.state import State
from ftddm_viewer.web.controls import AS_IT_IS
from ftddm_viewer.web.tab import Tab

Command = Callable[[Tab], object]


class Events(Protocol):
    """What a tool may ask of the page."""

    def commands(self, event: Any, command: Command) -> None:
        """Run a command when an event comes, and show what it changed."""

    def answers(
        self,
        event: Any,
        answer: Callable[[Tab, Any], Any],
        to: Any,
        data: str = "",
        *,
        follows: bool = True,
    ) -> None:
        """Set a component to the answer to an event, or to what is called `data` in it; then show
        what it changed, if it `follows`."""

    def moves(
        self, component: Any, name: str, set_to: Callable[[Tab, Any], object], js: str = AS_IT_IS
    ) -> None:
        """Apply the value of a component, called `name` in `shown`, as soon as the user changes it;
        `js` runs in the browser on (value, time)."""


class Tool(Protocol):
    """Components and their events.

    Attributes
    ----------
    shown
        Name -> component, for those that the follower sets.
    """

    shown: dict[str, Any]

    def wire(self, events: Events) -> None:
        """Connect its components."""

    def properties(self, tab: Tab, state: State, scene: Scene) -> Mapping[str, dict[str, Any]]:
        """Return what its components should be like."""


@runtime_checkable
class Steered(Protocol):
    """A tool with components that the user changes."""

    def steered(self, tab: Tab, state: State) -> Mapping[str, dict[str, Any]]:
        """Return what those should be like in the newest state; called while nothing changes, so
        that no hand meets an older value."""
