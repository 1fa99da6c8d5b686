"""The part of a session that shows what lies beside the images, and computes those at T_trunc.

The flow's image and the first estimate from it show whether a failure began in the flow. They are
computed for the selected slice only, and only while one of their layers is visible; mostly they are
recalled from the image's own chain.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ftddm_core.imaging.io.limits import OWN, Limits
from ftddm_core.sampling.recall import Recall
from ftddm_viewer.session.holder import Holder
from ftddm_viewer.session.messages import notes
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.state import Activity, View


class Starts(Holder):
    """Holds the state, its display and the images at T_trunc.

    Parameters
    ----------
    model
        The networks.
    limits
        How large a study may be, and how much memory it may take.
    longest_unasked
        In s: how long an image may be expected to take that is computed without being asked for.

    Attributes
    ----------
    model
        As given.
    """

    def __init__(
        self, model: Model, limits: Limits = OWN, longest_unasked: float = math.inf
    ) -> None:
        super().__init__()
        self.model = model
        self._limits = limits
        self._longest_unasked = longest_unasked
        self._recall = Recall()
        self._missing: Callable[[], None] = lambda: None
        """Starts a job that computes what is missing of the selected image."""

    def display(self, **changes: Any) -> None:
        """Change what is shown beside the images, and compute images at T_trunc if they are missing
        and nothing else is computed.

        Parameters
        ----------
        changes
            Fields of a `Display`.

        Raises
        ------
        SettingsError
            If it cannot be so, see `Display.changed`; nothing changes.
        """
        with self._changing():
            display, view = self.state.display.changed(**changes), self.state.view
            if display == self.state.display:
                return
            self._replace(display=display)
            if view is not None and "limit" in changes:
                self._replace(notes=self._notes(view))
        if self.state.lacks_start and self.state.activity is Activity.IDLE:
            self._missing()

    def _notes(self, view: View) -> tuple[str, ...]:
        """Return the notes on a view's case."""
        return notes(view.prepared, view.asked.noise, self.state.display.limit)

    def _with_start(self, view: View, place: tuple[str, int]) -> View:
        """Return a view that has the images at T_trunc of a metabolite's slice, if they are to be
        seen."""
        image = view.images.get(place)
        if self.state.display.start and image is not None and image.start is None:
            start = self.model.start_of(
                view.prepared.conditions[place[0]],
                view.settings,
                place[1],
                check=view.check,
                recall=self._recall,
            )
            view = view.adding({place: replace(image, start=start)})
        return view
