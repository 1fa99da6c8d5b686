"""What the jobs of a session share: views to be filled, self-checks, and samples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ftddm_core.errors import Cancelled, FormatError
from ftddm_core.imaging.io.limits import OWN, Limits
from ftddm_core.sampling.condition import Condition
from ftddm_core.settings import SamplerSettings
from ftddm_viewer import CASE_UPSCALE
from ftddm_viewer.session.case import Case, Mode, Prepared, prepare
from ftddm_viewer.session.checks import Checks
from ftddm_viewer.session.fitting import check_fits, fitted
from ftddm_viewer.session.jobs import Token
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.pace import work_of
from ftddm_viewer.session.starts import Starts
from ftddm_viewer.session.state import Activity, View

if TYPE_CHECKING:  # torch takes seconds to import
    from ftddm_core.sampling.result import Update
    from ftddm_core.sampling.self_check import SelfCheck


class Preparing(Starts):
    """Prepares, checks and samples in the jobs of a session; arguments as in `Starts`."""

    def __init__(
        self, model: Model, limits: Limits = OWN, longest_unasked: float = math.inf
    ) -> None:
        super().__init__(model, limits, longest_unasked)
        self._checks = Checks()

    @property
    def long_wait(self) -> float:
        """How many seconds the image will take that a live session does not compute unasked; 0 if
        there is none."""
        state = self.state
        idle = state.activity is Activity.IDLE and state.live and not state.up_to_date
        return self._too_long() if idle else 0.0

    @property
    def volume_takes(self) -> float:
        """How many seconds a whole volume will take with the current settings; 0 without a
        study."""
        state = self.state
        if state.view is None:
            return 0.0
        prepared = state.view.prepared
        images = len(prepared.case.study.maps) * prepared.n_slices
        work = images * self._work(state.settings, prepared, state.mode)
        return self.model.pace.seconds(work, self.model.place)

    def _too_long(self) -> float:
        """Return how many seconds the image with the current settings will take, if that is longer
        than unasked images may take; else 0."""
        state = self.state
        if state.view is None:
            return 0.0
        work = self._work(state.settings, state.view.prepared, state.mode)
        return self._if_long(work * len(state.ratio or ("one",)))

    def _work(self, settings: SamplerSettings, prepared: Prepared, mode: Mode) -> float:
        """Return the work of a slice with settings, whose factor may not be prepared yet."""
        grown = 1.0
        if mode is Mode.ENLARGE and settings.upscale is not None:
            grown = (settings.upscale / prepared.upscale) ** 2
        return grown * work_of(settings, prepared.conditions.plane)

    def _if_long(self, work: float) -> float:
        """Return how many seconds work will take, if that is longer than unasked work may take;
        else 0."""
        seconds = self.model.pace.seconds(work, self.model.place)
        return seconds if seconds > self._longest_unasked else 0.0

    def _prepare(self, token: Token) -> View:
        """Return the view for images with the current settings; it may already hold some."""
        state, view = self.state, self.state.view
        if view is None:
            raise FormatError("No study is open.")
        if state.fitting_view() is not None:
            return view
        prepared = view.prepared
        if prepared.mode is not state.mode or view.asked.upscale != state.settings.upscale:
            prepared = self._prepared(token, prepared.case, state.mode, state.settings)
        return View(prepared, state.settings, check=self._known_check(prepared))

    def _prepared(
        self, token: Token, case: Case, mode: Mode, settings: SamplerSettings
    ) -> Prepared:
        upscale, memory = settings.upscale, self._limits.memory()
        if upscale is None:
            upscale = CASE_UPSCALE
            if mode is Mode.ENLARGE:
                self._load(token)
                upscale = self.model.usual_upscale(case.study)
            upscale = fitted(case, mode, upscale, memory)
        check_fits(case, mode, upscale, memory)
        return prepare(case, mode, upscale)

    def _known_check(self, prepared: Prepared) -> SelfCheck | None:
        """Return the self-check of the acquired maps, None if it is still to be made."""
        return self._checks.of(self.model, prepared.acquired)

    def _checked(self, token: Token, prepared: Prepared) -> None:
        """Make the self-check of the acquired maps, unless it is known; store it in the view."""
        if self._known_check(prepared) is None:
            self._load(token)
        check = self._checks.make(
            self.model,
            prepared.acquired,
            progress=lambda done: self._report(token, checking=done),
            cancelled=token.cancelled,
        )
        view = self.state.view
        if view is not None and view.prepared.acquired is prepared.acquired:
            self._report(token, view=view.checked(check))

    def _sample(
        self, token: Token, view: View, conditions: Sequence[Condition], **which: Any
    ) -> Iterator[Update]:
        """Sample with a view's settings and self-check; `which` as for `Model.sample`."""
        return self.model.sample(
            conditions, view.settings, check=view.check, cancelled=token.cancelled, **which
        )

    def _condition(self, token: Token, view: View, name: str) -> Condition:
        """Return a metabolite's condition, formed if necessary, unless the job was cancelled."""
        if token.cancelled():
            raise Cancelled("Superseded.")
        return view.prepared.conditions[name]

    def _load(self, token: Token) -> None:
        """Load the networks if necessary, and report it in the state."""
        if not self.model.loaded:
            self._report(token, loading=True)
            self.model.load()
            self._report(token, loading=False)
