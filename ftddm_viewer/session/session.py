"""State and background work of every front end; imports no GUI toolkit.

A `Session` holds one immutable `State`. Commands replace it and start background work; work
replaces it too, unless it was cancelled. After every replacement, `changed` is emitted with the old
and the new state, on the thread that made the change: a front end switches to its own thread, reads
the newest `state` and applies the differences. An image superseded by newer settings enters the
state only if it is the first of its chain, so that images keep coming while a control moves; a view
knows the settings it was made with. Changing the share of drawn detail needs no computation: images
keep x and z. While the session is idle, the model is checked on the study, once; any job takes over
at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftddm_core.errors import Cancelled, FormatError, GeometryError
from ftddm_core.imaging.io import Choices, Limits
from ftddm_core.imaging.io.limits import OWN
from ftddm_core.imaging.volume import Study
from ftddm_core.sampling.recall import Recall
from ftddm_core.saving.files import save_files
from ftddm_core.saving.names import stale_names
from ftddm_core.settings import SamplerSettings, Value, controls
from ftddm_viewer.session.case import Case, Mode, known_mode
from ftddm_viewer.session.estimates import Arriving
from ftddm_viewer.session.exploration import limited_steps
from ftddm_viewer.session.inspection import without_study
from ftddm_viewer.session.jobs import Clock, Jobs, Token, Work, calm
from ftddm_viewer.session.messages import error_words, logged_words, notes
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.opening import Files
from ftddm_viewer.session.ratios import kept_ratio, known_ratio
from ftddm_viewer.session.remembered import forget, remember
from ftddm_viewer.session.state import Activity, Finished, State, View
from ftddm_viewer.session.sweeping import Sweeping

if TYPE_CHECKING:  # torch takes seconds to import
    pass

AT_REST: dict[str, Any] = {"loading": False, "progress": 0.0, "remaining": None}
"""Progress of work that has not begun."""

Make = Callable[[Token], Case]
Adapt = Callable[[Case], Case]


class Session(Sweeping):
    """One user's examination and all operations on it.

    Parameters
    ----------
    model
        The networks; several sessions may share them.
    checks_itself
        Whether the self-check is made automatically; otherwise only on `check`, or for a whole
        volume with automatic weights.
    remembers
        Whether decisions about a study's files are kept for later sessions of the same user.
    limits
        How large a study may be, and how much memory it may take.
    longest_unasked
        In s: a live session computes an image that is expected to take longer on `refresh` only.

    Attributes
    ----------
    model
        As given.
    """

    def __init__(
        self,
        model: Model,
        *,
        checks_itself: bool = True,
        remembers: bool = False,
        limits: Limits = OWN,
        longest_unasked: float = math.inf,
    ) -> None:
        super().__init__(model, limits, longest_unasked)
        self._checks_itself, self._remembers = checks_itself, remembers
        self._files: Files | None = None
        self._jobs = Jobs()
        self._missing = self.refresh
        self._wanted = self.state.settings.to_dict()

    # ---- commands

    def open(
        self,
        paths: Path | str | Sequence[Path | str],
        *,
        t1: Path | None = None,
        flair: Path | None = None,
        mask: Path | None = None,
        label: str = "",
        choices: Choices | None = None,
    ) -> None:
        """Open a study from files in the background; on an error, the open study stays.

        `State.inspection` says what the files were taken for, also where the study does not open;
        `label` is the name shown unless the choices have one.
        """
        self._read(Files.of(paths, label, t1=t1, flair=flair, mask=mask), choices)

    def reopen(self, choices: Choices | None) -> None:
        """Open the files that were inspected last with other decisions; None to forget all.

        Raises
        ------
        FormatError
            If nothing was inspected.
        """
        with self._lock:
            found, files = self.state.inspection, self._files
        if found is None or files is None:
            raise FormatError("No study is open: open its folder first.")
        if choices is None:
            self._read(files, Choices())
        else:  # which hold the roles that were given with the files
            self._read(Files(found.paths, label=files.label), choices, named=files)

    def resume(self, files: Files, choices: Choices, adapt: Adapt, then: Callable[[], Any]) -> None:
        """Open files as `open` does, but remember nothing; `adapt` changes the case, `then` follows
        once it is open."""
        self._read(files, choices, adapt=adapt, then=then)

    def show(self, study: Study, label: str = "") -> None:
        """Show a study that is already in memory."""
        self._open(lambda _: Case.in_memory(study, label), inspection=None)

    def use(self, model: Model) -> None:
        """Use other networks: the open study starts over, since nothing of the others' holds."""
        self._refuse_during(Activity.VOLUME, "to use other networks")
        self.model, case, mode = model, self.state.case, self.state.mode
        self._checks.forget()
        if case is not None:
            self._open(lambda _: replace(case), lambda: self.choose(mode=mode), keep=True)

    def unfill(self) -> None:
        """Undo earlier zero-filling of the open study."""
        if (case := self.state.case) is not None:
            self._open(lambda _: case.unfill(), keep=True)

    def update(self, **changes: Value) -> None:
        """Change settings together, and recompute the image if the session is live.

        If T_trunc is lowered below the steps, they follow it, and return when it rises. A change of
        the detail only updates the display, even while a whole volume is computed.

        Raises
        ------
        SettingsError
            If the result would be invalid, or while a whole volume is computed; nothing changes.
        """
        checked = {c.name: c.check(changes[c.name]) for c in controls() if c.name in changes}
        with self._changing():
            if not changes.keys() <= {"detail"}:
                self._refuse_during(Activity.VOLUME, "to change the settings")
            wanted: dict[str, Any] = {**self._wanted, **changes, **checked}
            settle = SamplerSettings.from_dict if "steps" in changes else limited_steps
            settings = settle(wanted)
            self._wanted = wanted
            self._choose(settings=settings)
            self._explore_later()

    def toggle_detail(self) -> None:
        """Show all drawn detail, or again the share that the self-check supports."""
        self.update(detail=None if self.state.shows_all else 1.0)

    def choose(
        self,
        *,
        metabolite: str | None = None,
        slice_index: int | None = None,
        mode: Mode | str | None = None,
        live: bool | None = None,
    ) -> None:
        """Choose metabolite, slice and mode, and whether changes recompute the image.

        Raises
        ------
        SettingsError
            If there is no such metabolite, slice or mode, or if the mode is changed while a whole
            volume is computed; nothing changes.
        """
        changes: dict[str, Any] = {}
        with self._changing():
            case = self.state.case
            if metabolite is not None and case is not None:
                changes["metabolite"] = case.known_metabolite(metabolite)
            if slice_index is not None and case is not None:
                changes["slice_index"] = case.known_slice(slice_index)
            if mode is not None and (wanted := known_mode(mode)) is not self.state.mode:
                self._refuse_during(Activity.VOLUME, "to change the mode")
                changes["mode"] = wanted
            if live is not None:
                changes["live"] = live
            self._choose(**changes)

    def choose_ratio(self, above: str = "", below: str = "") -> None:
        """Choose a ratio to show as well; none without names. Errors as for `known_ratio`."""
        with self._changing():
            self._choose(ratio=known_ratio(self.state.case, above, below))

    def refresh(self) -> None:
        """Compute the image with the current settings, live or not.

        Raises
        ------
        SettingsError
            While a whole volume is computed, or a study is opened.
        """
        self._refuse_during(Activity.VOLUME, "to compute an image")
        state = self.state
        if state.case is not None and (not state.up_to_date or state.lacks_start):
            self._start(self._preview, Activity.SAMPLING, "to compute an image")

    def compute_volume(self) -> None:
        """Compute every slice of every metabolite with the current settings.

        Raises
        ------
        SettingsError
            While one is computed already, or a study is opened.
        """
        if self.state.case is not None:
            self._start(self._volume, Activity.VOLUME, "to compute another")

    def check(self) -> None:
        """Check the model on the open study, if not yet done, while the session is idle."""
        with self._changing():
            self._replace(error="")
            self._check_later(asked=True)

    def cancel(self) -> None:
        """Stop the background work; computed images stay."""
        with self._changing():
            was_opening = self.state.activity is Activity.OPENING
            self._jobs.cancel()
            self._replace(activity=Activity.IDLE, **AT_REST)
            if not (was_opening and self._catch_up()):
                self._check_later()

    def save(
        self, folder: Path, *, overwrite: bool = False, finished: Finished | None = None
    ) -> list[Path]:
        """Write a whole volume as NIfTI maps with sidecars, all of them or none.

        Parameters
        ----------
        folder, overwrite
            See `ftddm_core.saving.results.save_result`.
        finished
            Which volume; None for the newest.

        Raises
        ------
        FormatError
            If there is no whole volume yet, or the files cannot be written.
        """
        finished = finished or self.state.finished
        if finished is None:
            raise FormatError("Nothing to save yet: compute the whole volume first.")
        files = finished.files()
        inputs = finished.prepared.case.study.source.values()
        return save_files(
            files, folder, overwrite=overwrite, stale=stale_names(files), inputs=inputs
        )

    def close(self, timeout: float = 10.0) -> bool:
        """Stop all work and forget the study; return whether the work ended in time."""
        with self._lock:
            self._jobs.cancel()
            self._recall = Recall()
            self.state = State()
            self._wanted = self.state.settings.to_dict()
        return self._jobs.wait(timeout)

    def wait(self, timeout: float | None = None) -> bool:
        """Return whether all work, including the self-check, ended within `timeout` s."""
        return self._jobs.wait(timeout)

    # ---- from commands to jobs; all except `_start`, `_read` and `_open` are called under the lock

    def _read(
        self,
        files: Files,
        choices: Choices | None,
        *,
        named: Files | None = None,
        adapt: Adapt | None = None,
        then: Callable[[], Any] = lambda: 0,
    ) -> None:
        """Open files in the background; `named`: as the user named them, if not so."""
        remembers = self._remembers and adapt is None

        def make(token: Token) -> Case:
            found = files.inspected(choices, remembers=remembers, limits=self._limits)
            with self._changing():
                if token.cancelled():  # the panel stays as it was, too
                    raise Cancelled("Superseded.")
                self._files = named or files
                self._replace(inspection=found)
            if remembers and choices == Choices():
                forget(found.paths)
            return adapt(files.case(found)) if adapt else files.case(found)

        def opened() -> None:  # choices that open no study must not block it later
            found = self.state.inspection
            if remembers and found is not None and choices not in (None, Choices()):
                remember(found)
            then()

        self._open(make, opened)

    def _open(
        self, make: Make, then: Callable[[], Any] = lambda: 0, keep: bool = False, **changes: Any
    ) -> None:
        with self._changing():
            self._refuse_during(Activity.VOLUME, "to open a study")
            self._jobs.start(self._guarded(lambda token: self._opening(token, make, then, keep)))
            self._replace(activity=Activity.OPENING, **AT_REST, error="", **changes)

    def _start(self, job: Work, activity: Activity, purpose: str) -> None:
        with self._changing():
            self._refuse_during(Activity.VOLUME, purpose)
            self._refuse_during(Activity.OPENING, purpose)
            self._jobs.start(self._guarded(job))
            self._replace(activity=activity, **AT_REST, error="")

    def _choose(self, **changes: Any) -> None:
        """Apply changes; if they require another image, start it and stop any other."""
        old = self.state
        self._replace(error="", **changes)
        new = self.state
        turned = (new.place, new.ratio) != (old.place, old.ratio)
        moved = turned or new.settings != old.settings.replace(detail=new.settings.detail)
        turned_live = new.live and not old.live
        if new.activity in (Activity.VOLUME, Activity.OPENING) or not (moved or turned_live):
            return
        # While a control moves, one image of its previous value may still come first; but the image
        # of the current selection must not be replaced by one of an earlier selection.
        patient = not turned or new.image is None or new.fitting_view() is not None
        if not self._catch_up(patient=patient) and moved and new.activity is Activity.SAMPLING:
            self._jobs.cancel()
            self._replace(activity=Activity.IDLE, **AT_REST)
            self._check_later()

    def _catch_up(self, *, patient: bool = False) -> bool:
        """Start the image that a live session still has to show; return whether there is one."""
        lacking = not self.state.up_to_date or self.state.lacks_start
        wanted = self.state.case is not None and self.state.live and lacking
        wanted = wanted and not self._too_long()
        if wanted:
            self._jobs.start(self._guarded(self._preview), patient=patient)
            self._replace(activity=Activity.SAMPLING, **AT_REST)
        return wanted

    def _check_later(self, *, asked: bool = False) -> None:
        """Schedule the self-check for idle time, if it is still to be made."""
        view = self.state.view
        due = view is not None and self._known_check(view.prepared) is None
        begun = self.state.checking
        if due and (self._checks_itself or asked or begun is not None):
            self._jobs.start_idle(self._guarded(self._checking))
            self._replace(checking=begun or 0.0)
        else:
            self._explore_later()

    def _guarded(self, job: Work) -> Work:
        """Return a job whose errors are stored in the state, worded for the user."""

        def work(token: Token) -> None:
            error = ""
            try:
                with calm():
                    job(token)
            except Cancelled:
                return  # the canceller has updated the state
            except Exception as problem:
                error = logged_words(problem)
            with self._changing():
                if token.superseded():
                    return
                was_opening = self.state.activity is Activity.OPENING
                if was_opening and error:  # its images are not kept in memory
                    self._replace(inspection=without_study(self.state.inspection, error))
                error = error or self.state.error  # cleared by the next command only
                self._replace(activity=Activity.IDLE, **AT_REST, error=error)
                caught_up = was_opening and self._catch_up()  # it failed: keep the open study
                if not caught_up and (was_opening or not error):
                    self._check_later()

        return work

    # ---- jobs

    def _opening(self, token: Token, make: Make, then: Callable[[], Any], keep: bool) -> None:
        """Open a case; it replaces the open one only if it can be sampled.

        With `keep`, the same metabolite and slice stay selected; `then` is called once it is open.
        """
        case = make(token)
        asked, mode = self.state.settings, case.usual_mode
        try:
            prepared = self._prepared(token, case, mode, asked)
            remarks = notes(prepared, asked.noise, self.state.display.limit)
        except (FormatError, GeometryError) as problem:
            found = self.state.inspection
            if found is not None and not keep:  # it was read, and still does not open
                self._report(token, inspection=replace(found, problem=error_words(problem) or ""))
            raise
        metabolite, k = case.first_metabolite, case.first_slice
        if keep:
            metabolite, k = self.state.metabolite, self.state.slice_index
        self._report(
            token,
            activity=Activity.SAMPLING,  # from here on, a change of a control restarts
            mode=mode,
            metabolite=metabolite,
            slice_index=k,
            view=View(prepared, asked, check=self._known_check(prepared)),
            finished=None,
            notes=remarks,
            checking=None,
            ratio=kept_ratio(case, self.state.ratio),
            exploration=None,
        )
        then()
        if self.state.live and not self._too_long():
            self._preview(token)

    def _preview(self, token: Token) -> None:
        """Compute the image of the selected map and slice."""
        state = self.state
        name, k = state.metabolite, state.slice_index
        view = self._prepare(token)
        names = view.lacking(name, k, state.ratio) or (name,)
        conditions = [self._condition(token, view, each) for each in names]
        self._load(token)
        if state.up_to_date:  # only the images at T_trunc are missing
            self._report(token, view=self._with_start(view, (name, k)))
            return
        clock, arriving = Clock(), Arriving(view, [k], state.ratio or ())
        for update in self._sample(token, view, conditions, slices=[k], recall=self._recall):
            view = self._with_start(arriving.take(update), (name, k))
            self._report(token, view=view, **clock.read(update.done))
            token.land()
        for other in view.prepared.conditions:  # the notes cover every map, shown or not
            self._condition(token, view, other)
        self._report(token, notes=self._notes(view))

    def _volume(self, token: Token) -> None:
        """Compute everything, outwards from the selected slice."""
        state = self.state
        view = self._prepare(token)
        self._load(token)
        if view.asked.mri_weight is None or view.asked.detail is None:
            self._checked(token, view.prepared)
            self._report(token, checking=None)
            view = self._prepare(token)
        names = sorted(view.prepared.conditions, key=lambda name: name != state.metabolite)
        conditions = [self._condition(token, view, name) for name in names]
        clock = Clock()
        arriving = Arriving(view, range(view.prepared.n_slices), state.ratio or ())
        for update in self._sample(token, view, conditions, first=state.slice_index):
            changes, view = clock.read(update.done), arriving.take(update)
            if update.result is not None:
                changes["finished"] = Finished.of(update.result, view.prepared)
                changes["notes"] = self._notes(view)
            self._report(token, view=view, **changes)

    def _checking(self, token: Token) -> None:
        """Check the model on the open study; then update or recompute what depends on it."""
        view = self.state.view
        if view is None:
            return
        self._checked(token, view.prepared)
        with self._changing():
            if token.cancelled():
                raise Cancelled("Superseded.")
            self._replace(checking=None)
            self._catch_up()
